"""MEow: against SAC, its learned shifts, and policies of several modes."""

from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from algorithms import meow
from sweeps import space
from sweeps.evidence.spec import (
    Measurement,
    Point,
    Sweep,
    Verdict,
    difference,
    find,
    in_words,
    interval,
)
from sweeps.study import Objective, Study

PAPER = "Chao et al. 2024, arXiv 2405.13629"
LAST = Objective("return", "max", 0.2)
PENDULUM = "gymnax/Pendulum-v1"
SMALL = {"network": "mlp", "batch_size": 64, "total_timesteps": 15_360}
# Of about 1400 that there is to gain on Pendulum.
MARGIN = 70.0
LEARNED = -400.0  # of Pendulum: random actions have about -1,230


def against_sac() -> Study:
    """MEow and SAC, each with its own preset."""
    return Study(["meow", "sac"], PENDULUM, seeds=5, set=SMALL, objective=LAST)


def judge_against_sac(points: list[Point]) -> Verdict:
    """Whether MEow is as good, up to a margin of 5 % of what there is to gain."""
    ours, sac = (find(points, algorithm=name) for name in ("meow", "sac"))
    mean, low, high = difference(ours, sac)
    learned = interval(ours.scores)[0] > LEARNED
    outcome = "reproduced" if learned and low > -MARGIN else "not"
    summary = f"MEow {in_words(ours, 0)}, SAC {in_words(sac, 0)}; MEow - SAC {mean:+.0f}"
    return Verdict(outcome, f"{summary} [{low:+.0f}, {high:+.0f}], margin {MARGIN:.0f}")


def shifts() -> Study:
    """No learned shift, one (LRS), and the smaller of two (SCDQ)."""
    return Study(
        "meow",
        PENDULUM,
        seeds=5,
        set=SMALL,
        space={"num_shifts": space.choice(0, 1, 2)},
        objective=LAST,
    )


def judge_shifts(points: list[Point]) -> Verdict:
    """Whether the first shift helps, and the second one too."""
    none, one, two = (find(points, num_shifts=number) for number in (0, 1, 2))
    first, second = difference(one, none, 2), difference(two, one, 2)
    helped = [low > 0.0 for _, low, _ in (first, second)]
    outcome = "reproduced" if all(helped) else "partly" if any(helped) else "not"
    text = ", ".join(f"{p.values['num_shifts']}: {in_words(p, 0)}" for p in (none, one, two))
    changes = ", ".join(
        f"{mean:+.0f} [{low:+.0f}, {high:+.0f}]" for mean, low, high in (first, second)
    )
    return Verdict(outcome, f"return with shifts {text}; changes {changes}")


# --- Modes ----------------------------------------------------------------------------------------

GOALS = np.array([[0.6, 0.0], [-0.6, 0.0], [0.0, 0.6], [0.0, -0.6]])
SEEDS, UPDATES, BATCH, SAMPLES = 3, 3000, 128, 4000
# Rewards fall by SLOPE per unit of distance from the nearest goal.
SLOPE, RADIUS = 2.0, 0.3


def modes() -> tuple[list[dict[str, Any]], Verdict]:
    """A decision of one step with four goals, by the algorithm's loss on uniform actions."""
    exact = shares(exact_samples())
    rows = [{"coupling": "exact policy", "least": exact.min(), "near": exact.sum()}]
    least = {}
    for coupling in ("additive", "affine"):
        config = meow.Config(network="mlp", coupling=coupling, num_couplings=6, num_shifts=1)
        keys = jax.random.split(jax.random.key(0), SEEDS)
        actions = np.asarray(jax.jit(jax.vmap(lambda key, c=config: fit(key, c)))(keys))
        found = np.array([shares(samples) for samples in actions])
        least[coupling] = found.min(axis=1)
        rows.append(
            {
                "coupling": coupling,
                "least": float(found.min(axis=1).mean()),
                "near": float(found.sum(axis=1).mean()),
            }
        )
    half = exact.min() / 2.0
    low, high = interval(least["affine"])
    more = interval(least["affine"] - least["additive"])
    outcome = "reproduced" if low > half and more[0] > 0.0 else "not"
    text = f"actions at the rarest of 4 goals: affine {least['affine'].mean():.3f}"
    text += f" [{low:.3f}, {high:.3f}], additive {least['additive'].mean():.3f}, difference"
    text += f" [{more[0]:+.3f}, {more[1]:+.3f}],"
    text += f" exact policy {exact.min():.3f}; near any goal"
    near = ", ".join(f"{row['coupling']} {row['near']:.2f}" for row in rows)
    return rows, Verdict(outcome, f"{text} {near}")


def pay(action: jax.Array) -> jax.Array:
    """Rewards float32 (B,) of actions (B, 2)."""
    distance = jnp.linalg.norm(action[:, None] - jnp.asarray(GOALS, jnp.float32), axis=-1)
    return -SLOPE * jnp.min(distance, axis=1)


def fit(key: jax.Array, config: meow.Config) -> jax.Array:
    """Train a flow on the rewards; actions of its policy, float32 (SAMPLES, 2)."""
    init_key, fit_key, sample_key = jax.random.split(key, 3)
    task: Any = SimpleNamespace(observation_shape=(1,), action_size=2)
    flow = meow.init_flow(init_key, config, task)
    rate = optax.cosine_decay_schedule(config.learning_rate, UPDATES)
    adam = optax.chain(optax.clip_by_global_norm(config.max_grad_norm), optax.adam(rate))
    seen = jnp.zeros((BATCH, 1))

    def step(carry, key):
        flow, optimiser = carry
        action = jax.random.uniform(key, (BATCH, 2), minval=-1.0)
        gradient, _ = jax.grad(meow.loss, has_aux=True)(flow, seen, action, pay(action), config)
        change, optimiser = adam.update(gradient, optimiser)
        return (optax.apply_updates(flow, change), optimiser), None

    carry = (flow, adam.init(flow))
    flow = jax.lax.scan(step, carry, jax.random.split(fit_key, UPDATES))[0][0]
    noise = jax.random.normal(sample_key, (SAMPLES, 2))
    return meow.generate(flow, jnp.zeros((SAMPLES, 1)), noise, config)


def exact_samples() -> np.ndarray:
    """Actions of the policy exp(r / alpha) / Z, drawn from a grid."""
    side = np.linspace(-1.0, 1.0, 201)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    weight = np.exp(
        np.asarray(pay(jnp.asarray(grid, jnp.float32)), np.float64) / meow.Config().alpha
    )
    rng = np.random.default_rng(0)
    return grid[rng.choice(len(grid), SAMPLES, p=weight / weight.sum())]


def shares(actions: np.ndarray) -> np.ndarray:
    """Shares of actions within RADIUS of every goal."""
    distance = np.linalg.norm(actions[:, None] - GOALS, axis=-1)
    return np.mean(distance < RADIUS, axis=0)


EXPERIMENTS = (
    Sweep(
        "pendulum",
        PAPER,
        "one model and one loss are as good as SAC's actor and critics",
        against_sac,
        judge_against_sac,
    ),
    Sweep(
        "shifts",
        PAPER,
        "learned reward shifting helps, and clipped double values by a second shift help again",
        shifts,
        judge_shifts,
        "num_shifts",
    ),
    Measurement(
        "modes",
        PAPER,
        "the policy may have several modes",
        "one step, four goals on a square",
        modes,
        'coupling="affine"',
    ),
)
