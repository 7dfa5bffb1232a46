"""Prints what was compared with the reference data, and the largest difference of every class.

Usage: python -m tests.conformance.report [FOLDER]
"""

import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

from tests.conformance.golden import CONFIGS, GATES, TRACE_FIELDS, TRACE_TOLERANCE, Frames, Traces


def report_traces(shared: Path) -> None:
    """Dynamics: one line per configuration, then the fields that differ at all."""
    for name in CONFIGS:
        traces = Traces(shared, name)
        largest: dict[str, float] = defaultdict(float)
        for policy in traces.policies:
            for field, value in traces.differences(policy).items():
                largest[field] = max(largest[field], value)
        levels, steps = len(traces.arrays["ground_top"]), sum(map(traces.steps, traces.policies))
        count = levels * len(traces.policies)
        exact = [field for field in TRACE_FIELDS if largest[field] == 0]
        print(f"{name}: {count} traces, {steps} steps, {len(exact)} fields equal at every step")
        for field in sorted(set(TRACE_FIELDS) - set(exact)):
            allowed = TRACE_TOLERANCE.get(field, 0.0)
            print(f"  {field}: largest difference {largest[field]:.2g} (allowed {allowed:g})")


def report_frames(shared: Path) -> None:
    """Frames: one line per class and program of the reference."""
    frames = Frames(shared)
    found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = defaultdict(list)
    for index in range(len(frames.records)):
        found[frames.kind(index)].append(frames.difference(index))
    print(
        f"{'class':<16} frames  reference   equal  bytes off by 1 (worst frame)  by more  largest"
    )
    for kind in GATES:
        for column, program in enumerate(("single", "vectorised")):
            pairs = [pair[column] for pair in found[kind]]
            equal = sum(int(d.max() == 0) for d in pairs)
            by_one = max(int((d == 1).sum()) for d in pairs)
            by_more = max(int((d > 1).sum()) for d in pairs)
            worst = max(int(d.max()) for d in pairs)
            print(
                f"{kind:<16} {len(pairs):>6}  {program:<10} {equal:>6}  {by_one:>28}"
                f"  {by_more:>7}  {worst:>7}"
            )


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[3] / "shared"
    report_traces(folder)
    report_frames(folder)
