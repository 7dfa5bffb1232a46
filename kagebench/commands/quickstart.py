"""``kagebench quickstart``: train from pixels, evaluate under visual shifts, write a page."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import jax
import polars as pl
import tyro
from rich.console import Console
from rich.progress import Progress

from kagebench import machine
from kagebench.commands import _trained, train
from kagebench.commands._trained import Trained
from kagebench.evaluate import METRICS, record
from kagebench.registry import make
from kagebench.report import curves, page, results, strips
from kagebench.report.results import GAP_METRIC, Evaluation, lowest_agent, summary
from kagebench.schema import show
from sweeps import engine, store

SOLVED = 0.8
CONFIG, PRESET = "base-a", "quick"
SCRIPTED = ("oracle", "random")
STRIP_FRAMES = 8
FILES = {
    "training/": "the run: plan, metrics of every update (metrics.parquet), checkpoint, machine",
    "episodes-*.parquet": "one row per policy, agent, config and level",
    "summary.json": "the statistics of the table: means, SEM, IQM, intervals, gaps",
    "quickstart.json": "settings, machine and times",
    "curves.png, shifts.png, strips/": "the images",
}


@dataclass(frozen=True)
class Settings:
    """What a quickstart does; a folder belongs to one of these."""

    seeds: int
    overrides: tuple[str, ...]
    episodes: int
    shifts: tuple[str, ...] | None

    @property
    def command(self) -> str:
        """The command line that trains the same agents."""
        overrides = "".join(f" --set {text}" for text in self.overrides)
        return (
            f"kagebench train --config {CONFIG} --preset {PRESET} --seeds {self.seeds}{overrides}"
        )


# Frames of 32x32 fit into memory, so nothing is gained by rendering them again in every epoch.
FULL = Settings(
    3,
    (
        "store=frames",
        "total_timesteps=1800000",
        "update_epochs=2",
        "num_minibatches=16",
        "learning_rate=1e-3",
    ),
    64,
    None,
)
SMOKE = Settings(
    2,
    ("store=frames", "total_timesteps=16384"),
    4,
    ("agent_appearance-3", "background-2", "layout-1"),
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
    settings = SMOKE if args.smoke else FULL
    console = Console(highlight=False)
    claim(args.out, settings)
    times = {}
    trained = timed(times, "training", lambda: train_agents(args.out, settings, console))
    evaluations = timed(
        times, "evaluation", lambda: evaluate_all(args.out, settings, trained, console)
    )
    tables = {found.policy: summary(found) for found in evaluations}
    store.write_json(args.out / "summary.json", [row for rows in tables.values() for row in rows])
    console.print(f"[bold]3/3[/] drawing {args.out / 'index.html'}")
    draw = partial(draw_report, args.out, settings, trained, tables, times)
    timed(times, "report", draw)
    note = f"{settings.seeds} seeds, {settings.episodes} levels shared by all rows"
    results.print_tables(console, tables, note)
    console.print(f"page: {(args.out / 'index.html').resolve()}", soft_wrap=True)
    agent, lowest = lowest_agent(tables[trained.algorithm][0])
    if lowest < SOLVED and not args.smoke:
        console.print(
            f"[red]not solved[/]: seed {agent} has {GAP_METRIC} {lowest:.2f} in training, "
            f"every seed should have at least {SOLVED}"
        )
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


def timed(times: dict[str, float], name: str, work: Any) -> Any:
    """The result of ``work()``, noting its wall-clock seconds."""
    start = time.monotonic()
    result = work()
    times[name] = time.monotonic() - start
    return result


def train_agents(folder: Path, settings: Settings, console: Console) -> Trained:
    """Train all seeds, or what is left of it."""
    arguments = train.Args(
        config=CONFIG, preset=PRESET, seeds=settings.seeds, set=settings.overrides
    )
    plan = train.make_plan(arguments)
    steps = plan.trials[0].config.total_timesteps
    console.print(
        f"[bold]1/3[/] training {settings.seeds} seeds of PPO on {CONFIG}, "
        f"{steps / 1e6:g} M steps each, from 32x32 pixels"
    )
    engine.run(plan, folder / "training", checkpoint_seconds=10.0)
    return _trained.load_trained(folder / "training")


def evaluate_all(
    folder: Path, settings: Settings, trained: Trained, console: Console
) -> list[Evaluation]:
    """Evaluate the agents and the scripted policies, reusing what is already there."""
    shifts = choose_shifts(settings, trained)
    keys = _trained.level_keys(0, settings.episodes)
    console.print(
        f"[bold]2/3[/] evaluating on {CONFIG} and {len(shifts)} shifts, "
        f"{settings.episodes} shared levels"
    )
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("evaluating", total=1.0)
        learned = partial(
            _trained.evaluate_trained,
            trained,
            shifts,
            keys,
            progress=lambda share: bar.update(task, completed=share),
        )
        found = saved(folder / "episodes-learned.parquet", lambda: [learned()])
    work = partial(_trained.evaluate_scripted, SCRIPTED, trained, shifts, keys)
    return found + saved(folder / "episodes-scripted.parquet", work)


def choose_shifts(settings: Settings, trained: Trained) -> dict[str, dict[str, Any]]:
    """Name -> configuration of the shifts of the training configuration."""
    pairs = _trained.pairs_of(trained.config)
    wanted = settings.shifts
    return {pair.name: pair.validation for pair in pairs if wanted is None or pair.name in wanted}


def saved(path: Path, work: Callable[[], list[Evaluation]]) -> list[Evaluation]:
    """Evaluations from a file, or else ``work()``, which is then written there."""
    if not path.exists():
        part = path.with_name(path.name + ".part")
        pl.concat(map(results.to_frame, work())).write_parquet(part)
        part.replace(path)
    frames = pl.read_parquet(path).partition_by("policy", maintain_order=True)
    return [results.from_frame(frame) for frame in frames]


def draw_report(
    folder: Path,
    settings: Settings,
    trained: Trained,
    tables: Mapping[str, list[dict[str, Any]]],
    times: dict[str, float],
) -> None:
    """Draw the images and the page."""
    entries = tables[trained.algorithm]
    metrics = store.read_metrics(folder / "training").collect()
    references = {
        name: {key: tables[name][0]["metrics"][_METRIC[key]]["mean"] for key in curves.PANELS}
        for name in SCRIPTED
    }
    curves.learning_curves(metrics, folder / "curves.png", references)
    curves.shift_chart(entries, folder / "shifts.png", GAP_METRIC)
    pictures = draw_strips(folder / "strips", settings, trained)
    about = json.loads((folder / "quickstart.json").read_text())
    about["seconds"] = training_seconds(folder, times)
    store.write_json(folder / "quickstart.json", about)
    report = page.Report(
        title="PPO under visual shift"
        if settings is FULL
        else "PPO under visual shift: smoke test",
        lead=lead(trained, metrics, len(entries) - 1),
        warning=warning(settings, entries),
        learner=trained.algorithm,
        summaries=tables,
        curves=folder / "curves.png",
        chart=folder / "shifts.png",
        strips=pictures,
        strips_note=(
            f"Seed {trained.seeds[0]} on the first level of the evaluation, at the same "
            f"{STRIP_FRAMES} moments of the episode. Above the frame, below what the agent sees "
            "of it: 32x32 pixels, the average of blocks of 4x4."
        ),
        changes=changes(),
        command=f"kagebench quickstart{'' if settings is FULL else ' --smoke'}\n"
        f"# training alone: {settings.command}",
        facts=facts(about, settings),
        files=FILES,
    )
    page.write(report, folder / "index.html")


_METRIC = {"success_once": "success_once", "passed_distance": "distance", "return": "return"}


def draw_strips(folder: Path, settings: Settings, trained: Trained) -> dict[str, Path]:
    """One strip per configuration, of the first agent on the first level."""
    shifts = choose_shifts(settings, trained)
    sources = [trained.config, *shifts.values()]
    seen, params = make(sources, **trained.options)
    full, _ = make(sources, **(trained.options | {"obs_size": None}))
    agent = jax.tree.map(lambda leaf: leaf[0], trained.agents)
    policy = partial(_trained.act, trained.module, seen, False)
    num_steps = trained.config["episode_length"]
    key = _trained.level_keys(0, settings.episodes)[0]
    states = record(seen, policy, num_steps, agent, params, key)
    times = strips.moments(num_steps, STRIP_FRAMES)
    frames = [strips.frames(env, states, params, times) for env in (full, seen)]
    return strips.save_strips(folder, (trained.name, *shifts), *frames)


def training_seconds(folder: Path, times: Mapping[str, float]) -> dict[str, float]:
    """Seconds of the phases of this call; training also as the sum over all calls."""
    lines = (folder / "training" / "timing.jsonl").read_text().splitlines()
    total = sum(json.loads(line)["seconds"] for line in lines)
    return {"training_of_all_calls": total, **times}


def lead(trained: Trained, metrics: pl.DataFrame, shifts: int) -> str:
    """The paragraph below the heading."""
    steps = metrics["step"].max()
    return (
        f"{len(trained.seeds)} agents learned to run and jump from 32x32 pixels in "
        f"{steps / 1e6:.2g} M steps each, on a black background. Then only the look of the world "
        f"changed, in {shifts} ways, all pairs of KAGE-Bench that train on base A. The task, the "
        "levels and the agents stayed the same."
    )


def warning(settings: Settings, entries: list[dict[str, Any]]) -> str:
    """What a reader must know before anything else; empty if there is nothing."""
    agent, lowest = lowest_agent(entries[0])
    if settings is not FULL:
        return (
            "Smoke test: hardly any training, few levels, a part of the shifts. It shows that "
            "everything works, nothing about generalization, and does not require the training "
            "task to be solved."
        )
    if lowest < SOLVED:
        return (
            f"The training task is not solved: seed {agent} has {GAP_METRIC} {lowest:.2f}, "
            f"below {SOLVED}. Gaps of agents that did not learn mean little."
        )
    return ""


def changes() -> dict[str, str]:
    """Configuration -> what it changes, in words of the configuration file."""
    texts = {
        pair.name: ", ".join(f"{key} = {show(value)}" for key, value in pair.changes.items())
        for pair in _trained.PAIRS.values()
    }
    return texts | {CONFIG: "the training configuration"}


def facts(about: Mapping[str, Any], settings: Settings) -> dict[str, str]:
    """How the results were made, for the page."""
    described, seconds = about["machine"], about["seconds"]
    return {
        "observation": "the 32x32 track, a variant of the benchmark; not comparable with full "
        "resolution",
        "seeds": ", ".join(map(str, range(settings.seeds))),
        "levels": f"{settings.episodes}, the same for all policies, seeds and configs; one episode "
        f"each, {len(METRICS)} metrics",
        "actions": "sampled from the policy",
        "machine": f"{described['cpu']}, {described['cores']} cores, {described['backend']}",
        "versions": f"kagebench {described['kagebench']}, JAX {described['jax']}, "
        f"Python {described['python']}",
        "revision": f"{described['git_revision'] or 'not a checkout'}"
        f"{' with changes' if described['git_modified'] else ''}",
        "wall-clock time": f"training {seconds['training_of_all_calls']:.0f} s (without the time "
        f"to load and restart), evaluation {seconds['evaluation']:.0f} s, "
        f"report {seconds.get('report', 0.0):.0f} s",
    }
