"""Frames against the reference's, byte by byte within the gates of `golden`."""

from pathlib import Path

import numpy as np
import pytest

from tests.conformance.golden import GATES, Frames

pytestmark = pytest.mark.reference
# Every filter alone on a scene is a program of its own. On the bare test image each of them is
# compared in the default run too, and so are the stacks, which contain them all.
QUICK_FILTERS = (
    "base_no_filter",
    "jpeg",
    "pop_filter_list",
    "stack",
    *("color_jitter", "gaussian_noise", "poisson_noise"),
)
GROUPS = (
    "filters_unit",
    "background",
    "character",
    "lights",
    "npc",
    "sticky",
    "distractors",
    "full",
)


@pytest.fixture(scope="module")
def frames(shared_dir: Path) -> Frames:
    return Frames(shared_dir)


def check(frames: Frames, indices: list[int]) -> None:
    assert indices
    wrong = []
    for index in indices:
        single, vectorised = frames.difference(index)
        gate = GATES[frames.kind(index)]
        if not gate.admits(single):
            name = frames.records[index]["name"]
            counts = [int((single > level).sum()) for level in range(4)]
            wrong.append(f"{name} ({frames.kind(index)}): bytes off by more than 0..3: {counts}")
        # A program drawn for a batch is what training sees; it is as close or closer.
        assert gate.admits(vectorised) or not gate.admits(single)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("group", GROUPS)
def test_group(frames: Frames, group: str) -> None:
    check(frames, frames.group(group))


def test_filters_on_a_scene(frames: Frames) -> None:
    names = {i: frames.records[i]["name"] for i in frames.group("filters")}
    check(frames, [i for i, name in names.items() if name.startswith(QUICK_FILTERS)])


@pytest.mark.slow
def test_single_filters_on_a_scene(frames: Frames) -> None:
    names = {i: frames.records[i]["name"] for i in frames.group("filters")}
    check(frames, [i for i, name in names.items() if not name.startswith(QUICK_FILTERS)])


def test_every_frame_is_in_a_test(frames: Frames) -> None:
    groups = {record["group"] for record in frames.records}
    assert groups == {*GROUPS, "filters"} and len(frames.records) >= 121


def test_the_gates_reject_wrong_frames(frames: Frames) -> None:
    """A gate that lets everything pass would make this module worthless."""
    index = frames.group("character")[0]
    right = frames.arrays["frames"][index].astype(int)
    shifted = np.abs(np.roll(right, 1, axis=1) - right)
    assert not any(gate.admits(shifted) for gate in GATES.values())
    one_level = np.ones_like(right)
    assert not any(gate.admits(one_level) for gate in GATES.values())
    assert all(gate.admits(right - right) for gate in GATES.values())
