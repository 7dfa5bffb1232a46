"""Speed of algorithms against loops written the common way, in one run.

    python -m sweeps.bench_peers [--seeds 1 32] [--json FILE]

Both sides do the same number of environment and gradient steps on CartPole or Pendulum with
networks of the same size; :mod:`sweeps.peers` says how the other side is written. Times are of
compiled programs, every output is used, the best of ``--repeats`` runs in turn counts.
"""

import argparse
import functools
import importlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import jax

from algorithms.common.task import Task
from envs import make
from kagebench import machine
from sweeps import engine, peers
from sweeps.peers.sizes import SIZES, Sizes
from sweeps.store import write_json

PEERS: dict[str, Callable[[jax.Array, Sizes], Any]] = {
    "dqn": peers.dqn,
    "pqn": peers.pqn,
    "ppo": peers.ppo,
    "sac": peers.sac,
}


def our_config(name: str, sizes: Sizes) -> tuple[ModuleType, Any]:
    """The algorithm, and a config with the sizes of the comparison."""
    algorithm = importlib.import_module(f"algorithms.{name}")
    fields = algorithm.Config.__dataclass_fields__
    options = {key: value for key, value in sizes._asdict().items() if key in fields}
    if sizes.env.startswith("brax/") and "shared_trunk" in fields:
        options["shared_trunk"] = False  # as Brax's networks are
    if "gradient_steps" in fields:  # replay: a gradient step per step of all environments
        options |= {"num_steps": 1, "gradient_steps": 1}
    return algorithm, algorithm.Config(network=f"mlp-{sizes.width}", **options)


def over_seeds(train: Callable[[jax.Array], Any], keys: jax.Array, devices: int = 1) -> Any:
    """A run per key side by side; one alone is not batched, as nobody would."""
    if len(keys) == 1:
        return train(keys[0])
    return engine.over_devices(jax.vmap(train), devices, engine.TRIALS)(keys)


def ours(name: str, sizes: Sizes, keys: jax.Array) -> Any:
    """A whole run of all seeds with the project's algorithm, on all devices as in the engine."""
    algorithm, config = our_config(name, sizes)
    task = Task(*make(sizes.env))

    def train(key: jax.Array) -> Any:
        state = algorithm.init(key, config, task)
        return jax.lax.scan(
            lambda state, _: algorithm.update(state, config, task), state, None, config.num_updates
        )

    return over_seeds(train, keys, engine.choose_devices(len(keys)))


def theirs(name: str, sizes: Sizes, keys: jax.Array) -> Any:
    """A whole run of all seeds with the loop."""
    return over_seeds(lambda key: PEERS[name](key, sizes), keys)


def compare(name: str, sizes: Sizes, seeds: int, repeats: int) -> dict[str, Any]:
    """Best times of both sides, run in turn."""
    keys = jax.random.split(jax.random.key(0), seeds)
    sides = {"ours": ours, "loop": theirs}
    programs, found = {}, {}
    for side, run in sides.items():
        start = time.perf_counter()
        programs[side] = jax.jit(functools.partial(run, name, sizes)).lower(keys).compile()
        found[f"{side}_compile_seconds"] = round(time.perf_counter() - start, 2)
    best = dict.fromkeys(sides, float("inf"))
    for _ in range(repeats):
        for side, program in programs.items():
            start = time.perf_counter()
            jax.block_until_ready(program(keys))
            best[side] = min(best[side], time.perf_counter() - start)
    steps = sizes.total_timesteps * seeds
    return {
        "algorithm": name,
        "seeds": seeds,
        "timesteps": sizes.total_timesteps,
        **found,
        **{f"{side}_steps_per_second": round(steps / seconds) for side, seconds in best.items()},
        "ratio": round(best["loop"] / best["ours"], 2),
    }


def main() -> None:
    """Print all comparisons and, if asked, write them with the machine's description."""
    parser = argparse.ArgumentParser(description="Speed against loops written the common way.")
    parser.add_argument("--algorithms", nargs="+", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--timesteps", type=int, help="environment steps of a seed")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each side")
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    engine.use_compile_cache()
    results = []
    for name in options.algorithms:
        sizes = SIZES[name]
        if options.timesteps:
            sizes = sizes._replace(total_timesteps=options.timesteps)
        for seeds in options.seeds:
            results.append(compare(name, sizes, seeds, options.repeats))
            print(json.dumps(results[-1]), flush=True)
    if options.json:
        about = {
            "sizes": {name: SIZES[name]._asdict() for name in options.algorithms},
            "threads": os.environ.get("NPROC", "all cores"),
            "devices": len(jax.local_devices()),
            "results": results,
            "machine": machine.describe(),
        }
        write_json(options.json, about)


if __name__ == "__main__":
    main()
