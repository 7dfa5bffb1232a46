"""TD3: over-estimation against true returns, and what its options claim."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from algorithms import td3
from algorithms.common.task import Task
from sweeps import engine, plan, space
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
from sweeps.evidence.training import SETTLES, raised_pendulum
from sweeps.study import Objective, Study

PAPER = "Fujimoto, van Hoof, Meger 2018, arXiv 1802.09477"
PENDULUM = "gymnax/Pendulum-v1"
WHOLE = Objective("return", "max", 1.0)  # the mean over the run: how fast it learns
FAST: dict[str, Any] = {
    "learning_rate": 2e-3,
    "learning_starts": 500,
    "batch_size": 64,
    "total_timesteps": 15_360,
}

ALIKE = 100.0  # on Pendulum, where random actions have -1,230 and good ones -150

# Over-estimation.
ARMS: dict[str, dict[str, Any]] = {
    "TD3": {},
    "one critic": {"num_critics": 1},
    "DDPG": {"num_critics": 1, "policy_delay": 1, "target_noise": 0.0},
}
SEEDS = 5
PARTS = 6  # measurements in a run
SETTLED = 4  # those that do not count
STATES = 64  # whose values are compared
HORIZON = 200  # steps of a true return: what follows weighs 0.9 ** 200 = 7e-10
# Shares of the batch that are transformed, and of the goals that are reached.
REACHED = (0.0, 0.25)
COEFFICIENTS = (1e-4, 1e-3, 1e-2)


def pendulum() -> Study:
    """The curve with the preset."""
    return Study("td3", PENDULUM, seeds=5, objective=Objective("return", "max", 0.2))


def components() -> Study:
    """The three parts of TD3, each left out."""
    return Study(
        "td3",
        PENDULUM,
        seeds=6,
        set=FAST,
        space={
            "num_critics": space.choice(1, 2),
            "policy_delay": space.choice(1, 2),
            "target_noise": space.choice(0.0, 0.2),
        },
        objective=Objective("return", "max", 0.3),
    )


def judge_components(points: list[Point]) -> Verdict:
    """Whether TD3 is better than with none of its parts, and not worse than without one of them
    by a tenth of what there is to learn ("partly": only the first)."""
    full = find(points, num_critics=2, policy_delay=2, target_noise=0.2)
    without = {
        "one critic": find(points, num_critics=1, policy_delay=2, target_noise=0.2),
        "no delay": find(points, num_critics=2, policy_delay=1, target_noise=0.2),
        "no smoothing": find(points, num_critics=2, policy_delay=2, target_noise=0.0),
        "none of them": find(points, num_critics=1, policy_delay=1, target_noise=0.0),
    }
    gains = {name: difference(full, point) for name, point in without.items()}
    helped = gains["none of them"][1] > 0.0
    kept = all(low > -ALIKE for _, low, _ in gains.values())
    outcome = "reproduced" if helped and kept else "partly" if helped else "not"
    return Verdict(outcome, f"return {in_words(full, 0)}, more than with {in_list(gains, 0)}")


def in_list(gains: dict[str, tuple[float, float, float]], digits: int) -> str:
    """Differences by name, with intervals."""
    texts = [
        f"{name} {mean:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"
        for name, (mean, low, high) in gains.items()
    ]
    return ", ".join(texts)


# --- Over-estimation ------------------------------------------------------------------------------


def overestimation() -> tuple[list[dict[str, Any]], Verdict]:
    """Value minus true discounted return of the greedy policy, over the run, by arm.

    On rewards with which critics start near the truth, see :class:`training.RaisedPendulum`; what
    is left of that is a matter of the first two thirds of the training, the last one counts.
    """
    task = raised_pendulum()
    rows, points = [], {}
    for name, options in ARMS.items():
        config = td3.Config(**{**FAST, **SETTLES, **options, "total_timesteps": 30_720})
        # Targets move with the actor.
        config = replace(config, tau=config.tau * config.policy_delay)
        steps, excess = excesses(config, task)
        points[name] = Point({"arm": name}, excess[:, SETTLED:].mean(axis=1))
        for part, step in enumerate(steps):
            low, high = interval(excess[:, part])
            mean = float(excess[:, part].mean())
            rows.append({"arm": name, "step": step, "score": mean, "low": low, "high": high})
    gains = {name: difference(points[name], points["TD3"], 2) for name in list(ARMS)[1:]}
    level = 1 - 0.05 / len(gains)
    holds = [low > 0.0 < interval(points[n].scores, level)[0] for n, (_, low, _) in gains.items()]
    outcome = "reproduced" if all(holds) else "partly" if any(holds) else "not"
    texts = [f"{name} {in_words(point, 2)}" for name, point in points.items()]
    return rows, Verdict(
        outcome,
        f"value minus return in the last third: {', '.join(texts)}; "
        f"more than TD3: {in_list(gains, 2)}",
    )


def excesses(config: td3.Config, task: Task) -> tuple[list[int], np.ndarray]:
    """Environment steps and, float64 (SEEDS, PARTS), mean value minus mean return."""
    keys, stacked = plan.stack([plan.Trial(seed, config) for seed in range(SEEDS)])
    group = engine.Group(keys, stacked, None)
    states = engine.initialise(td3, group, task)
    part = config.num_updates // PARTS
    measure = jax.jit(jax.vmap(excess_of, (0, 0, None, None)))
    steps, found = [], []
    for number in range(PARTS):
        states, _ = engine.advance(td3, states, group, task, part, "vmap", part)
        keys = jax.random.split(jax.random.key(number), SEEDS)
        found.append(np.asarray(measure(states.learner, keys, config, task), np.float64))
        steps.append((number + 1) * part * config.steps_per_update)
    return steps, np.stack(found, axis=1)


def excess_of(learner: td3.Learner, key: jax.Array, config: td3.Config, task: Task) -> jax.Array:
    """Mean over states that the acting policy visits, float32 (), on Pendulum, which never ends."""
    start_key, time_key, noise_key = jax.random.split(key, 3)
    seen, state = task.reset(start_key, STATES)
    time = jax.random.randint(time_key, (STATES, 1), 0, 200)

    def walk(carry: Any, inputs: Any) -> tuple[Any, None]:
        seen, state = carry
        key, now = inputs
        action = td3.actions(learner.actor, seen, config)
        action = td3.noisy(key, action, config.exploration_noise)
        after, new, _ = step(state, action, task)
        moves = now < time
        state = jax.tree.map(lambda x, y: jnp.where(moves[:, 0], x, y), new, state)
        return (jnp.where(moves, after, seen), state), None

    keys = jax.random.split(noise_key, 200)
    (seen, state), _ = jax.lax.scan(walk, (seen, state), (keys, jnp.arange(200)))
    value = td3.values(learner.critic, seen, td3.actions(learner.actor, seen, config), config)[0]

    def follow(carry: Any, power: jax.Array) -> tuple[Any, jax.Array]:
        seen, state = carry
        seen, state, reward = step(state, td3.actions(learner.actor, seen, config), task)
        return (seen, state), config.gamma**power * reward

    _, rewards = jax.lax.scan(follow, (seen, state), jnp.arange(HORIZON, dtype=jnp.float32))
    return jnp.mean(value - jnp.sum(rewards, axis=0))


def step(state: Any, action: jax.Array, task: Task) -> tuple[jax.Array, Any, jax.Array]:
    """Observations, states and rewards after one step of Pendulum, without time limit."""
    one: Callable[..., Any] = jax.vmap(task.env.step_env, (None, 0, 0, None))
    seen, state, reward, *_ = one(jax.random.key(0), state, task.to_box(action), task.params)
    return seen, state, reward


# --- Options --------------------------------------------------------------------------------------


def annealing() -> Study:
    """The expectile at the start and at the end of the run."""
    return Study(
        "td3",
        PENDULUM,
        seeds=8,
        set=FAST,
        space={
            "expectile_start": space.choice(0.5, 0.9),
            "expectile_end": space.choice(0.5, 0.9),
        },
        objective=WHOLE,
    )


def judge_annealing(points: list[Point]) -> Verdict:
    """Whether falling from 0.9 to 0.5 learns faster than staying at either."""
    annealed = find(points, expectile_start=0.9, expectile_end=0.5)
    others = {
        "0.5 throughout": find(points, expectile_start=0.5, expectile_end=0.5),
        "0.9 throughout": find(points, expectile_start=0.9, expectile_end=0.9),
        "0.5 to 0.9": find(points, expectile_start=0.5, expectile_end=0.9),
    }
    changes = {name: difference(annealed, point, 2) for name, point in others.items()}
    better = [changes[name][1] > 0.0 for name in ("0.5 throughout", "0.9 throughout")]
    outcome = "reproduced" if all(better) else "partly" if any(better) else "not"
    return Verdict(
        outcome,
        f"mean return of the run, 0.9 to 0.5: {in_words(annealed, 0)}, "
        f"more than with {in_list(changes, 0)}",
    )


def goals() -> Study:
    """Other goals in a maze with a sparse reward."""
    return Study(
        "td3",
        "mjx/maze-small",
        seeds=6,
        set={
            "learning_rate": 1e-3,
            "learning_starts": 1000,
            "batch_size": 64,
            "exploration_noise": 0.3,
            "total_timesteps": 30_720,
        },
        space={
            "augment": space.choice("none", "goal"),
            "augment_reached": space.conditional(
                space.choice(*REACHED), when={"augment": ["goal"]}
            ),
        },
        objective=Objective("success", "max", 1.0),
    )


def judge_goals(points: list[Point]) -> Verdict:
    """Whether other goals help, and whether more rewards among them add little to that."""
    none = find(points, augment="none")
    cover, dense = (find(points, augment="goal", augment_reached=share) for share in REACHED)
    gain, more = difference(cover, none), difference(dense, cover)
    excess = interval((cover.scores - none.scores) - (dense.scores - cover.scores))
    outcome = "not"
    if gain[1] > 0.0:
        outcome = "reproduced" if excess[0] > 0.0 else "partly"
    changes = {"other goals minus none": gain, "a quarter of them reached minus that": more}
    return Verdict(
        outcome,
        f"episodes of the run that succeed: {in_words(none, 2)}; {in_list(changes, 2)}; the first "
        f"minus the second [{excess[0]:+.2f}, {excess[1]:+.2f}]",
    )


def mirror() -> Study:
    """Mirror images of transitions."""
    return Study(
        "td3",
        PENDULUM,
        seeds=8,
        set=FAST,
        space={"augment": space.choice("none", "mirror")},
        objective=WHOLE,
    )


def judge_mirror(points: list[Point]) -> Verdict:
    """Whether mirror images make learning faster."""
    none, both = find(points, augment="none"), find(points, augment="mirror")
    mean, low, high = difference(both, none)
    outcome = "reproduced" if low > 0.0 else "not"
    text = f"mean return of the run {in_words(none, 0)} without, {in_words(both, 0)} with"
    return Verdict(outcome, f"{text}, difference {mean:+.0f} [{low:+.0f}, {high:+.0f}]")


def rank() -> Study:
    """The rank regulariser."""
    return Study(
        "td3",
        PENDULUM,
        seeds=8,
        set={**FAST, "beer": True},
        space={"beer_coef": space.choice(0.0, *COEFFICIENTS)},
        objective=WHOLE,
    )


def judge_rank(points: list[Point]) -> Verdict:
    """Whether most weights help, or one of them."""
    none = find(points, beer_coef=0.0)
    gains = {f"{c:g}": difference(find(points, beer_coef=c), none, 3) for c in COEFFICIENTS}
    helpful = sum(low > 0.0 for _, low, _ in gains.values())
    outcome = "reproduced" if helpful > 1 else "partly" if helpful else "not"
    return Verdict(
        outcome,
        f"mean return of the run {in_words(none, 0)} without, change with {in_list(gains, 0)}",
    )


EXPERIMENTS = (
    Sweep("pendulum", PAPER, "learning curve", pendulum, measured),
    Measurement(
        "overestimation",
        PAPER,
        "a single critic over-estimates the return of its policy, the smaller of two does less",
        f"{PENDULUM}, rewards raised",
        overestimation,
        "num_critics, policy_delay, target_noise",
    ),
    Sweep(
        "components",
        PAPER,
        "two critics, the delay and the smoothing together are better than none of them",
        components,
        judge_components,
        "num_critics, policy_delay, target_noise",
    ),
    Sweep(
        "annealing",
        "Omura et al. 2025, arXiv 2506.05968",
        "going from the optimality operator to the Bellman operator learns faster than either",
        annealing,
        judge_annealing,
        "expectile_start, expectile_end",
    ),
    Sweep(
        "goals",
        "Corrado and Hanna 2024, arXiv 2310.17786",
        "augmentation helps on a sparse reward, more by what it covers than by more rewards",
        goals,
        judge_goals,
        'augment="goal", augment_reached',
    ),
    Sweep(
        "mirror",
        "Corrado and Hanna 2024, arXiv 2310.17786",
        "transitions that obey the same dynamics make learning faster",
        mirror,
        judge_mirror,
        'augment="mirror"',
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
