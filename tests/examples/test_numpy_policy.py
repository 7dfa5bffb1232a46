"""The example of a submission: a short run gives a result that can be scored."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from kagebench import cli
from kagebench.suites import PAIRS, derive

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "numpy_policy.py"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("numpy_policy", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def frame(wall: int, height: int = 20, player_row: int = 64) -> np.ndarray:
    """A player at column 60 on ground at row 76, which rises at a column."""
    picture = np.zeros((128, 128, 3), np.uint8)
    picture[76:78, :wall] = 0, 255, 255
    picture[76 - height : 78 - height, wall:] = 0, 255, 255
    picture[player_row - 8 : player_row + 9, 52:69] = 0, 128, 128
    return picture


def test_the_rule(example: ModuleType) -> None:
    far, near, behind = frame(wall=90), frame(wall=74), frame(wall=50, height=-20)
    down, flying = frame(wall=74, height=-20), frame(wall=74, player_row=50)
    pink = near.copy()
    pink[56:73, 52:69] = 255, 105, 180
    actions = example.act(np.stack([far, near, behind, down, flying, pink]))
    np.testing.assert_array_equal(actions, [2, 6, 2, 2, 2, 2])


def jumps_by_accident(example: ModuleType, seed: int, steps: int) -> float:
    """Mean number of random actions with a jump in two episodes."""
    rng = np.random.default_rng(seed)
    draws = [(rng.integers(8, size=2), rng.random(2) < example.NOISE) for _ in range(steps)]
    return sum((chosen & (action >= 4)).mean() for action, chosen in draws)


def test_a_short_run_can_be_scored(
    example: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    short = {"episode_length": 150}
    train, validation = (derive("base-a", short | own) for own in ({}, PAIRS["layout-1"].changes))
    pair = SimpleNamespace(base="base-a", train=train, validation=validation)
    monkeypatch.setattr(example, "get_pair", {"layout-1": pair}.__getitem__)
    path = tmp_path / "result.json"
    options = ["--pairs", "layout-1", "--seeds", "4", "5", "--episodes", "2"]
    monkeypatch.setattr(sys, "argv", ["numpy_policy.py", str(path), *options])
    example.main()
    assert cli.main(["score", str(path)]) == 0
    assert "layout-1" in capsys.readouterr().out
    entries = json.loads(path.read_text())["evaluations"]
    assert [(row["config"], row["seed"]) for row in entries] == [
        (config, seed) for config in ("base-a", "layout-1") for seed in (4, 5)
    ]
    jumps = [row["jump_count"] for row in entries]
    # On red ground it sees no wall: what remains is the noise, which is the same on cyan ground.
    assert jumps[2:] == [jumps_by_accident(example, seed, 150) for seed in (4, 5)]
    assert jumps[0] > jumps[2] and jumps[1] > jumps[3]
    # Where nothing can be seen to differ, the episodes are the same: the gap is paired.
    again = example.play(train, [4, 5], 2)
    assert [*again["return"].mean(axis=1)] == [row["return"] for row in entries[:2]]
