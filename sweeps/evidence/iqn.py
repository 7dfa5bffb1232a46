"""IQN: curves, and policies that are averse to risk or seek it on gambles with known answers."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from algorithms import iqn
from algorithms.common import risk
from algorithms.common.task import Task
from envs.tabular.env import TabularEnv
from envs.tabular.mdp import from_arrays
from sweeps.evidence.spec import (
    Measurement,
    Point,
    Sweep,
    Verdict,
    difference,
    find,
    in_words,
    measured,
)
from sweeps.evidence.training import train
from sweeps.plan import Trial, stack
from sweeps.study import Study

PAPER = "Dabney, Ostrovski, Silver, Munos 2018, arXiv 1806.06923"
# What gambles pay, each with probabilities 1/4, 1/2, 1/4: the greater the mean, the greater the
# loss in the worst case.
GAMBLES = np.array([[1.0, 1.0, 1.0], [0.0, 2.0, 2.0], [-3.0, 3.0, 5.0]])
CHANCES = np.array([0.25, 0.5, 0.25])
SEEDS = 10
POLICIES: tuple[tuple[risk.Risk, tuple[float, ...]], ...] = (
    ("neutral", (0.0,)),
    ("cvar", (0.25, 0.7)),
    ("wang", (-0.75, 0.75)),
    ("power", (-2.0, 2.0)),
    ("cpw", (0.71,)),
)


def cartpole() -> Study:
    """The curve on CartPole."""
    return Study("iqn", "gymnax/CartPole-v1", seeds=5, set={"learning_rate": 1e-3})


def against_dqn() -> Study:
    """IQN and DQN with the same preset for MinAtar."""
    return Study(
        ["iqn", "dqn"],
        "gymnax/Breakout-MinAtar",
        preset="minatar",
        seeds=3,
        set={"total_timesteps": 150_000, "epsilon_fraction": 0.3},
    )


def judge_against_dqn(points: list[Point]) -> Verdict:
    """The paired difference of the returns."""
    ours, dqn = (find(points, algorithm=name) for name in ("iqn", "dqn"))
    mean, low, high = difference(ours, dqn)
    summary = f"IQN {in_words(ours)}, DQN {in_words(dqn)}; IQN - DQN {mean:+.1f}"
    return Verdict("reproduced" if low > 0 else "not", f"{summary} [{low:.1f}, {high:.1f}]")


def gambles() -> Task:
    """One choice between the gambles, then the episode ends."""
    pays = np.unique(GAMBLES)
    states, actions = 1 + len(pays), len(GAMBLES)
    transition = np.zeros((states, actions, states))
    for action, pay in enumerate(GAMBLES):
        np.add.at(transition[0, action], 1 + np.searchsorted(pays, pay), CHANCES)
    transition[1:, :, 0] = 1.0  # replaced: these states are terminal
    reward = np.broadcast_to(np.concatenate([[0.0], pays]), transition.shape)
    terminal = np.arange(states) > 0
    mdp = from_arrays(transition, reward, np.eye(states)[0], gamma=0.99, terminal=terminal)
    return Task(TabularEnv("gambles", mdp), mdp)


def exact_values(name: risk.Risk, eta: float) -> np.ndarray:
    """Distorted expectations of the gambles, (3,)."""
    fraction = np.asarray(risk.distort(risk.fractions(100_000), name, eta))
    return GAMBLES[:, np.digitize(fraction, np.cumsum(CHANCES)[:-1])].mean(axis=1)


def measure_gambles() -> tuple[list[dict[str, Any]], Verdict]:
    """Train a policy of each kind, with several seeds, and see which gamble it takes."""
    rows = [row for name, etas in POLICIES for row in chosen(name, etas)]
    agree = [row["agree"] for row in rows]
    outcome = "reproduced" if min(agree) >= 0.9 else "partly" if np.mean(agree) > 0.5 else "not"
    texts = [f"{r['risk']} {r['eta']}: {r['best']}, {r['agree']:.0%}" for r in rows]
    return rows, Verdict(outcome, f"best gamble, and seeds that take it: {'; '.join(texts)}")


def chosen(name: risk.Risk, etas: tuple[float, ...]) -> list[dict[str, Any]]:
    """Rows of one distortion: its levels and all seeds are one program."""
    task = gambles()
    config = iqn.Config(
        network="mlp", learning_rate=1e-3, kappa=0.1, risk=name, total_timesteps=20_480
    )
    trials = [Trial(seed, replace(config, eta=eta)) for eta in etas for seed in range(SEEDS)]
    states, _ = train(iqn, trials, task)
    _, stacked = stack(trials)
    first = jnp.eye(task.env.num_states)[:1]

    def values(params, config):
        return iqn.values(params, first, config, task)[0]

    found = np.asarray(jax.vmap(values)(states.learner.params, stacked))
    found = found.reshape(len(etas), SEEDS, -1)
    rows = []
    for eta, value in zip(etas, found):
        exact = exact_values(name, eta)
        best = int(np.argmax(exact))
        agree = float(np.mean(np.argmax(value, axis=1) == best))
        rows.append(
            {
                "risk": name,
                "eta": eta,
                "best": best,
                "agree": agree,
                "exact": np.round(exact, 3).tolist(),
                "learned": np.round(value.mean(axis=0), 3).tolist(),
            }
        )
    return rows


EXPERIMENTS = (
    Sweep("cartpole", PAPER, "learning curve", cartpole, measured),
    Measurement(
        "gambles",
        PAPER,
        "distorted fractions give policies that are averse to risk, or seek it, as chosen",
        "three gambles",
        measure_gambles,
        where="risk",
    ),
    Sweep(
        "against-dqn",
        PAPER,
        "quantiles of returns give higher returns than learning their mean",
        against_dqn,
        judge_against_dqn,
    ),
)
