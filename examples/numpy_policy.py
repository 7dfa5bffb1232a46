"""Score a policy written in NumPy: play it through the Gymnasium bridge and write a result file.

    python examples/numpy_policy.py result.json
    kagebench score result.json

The policy is a hand-written rule for base A: it finds the teal player and the cyan ground by their
exact colours and jumps in front of walls. Replace `act` and the description in `main` by your own.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from kagebench.gym import KageVectorEnv
from kagebench.suites import get_pair

TEAL, CYAN = (0, 128, 128), (0, 255, 255)
RIGHT, RIGHT_AND_JUMP = 2, 6
NUM_ACTIONS = 8
GOAL = 490  # px, of all configurations of the benchmark
FIRST_LEVEL = 10_000  # seed of the first evaluation level
NOISE = 0.02  # share of random actions, which make the agents differ


def find(frames: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    """Where the pixels have a colour: bool [N, 128, 128]."""
    red, green, blue = (frames[..., i] == value for i, value in enumerate(color))
    return red & green & blue


def act(frames: np.ndarray) -> np.ndarray:
    """Actions [N] for frames uint8 [N, 128, 128, 3]: walk right, jump if a wall is near."""
    player, ground = find(frames, TEAL), find(frames, CYAN)
    size = np.maximum(player.sum(axis=(1, 2)), 1)
    rows, columns = np.arange(player.shape[1]), np.arange(player.shape[2])
    row = (player.sum(axis=2) @ rows) / size
    column = (player.sum(axis=1) @ columns) // size
    top = ground.argmax(axis=1)  # first row of the ground in every column

    here = np.take_along_axis(top, column[:, None], axis=1)
    ahead = np.clip(column[:, None] + np.arange(9, 18), 0, columns[-1])  # in front of the player
    wall = (np.take_along_axis(top, ahead, axis=1) < here - 2).any(axis=1)
    standing = here[:, 0] - row < 13
    return np.where(wall & standing, RIGHT_AND_JUMP, RIGHT)


def play(config: Any, seeds: list[int], episodes: int) -> dict[str, np.ndarray]:
    """Metrics [agents, episodes] of one agent per seed on the same levels of a configuration.

    Neither the levels nor the noise depend on the configuration: gaps are paired.
    """
    shape = len(seeds), episodes
    levels = [FIRST_LEVEL + i for i in range(episodes)]
    envs = KageVectorEnv(config, num_envs=len(seeds) * episodes)
    noise = [np.random.default_rng(seed) for seed in seeds]
    frames, _ = envs.reset(seed=levels * len(seeds))
    over, info = False, {}
    while not over:
        random = np.concatenate([rng.integers(NUM_ACTIONS, size=episodes) for rng in noise])
        chosen = np.concatenate([rng.random(episodes) < NOISE for rng in noise])
        actions = np.where(chosen, random, act(frames))
        frames, _, _, truncated, info = envs.step(actions)
        over = truncated.all()  # all episodes have the same length
    last = {name: values.reshape(shape) for name, values in info["final_info"].items()}
    return {
        "distance": last["passed_distance"],
        "progress": last["progress"],
        "success": last["passed_distance"] >= GOAL,
        "success_strict": last["passed_distance"] > GOAL,
        "success_once": last["success_once"],
        "return": last["return"],
        "jump_count": last["jump_count"],
    }


def evaluate(pairs: list[str], seeds: list[int], episodes: int) -> list[dict[str, Any]]:
    """The entries of a result: means over episodes on every pair and on what it trains on."""
    configs: dict[str, tuple[str, Any]] = {}
    for name in pairs:
        pair = get_pair(name)
        configs[pair.base] = pair.base, pair.train
        configs[name] = pair.base, pair.validation
    entries = []
    for name, (base, config) in configs.items():
        metrics = play(config, seeds, episodes)
        for i, seed in enumerate(seeds):
            means = {metric: float(values[i].mean()) for metric, values in metrics.items()}
            entries.append({"base": base, "seed": seed, "step": 0, "config": name, **means})
    return entries


def main() -> None:
    parser = argparse.ArgumentParser(description="Play a NumPy policy and write a result file.")
    parser.add_argument("output", type=Path, help="JSON file to write")
    parser.add_argument("--pairs", nargs="+", default=["background-2", "distractors-5", "layout-1"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--episodes", type=int, default=32)
    args = parser.parse_args()
    result = {
        "schema": "kagebench-result/1",
        "algorithm": "rule",
        "description": "jumps in front of walls, which it finds by their colour",
        "protocol": "paired",
        "observation": {"obs": "pixels", "obs_size": None, "pooling": "mean", "art": "shipped"},
        "training_steps": 0,
        "episodes": args.episodes,
        "actions": "sampled",
        "commands": ["python examples/numpy_policy.py result.json"],
        "evaluations": evaluate(args.pairs, args.seeds, args.episodes),
    }
    args.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
