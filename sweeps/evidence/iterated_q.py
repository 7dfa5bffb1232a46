"""Iterated Q-networks: the length of the chain, on CartPole and for tables without exploration."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from algorithms import iterated_q
from envs import exact
from envs.tabular import TabularMDP, garnet
from sweeps import space
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
from sweeps.study import Study

PAPER = "Vincent, Palenicek, Belousov, Peters, D'Eramo 2024, arXiv 2403.02107"
CLAIM = "learning K Bellman updates at once beats one at a time (K = 1) with equally many samples"
CHAINS = (1, 2, 5, 10)
TASKS = 32  # random processes
STEPS = 4000  # gradient steps on a table
SHIFT = 200  # T
RENEW = 10  # D


def cartpole() -> Study:
    """The curve on CartPole."""
    return Study("iterated_q", "gymnax/CartPole-v1", seeds=5, set={"learning_rate": 1e-3})


def chain() -> Study:
    """The number of networks, DQN's interval of 250 steps between targets for all of them."""
    return Study(
        "iterated_q",
        "gymnax/CartPole-v1",
        seeds=8,
        set={"total_timesteps": 60_000, "network": "mlp", "batch_size": 64},
        space={"num_networks": space.choice(*CHAINS)},
    )


def judge_chain(points: list[Point]) -> Verdict:
    """Whether K = 5, the paper's choice, is better than K = 1, and 10 not worse than 1."""
    by_length = {number: find(points, num_networks=number) for number in CHAINS}
    return judge_lengths(by_length, sign=1.0)


def judge_lengths(by_length: dict[int, Point], sign: float) -> Verdict:
    """The verdict on scores, of which those with more of the sign are better."""
    gains = {k: difference(by_length[k], by_length[1], 3) for k in CHAINS[1:]}
    worst = {k: min(sign * low, sign * high) for k, (_, low, high) in gains.items()}
    helped = [k for k in worst if worst[k] > 0]
    outcome = "reproduced" if 5 in helped else "partly" if helped else "not"
    scores = ", ".join(f"K = {k}: {in_words(point, 2)}" for k, point in by_length.items())
    texts = [f"{k} - 1: {m:+.2f} [{low:.2f}, {high:.2f}]" for k, (m, low, high) in gains.items()]
    return Verdict(outcome, f"{scores}; " + ", ".join(texts))


def tables() -> tuple[list[dict], Verdict]:
    """Distance of learned tables to the optimum after equally many gradient steps."""
    keys = jax.random.split(jax.random.key(0), TASKS)
    mdps = jax.jit(jax.vmap(garnet))(keys)
    optimum = jax.jit(jax.vmap(exact.value_iteration))(mdps).q
    by_length = {}
    for length in CHAINS:
        learn = jax.jit(jax.vmap(functools.partial(learn_tables, length=length)))
        tables = learn(mdps, keys)
        gap = jnp.max(jnp.abs(tables[:, -1] - optimum), axis=(1, 2))
        by_length[length] = Point({"num_networks": length}, np.asarray(gap, np.float64))
    rows = [
        {"num_networks": k, "score": round(float(p.scores.mean()), 4)} for k, p in by_length.items()
    ]
    return rows, judge_lengths(by_length, sign=-1.0)


def learn_tables(mdp: TabularMDP, key: jax.Array, length: int) -> jax.Array:
    """Tables Q_1 ... Q_K (K, S, A) after stochastic gradient descent on uniform samples."""
    config = iterated_q.Config(target_interval=RENEW, shift_interval=SHIFT)
    shape = (mdp.num_states, mdp.num_actions)

    def step(carry, number):
        params, target = carry
        state_key, action_key, next_key = jax.random.split(jax.random.fold_in(key, number), 3)
        s = jax.random.randint(state_key, (32,), 0, shape[0])
        a = jax.random.randint(action_key, (32,), 0, shape[1])
        after = jax.random.categorical(next_key, jnp.log(mdp.P[s, a]))
        goal = mdp.reward[s, a] + mdp.gamma * jnp.max(target[:, after], axis=-1)
        params = params.at[:, s, a].add(0.05 * (goal - params[:, s, a]))
        return iterated_q.advance(params, target, number + 1, config), None

    start = jnp.zeros((length, *shape))
    (params, _), _ = jax.lax.scan(step, (start, start), jnp.arange(STEPS))
    return params


EXPERIMENTS = (
    Sweep("cartpole", PAPER, "learning curve", cartpole, measured),
    Sweep("chain", PAPER, CLAIM + ": higher returns", chain, judge_chain, where="num_networks"),
    Measurement(
        "tables",
        PAPER,
        CLAIM + f": largest error of a table after {STEPS} gradient steps, {TASKS} processes",
        "tabular/garnet",
        tables,
        where="num_networks",
    ),
)
