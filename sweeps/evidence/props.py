"""PROPS: sampling error on a bandit, and returns against PPO with and without old batches."""

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from algorithms import props
from algorithms.common import actor_critic
from algorithms.common.task import Task
from sweeps import plan, space
from sweeps.evidence.spec import (
    Measurement,
    Point,
    Sweep,
    Verdict,
    difference,
    find,
    in_words,
)
from sweeps.study import Objective, Study

PAPER = "Corrado and Hanna 2023, arXiv 2311.08290"
BANDIT = "bandit/gaussian"
ARMS = 8
SEEDS = 64
STEPS = 64
BATCHES = 2
UPDATES = 20


def returns(env: str, preset: str, seeds: int, steps: int, **options: Any) -> Study:
    """PPO, PPO with old batches, and PROPS; the score is the mean return of the whole run.

    It is that of the policy that acts, for PROPS the one that makes up for what the data lack.
    """
    return Study(
        "props",
        env,
        preset=preset,
        seeds=seeds,
        set={"total_timesteps": steps, **options},
        space={"batches": space.choice(1, 2, 4), "adapt": space.choice(False, True)},
        objective=Objective("return", "max", 1.0),
    )


def judge_returns(points: list[Point]) -> Verdict:
    """Whether PROPS with two or four batches beats PPO, and PPO with as many batches."""
    plain = find(points, batches=1, adapt=False)
    texts, checks = [f"returns of the policy that acts: PPO {in_words(plain)}"], []
    for batches in (2, 4):
        own = find(points, batches=batches, adapt=True)
        buffer = find(points, batches=batches, adapt=False)
        gains = [difference(own, other, comparisons=4) for other in (plain, buffer)]
        checks += [low > 0.0 for _, low, _ in gains]
        differences = " and ".join(f"{m:+.1f} [{low:+.1f}, {high:+.1f}]" for m, low, high in gains)
        texts.append(
            f"{batches} batches: PPO {in_words(buffer)}, PROPS {in_words(own)}, more than PPO "
            f"without and with them by {differences}"
        )
    outcome = "reproduced" if all(checks) else "partly" if any(checks) else "not"
    return Verdict(outcome, "; ".join(texts))


def sampling_error() -> tuple[list[dict[str, Any]], Verdict]:
    """KL of the actions' frequencies in memory and the policy that is to be learned.

    With a policy that stays, and with one that learns; for both with and without adaptation.
    """
    config = props.Config(
        num_envs=1,
        num_steps=STEPS,
        batches=BATCHES,
        adapt_steps=2,
        num_minibatches=1,
        update_epochs=4,
        anneal_lr=0.0,
        reward_scale=1.0,
        behaviour_minibatches=1,
        behaviour_epochs=8,
        behaviour_learning_rate=1e-3,
        behaviour_kl=0.1,
        total_timesteps=STEPS * UPDATES,
        stagger_episodes=False,
    )
    rows, texts, checks = [], [], []
    for name, rate in (("policy stays", 0.0), ("policy learns", 1e-3)):
        base = replace(config, learning_rate=rate)
        without = errors_of(replace(base, adapt=False))
        own = errors_of(base)
        for update in range(UPDATES):
            rows.append(
                {
                    "case": name,
                    "plays": (update + 1) * STEPS,
                    "on_policy": round(float(without[:, update].mean()), 5),
                    "props": round(float(own[:, update].mean()), 5),
                }
            )
        # From the update on at which the memory is full.
        points = [Point({}, errors[:, BATCHES - 1 :].mean(axis=1)) for errors in (own, without)]
        mean, low, high = difference(points[0], points[1], comparisons=2)
        checks.append(high < 0.0)
        texts.append(
            f"{name}: PROPS {in_words(points[0], 4)}, without adaptation {in_words(points[1], 4)}, "
            f"difference {mean:+.4f} [{low:+.4f}, {high:+.4f}]"
        )
    outcome = "reproduced" if all(checks) else "partly" if any(checks) else "not"
    return rows, Verdict(outcome, "; ".join(texts))


def errors_of(config: props.Config) -> np.ndarray:
    """Sampling errors, float64 (SEEDS, UPDATES), before each update of the target policy."""
    task = plan.build_task({"env": BANDIT, "num_arms": ARMS})

    def trial(key: jax.Array) -> jax.Array:
        first, logits_key = jax.random.split(key)
        state = props.init(first, config, task)
        params = dict(state.params)
        bias = jax.random.normal(logits_key, (ARMS,))
        params["actor"] = {**params["actor"], "bias": bias}
        state = replace(state, params=params)
        step = partial(one_update, config=config, task=task)
        return jax.lax.scan(step, state, length=UPDATES)[1]

    keys = jax.random.split(jax.random.key(0), SEEDS)
    return np.asarray(jax.jit(jax.vmap(trial))(keys), np.float64)


def one_update(
    state: props.State, nothing: None, config: props.Config, task: Task
) -> tuple[props.State, jax.Array]:
    """The next state, and the error of its memory for the target policy that it was made for."""
    del nothing
    new = props.update(state, config, task)[0]
    outputs = actor_critic.apply(state.params, jnp.ones((1, 1)), config.network)[0]
    made = jnp.arange(config.memory_steps) >= config.memory_steps - new.filled
    played = jax.nn.one_hot(new.memory.action[:, 0], ARMS) * made[:, None]
    shares = jnp.sum(played, axis=0) / new.filled
    logs = jnp.where(shares > 0.0, jnp.log(shares), 0.0)
    return new, jnp.sum(shares * (logs - jax.nn.log_softmax(outputs[0])))


EXPERIMENTS = (
    Sweep(
        "cartpole",
        PAPER,
        "learns from fewer steps than PPO, and than PPO from the same number of batches",
        partial(returns, "gymnax/CartPole-v1", "default", 8, 40_960),
        judge_returns,
        "batches, adapt",
    ),
    Sweep(
        "pendulum",
        PAPER,
        "learns from fewer steps than PPO, and than PPO from the same number of batches",
        partial(returns, "gymnax/Pendulum-v1", "control", 5, 81_920),
        judge_returns,
        "batches, adapt",
    ),
    Measurement(
        "sampling-error",
        PAPER,
        "the data are closer to the policy's distribution than on-policy samples, while it learns",
        BANDIT,
        sampling_error,
    ),
)
