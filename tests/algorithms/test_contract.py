"""What every algorithm must do for the engine: batch over trials, stop and go on, act."""

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
from sweeps.plan import build_task
from tests.algorithms.learning import make_group

# Small configs on a small environment, three updates each: algorithms, and variants of them.
CARTPOLE, PENDULUM = "gymnax/CartPole-v1", "gymnax/Pendulum-v1"
ROLLOUT = {"network": "mlp", "num_envs": 4, "num_steps": 8, "num_minibatches": 2}
REPLAY = {"rounds": 8, "learning_starts": 32, "buffer_size": 256, "batch_size": 8}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "ppo": (CARTPOLE, ROLLOUT),
    "ppo control": (
        PENDULUM,
        {
            **ROLLOUT,
            "shared_trunk": False,
            "norm_obs": True,
            "norm_reward": True,
            "surrogate": "r2",
        },
    ),
    "ppo_rnn": (CARTPOLE, {**ROLLOUT, "memory_size": 8}),
    "ppo_rnn control": (
        PENDULUM,
        {**ROLLOUT, "memory_size": 8, "norm_obs": True, "norm_reward": True},
    ),
    "mbma": (PENDULUM, {**ROLLOUT, "model_steps": 4, "model_batch": 8, "memory": 2}),
    "fixpo": (CARTPOLE, ROLLOUT),
    "props": (CARTPOLE, {**ROLLOUT, "adapt_steps": 4, "behaviour_minibatches": 2}),
    "pqn": (CARTPOLE, ROLLOUT),
    "dqn": (CARTPOLE, REPLAY),
    "c51": (CARTPOLE, REPLAY),
    "hlgauss": (CARTPOLE, REPLAY),
    "iqn": (CARTPOLE, REPLAY),
    "md3qn": ("grid/deep-sea-treasure", REPLAY),
    "iterated_q": (CARTPOLE, {**REPLAY, "num_networks": 2, "shift_interval": 3}),
    "munchausen": (CARTPOLE, REPLAY),
    "drq": ("grid/fruits", {**REPLAY, "network": "minatar", "num_envs": 2}),
    "drq_sac": ("pixels/pendulum", {**REPLAY, "head": "mlp", "feature_size": 8, "num_envs": 2}),
    "taco": ("pixels/pendulum", {**REPLAY, "head": "mlp", "feature_size": 8, "num_envs": 2}),
    "decqn": (
        "gymnax/Reacher-misc",
        {**REPLAY, "network": "mlp", "num_critics": 2, "regularise": True},
    ),
    "cqn": (PENDULUM, REPLAY),
    "cqn_as": (PENDULUM, REPLAY),
    "arsq": (PENDULUM, REPLAY),
    "sac": (
        PENDULUM,
        {
            **REPLAY,
            "network": "mlp",
            "band_draws": 2,
            "causal": True,
            "causal_samples": 64,
            "dormant_resets": True,
            "reset_interval": 8.0,
        },
    ),
    "sd_sac": (CARTPOLE, {**REPLAY, "network": "mlp"}),
    "td3": (PENDULUM, REPLAY),
    "dsac": (PENDULUM, REPLAY),
    "meow": (PENDULUM, REPLAY),
    "avg": (PENDULUM, {"network": "mlp", "rounds": 8}),
    "mad_td": (
        PENDULUM,
        {**REPLAY, "network": "mlp", "num_envs": 4, "gradient_steps": 2, "latent_size": 16},
    ),
    "staq": (CARTPOLE, {**REPLAY, "memory": 2, "stack_interval": 3}),
}


@pytest.mark.parametrize("name", CASES)
def test_trials_stop_and_go_on_to_the_same_bits(name):
    algorithm = importlib.import_module(f"algorithms.{name.split()[0]}")
    env, options = CASES[name]
    config = algorithm.Config(**options)
    config = config.replace(total_timesteps=3 * config.steps_per_update)
    task = build_task({"env": env})
    # Equal seeds, so that the learning rate alone makes the difference.
    group = make_group([config, config.replace(learning_rate=1e-2)], [0, 0])

    start = engine.initialise(algorithm, group, task)
    kinds = jax.tree.map(jax.typeof, start)
    whole, metrics = advance(algorithm, start, group, task, 3)
    # Otherwise what goes on is compiled once more.
    assert jax.tree.map(jax.typeof, whole) == kinds
    parts, first = advance(algorithm, engine.initialise(algorithm, group, task), group, task, 1)
    parts = jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), parts)
    parts, rest = advance(algorithm, parts, group, task, 2)

    for one, other in zip(arrays(whole), arrays(parts), strict=True):
        np.testing.assert_array_equal(one, other)
    for key, values in metrics.items():
        joined = np.concatenate([first[key][:, :1], rest[key][:, :2]], axis=1)
        np.testing.assert_array_equal(values[:, :3], joined, err_msg=key)
        assert values.dtype == np.float32, key
    assert any(np.any(leaf[0] != leaf[1]) for leaf in arrays(whole)), "equal learning rates"
    check_policy(algorithm, whole, config, task)


def advance(algorithm, states, group, task, count):
    states, metrics = engine.advance(algorithm, states, group, task, count, "vmap", 3)
    return states, jax.tree.map(np.asarray, metrics)


def arrays(tree: Any) -> list[np.ndarray]:
    """Leaves, keys as numbers."""
    leaves = jax.tree.leaves(tree)
    keys = [jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) for leaf in leaves]
    return [np.asarray(jax.random.key_data(x) if k else x) for x, k in zip(leaves, keys)]


def check_policy(algorithm: Any, states: Any, config: Any, task: Task) -> None:
    """One action per observation, inside the action space; greedy ones need no randomness."""
    state = jax.tree.map(lambda leaf: leaf[0], states)
    scene, _ = task.reset(jax.random.key(0), 5)
    observation = task.render(scene)
    space = task.env.action_space(task.params)
    for greedy in (False, True):
        act = jax.jit(algorithm.policy(state, config, task, greedy=greedy))
        actions = [act(jax.random.key(seed), observation) for seed in (0, 1)]
        assert actions[0].shape == (5, *space.shape)
        assert all(bool(space.contains(action)) for action in actions[0])
        if greedy:
            np.testing.assert_array_equal(*actions)


def test_every_algorithm_is_a_case():
    files = {path.stem for path in Path(algorithms.__file__).parent.glob("*.py")}
    assert files - {"__init__"} == {name.split()[0] for name in CASES}
