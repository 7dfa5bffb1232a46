"""Trials per hour of small PPO studies in one program, against one process each.

    python -m sweeps.bench_trials [--trials 1 16 256] [--json FILE]

Every figure is the wall time of a process that runs a whole study of so many learning rates, start
of Python and loading or compiling of programs included. `warm` is the second of two such processes,
which finds compiled programs in the cache. One process per trial takes as long as the study of one
trial, so often. `one scan` is the same training without an engine around it, the whole run of all
trials in a single compiled scan, as in purejaxrl.
"""

import argparse
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jax

from algorithms import ppo
from kagebench import machine
from sweeps import engine, groups, runner, space
from sweeps.plan import build_task
from sweeps.search import Random
from sweeps.store import write_json
from sweeps.study import Study

STEPS = 102_400
SIZES = {"num_envs": 8, "num_steps": 64, "num_minibatches": 4, "update_epochs": 2}
CASES = {
    "CartPole": {"env": "gymnax/CartPole-v1"},
    "kage, state": {"env": "base-a", "task": {"obs": "state"}},
}


def make_study(case: str, trials: int) -> Study:
    """So many learning rates with one seed."""
    return Study(
        algorithm="ppo",
        preset="state",
        set=SIZES | {"total_timesteps": STEPS},
        space={"learning_rate": space.loguniform(1e-4, 3e-3)},
        search=Random(trials),
        **CASES[case],
    )


def one_scan(case: str, trials: int) -> None:
    """All trials in one compiled scan, with nothing written or shown."""
    study = make_study(case, trials)
    points = Random(trials).draw(study.space)
    plan = groups.split(study, points)[0].plan
    task = build_task(plan.task)
    group = engine.stack_group(plan, plan.trials, task)
    jax.block_until_ready(_train_all(plan.trials[0].config.num_updates, group, task))


@functools.partial(jax.jit, static_argnums=0)
def _train_all(num_updates: int, group: engine.Group, task: Any) -> Any:
    def train(key: jax.Array, config: ppo.Config) -> Any:
        def step(state: ppo.State, _: None) -> Any:
            return ppo.update(state, config, task)

        return jax.lax.scan(step, ppo.init(key, config, task), None, num_updates)

    return jax.vmap(train)(group.keys, group.configs)


def run_case(kind: str, case: str, trials: int) -> None:
    """What a process does."""
    engine.use_compile_cache()
    if kind == "scan":
        one_scan(case, trials)
    else:
        with tempfile.TemporaryDirectory() as folder:
            runner.run(make_study(case, trials), Path(folder) / "study", progress=False)


def seconds(kind: str, case: str, trials: int, cache: str) -> float:
    """Wall time of a process."""
    command = [sys.executable, "-m", "sweeps.bench_trials", "--case", kind, case, str(trials)]
    start = time.perf_counter()
    subprocess.run(command, check=True, env=os.environ | {"JAX_COMPILATION_CACHE_DIR": cache})
    return time.perf_counter() - start


def measure(case: str, trials: int, cache: str) -> dict[str, Any]:
    """Times of one number of trials: the study twice, then the scan twice."""
    cold, warm = (seconds("study", case, trials, cache) for _ in range(2))
    _, scan = (seconds("scan", case, trials, cache) for _ in range(2))
    return {
        "case": case,
        "trials": trials,
        "cold_seconds": round(cold, 2),
        "warm_seconds": round(warm, 2),
        "one_scan_warm_seconds": round(scan, 2),
        "trials_per_hour": round(3600 * trials / warm, 1),
    }


def main() -> None:
    """Print all cases and, if asked, write them with the machine's description."""
    parser = argparse.ArgumentParser(description="Trials per hour, against one process each.")
    parser.add_argument("--trials", type=int, nargs="+", default=[1, 16, 256])
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--case", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        kind, case, trials = options.case
        run_case(kind, case, int(trials))
        return
    results = []
    with tempfile.TemporaryDirectory() as cache:
        for case in CASES:
            for trials in options.trials:
                found = measure(case, trials, cache)
                alone = next((r["warm_seconds"] for r in results if r["case"] == case), None)
                alone = alone or found["warm_seconds"] / trials
                found["times_one_process_each"] = round(alone * trials / found["warm_seconds"], 1)
                results.append(found)
                print(json.dumps(found), flush=True)
    if options.json:
        about = {"steps_per_trial": STEPS, "results": results, "machine": machine.describe()}
        write_json(options.json, about)


if __name__ == "__main__":
    main()
