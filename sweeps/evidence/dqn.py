"""DQN: learning curves, and what its options claim."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from algorithms import dqn
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
from sweeps.study import Objective, Study

LAST = Objective("return", "max", 0.2)
CARTPOLE = {"learning_rate": 1e-3, "network": "mlp", "total_timesteps": 102_400}


def cartpole() -> Study:
    """Double estimation and n-step returns on CartPole."""
    return Study(
        "dqn",
        "gymnax/CartPole-v1",
        seeds=5,
        set=CARTPOLE,
        space={"double": space.choice(False, True), "n_step": space.choice(1, 3)},
        objective=LAST,
    )


def breakout() -> Study:
    """MinAtar's Breakout with the preset."""
    return Study(
        "dqn",
        "gymnax/Breakout-MinAtar",
        preset="minatar",
        seeds=3,
        set={"total_timesteps": 400_000},
        objective=LAST,
    )


def discounts() -> Study:
    """A chain whose only reward lies at its far end, over discounts."""
    return Study(
        "dqn",
        "tabular/chain",
        task={"length": 24},
        seeds=5,
        set={
            "total_timesteps": 102_400,
            "env.max_steps_in_episode": 300,
            "network": "mlp",
            "learning_rate": 1e-3,
            "channels": "sign",
            "target_interval": 50,
            "map_offset": 1e-7,
        },
        space={
            "mappings": space.choice("identity", "log"),
            "gamma": space.choice(0.3, 0.5, 0.7, 0.9, 0.99),
        },
        objective=LAST,
    )


def judge_discounts(points: list[Point]) -> Verdict:
    """Whether the mapping helps where the discount is low and does no harm where it is high."""
    gains = {}
    for gamma in (0.3, 0.5, 0.7, 0.99):
        log = find(points, mappings="log", gamma=gamma)
        gains[gamma] = difference(log, find(points, mappings="identity", gamma=gamma), 3)
    texts = [
        f"gamma {g}: {m:+.2f} [{low:+.2f}, {high:+.2f}]" for g, (m, low, high) in gains.items()
    ]
    low_gammas = gains[0.5][1] > 0.0 and gains[0.7][1] > 0.0
    harmless = gains[0.99][2] >= 0.0
    some = any(gains[gamma][1] > 0.0 for gamma in (0.3, 0.5, 0.7))
    outcome = "reproduced" if low_gammas and harmless else "partly" if some else "not"
    return Verdict(outcome, "return with log minus without, " + ", ".join(texts))


def shifts() -> Study:
    """Deep sea, where the reward lies behind a sequence of costly moves."""
    return Study(
        "dqn",
        "tabular/deep-sea",
        seeds=10,
        set={
            "total_timesteps": 51_200,
            "network": "mlp",
            "learning_rate": 1e-3,
            "epsilon_end": 0.01,
            "epsilon_fraction": 0.1,
        },
        space={"reward_shift": space.choice(-0.5, -0.1, 0.0, 0.1, 0.5)},
        objective=LAST,
    )


def judge_shifts(points: list[Point]) -> Verdict:
    """Whether negative shifts explore more, and positive ones less."""
    none = find(points, reward_shift=0.0)
    texts = [f"{p.values['reward_shift']:+}: {in_words(p, 2)}" for p in points]
    down = max(difference(find(points, reward_shift=b), none, 4)[1] for b in (-0.5, -0.1))
    up = min(difference(find(points, reward_shift=b), none, 4)[2] for b in (0.1, 0.5))
    outcome = "reproduced" if down > 0.0 and up <= 0.0 else "partly" if down > 0.0 else "not"
    return Verdict(outcome, "return at shift " + ", ".join(texts))


def risk() -> tuple[list[dict[str, Any]], Verdict]:
    """Certainty equivalents of normal returns, by stochastic gradients; divergence counts as 10."""
    rows = []
    for aversion in (0.5, 1.0, 2.0, 4.0):
        config = dqn.Config(loss="itakura-saito", risk_aversion=aversion)
        losses = {
            "itakura-saito": lambda v, y, c=config: dqn.elementwise_loss(v - y, c),
            "exponential": lambda v, y, a=aversion: (jnp.exp(-a * v) - jnp.exp(-a * y)) ** 2 / a**2,
        }
        for name, loss in losses.items():
            errors = np.abs(_fit(loss) + aversion / 2.0)
            rows.append({"aversion": aversion, "loss": name, "error": float(errors.mean())})
    worse = [_error(rows, a, "exponential") > _error(rows, a, "itakura-saito") for a in (1, 2, 4)]
    accurate = all(_error(rows, a, "itakura-saito") < 0.1 for a in (0.5, 1.0, 2.0))
    texts = []
    for a in (0.5, 1.0, 2.0, 4.0):
        errors = [_error(rows, a, loss) for loss in ("itakura-saito", "exponential")]
        texts.append(f"a {a}: {errors[0]:.3f} against {errors[1]:.3f}")
    outcome = "reproduced" if all(worse) and accurate else "partly" if any(worse) else "not"
    return rows, Verdict(
        outcome, "error of the value, whose exact one is -a/2: " + ", ".join(texts)
    )


def _fit(loss: Any) -> np.ndarray:
    """Values of 32 runs after 3000 gradient steps on standard normal returns, from -2 to 2."""

    def run(key: jax.Array, start: jax.Array) -> jax.Array:
        def step(value: jax.Array, inputs: Any) -> Any:
            key, rate = inputs
            y = jax.random.normal(key, (64,))
            return value - rate * jax.grad(lambda v: jnp.mean(loss(v, y)))(value), None

        rates = jnp.linspace(0.1, 0.0, 3000)
        return jax.lax.scan(step, start, (jax.random.split(key, 3000), rates))[0]

    keys = jax.random.split(jax.random.key(0), 32)
    found = jax.jit(jax.vmap(run))(keys, jnp.linspace(-2.0, 2.0, 32))
    return np.nan_to_num(np.asarray(found), nan=10.0, posinf=10.0, neginf=10.0).clip(-10.0, 10.0)


def _error(rows: list[dict[str, Any]], aversion: float, loss: str) -> float:
    return next(r["error"] for r in rows if r["aversion"] == aversion and r["loss"] == loss)


def fruits() -> Study:
    """Fruits to collect: one head, or one per fruit with joint targets or its own."""
    return Study(
        "dqn",
        "grid/fruits",
        preset="minatar",
        seeds=3,
        set={"total_timesteps": 150_016, "gamma": 0.95, "learning_starts": 2000},
        space={
            "channels": space.choice("one", "vector"),
            "own_targets": space.conditional(
                space.choice(False, True), when={"channels": ["vector"]}
            ),
        },
        objective=LAST,
    )


def judge_fruits(points: list[Point]) -> Verdict:
    """Whether heads with targets of their own beat one head."""
    one, own = find(points, channels="one"), find(points, channels="vector", own_targets=True)
    joint = find(points, channels="vector", own_targets=False)
    mean, low, high = difference(own, one)
    outcome = "reproduced" if low > 0.0 else "not"
    text = f"one head {in_words(one, 2)}, heads with joint targets {in_words(joint, 2)}, with their"
    return Verdict(
        outcome, f"{text} own {in_words(own, 2)}; own - one {mean:+.2f} [{low:+.2f}, {high:+.2f}]"
    )


def rank() -> Study:
    """The rank regulariser on CartPole."""
    return Study(
        "dqn",
        "gymnax/CartPole-v1",
        seeds=8,
        set={**CARTPOLE, "beer": True},
        space={"beer_coef": space.choice(0.0, 1e-4, 1e-3, 1e-2)},
        objective=LAST,
    )


def judge_rank(points: list[Point]) -> Verdict:
    """Whether any weight helps."""
    none = find(points, beer_coef=0.0)
    gains = {c: difference(find(points, beer_coef=c), none, 3) for c in (1e-4, 1e-3, 1e-2)}
    texts = [f"{c:g}: {m:+.0f} [{low:+.0f}, {high:+.0f}]" for c, (m, low, high) in gains.items()]
    outcome = "reproduced" if any(low > 0.0 for _, low, _ in gains.values()) else "not"
    return Verdict(outcome, f"return {in_words(none, 0)} without, change with {', '.join(texts)}")


EXPERIMENTS = (
    Sweep(
        "cartpole",
        "Mnih et al. 2015; van Hasselt et al. 2016, arXiv 1509.06461",
        "learning curves with and without double estimation and 3-step returns",
        cartpole,
        measured,
        "double, n_step",
    ),
    Sweep("breakout", "Mnih et al. 2015", "learning curve on MinAtar", breakout, measured),
    Sweep(
        "log",
        "van Seijen et al. 2019, arXiv 1906.00572; Fatemi and Tavakoli 2022, arXiv 2203.07171",
        "a logarithmic mapping makes low discounts usable with function approximation",
        discounts,
        judge_discounts,
        'channels="sign", mappings="log"',
    ),
    Sweep(
        "shift",
        "Sun et al. 2022, arXiv 2209.07288",
        "a negative constant added to rewards explores more, a positive one less",
        shifts,
        judge_shifts,
        "reward_shift",
    ),
    Measurement(
        "risk",
        "Udovichenko et al. 2025, arXiv 2505.16925",
        "the Itakura-Saito loss finds certainty equivalents that exponentiated losses miss",
        "normal returns",
        risk,
        'loss="itakura-saito"',
    ),
    Sweep(
        "hybrid",
        "van Seijen et al. 2017, arXiv 1706.04208",
        "a head per reward with its own greedy target learns faster than one head",
        fruits,
        judge_fruits,
        'channels="vector", own_targets=True',
    ),
    Sweep(
        "rank",
        "He et al. 2024, arXiv 2404.12754",
        "bounding the similarity of consecutive features improves returns",
        rank,
        judge_rank,
        "beer=True, beer_coef",
    ),
)
