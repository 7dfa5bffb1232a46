"""What an algorithm learns in the tests, and a small config where it is too much for a contract.

The learning test of an algorithm and the test of its contract with the engine run the same
programs, so that the second one finds them in the compile cache.
"""

import importlib
from dataclasses import replace
from typing import Any

from algorithms.common.task import Task
from sweeps.plan import build_task

CARTPOLE, PENDULUM = "gymnax/CartPole-v1", "gymnax/Pendulum-v1"
# Environment, what differs in its parameters, preset, and what differs in it.
Case = tuple[dict[str, Any], dict[str, Any], str, dict[str, Any]]


def cartpole(preset: str = "default", **options: Any) -> Case:
    """Balancing."""
    return {"env": CARTPOLE}, {}, preset, options


def pendulum(preset: str = "default", **options: Any) -> Case:
    """Swinging up."""
    return {"env": PENDULUM}, {}, preset, options


REPLAY = {"network": "mlp", "batch_size": 64}
VALUES = {**REPLAY, "learning_rate": 1e-3, "total_timesteps": 61_440}
LEARNING: dict[str, Case] = {
    "arsq": pendulum(**REPLAY, total_timesteps=12_288),
    "avg": pendulum(total_timesteps=80_000),
    "c51": cartpole(**VALUES, v_min=0.0),
    "cqn": pendulum(**REPLAY, total_timesteps=12_288),
    "cqn_as": pendulum(**REPLAY, total_timesteps=14_336),
    "decqn": (
        {"env": "gymnax/Reacher-misc"},
        {},
        "default",
        {
            **REPLAY,
            "learning_rate": 2e-3,
            "gamma": 0.95,
            "epsilon_end": 0.05,
            "target_interval": 1,
            "target_tau": 0.02,
            "total_timesteps": 30_720,
        },
    ),
    "dqn": cartpole(**VALUES),
    "drq": (
        {"env": "grid/fruits", "size": 4, "fruits": 2},
        {"max_steps_in_episode": 20, "step_reward": -0.05},
        "default",
        {
            "learning_rate": 1e-3,
            "gamma": 0.95,
            "learning_starts": 500,
            "target_interval": 100,
            "reward_scale": 1.0,
            "pad": 1,
            "network": "minatar",
            "n_step": 3,
            "buffer_size": 20_000,
            "batch_size": 32,
            "num_envs": 4,
            "total_timesteps": 16_384,
        },
    ),
    "dsac": pendulum(**REPLAY, total_timesteps=10_240),
    "fixpo": cartpole(total_timesteps=61_440),
    "hlgauss": cartpole(**VALUES, v_min=0.0),
    "iqn": cartpole(**VALUES),
    "iterated_q": cartpole(**VALUES | {"num_networks": 2, "total_timesteps": 51_200}),
    "mbma": pendulum(total_timesteps=45_056),
    "md3qn": (
        {"env": "grid/deep-sea-treasure-convex", "one_hot": True},
        {},
        "vector",
        {**VALUES, "particles": 8, "total_timesteps": 40_960},
    ),
    "meow": pendulum(**REPLAY, num_couplings=2, total_timesteps=15_360, log_std_min=-5.0),
    "munchausen": cartpole(**VALUES),
    "ppo": pendulum("control", learning_rate=2e-3, num_minibatches=8, total_timesteps=131_072),
    "ppo_rnn": (
        {"env": "gymnax/MemoryChain-bsuite", "memory_length": 10},
        {},
        "default",
        {"total_timesteps": 61_440},
    ),
    "pqn": cartpole(total_timesteps=102_400),
    "props": cartpole(total_timesteps=40_960),
    "sac": pendulum(
        **REPLAY,
        learning_rate=3e-3,
        alpha=0.2,
        learning_starts=400.0,
        rounds=100,
        total_timesteps=8_000,
    ),
    "sd_sac": cartpole(**REPLAY, total_timesteps=40_960),
    "staq": cartpole(**VALUES, memory=5),
    "td3": pendulum(learning_rate=2e-3, learning_starts=500, batch_size=64, total_timesteps=12_288),
}

# Three updates of so many steps each.
ROLLOUT = {"network": "mlp", "num_envs": 4, "num_steps": 8, "num_minibatches": 2}
SHORT = {"rounds": 8, "learning_starts": 32, "buffer_size": 256, "batch_size": 8}
PIXELS = {"env": "pixels/pendulum"}
# Variants by "algorithm, what is special", and algorithms whose learning takes too long or is of
# an environment of their own test.
SMALL: dict[str, Case] = {
    "ppo, discrete": cartpole(**ROLLOUT),
    "ppo, ratio variance": pendulum(**ROLLOUT, shared_trunk=False, surrogate="r2"),
    "ppo_rnn, continuous": pendulum(**ROLLOUT, memory_size=8, norm_obs=True, norm_reward=True),
    "sac, options": pendulum(
        **SHORT,
        network="mlp",
        band_draws=2,
        causal=True,
        causal_samples=64,
        dormant_resets=True,
        reset_interval=8.0,
    ),
    "decqn, regularised": (
        {"env": "gymnax/Reacher-misc"},
        {},
        "default",
        {**SHORT, "network": "mlp", "num_critics": 2, "regularise": True},
    ),
    "drq_sac": (PIXELS, {}, "default", {**SHORT, "head": "mlp", "feature_size": 8, "num_envs": 2}),
    "taco": (PIXELS, {}, "default", {**SHORT, "head": "mlp", "feature_size": 8, "num_envs": 2}),
    "mad_td": pendulum(**SHORT, network="mlp", num_envs=4, gradient_steps=2, latent_size=16),
}


def build(case: Case, name: str) -> tuple[Any, Task]:
    """Config and task of a case of the algorithm with this name."""
    env, params, preset, options = case
    task = build_task(env)
    if params:
        task = replace(task, params=task.params.replace(**params))
    algorithm = importlib.import_module(f"algorithms.{name}")
    return algorithm.PRESETS[preset].replace(**options), task


def learning(name: str) -> tuple[Any, Task]:
    """Config and task with which an algorithm learns in about ten seconds."""
    return build(LEARNING[name], name)
