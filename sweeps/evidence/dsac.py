"""DSAC and DSAC-T: the learning curve, scales of rewards, and errors of the values."""

from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from algorithms import dsac, sac
from algorithms.common import tanh_gaussian
from algorithms.common.task import Task
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
    measured,
)
from sweeps.evidence.training import SETTLES, raised_pendulum, train
from sweeps.plan import Trial
from sweeps.study import Objective, Study

FIRST = "Duan et al. 2020, arXiv 2001.02811"
SECOND = "Duan et al. 2023, arXiv 2310.05858"
LAST = Objective("return", "max", 0.2)
PENDULUM = "gymnax/Pendulum-v1"
SMALL = {"network": "mlp", "batch_size": 64, "total_timesteps": 20_480}
SCALES = (0.1, 1.0, 10.0, 100.0)
# A tenth of what there is to learn, from -1,230 to about -150; and three quarters of it.
ALIKE, LEARNED = 100.0, -400.0


def pendulum() -> Study:
    """The curve with the preset."""
    return Study("dsac", PENDULUM, seeds=5, set={"total_timesteps": 20_480}, objective=LAST)


def scales() -> Study:
    """DSAC-T, DSAC and SAC on rewards times a constant; returns are in the environment's units."""
    of_dsac = {"algorithm": ["dsac"]}
    first = {"algorithm": ["dsac"], "adjust": [False]}
    return Study(
        ["dsac", "sac"],
        PENDULUM,
        seeds=5,
        set=SMALL,
        space={
            "reward_scale": space.choice(*SCALES),
            "adjust": space.conditional(space.choice(True, False), when=of_dsac),
            # Without adjusting, without the other two refinements either: that is DSAC.
            "expected_value": space.conditional(space.choice(False), when=first),
            "num_critics": space.conditional(space.choice(1), when=first),
        },
        objective=LAST,
    )


def judge_scales(points: list[Point]) -> Verdict:
    """Whether DSAC-T learns at all scales, its worst one costing it little, and DSAC's much
    ("partly": it beats DSAC at one of them)."""
    kinds = {
        "DSAC-T": {"algorithm": "dsac", "adjust": True},
        "DSAC": {"algorithm": "dsac", "adjust": False},
        "SAC": {"algorithm": "sac"},
    }
    found = {
        kind: [find(points, reward_scale=scale, **values) for scale in SCALES]
        for kind, values in kinds.items()
    }
    texts = [f"{kind} {', '.join(in_words(p, 0) for p in own)}" for kind, own in found.items()]
    own = sorted(found["DSAC-T"], key=lambda point: point.scores.mean())
    loss, least, most = difference(own[-1], own[0])
    first = sorted(found["DSAC"], key=lambda point: point.scores.mean())
    other, other_least, other_most = difference(first[-1], first[0])
    gains = [difference(*pair, len(SCALES)) for pair in zip(found["DSAC-T"], found["DSAC"])]
    better = any(low > 0.0 for _, low, _ in gains)
    outcome = "partly" if better else "not"
    learned = interval(own[0].scores)[0] > LEARNED
    if better and learned and most < ALIKE < other_least:
        outcome = "reproduced"
    scales = ", ".join(f"{scale:g}" for scale in SCALES)
    more = ", ".join(f"{mean:+.0f} [{low:+.0f}, {high:+.0f}]" for mean, low, high in gains)
    return Verdict(
        outcome,
        f"returns at scales {scales}: {'; '.join(texts)}; DSAC-T minus DSAC {more}; best minus "
        f"worst scale of DSAC-T {loss:.0f} [{least:.0f}, {most:.0f}], of DSAC {other:.0f} "
        f"[{other_least:.0f}, {other_most:.0f}]",
    )


# --- Errors of the values -------------------------------------------------------------------------

SEEDS, ENVS, STEPS, HORIZON = 5, 32, 200, 200
# With a weight of 1, from which it is learned otherwise, soft values start at 6 and fall.
ENTROPY = {"alpha": 0.02}
AGENTS: dict[str, tuple[ModuleType, dict[str, Any]]] = {
    "SAC, one critic": (sac, {"num_critics": 1}),
    "SAC": (sac, {}),
    "DSAC": (dsac, {"num_critics": 1, "expected_value": False, "adjust": False}),
    "DSAC-T": (dsac, {}),
}


def errors() -> tuple[list[dict[str, Any]], Verdict]:
    """Learned soft values minus Monte Carlo returns, of five trainings each.

    On rewards with which critics start near the truth, see :class:`training.RaisedPendulum`.
    """
    task = raised_pendulum()
    rows, points = [], {}
    for name, (algorithm, options) in AGENTS.items():
        config = algorithm.Config(**SMALL, **SETTLES, **ENTROPY, **options)
        states, _ = train(algorithm, [Trial(seed, config) for seed in range(SEEDS)], task)
        compare = jax.vmap(lambda state, a=algorithm, c=config: error_of(a, state, c, task))
        error, value = (np.asarray(x, np.float64) for x in jax.jit(compare)(states))
        rows.append({"agent": name, "error": error.mean(), "value": value.mean()})
        points[name] = Point({"agent": name}, error)
    mean, low, high = difference(points["DSAC"], points["SAC, one critic"])
    over = interval(points["SAC, one critic"].scores)[0] > 0.0
    outcome = "reproduced" if over and high < 0.0 else "not"
    texts = ", ".join(f"{name} {in_words(point, 2)}" for name, point in points.items())
    text = f"learned minus true soft value: {texts}; DSAC minus SAC with one critic"
    return rows, Verdict(outcome, f"{text} {mean:+.2f} [{low:+.2f}, {high:+.2f}]")


def error_of(
    algorithm: ModuleType, state: Any, config: Any, task: Task
) -> tuple[jax.Array, jax.Array]:
    """Mean of Q_1(s, a) minus the soft return that follows, where the policy goes; and mean of Q_1.

    Episodes are not cut, as the values speak of what would follow; returns reach HORIZON further
    than the pairs that are compared.
    """
    learner = state.learner
    reset_key, rollout_key = jax.random.split(jax.random.key(0))
    observation, env_state = jax.vmap(task.env.reset_env, (0, None))(
        jax.random.split(reset_key, ENVS), task.params
    )

    def step(carry, key):
        observation, env_state = carry
        action_key, env_key = jax.random.split(key)
        mean, log_std = algorithm.policy_parameters(learner.actor, observation, config)
        action, log_prob = tanh_gaussian.sample(action_key, mean, log_std)
        if algorithm is dsac:
            values = dsac.returns(learner.critic, observation, action, config)[0]
        else:
            values = sac.values(learner.critic, observation, action, config)
        observation, env_state, reward = jax.vmap(task.env.step_env, (0, 0, 0, None))(
            jax.random.split(env_key, ENVS), env_state, task.to_box(action), task.params
        )[:3]
        bonus = -jnp.exp(learner.log_alpha) * log_prob
        return (observation, env_state), (values[0], reward, bonus)

    keys = jax.random.split(rollout_key, STEPS + HORIZON)
    _, (value, reward, bonus) = jax.lax.scan(step, (observation, env_state), keys)

    def back(after, inputs):
        reward, bonus = inputs
        q = reward + config.gamma * after
        return q + bonus, q

    _, true = jax.lax.scan(back, jnp.zeros(ENVS), (reward, bonus), reverse=True)
    return jnp.mean(value[:STEPS] - true[:STEPS]), jnp.mean(value[:STEPS])


EXPERIMENTS = (
    Sweep("pendulum", SECOND, "learning curve", pendulum, measured),
    Sweep(
        "scale",
        SECOND,
        "with the refinements, unlike without, it learns alike at all scales of rewards",
        scales,
        judge_scales,
        "expected_value, num_critics=2, adjust",
    ),
    Measurement(
        "over-estimation",
        FIRST,
        "a critic of the distribution over-estimates less than one of the mean",
        f"{PENDULUM}, rewards raised",
        errors,
        'preset "dsac"',
    ),
)
