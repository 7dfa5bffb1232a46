"""Trials on four devices and on one give the same; run by test_devices.py with four CPU devices."""

import sys
from pathlib import Path

import gymnax
import jax
import numpy as np

from algorithms import ppo
from algorithms.common.task import Task
from sweeps import engine
from sweeps.plan import grid

CONFIG = ppo.PRESETS["state"].replace(
    num_envs=4, num_steps=8, num_minibatches=2, update_epochs=1, total_timesteps=20 * 32
)
ENV = {"env": "gymnax/CartPole-v1"}


def main(folder: Path) -> None:
    """Compare; raises an AssertionError where they differ."""
    task = Task(*gymnax.make("CartPole-v1"))
    axes = {"learning_rate": [1e-3, 1e-4]}
    plan = grid("algorithms.ppo", ENV, CONFIG, [3, 4, 5, 6], axes)
    assert [engine.choose_devices(count) for count in (1, 4, 6, 7, 8, 9)] == [1, 4, 3, 1, 4, 3]
    group = engine.place(engine.stack_group(plan, plan.trials, task), 4)
    states = engine.initialise(ppo, group, task, 4)
    assert {len(leaf.sharding.device_set) for leaf in jax.tree.leaves(states)} == {4}

    # "map" does the same arithmetic on any number of devices; "vmap" batches fewer trials.
    for axis, tolerance in (("map", 0.0), ("vmap", 1e-5)):
        four = engine.run(plan, folder / f"{axis}-4", task=task, axis=axis, progress=False)
        spread, engine.choose_devices = engine.choose_devices, lambda count: 1
        one = engine.run(plan, folder / f"{axis}-1", task=task, axis=axis, progress=False)
        engine.choose_devices = spread
        a, b = engine.load(four, task=task), engine.load(one, task=task)
        pairs = zip(jax.tree.leaves(a.state.params), jax.tree.leaves(b.state.params), strict=True)
        for x, y in pairs:
            np.testing.assert_allclose(x, y, rtol=0, atol=tolerance)
    print("equal")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
