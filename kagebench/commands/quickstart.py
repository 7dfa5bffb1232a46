"""``kagebench quickstart``: train from pixels, evaluate under visual shifts, write a page."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import tyro
from rich.console import Console
from rich.progress import Progress

from kagebench import machine
from kagebench.commands import _quickstart_page, _trained, train
from kagebench.commands._trained import Config, Trained
from kagebench.report import results
from kagebench.report.results import Evaluation, summary
from sweeps import engine, store

CONFIG, PRESET = "base-a", "quick"
SCRIPTED = ("oracle", "random")


@dataclass(frozen=True)
class Settings:
    """What a quickstart does; a folder belongs to one of these.

    Attributes:
        seeds: number of agents.
        overrides: changes to the preset, as for ``kagebench train --set``.
        episodes: levels of the evaluation.
        shifts: names of pairs; None for all that train on `CONFIG`.
    """

    seeds: int
    overrides: tuple[str, ...]
    episodes: int
    shifts: tuple[str, ...] | None = None


FULL = Settings(seeds=3, overrides=(), episodes=64)
SMOKE = Settings(
    seeds=2,
    overrides=("total_timesteps=16384",),
    episodes=4,
    shifts=("agent_appearance-3", "background-2", "layout-1"),
)


@dataclass(frozen=True)
class Args:
    """Train PPO from pixels on base A, evaluate it under every shift of base A, write a page.

    Takes some minutes on two CPU cores; the same command goes on after an interruption.
    """

    out: Path = Path("runs/quickstart")
    """Folder of the results."""
    smoke: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """A minute's check that everything works: hardly any training, few levels and shifts."""


def run(args: Args) -> None:
    """Do it all, or what an earlier call left undone.

    Raises:
        ValueError: the folder belongs to something else.
        SystemExit: with status 1, after everything is written, if the training task is not solved.
    """
    start = time.monotonic()
    settings = SMOKE if args.smoke else FULL
    console = Console(highlight=False)
    claim(args.out, settings)
    trained = train_agents(args.out, settings, console)
    shifts = choose_shifts(settings, trained)
    tables = evaluate_all(args.out, settings, trained, shifts, console)
    draw(args.out, settings, trained, shifts, tables, console)

    note = f"{settings.seeds} seeds, {settings.episodes} levels shared by all rows"
    results.print_tables(console, tables, note)
    console.print(f"{time.monotonic() - start:.0f} s in this call")
    console.print(f"page: {(args.out / 'index.html').resolve()}", soft_wrap=True)
    problem = _quickstart_page.unsolved(tables[trained.algorithm])
    if problem and not args.smoke:
        console.print(f"[red]{problem}[/]")
        raise SystemExit(1)


def claim(folder: Path, settings: Settings) -> None:
    """Write the settings into a new folder, or check that it belongs to the same ones.

    Raises:
        ValueError: it holds something else.
    """
    path, data = folder / "quickstart.json", json.loads(json.dumps(asdict(settings)))
    if path.exists():
        if json.loads(path.read_text())["settings"] != data:
            raise ValueError(
                f"{folder}: holds a quickstart with other settings; choose another --out"
            )
        return
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder}: holds files but no quickstart; choose another --out")
    folder.mkdir(parents=True, exist_ok=True)
    store.write_json(path, {"settings": data, "machine": machine.describe(), "seconds": {}})


def train_agents(folder: Path, settings: Settings, console: Console) -> Trained:
    """Train all seeds, or what is left of it."""
    plan = train.make_plan(
        train.Args(config=CONFIG, preset=PRESET, seeds=settings.seeds, set=settings.overrides)
    )
    steps = plan.trials[0].config.total_timesteps
    console.print(
        f"[bold]1/3[/] training {settings.seeds} seeds of PPO on {CONFIG} from 32x32 pixels, "
        f"{steps / 1e6:g} M steps each"
    )
    engine.run(plan, folder / "training", checkpoint_seconds=10.0)
    lines = (folder / "training" / "timing.jsonl").read_text().splitlines()
    note_seconds(folder, "training", sum(json.loads(line)["seconds"] for line in lines))
    return _trained.load_trained(folder / "training")


def choose_shifts(settings: Settings, trained: Trained) -> dict[str, Config]:
    """Name -> configuration of the shifts of the training configuration."""
    pairs = _trained.pairs_of(trained.config)
    wanted = settings.shifts
    return {pair.name: pair.validation for pair in pairs if wanted is None or pair.name in wanted}


def evaluate_all(
    folder: Path,
    settings: Settings,
    trained: Trained,
    shifts: dict[str, Config],
    console: Console,
) -> dict[str, list[dict[str, Any]]]:
    """Evaluate what is not yet evaluated; returns the summary of every policy."""
    keys = _trained.level_keys(0, settings.episodes)
    learned, scripted = folder / "episodes-learned.parquet", folder / "episodes-scripted.parquet"
    console.print(
        f"[bold]2/3[/] evaluating on {CONFIG} and {len(shifts)} shifts, "
        f"{settings.episodes} shared levels"
    )
    start, new = time.monotonic(), not (learned.exists() and scripted.exists())
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("evaluating", total=1.0)
        show = partial(_advance, bar, task)
        work = partial(_trained.evaluate_trained, trained, shifts, keys, progress=show)
        found = saved(learned, lambda: [work()])
    found += saved(scripted, partial(_trained.evaluate_scripted, SCRIPTED, trained, shifts, keys))
    if new:
        note_seconds(folder, "evaluation", time.monotonic() - start)
    tables = {evaluation.policy: summary(evaluation) for evaluation in found}
    entries = [entry for table in tables.values() for entry in table]
    store.write_json(folder / "summary.json", entries)
    return tables


def saved(path: Path, work: Callable[[], list[Evaluation]]) -> list[Evaluation]:
    """Evaluations from a file, or else ``work()``, which is then written there."""
    if not path.exists():
        part = path.with_name(path.name + ".part")
        pl.concat(map(results.to_frame, work())).write_parquet(part)
        part.replace(path)
    frames = pl.read_parquet(path).partition_by("policy", maintain_order=True)
    return [results.from_frame(frame) for frame in frames]


def draw(
    folder: Path,
    settings: Settings,
    trained: Trained,
    shifts: dict[str, Config],
    tables: dict[str, list[dict[str, Any]]],
    console: Console,
) -> None:
    """Draw the images and write the page."""
    console.print("[bold]3/3[/] drawing curves, frames and the page")
    start = time.monotonic()
    key = _trained.level_keys(0, settings.episodes)[0]
    pictures = _quickstart_page.draw_images(folder, trained, shifts, key, tables)
    note_seconds(folder, "drawing", time.monotonic() - start)
    overrides = "".join(f" --set {text}" for text in settings.overrides)
    smoke = settings == SMOKE
    command = (
        f"kagebench quickstart{' --smoke' if smoke else ''}\n\n# the training alone\n"
        f"kagebench train --config {CONFIG} --preset {PRESET} --seeds {settings.seeds}{overrides}"
    )
    about = json.loads((folder / "quickstart.json").read_text())
    _quickstart_page.write_page(folder, trained, tables, pictures, about, command, smoke)


def note_seconds(folder: Path, name: str, seconds: float) -> None:
    """Write the wall-clock time of a phase into quickstart.json."""
    path = folder / "quickstart.json"
    about = json.loads(path.read_text())
    about["seconds"][name] = round(seconds, 1)
    store.write_json(path, about)


def _advance(bar: Progress, task: Any, share: float) -> None:
    bar.update(task, completed=share)
