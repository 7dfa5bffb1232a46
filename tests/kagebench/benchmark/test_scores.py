"""Scores: one value per agent and side, whatever the number of checkpoints."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kagebench.benchmark import result, scores

Data = dict[str, Any]

# Of one agent at four checkpoints: gaps -0.3, 0.7, 0.1, 0.4.
TRAIN, VALIDATION = (0.2, 0.9, 0.6, 0.8), (0.5, 0.2, 0.5, 0.4)


def test_pairs_and_agents_are_put_together(data: Data) -> None:
    found = scores.collect(result.parse(data, "r.json"))
    assert (found.algorithm, found.protocol, found.statistic) == ("ppo", "paired", "last")
    assert list(found.pairs) == ["background-5", "filters-4", "layout-1"]
    pair = found.pairs["background-5"]
    assert (pair.base, pair.seeds) == ("base-a", (1, 2))
    np.testing.assert_array_equal(pair.train["success"], [1.0, 0.5])
    np.testing.assert_array_equal(pair.validation["success"], [0.25, 0.75])
    np.testing.assert_array_equal(pair.gap["success"], [0.75, -0.25])
    np.testing.assert_array_equal(pair.gap["distance"], [190.0, 10.0])
    assert found.pairs["filters-4"].seeds == (7, 8, 9)
    np.testing.assert_allclose(found.pairs["filters-4"].validation["success"], [0.0, 0.1, 0.2])
    assert scores.agents_by_base(found.pairs) == {"base-a": (1, 2), "base-f": (7, 8, 9)}


@pytest.mark.parametrize(
    ("statistic", "train", "validation", "paired", "reference"),
    [
        ("last", 0.8, 0.4, 0.4, 0.4),
        ("max", 0.9, 0.5, 0.7, 0.7),
        ("mean", 0.625, 0.4, 0.225, 0.375),
        ("median", 0.7, 0.45, 0.25, 0.35),
        ("min", 0.2, 0.2, -0.3, 0.1),
    ],
)
def test_statistics_of_checkpoints(
    statistic: str,
    train: float,
    validation: float,
    paired: float,
    reference: float,
    data: Data,
    entry: Callable[..., Data],
) -> None:
    """Gaps are taken at each checkpoint, in the reference protocol without their sign."""
    data["evaluations"] = [
        entry(config, 3, value, step)
        for config, values in (("layout-1", VALIDATION), ("base-a", TRAIN))
        for step, value in zip((0, 10, 20, 100), values)
    ]
    for protocol, gap in (("paired", paired), ("reference", reference)):
        data["protocol"] = protocol
        found = scores.collect(result.parse(data, "r.json"), statistic).pairs["layout-1"]
        sides = (found.train, found.validation, found.gap)
        np.testing.assert_allclose(
            [side["success"] for side in sides], [[train], [validation], [gap]]
        )


def test_unknown_statistic(data: Data) -> None:
    with pytest.raises(ValueError, match="statistic: got 'best', allowed: last max mean median"):
        scores.collect(result.parse(data, "r.json"), "best")


def test_values_are_grouped_by_base() -> None:
    values = {
        "layout-1": np.array([1, 2]),
        "filters-1": np.array([3]),
        "background-2": np.array([4, 5]),
    }
    groups = scores.group_by_base(["background-2", "filters-1", "layout-1"], values)
    assert {base: group.tolist() for base, group in groups.items()} == {
        "base-a": [[4, 1], [5, 2]],
        "base-f": [[3]],
    }
