"""Cost of seeds in one program: time(8 seeds) / time(1 seed), for pixels and for state.

    python -m sweeps.bench_seeds [--seeds 8] [--json FILE]

Each figure is the shortest of several calls of the engine's program with equally many updates,
after compilation; every update includes acting, rendering and learning.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import jax

from algorithms import ppo
from kagebench import machine
from sweeps import engine
from sweeps.plan import build_task, describe_task, grid
from sweeps.store import write_json

CASES = {"pixels": ("quick", {"obs_size": 32}), "state": ("state", {"obs": "state"})}
AXES: tuple[engine.Axis, ...] = ("vmap", "map")


def seconds_per_update(
    preset: str, task_options: dict[str, Any], seeds: int, axis: engine.Axis, updates: int
) -> float:
    """Shortest time of one update of all seeds together, in seconds."""
    description = describe_task("simplest", **task_options)
    plan = grid("algorithms.ppo", description, ppo.PRESETS[preset], range(seeds))
    task = build_task(description)
    group = engine.stack_group(plan, plan.trials, task)
    states = engine.initialise(ppo, group, task)
    times = []
    for _ in range(4):
        start = time.perf_counter()
        states, metrics = engine.advance(ppo, states, group, task, updates, axis, updates)
        jax.block_until_ready((states, metrics))
        times.append(time.perf_counter() - start)
    return min(times[1:]) / updates


def measure(case: str, seeds: int, updates: int) -> dict[str, Any]:
    """Times of one case with one seed and with several, for each way to combine them."""
    preset, options = CASES[case]
    single = seconds_per_update(preset, options, 1, "map", updates)
    several = {axis: seconds_per_update(preset, options, seeds, axis, updates) for axis in AXES}
    task = build_task(describe_task("simplest", **options))
    return {
        "case": case,
        "seeds": seeds,
        "seconds_per_update_1": single,
        **{f"seconds_per_update_{axis}": value for axis, value in several.items()},
        **{f"ratio_{axis}": value / single for axis, value in several.items()},
        "default": engine.choose_axis(task, seeds),
        "steps_per_second_1": ppo.PRESETS[preset].steps_per_update / single,
    }


def main() -> None:
    """Print the ratios and, if asked, write them with the machine's description."""
    parser = argparse.ArgumentParser(
        description="Time of several seeds in one program against one."
    )
    parser.add_argument("--seeds", type=int, default=8, help="how many to compare with one")
    parser.add_argument("--updates", type=int, default=3, help="updates per timed call")
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    results = []
    for case in CASES:
        result = measure(case, options.seeds, options.updates)
        results.append(result)
        print(json.dumps(result), flush=True)
    if options.json:
        write_json(options.json, {"results": results, "machine": machine.describe()})


if __name__ == "__main__":
    main()
