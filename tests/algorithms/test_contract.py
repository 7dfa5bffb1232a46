"""What every algorithm must do for the engine: batch over trials, stop and go on, act."""

import contextlib
import functools
import importlib
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import algorithms
from algorithms.common.task import Task
from sweeps import engine
from tests.algorithms.cases import LEARNING, SMALL, build
from tests.algorithms.learning import make_group
from tests.compiling import optimised

CASES = {**LEARNING, **SMALL}
once = functools.partial(jax.jit, compiler_options=engine.RUN_ONCE)
# One program each, where operations on single leaves would be dozens.
copy = once(functools.partial(jax.tree.map, jnp.copy))
first_trial = once(functools.partial(jax.tree.map, lambda leaf: leaf[0]))


@pytest.mark.parametrize("case", CASES)
def test_trials_stop_and_go_on_to_the_same_bits(case):
    name = case.partition(",")[0]
    algorithm = importlib.import_module(f"algorithms.{name}")
    config, task = build(CASES[case], name)
    if case in SMALL:
        config = config.replace(total_timesteps=3 * config.steps_per_update)
    # As many trials as in the tests of learning; equal seeds, so that only the learning rate
    # makes a difference.
    group = make_group([config, config.replace(learning_rate=1e-2), config], [0, 0, 0])

    start = engine.initialise(algorithm, group, task)
    kinds = jax.tree.map(jax.typeof, start)
    with contextlib.nullcontext() if case in SMALL else optimised():  # as the tests of learning
        whole, metrics = advance(algorithm, start, group, task, 3)
        # Otherwise what goes on is compiled once more.
        assert jax.tree.map(jax.typeof, whole) == kinds
        parts, first = advance(algorithm, engine.initialise(algorithm, group, task), group, task, 1)
        parts = copy(parts)
        parts, rest = advance(algorithm, parts, group, task, 2)

    for one, other in zip(arrays(whole), arrays(parts), strict=True):
        np.testing.assert_array_equal(one, other)
    for key, values in metrics.items():
        joined = np.concatenate([first[key][:, :1], rest[key][:, :2]], axis=1)
        np.testing.assert_array_equal(values[:, :3], joined, err_msg=key)
        assert values.dtype == np.float32, key
    assert any(np.any(leaf[0] != leaf[1]) for leaf in arrays(whole)), "equal learning rates"
    assert all(np.array_equal(leaf[0], leaf[2], equal_nan=True) for leaf in arrays(whole)), (
        "equal trials differ"
    )
    check_policy(algorithm, whole, config, task)


def advance(algorithm, states, group, task, count):
    capacity = group.configs.num_updates
    states, metrics = engine.advance(algorithm, states, group, task, count, "vmap", capacity)
    return states, jax.tree.map(np.asarray, metrics)


def arrays(tree: Any) -> list[np.ndarray]:
    """Leaves, keys as numbers."""
    leaves = jax.tree.leaves(tree)
    keys = [jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) for leaf in leaves]
    return [np.asarray(jax.random.key_data(x) if k else x) for x, k in zip(leaves, keys)]


def check_policy(algorithm: Any, states: Any, config: Any, task: Task) -> None:
    """One action per observation, inside the action space; greedy ones need no randomness."""
    state = first_trial(states)
    observation = once(lambda key: task.render(task.reset(key, 5)[0]))(jax.random.key(0))
    space = task.env.action_space(task.params)
    for greedy in (False, True):
        act = once(algorithm.policy(state, config, task, greedy=greedy))
        actions = [act(jax.random.key(seed), observation) for seed in (0, 1)]
        assert actions[0].shape == (5, *space.shape)
        assert all(bool(space.contains(action)) for action in actions[0])
        if greedy:
            np.testing.assert_array_equal(*actions)


def test_every_algorithm_is_a_case():
    files = {path.stem for path in Path(algorithms.__file__).parent.glob("*.py")}
    assert files - {"__init__"} == {case.partition(",")[0] for case in CASES}
