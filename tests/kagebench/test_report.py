"""Tables, curves, strips and the page, from small results made by hand."""

import io
import re

import numpy as np
import polars as pl
import pytest
from PIL import Image
from rich.console import Console

from kagebench.evaluate import METRICS
from kagebench.report import curves, page, results, strips
from kagebench.report.results import Evaluation


def _evaluation(policy: str, success: list, agents: tuple[int, ...]) -> Evaluation:
    """success is [A, C, E]; the other metrics follow from it."""
    once = np.array(success, np.float32)
    values = {name: 10.0 * (i + 1) * once for i, name in enumerate(METRICS)}
    configs = ("base", "shift <1>")[: once.shape[1]]
    return Evaluation(policy, agents, configs, values | {"success_once": once})


@pytest.fixture(scope="module")
def learned() -> Evaluation:
    """Seeds 4 and 9: training 3/4 and 4/4, shift 1/4 and 2/4."""
    first = [[1, 1, 1, 0], [1, 0, 0, 0]]
    return _evaluation("ppo", [first, [[1, 1, 1, 1], [1, 0, 0, 1]]], (4, 9))


@pytest.fixture(scope="module")
def blind() -> Evaluation:
    return _evaluation("oracle", [[[1, 0, 1, 1]] * 2], (0,))


def test_frames_hold_every_episode(learned):
    frame = results.to_frame(learned)
    assert frame.height == 16
    row = frame.filter(agent=9, config="shift <1>", episode=3)
    assert row["success_once"].to_list() == [1.0]
    again = results.from_frame(frame)
    assert (again.policy, again.agents, again.configs) == ("ppo", (4, 9), ("base", "shift <1>"))
    for name in METRICS:
        np.testing.assert_array_equal(again.values[name], learned.values[name])


def test_summary_holds_means_and_paired_gaps(learned):
    train, shift = results.summary(learned)
    assert train["metrics"]["success_once"]["mean"] == 7 / 8
    assert train["metrics"]["success_once"]["per_agent"] == [0.75, 1.0]
    assert train["gaps"] is None
    gap = shift["gaps"]["success_once"]
    assert gap["mean"] == 0.5
    assert gap["sem"] == 0.0  # both seeds lose 2 of 4
    assert gap["low"] < 0.5 < gap["high"]
    assert results.lowest_agent(train) == (4, 0.75)


def test_only_policies_that_do_not_look_are_blind(learned, blind):
    assert results.blind(results.summary(blind))
    assert not results.blind(results.summary(learned))


def test_tables_fit_a_terminal_and_show_the_gap(learned, blind):
    console = Console(width=80, record=True, file=io.StringIO())
    tables = {"ppo": results.summary(learned), "oracle": results.summary(blind)}
    results.print_tables(console, tables, "a note")
    text = console.export_text()
    assert "…" not in text
    shift = next(line for line in text.splitlines() if "shift <1>" in line)
    assert "0.38" in shift and re.search(r"0\.50 \[-?0\.\d\d, 1\.00\]", shift)
    assert "oracle (all configs)" in text and "a note" in text


def test_learning_curves_average_the_episodes_of_each_seed(tmp_path):
    metrics = pl.DataFrame(
        {
            "seed": [0, 1, 0, 1, 0, 1],
            "step": [10, 10, 20, 20, 30, 30],
            "episodes": [1.0, 0.0, 3.0, 1.0, 0.0, 1.0],
            "success_once": [0.0, np.nan, 1.0, 1.0, np.nan, 0.5],
        }
    )
    curve = curves.smooth(metrics, "success_once", points=1)
    assert curve["seed"].to_list() == [0, 1]
    assert curve["value"].to_list() == [0.75, 0.75]
    assert curves.smooth(metrics, "success_once", points=3).height == 4

    full = metrics.with_columns(pl.col("success_once").alias(name) for name in curves.PANELS)
    drawn, empty = tmp_path / "drawn.png", tmp_path / "empty.png"
    reference = {"oracle": dict.fromkeys(curves.PANELS, 1.0)}
    curves.learning_curves(full, drawn, reference)
    nothing = full.with_columns(pl.lit(float("nan")).alias(name) for name in curves.PANELS)
    curves.learning_curves(nothing, empty, reference)
    assert np.asarray(Image.open(drawn)).shape == np.asarray(Image.open(empty)).shape
    assert (np.asarray(Image.open(drawn)) != np.asarray(Image.open(empty))).any()


def test_a_strip_shows_frames_above_what_the_agent_sees():
    full = np.stack([np.full((8, 8, 3), value, np.uint8) for value in (10, 20)])
    seen = np.stack([np.full((2, 2, 3), value, np.uint8) for value in (30, 40)])
    image = np.asarray(strips.strip(full, seen))
    assert image.shape == (20, 20, 3)
    assert [image[y, x, 0] for y in (0, 12) for x in (0, 12)] == [10, 20, 30, 40]
    assert image[10, 10].tolist() == [255, 255, 255]
    assert strips.strip(full).size == (20, 8)


def test_moments_end_with_the_episode():
    assert strips.moments(500, 4).tolist() == [125, 250, 375, 500]


def test_page_holds_everything_and_loads_nothing(tmp_path, learned, blind):
    picture = tmp_path / "picture.png"
    Image.new("RGB", (4, 4)).save(picture)
    entries = results.summary(learned)
    report = page.Report(
        title="A & B",
        lead="lead",
        warning="",
        learner="ppo",
        summaries={"ppo": entries, "oracle": results.summary(blind)},
        curves=picture,
        chart=picture,
        strips={"base": picture, "shift <1>": picture},
        strips_note="note",
        changes={"shift <1>": "color = [red]"},
        command="kagebench quickstart",
        facts={"machine": "a CPU"},
        files={"summary.json": "numbers"},
    )
    page.write(report, tmp_path / "index.html")
    text = (tmp_path / "index.html").read_text()
    sources = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert len(sources) == 4
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert "http" not in text and "<script" not in text and "@import" not in text
    assert "<h1>A &amp; B</h1>" in text and "shift &lt;1&gt;" in text and "shift <1>" not in text
    for expected in ("88 %", "75 %", "50 points", "all configs", "color = [red]", "a CPU"):
        assert expected in text
    assert 'class="warning"' not in text
