"""The table against figures computed by hand."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kagebench.benchmark import result, scores, table
from kagebench.benchmark.table import Relative, Row
from kagebench.evaluate import METRICS

Data = dict[str, Any]


def rows(data: Data, kind: Callable[..., list[Row]], resamples: int = 2_000) -> dict[str, Row]:
    found = kind(scores.collect(result.parse(data, "r.json")), resamples)
    return {row.name: row for row in found}


def test_pairs(data: Data) -> None:
    found = rows(data, table.pairs)
    assert list(found) == ["background-5", "filters-4", "layout-1"]
    row = found["background-5"]  # of agents with 1 and 0.5 in training, 0.25 and 0.75 afterwards
    assert (row.suite, row.base, row.num_agents, row.num_pairs) == ("background", "base-a", 2, 1)
    train, validation, gap = (side["success"] for side in (row.train, row.validation, row.gap))
    assert (train.mean, validation.mean, gap.mean) == (0.75, 0.5, 0.25)
    assert train.sem == pytest.approx(0.25) and gap.sem == pytest.approx(0.5)
    assert (validation.low, validation.high) == (0.25, 0.75)  # an agent drawn twice: 1/4 each
    assert (gap.low, gap.high) == (-0.25, 0.75)
    assert (validation.iqm, validation.iqm_low, validation.iqm_high) == (0.5, 0.25, 0.75)
    relative = row.relative_gap["success"]
    assert relative is not None and relative.mean == pytest.approx(100 / 3)
    # The first agent twice loses 3/4 of 1; the second twice gains half of 0.5.
    assert (relative.low, relative.high) == pytest.approx((-50.0, 75.0))
    assert found["filters-4"].train["success"].sem == pytest.approx(0.1 / np.sqrt(3))


def test_suites_are_means_of_pair_means(data: Data) -> None:
    found = rows(data, table.suites)
    assert list(found) == ["background", "filters", "layout", "overall"]
    row = found["overall"]
    assert (row.suite, row.base, row.num_agents, row.num_pairs) == ("overall", "", 5, 3)
    # Pair means 0.75 0.75 0.9 and 0.5 0.625 0.1, without weights for 2 or 3 agents.
    assert row.train["success"].mean == pytest.approx(0.8)
    assert row.train["success"].sem == pytest.approx(0.05)
    assert row.validation["success"].mean == pytest.approx(1.225 / 3)
    # 0 .1 .2 .25 .5 .75 .75 without the first and the last.
    assert row.validation["success"].iqm == pytest.approx(1.8 / 5)
    relative = row.relative_gap["success"]
    assert relative is not None
    assert relative.mean == pytest.approx(100 * (0.8 - 1.225 / 3) / 0.8)
    assert relative.low is not None and relative.high is not None
    assert relative.low < relative.mean < relative.high
    # A suite of one pair has no spread over pairs; its interval is that of the pair.
    single = found["background"].validation["success"]
    assert (single.mean, single.sem, single.low, single.high) == (0.5, 0.0, 0.25, 0.75)


def test_pairs_of_one_agent_are_drawn_together(data: Data, entry: Callable[..., Data]) -> None:
    """Pairs on which every agent does the same are no more evidence than one of them."""
    values = np.random.default_rng(0).uniform(size=8)
    data["evaluations"] = [
        entry(config, seed, float(value))
        for seed, value in enumerate(values)
        for config in ("base-a", "background-1", "background-2", "background-3", "background-5")
    ]
    pair = rows(data, table.pairs)["background-1"].validation["success"]
    suite = rows(data, table.suites)["background"].validation["success"]
    assert (suite.low, suite.high) == pytest.approx((pair.low, pair.high))
    assert suite.high - suite.low > 0.1


def test_relative_gap_of_negative_and_zero_means(data: Data) -> None:
    for i, entry in enumerate(data["evaluations"]):
        entry["return"] = -2000.0 - 100.0 * (entry["config"] != "base-a")
        entry["jump_count"] = float(i == 1)  # one of the two agents jumps in training
    found = rows(data, table.pairs)["layout-1"].relative_gap
    loss = found["return"]
    assert loss is not None and (loss.mean, loss.low, loss.high) == pytest.approx((5.0, 5.0, 5.0))
    assert found["jump_count"] == Relative(100.0, None, None)  # undefined if it is not drawn
    assert found["progress"] is None


def test_long_form(data: Data) -> None:
    found = list(rows(data, table.suites).values())
    frame = table.to_frame(found)
    assert frame.height == len(found) * len(METRICS) * 4
    assert frame.columns[:5] == ["name", "suite", "base", "metric", "split"]
    line = frame.row(by_predicate=_line("overall", "success", "train"), named=True)
    assert line["mean"] == pytest.approx(0.8) and line["sem"] == pytest.approx(0.05)
    assert (line["num_agents"], line["num_pairs"]) == (5, 3)
    line = frame.row(by_predicate=_line("filters", "success", "relative_gap"), named=True)
    assert line["mean"] == pytest.approx(100 * 0.8 / 0.9) and line["iqm"] is None
    line = frame.row(by_predicate=_line("filters", "return", "relative_gap"), named=True)
    assert line["mean"] is None


def _line(name: str, metric: str, split: str) -> Any:
    import polars as pl

    values = {"name": name, "metric": metric, "split": split}
    return pl.all_horizontal(pl.col(column) == value for column, value in values.items())
