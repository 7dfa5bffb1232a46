"""The page of benchmark results: what it says, that its numbers are those of the files beside it,
and what it says when something is missing or wrong."""

import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from kagebench import cli
from kagebench.benchmark import result
from kagebench.commands import _report, _report_clips, report, train
from kagebench.report import media
from kagebench.report.benchmark_tables import number
from kagebench.suites import PAIRS
from sweeps import engine
from tests.kagebench import results_by_hand
from tests.kagebench.page_reader import Page

EVIL = '<script>alert(1)</script> & "x"'
SOME = ("background-2", "layout-1")


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_report, "RESAMPLES", 200)


@pytest.fixture(scope="module")
def benchmark_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark run with two agents that have hardly been trained, and made-up results."""
    folder = tmp_path_factory.mktemp("run")
    # Just long enough for the first episodes to end.
    small = ("num_envs=8", "num_minibatches=4", "update_epochs=1", "total_timesteps=4608")
    plan = train.make_plan(train.Args(config="base-a", preset="quick", seeds=2, set=small))
    engine.run(plan, folder / "training" / "base-a" / "seeds-0-1", progress=False)
    results_by_hand.write(folder / "result.json", "ppo", seeds=(1, 2), pairs=(*SOME, "filters-6"))
    return folder


def make(out: Path, *runs: Path, **options: str) -> tuple[Page, Path]:
    """The page of some runs, and its folder."""
    report.run(report.Args(runs=runs, out=out, **options))  # pyright: ignore
    return Page((out / "index.html").read_text()), out


def check_self_contained(page: Page, folder: Path) -> None:
    """Images are in the page, links lead to files beside it, and nothing leads elsewhere."""
    for link in page.links:
        if link.startswith("#"):
            assert link[1:] in page.attributes["id"]
        elif not re.match(r"data:image/(png|gif);base64,", link):
            assert (folder / link).is_file() and ":" not in link
    text = re.sub(r"base64,[^\"]*", "", (folder / "index.html").read_text())
    assert "://" not in text and "@import" not in text and "url(" not in text


def test_page_of_a_result_file(tmp_path: Path) -> None:
    file = results_by_hand.write(tmp_path / "ppo.json", "ppo")
    page, folder = make(tmp_path / "out", file)
    check_self_contained(page, folder)
    for expected in (
        "21 agents on 7 training configurations",
        "2 M environment steps each, evaluated under 34 visual shifts",
        "Statistic: the last checkpoint.",
        "paired: training and validation share levels and action noise",
        "the 32x32 track",
        "shipped: drawn for this implementation",
        "only with KAGEBENCH_ASSETS set",
        "seeds 1, 2, 3",
        "16 levels per agent",
        "This result is a file alone",
        "machine not given",
        "second-hand",
    ):
        assert expected in page.text
    for absent in ("partial", "not solved", "Learning curves", "Checkpoints"):
        assert absent not in page.text
    assert result.read(folder / "ppo" / "result.json").algorithm == "ppo"
    assert (folder / "ppo" / "result.json").read_bytes() == file.read_bytes()


def test_every_cell_is_in_the_files_beside_the_page(tmp_path: Path) -> None:
    file = results_by_hand.write(tmp_path / "ppo.json", "ppo")
    page, folder = make(tmp_path / "out", file)
    splits = ("train", "validation", "gap", "relative_gap")
    for name, size in (("suites", 7), ("pairs", 34)):
        frame = pl.read_csv(folder / "ppo" / f"{name}.csv")
        groups, headings, *lines = page.tables[f"ppo, {name}"]
        metrics = [text.replace(" ", "_") for text, _ in groups if text]
        assert len(lines) == size and len(headings) == 1 + 4 * len(metrics)
        for (row, _), *cells in lines:
            for i, (text, value) in enumerate(cells):
                wanted = {"name": row, "metric": metrics[i // 4], "split": splits[i % 4]}
                (entry,) = frame.filter(**wanted).to_dicts()
                assert float(value or "nan") == entry["mean"]
                shown = number(entry["mean"], wanted["metric"])
                shown = f"{entry['mean']:.0f}" if i % 4 == 3 else shown
                known = entry.get("published")
                assert text == (shown if known is None else f"{shown} paper {known:g}")
        alone = page.tables[f"ppo, {name}, distance"]
        (row, _), *cells = alone[2]
        (entry,) = frame.filter(name=row, metric="distance", split="gap").to_dicts()
        assert cells[6][0] == (
            f"{entry['mean']:.1f} ± {entry['sem']:.1f} [{entry['low']:.1f}, {entry['high']:.1f}]"
        )
        assert cells[7][0].startswith(f"{entry['iqm']:.1f} [")
    known = [text for line in page.tables["ppo, suites"] for text, _ in line if "paper" in text]
    assert len(known) == 8


def test_texts_of_a_submission_are_only_texts(tmp_path: Path) -> None:
    files = [
        results_by_hand.write(
            tmp_path / f"{i}.json",
            label,
            description=f"{EVIL} of {label}",
            commands=[f"run {EVIL}"],
            machine={"cpu": EVIL, "cores": EVIL},
        )
        for i, label in enumerate((EVIL, "index.html", "../ppo", "leaderboard"))
    ]
    page, folder = make(tmp_path / "out", *files)
    check_self_contained(page, folder)
    text = (folder / "index.html").read_text()
    assert "<script>alert" not in text and text.count("<script>") == 1
    assert page.text.count(EVIL) > 10
    folders = {path.name for path in folder.iterdir() if path.is_dir()}
    assert folders == {"script-alert-1-script-x", "index-html", "ppo", "leaderboard"}
    latex = (folder / "leaderboard.tex").read_text()
    assert r"\textless{}script\textgreater{}alert(1)" in latex and r'\& "x"' in latex
    assert r"\<script\>" in (folder / "leaderboard.md").read_text()


def test_comparison(tmp_path: Path) -> None:
    good = results_by_hand.write(tmp_path / "good.json", "good", 0.9)
    part = results_by_hand.write(
        tmp_path / "part.json",
        "part",
        0.45,
        pairs=(*SOME, "background-5", "filters-6"),
        observation={"obs": "pixels", "obs_size": None, "pooling": "mean", "art": "external"},
        training_steps=25_000_000,
    )
    page, folder = make(tmp_path / "out", part, good)
    check_self_contained(page, folder)
    assert "KAGE-Bench: 2 algorithms" in page.text
    assert "Compared on the 4 pairs all of them have" in page.text
    assert "these results differ in observation, art and training" in page.text
    assert "A partial result: 4 of 34 pairs" in page.text
    assert "the lowest is seed 1 on base-a with 0.45" in page.text
    frame = pl.read_csv(folder / "leaderboard.csv").filter(metric="success_once")
    means, ranks = page.tables["validation, success once"], page.tables["rank, success once"]
    names = [text.replace(" ", "_") for text, _ in means[0][1:]]
    assert names == ["overall", "background", "filters", "layout"]
    for line, places in zip(means[1:], ranks[1:], strict=True):
        assert line[0] == places[0] and line[0][0] in ("good", "part")
        for name, (text, value), (rank, _) in zip(names, line[1:], places[1:], strict=True):
            (entry,) = frame.filter(algorithm=line[0][0], name=name).to_dicts()
            assert float(value or "nan") == entry["mean"]
            assert text == f"{entry['mean']:.3f} [{entry['low']:.3f}, {entry['high']:.3f}]"
            assert rank == f"{entry['rank']:g} [{entry['rank_low']:g}, {entry['rank_high']:g}]"
            assert entry["rank"] == (1 if line[0][0] == "good" else 2)
    improvement = page.tables["probability of improvement, overall"]
    assert [[text for text, _ in line] for line in improvement[1:]] == [
        ["part", "–", "0.00 [0.00, 0.00]"],
        ["good", "1.00 [1.00, 1.00]", "–"],
    ]
    (compared,) = (line for line in page.tables["what is compared"] if line[0][0] == "part")
    texts = [text for text, _ in compared]
    assert texts[1:4] == ["pixels, 128x128", "external", "paired"] and "4 of 34" in texts


def test_improvement_turned_around(tmp_path: Path) -> None:
    """P(b > a) is what P(a > b) leaves, with its interval turned around too."""
    files = [
        results_by_hand.write(tmp_path / f"{label}.json", label, level, seeds=(1, 2, 5))
        for label, level in (("a", 0.900), ("b", 0.899))
    ]
    page, folder = make(tmp_path / "out", *files)
    frame = pl.read_csv(folder / "improvement.csv").filter(name="overall")
    (entry,) = frame.to_dicts()
    assert 0.5 < entry["probability"] < 1.0 and entry["low"] < entry["high"] - 0.1
    lines = page.tables["probability of improvement, overall"]
    low, high = 1.0 - entry["high"], 1.0 - entry["low"]
    assert lines[2][1][0] == f"{1.0 - entry['probability']:.2f} [{low:.2f}, {high:.2f}]"


def test_checkpoints_and_statistics(tmp_path: Path) -> None:
    steps = (0, 1_000_000, 2_000_000)
    file = results_by_hand.write(tmp_path / "r.json", "ppo", steps=steps, protocol="reference")
    page, folder = make(tmp_path / "out", file)
    assert "Checkpoints" in page.text and (folder / "ppo" / "checkpoints.png").is_file()
    assert "|training - validation| at each checkpoint" in page.text
    last = page.tables["ppo, suites"][2][1][1]
    page, _ = make(tmp_path / "out", file, statistic="mean")
    assert "Statistic: the mean over checkpoints, the untrained agent among them" in page.text
    mean = page.tables["ppo, suites"][2][1][1]
    assert float(mean or 0) == pytest.approx(float(last or 0) / 2)
    page, _ = make(tmp_path / "out", file, statistic="max")
    assert "chosen on the very evaluations it is reported for; it is biased" in page.text


def test_page_of_a_run(benchmark_run: Path, tmp_path: Path) -> None:
    profile = benchmark_run / "profiles" / "base-a-seeds-0-1"
    profile.mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(profile / "profile.png")
    (profile / "profile.json").write_text(json.dumps(PROFILE))
    page, folder = make(tmp_path / "out", benchmark_run)
    check_self_contained(page, folder)
    assert "Learning curves" in page.text and "Only 2 agents per base" in page.text
    assert "Without pairs of base-f: no trained agents of these." in page.text
    lines = pl.read_csv(folder / "ppo" / "curves.csv")
    assert set(lines["base"]) == {"base-a"} and set(lines["seed"]) == {0, 1}
    assert page.tables["ppo, robustness, base-a"][1] == [
        ("hue", None),
        ("filters.hue_shift", None),
        ("-180", "-180.0"),
        ("180", "180.0"),
        ("0", "0.0"),
        ("0.25 [0.20, 0.30]", "0.25"),
        ("0.5", "0.5"),
        ("–", None),
        ("12.3", "12.34"),
    ]
    for name in SOME:
        assert f"{name}: the agent in training on the left" in " ".join(page.attributes["alt"])
        with Image.open(folder / "ppo" / "clips" / f"{name}.gif") as clip:
            assert clip.size == (2 * 128 + 4, 128)
            frames, seconds = 0, 0.0
            for index in range(clip.n_frames):  # pyright: ignore
                clip.seek(index)
                frames, seconds = frames + 1, seconds + clip.info["duration"] / 1000
                pixels = np.asarray(clip.convert("RGB"))
            assert frames > 5 and seconds == pytest.approx(126 * 0.07, abs=0.3)
        with Image.open(folder / "ppo" / "clips" / f"{name}.png") as strip:
            assert strip.size == (8 * 132 - 4, 2 * 132 - 4)
        left, right = pixels[:, :128], pixels[:, 132:]
        assert (left != right).any()
    purple = np.abs(right.astype(int) - (255, 0, 0)).sum(-1) < 30  # the ground of layout-1
    assert purple.any() and not (np.abs(left.astype(int) - (255, 0, 0)).sum(-1) < 30).any()
    assert sum(link.startswith("data:image/gif") for link in page.links) == 2


PROFILE = {
    "schema": "kagebench-profile/1",
    "policy": "ppo",
    "train": "base-a",
    "seeds": [0, 1],
    "episodes": 32,
    "axes": [
        {
            "key": "filters.hue_shift",
            "title": "hue",
            "values": [-180.0, 0.0, 180.0],
            "neutral": 0.0,
            "thresholds": {"left": None, "right": 12.34},
            "robustness": {"mean": 0.25, "low": 0.2, "high": 0.3, "relative": 0.5},
        }
    ],
}


def test_frames_with_other_art_are_not_shown(benchmark_run: Path, tmp_path: Path) -> None:
    blocks = _report_clips.trained_blocks(benchmark_run)
    assert list(blocks) == ["base-a"]
    own = result.read(benchmark_run / "result.json")
    assert _report_clips.other_art(own, blocks) == ""
    observation = {**own.observation, "art": "external"}
    file = results_by_hand.write(tmp_path / "r.json", "ppo", observation=observation)
    text = _report_clips.other_art(result.read(file), blocks)
    assert "made with external art" in text and "Make the page with KAGEBENCH_ASSETS" in text
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:
        patch.setenv("KAGEBENCH_ASSETS", str(tmp_path / "gone"))
        assert "gone" in _report_clips.other_art(own, blocks)


def test_worst_pairs(tmp_path: Path) -> None:
    file = results_by_hand.write(tmp_path / "ppo.json", "ppo")
    (source,) = _report.find([file], "last")
    rows = _report.table.pairs(source.scores, 10)
    bases = [f"base-{letter}" for letter in "abcdefg"]
    worst = _report_clips.worst_pairs(rows, bases, 6)
    assert [PAIRS[name].suite for name in worst] == list(results_by_hand.KEPT)
    # The highest number of a suite has the largest gap here.
    assert worst[1:5] == ["background-10", "distractors-6", "effects-3", "filters-9"]
    assert _report_clips.worst_pairs(rows, bases, 2) == ["effects-3", "filters-9"]
    assert _report_clips.worst_pairs(rows, ["base-a"], 6)[1] == "background-5"
    assert _report_clips.worst_pairs(rows, [], 6) == []


def test_clips_become_small_enough(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 32, 3), np.uint8)
    frames = media.beside(noise[:, :, :14], noise[:, :, 14:28])
    assert frames.shape == (24, 32, 32, 3) and (frames[:, :, 14:18] == 255).all()
    path = tmp_path / "clip.gif"
    full = media.write_gif(path, frames, 0.05, 1_000_000)
    small = media.write_gif(path, frames, 0.05, full // 4)
    assert path.stat().st_size == small <= full // 4
    with Image.open(path) as clip:
        durations = []
        for index in range(clip.n_frames):  # pyright: ignore
            clip.seek(index)
            durations.append(clip.info["duration"])
    assert 2 <= len(durations) < 24 and sum(durations) == 24 * 50


def test_a_page_replaces_only_a_page(tmp_path: Path) -> None:
    file = results_by_hand.write(tmp_path / "ppo.json", "ppo", pairs=SOME)
    out = tmp_path / "new" / "out"
    make(out, file)
    (out / "old.txt").touch()
    other = results_by_hand.write(tmp_path / "other.json", "other", pairs=("filters-1",))
    with pytest.raises(ValueError, match="no pair was evaluated by all"):
        make(out, file, other)  # found out when half of it is written
    assert (out / "old.txt").exists() and [path.name for path in out.parent.iterdir()] == ["out"]
    make(out, file)
    assert not (out / "old.txt").exists() and (out / "index.html").is_file()
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    with pytest.raises(ValueError, match="which holds something else, allowed: a new or empty"):
        make(tmp_path, file)
    assert file.exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "runs: none given, allowed: folders of benchmark runs, or result files"),
        (
            "empty",
            "runs: empty holds no result.json, allowed: the folder of a finished run of kagebench "
            "reproduce, or a result file",
        ),
        (
            "nowhere",
            "runs: nowhere does not exist, allowed: the folder of a finished run of kagebench "
            "reproduce, or a result file",
        ),
        (
            "a.json b.json",
            "runs: a.json and b.json are both called 'ppo'; change \"algorithm\" in one of them",
        ),
        (
            "a.json --statistic best",
            "--statistic: got 'best', allowed: ('last', 'max', 'mean', 'median', 'min') "
            "(see kagebench report --help)",
        ),
        (
            "a.json --out b.json",
            "out: got 'b.json', a file, allowed: a new or empty folder, or one with an earlier "
            "page",
        ),
        ("a.json --out b.json/page", "out: got '{cwd}/b.json/page', {cwd}/b.json: Not a directory"),
        ("a.json c.json", "compare: no pair was evaluated by all of: ppo, other"),
        ("bad.json", "bad.json: line 1 column 1: not JSON (Expecting value)"),
        ("run", "run/profiles/p/profile.json: schema is not kagebench-profile/1"),
    ],
)
def test_mistakes(
    line: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.json").write_text("no")
    for name in ("a", "b", "run/result"):
        results_by_hand.write(tmp_path / f"{name}.json", "ppo", pairs=("layout-1",))
    results_by_hand.write(tmp_path / "c.json", "other", pairs=("filters-1",))
    (tmp_path / "run" / "profiles" / "p").mkdir(parents=True)
    (tmp_path / "run" / "profiles" / "p" / "profile.json").write_text("{}")
    before = sorted(tmp_path.rglob("*"))
    assert cli.main(["report", *line.split()]) == 2
    assert capsys.readouterr().err == f"error: {message.format(cwd=tmp_path)}\n"
    assert sorted(tmp_path.rglob("*")) == before
