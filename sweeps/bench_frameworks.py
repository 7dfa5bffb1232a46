"""Speed of PPO, SAC and DQN against brax.training and SBX, in one run.

    python -m sweeps.bench_frameworks [--sbx-python PATH] [--json FILE]

Same environment, width of networks, batches and numbers of gradient steps on both sides, one seed;
every side is measured `--repeats` times in turn, without compilation, and its best run counts.
SBX (`pip install sbx-rl`) is run by the Python that is named, and left out if none is.
"""

import argparse
import functools
import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from kagebench import machine
from sweeps import bench_peers, engine
from sweeps.peers import brax_training
from sweeps.peers.sizes import SIZES, Sizes
from sweeps.store import write_json

PENDULUM = "brax/inverted-pendulum"
# Framework, algorithm and sizes; brax.training splits its run into parts, one of which is measured.
CASES: tuple[tuple[str, str, Sizes], ...] = (
    ("brax.training", "ppo", Sizes(env=PENDULUM, total_timesteps=204_800)),
    ("brax.training", "sac", Sizes(env=PENDULUM, total_timesteps=20_480)),
    ("sbx", "dqn", SIZES["dqn"]._replace(total_timesteps=40_960)),
    ("sbx", "ppo", SIZES["ppo"]._replace(total_timesteps=40_960)),
    ("sbx", "sac", SIZES["sac"]),
)
SBX_SCRIPT = Path(__file__).parent / "peers" / "sbx_run.py"


def our_program(name: str, sizes: Sizes) -> Callable[[], float]:
    """A function that trains one seed and gives environment steps per second."""
    keys = jax.random.split(jax.random.key(0), 1)
    program = jax.jit(functools.partial(bench_peers.ours, name, sizes)).lower(keys).compile()

    def measure() -> float:
        start = time.perf_counter()
        jax.block_until_ready(program(keys))
        return sizes.total_timesteps / (time.perf_counter() - start)

    return measure


def sbx(name: str, sizes: Sizes, python: str) -> float:
    """Environment steps per second of SBX.

    Raises:
        SystemExit: that Python cannot run it; the message ends with its last line.
    """
    command = [python, str(SBX_SCRIPT), name, json.dumps(sizes._asdict())]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except FileNotFoundError:
        raise SystemExit(f"error: --sbx-python: {python} does not exist") from None
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["no output"])[-1]
        raise SystemExit(f"error: --sbx-python: {python} cannot run SBX: {last}") from None
    return float(done.stdout.split()[-1])


def compare(
    framework: str, name: str, sizes: Sizes, repeats: int, sbx_python: str | None
) -> dict[str, Any]:
    """Best speeds of both sides, measured in turn."""
    our_speed = our_program(name, sizes)
    ours, theirs = [], []
    for _ in range(repeats):
        ours.append(our_speed())
        if framework == "sbx":
            theirs.append(sbx(name, sizes, str(sbx_python)))
        else:
            theirs.append(brax_training.steps_per_second(name, sizes))
    return {
        "framework": framework,
        "algorithm": name,
        "env": sizes.env,
        "ours_steps_per_second": round(max(ours)),
        "theirs_steps_per_second": round(max(theirs)),
        "ratio": round(max(ours) / max(theirs), 2),
    }


def main() -> None:
    """Print all comparisons and, if asked, write them with the machine's description."""
    parser = argparse.ArgumentParser(description="Speed against brax.training and SBX.")
    parser.add_argument("--sbx-python", metavar="PATH", help="a Python with sbx-rl installed")
    parser.add_argument("--repeats", type=int, default=2, help="runs of each side")
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    engine.use_compile_cache()
    results = []
    for framework, name, sizes in CASES:
        if framework == "sbx" and options.sbx_python is None:
            print("sbx: left out, --sbx-python names no Python", flush=True)
            continue
        results.append(compare(framework, name, sizes, options.repeats, options.sbx_python))
        print(json.dumps(results[-1]), flush=True)
    if options.json:
        about = {
            "sizes": [[framework, name, sizes._asdict()] for framework, name, sizes in CASES],
            "threads": os.environ.get("NPROC", "all cores"),
            "results": results,
            "machine": machine.describe(),
        }
        write_json(options.json, about)


if __name__ == "__main__":
    main()
