"""StaQ: how many Q-functions are enough, and whether performance oscillates less."""

import functools
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from algorithms import dqn, staq
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
from sweeps.evidence.training import train
from sweeps.plan import Trial, build_task
from sweeps.study import Study

PAPER = "Shilova, Davey, Driss, Akrour 2025, arXiv 2506.13862"
MEMORIES = (1, 3, 10, 30)
FAST: dict[str, Any] = {
    "learning_rate": 1e-3,
    "network": "mlp",
    "batch_size": 64,
    "total_timesteps": 60_000,
}
TASKS = 32  # random processes
ITERATIONS = 200  # of mirror descent on a table
NOISE = 0.3  # standard deviation of the errors of its values
SEEDS = 5


def cartpole() -> Study:
    """The curve on CartPole."""
    return Study("staq", "gymnax/CartPole-v1", seeds=5, set={"learning_rate": 1e-3})


def memory() -> Study:
    """The number of Q-functions in the stack."""
    return Study(
        "staq",
        "gymnax/CartPole-v1",
        seeds=5,
        set=FAST,
        space={"memory": space.choice(*MEMORIES)},
    )


def judge_memory(points: list[Point]) -> Verdict:
    """Whether some memory is better than 1, and none worse by a tenth of the highest return
    ("partly": only the first)."""
    by_memory = {number: find(points, memory=number) for number in MEMORIES}
    gains = {m: difference(by_memory[m], by_memory[1], 3) for m in MEMORIES[1:]}
    outcome = "not"
    if any(low > 0.0 for _, low, _ in gains.values()):
        kept = all(low > -50.0 for _, low, _ in gains.values())
        outcome = "reproduced" if kept else "partly"
    return Verdict(outcome, in_text(by_memory, gains, digits=1))


def in_text(points: dict[int, Point], changes: dict[int, Any], digits: int) -> str:
    """Scores by memory and their differences from memory 1."""
    scores = ", ".join(f"M = {m}: {in_words(p, digits)}" for m, p in points.items())
    texts = (
        f"{m} minus 1: {mean:+.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
        for m, (mean, low, high) in changes.items()
    )
    return f"{scores}; " + ", ".join(texts)


def tables() -> tuple[list[dict], Verdict]:
    """Oscillation of mirror descent on tables whose values are evaluated with errors."""
    keys = jax.random.split(jax.random.key(0), TASKS)
    mdps = jax.jit(jax.vmap(garnet))(keys)
    by_memory, rows = {}, []
    for size in MEMORIES:
        performance = np.asarray(
            jax.jit(jax.vmap(functools.partial(descend, size=size)))(mdps, keys), np.float64
        )[:, ITERATIONS // 2 :]
        by_memory[size] = Point({"memory": size}, performance.std(axis=1))
        rows.append(
            {
                "memory": size,
                "score": round(float(by_memory[size].scores.mean()), 5),
                "performance": round(float(performance.mean()), 4),
            }
        )
    changes = {m: difference(by_memory[m], by_memory[1], 3) for m in MEMORIES[1:]}
    less = [high < 0 for _, _, high in changes.values()]
    better = rows[-1]["performance"] >= rows[0]["performance"]
    outcome = "reproduced" if all(less) and better else "partly" if any(less) else "not"
    means = ", ".join(str(row["performance"]) for row in rows)
    text = in_text(by_memory, changes, digits=4)
    return rows, Verdict(outcome, f"standard deviation {text}; mean performance {means}")


def descend(mdp: TabularMDP, key: jax.Array, size: int) -> jax.Array:
    """Performance (ITERATIONS,) of the policies of a stack of tables with errors."""
    config = staq.Config(memory=size, temperature=0.02, kl_weight=0.18)
    shape = mdp.reward.shape

    def step(stack, count):
        policy = jax.nn.softmax(jnp.tensordot(staq.weights(count, config), stack, 1))
        values = exact.regularised_evaluation(mdp, policy, config.temperature)
        error = NOISE * jax.random.normal(jax.random.fold_in(key, count), shape)
        stack = staq.push(stack, values.q + error, count, jnp.bool_(True))
        return stack, exact.policy_evaluation(mdp, policy).performance

    start = jnp.zeros((size, *shape))
    return jax.lax.scan(step, start, jnp.arange(ITERATIONS))[1]


def oscillation() -> tuple[list[dict], Verdict]:
    """Changes of the return from update to update in the second half of runs of StaQ and DQN."""
    arms: dict[str, tuple[ModuleType, Any]] = {
        "staq, M = 1": (staq, staq.Config(memory=1, **FAST)),
        "staq, M = 10": (staq, staq.Config(memory=10, **FAST)),
        "dqn": (dqn, dqn.Config(**FAST)),
    }
    points, rows = {}, []
    for name, (module, config) in arms.items():
        returns = returns_of(module, config)
        half = returns[:, returns.shape[1] // 2 :]
        points[name] = Point({"arm": name}, np.array([roughness(one) for one in half]))
        rows.append(
            {
                "arm": name,
                "score": round(float(points[name].scores.mean()), 4),
                "return": round(float(np.nanmean(half)), 1),
            }
        )
    long = points["staq, M = 10"]
    changes = {n: difference(long, points[n], 2) for n in ("staq, M = 1", "dqn")}
    less = [high < 0 for _, _, high in changes.values()]
    outcome = "reproduced" if all(less) else "partly" if any(less) else "not"
    scores = ", ".join(f"{n}: {in_words(p, 3)}" for n, p in points.items())
    texts = [f"M = 10 minus {n} {m:+.3f} [{a:.3f}, {b:.3f}]" for n, (m, a, b) in changes.items()]
    returns_text = ", ".join(str(row["return"]) for row in rows)
    return rows, Verdict(outcome, f"{scores}; {', '.join(texts)}; mean returns {returns_text}")


def roughness(returns: np.ndarray) -> float:
    """Mean absolute change between successive returns, relative to their mean; NaN are left out."""
    found = returns[~np.isnan(returns)].astype(np.float64)
    return float(np.mean(np.abs(np.diff(found))) / np.mean(found))


def returns_of(algorithm: ModuleType, config: Any) -> np.ndarray:
    """Returns (seeds, updates) of whole runs on CartPole."""
    trials = [Trial(seed, config) for seed in range(SEEDS)]
    return train(algorithm, trials, build_task({"env": "gymnax/CartPole-v1"}))[1]["return"]


EXPERIMENTS = (
    Sweep("cartpole", PAPER, "learning curve", cartpole, measured),
    Sweep(
        "memory",
        PAPER,
        "a finite but large enough memory M is enough, and better than the last Q-function alone",
        memory,
        judge_memory,
        where="memory",
    ),
    Measurement(
        "tables",
        PAPER,
        f"performance of mirror descent with values in error by {NOISE} oscillates less the larger "
        f"M is, without loss, {TASKS} processes",
        "tabular/garnet",
        tables,
        where="memory",
    ),
    Measurement(
        "oscillation",
        PAPER,
        "returns change less between updates, relative to their mean, than with M = 1 and with DQN",
        "gymnax/CartPole-v1",
        oscillation,
        where="memory",
    ),
)
