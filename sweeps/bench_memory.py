"""Memory and speed of pixel PPO for several seeds at once, with scenes and with frames stored.

    python -m sweeps.bench_memory [--preset cpu] [--seeds 1 8 64] [--no-run] [--json FILE]

Every case runs in a process of its own, so that its peak memory is its own. ``program`` is what the
compiler reserves for one update of all seeds side by side (arguments, results and temporaries),
``peak`` what the process used at most (on an accelerator: its memory), ``rollout`` what the stored
observations of one update take, and the speed counts environment steps of all seeds, acting,
rendering and learning included.
"""

import argparse
import dataclasses
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax

from algorithms import ppo
from kagebench import machine
from sweeps import engine
from sweeps.memory import reserved_bytes
from sweeps.plan import build_task, describe_task, grid
from sweeps.store import write_json

STORES = ("scenes", "frames")


def measure(preset: str, store: Any, seeds: int, run: bool) -> dict[str, Any]:
    """One case: bytes, and environment steps per second if it is run."""
    config = dataclasses.replace(ppo.PRESETS[preset], store=store)
    description = describe_task("base-f", **ppo.PRESET_TASKS.get(preset, {}))
    plan = grid("algorithms.ppo", description, config, range(seeds))
    task = build_task(description)
    group = engine.stack_group(plan, plan.trials, task)
    template = engine.state_template(ppo, group, task)
    program = engine.advance.lower(ppo, template, group, task, 1, "vmap", 1).compile()
    result = {"preset": preset, "store": store, "seeds": seeds}
    result["program_bytes"] = reserved_bytes(program.memory_analysis())
    result["rollout_bytes"] = seeds * rollout_bytes(config, task)
    if run:
        result["steps_per_second"] = speed(config, group, task)
        result["peak_bytes"] = peak_bytes()
    return result


def rollout_bytes(config: ppo.Config, task: Any) -> int:
    """Bytes of the stored scenes or frames of one seed's rollout."""
    key = jax.random.key(0)
    states = jax.eval_shape(ppo.init, key, config, task)
    rollout = jax.eval_shape(ppo.collect, states, key, config, task)[1]
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(rollout.seen))


def speed(config: ppo.Config, group: engine.Group, task: Any) -> float:
    """Environment steps of all seeds per second: the fastest of two updates after a first one."""
    states = engine.initialise(ppo, group, task)
    times = []
    for _ in range(3):
        start = time.perf_counter()
        states, metrics = engine.advance(ppo, states, group, task, 1, "vmap", 1)
        jax.block_until_ready((states, metrics))
        times.append(time.perf_counter() - start)
    return len(group.keys) * config.steps_per_update / min(times[1:])


def peak_bytes() -> int:
    """Most memory that was used: of the accelerator, or of this process on a CPU."""
    stats = jax.local_devices()[0].memory_stats()
    if stats and "peak_bytes_in_use" in stats:
        return stats["peak_bytes_in_use"]
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def in_process(options: argparse.Namespace, store: str, seeds: int) -> dict[str, Any]:
    """`measure` in a process of its own; ``error`` instead of figures where that fails."""
    case = [options.preset, store, str(seeds), str(int(not options.no_run))]
    command = [sys.executable, "-m", "sweeps.bench_memory", "--case", *case]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip() or f"exit status {done.returncode}").splitlines()[-1]
        return {"preset": options.preset, "store": store, "seeds": seeds, "error": last}
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Print all cases and, if asked, write them with the machine's description."""
    parser = argparse.ArgumentParser(description="Memory and speed with scenes and with frames.")
    parser.add_argument("--preset", default="cpu", choices=list(ppo.PRESETS), help="of PPO")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 8, 64], help="side by side")
    parser.add_argument("--no-run", action="store_true", help="compile only")
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--case", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        preset, store, seeds, run = options.case
        print(json.dumps(measure(preset, store, int(seeds), run == "1")))
        return
    results = []
    for seeds in options.seeds:
        for store in STORES:
            results.append(in_process(options, store, seeds))
            print(json.dumps(results[-1]), flush=True)
    if options.json:
        write_json(options.json, {"results": results, "machine": machine.describe()})


if __name__ == "__main__":
    main()
