"""Recurrent PPO: what it remembers, for how long, and what memory costs where it is not needed."""

from functools import partial
from typing import Any

from sweeps import space
from sweeps.evidence.spec import Point, Sweep, Verdict, difference, find, in_words, interval
from sweeps.study import Objective, Study

NI = "Ni et al. 2022, arXiv 2110.05038"
PLEINES = "Pleines et al. 2022, arXiv 2205.11104"
LAST = Objective("return", "max", 0.2)
CHAIN = "gymnax/MemoryChain-bsuite"
LENGTHS = (5, 10, 20, 40)
BITS = 3
# What both algorithms have; of CartPole's settings those of PPO's own experiments.
SHARED = {
    "learning_rate": 1e-3,
    "anneal_lr": 1.0,
    "gamma": 0.99,
    "ent_coef": 0.01,
    "anneal_ent": 0.0,
    "reward_scale": 1.0,
    "network": "mlp",
    "num_envs": 32,
    "num_steps": 64,
    "num_minibatches": 4,
    "update_epochs": 4,
    "stagger_episodes": False,
    "total_timesteps": 307_200,
}
CARTPOLE = {
    **SHARED,
    "learning_rate": 2.5e-3,
    "reward_scale": 0.1,
    "num_envs": 8,
    "num_steps": 128,
    "total_timesteps": 102_400,
}


def both(
    env: str, changes: dict[str, Any], axis: dict[str, Any], task: dict[str, Any] | None = None
) -> Study:
    """The algorithm with and without memory, everything else equal."""
    return Study(
        ["ppo_rnn", "ppo"],
        env,
        preset="state",
        task=task,
        seeds=5,
        set=changes,
        space=axis,
        objective=LAST,
    )


def compared(
    points: list[Point], comparisons: int, digits: int, **values: Any
) -> tuple[Point, Point, str]:
    """Points with memory and without, and the numbers."""
    own, other = (find(points, algorithm=name, **values) for name in ("ppo_rnn", "ppo"))
    mean, low, high = difference(own, other, comparisons)
    numbers = f"{mean:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"
    with_memory, without = (in_words(point, digits) for point in (own, other))
    return own, other, f"{with_memory}, without memory {without}, difference {numbers}"


def judge_length(points: list[Point]) -> Verdict:
    """Whether it is right nine times in ten with memory, and without it six times in ten at most,
    where guesses are right five times, at every length ("partly": at some)."""
    level = 1 - 0.05 / len(LENGTHS)
    found = [compared(points, len(LENGTHS), 2, **{"env.memory_length": n}) for n in LENGTHS]
    ends = [(interval(p.scores, level)[0], interval(q.scores, level)[1]) for p, q, _ in found]
    checks = [low > 0.8 and high < 0.2 for low, high in ends]
    outcome = "reproduced" if all(checks) else "partly" if any(checks) else "not"
    texts = [f"{n} steps: {text}" for n, (*_, text) in zip(LENGTHS, found, strict=True)]
    return Verdict(outcome, "; ".join(texts))


def judge_bits(points: list[Point]) -> Verdict:
    """Whether it is right nine times in ten ("partly": more than two cues of three give)."""
    own, _, text = compared(points, 1, 2)
    low = interval(own.scores)[0]
    return Verdict("reproduced" if low > 0.8 else "partly" if low > 2 / 3 else "not", text)


def judge_cartpole(points: list[Point]) -> Verdict:
    """Returns with and without memory; nothing is claimed."""
    return Verdict("measured", compared(points, 1, 0)[2])


EXPERIMENTS = (
    Sweep(
        "length",
        NI,
        "with a memory PPO acts on a cue after any number of steps, without one it guesses",
        partial(both, CHAIN, SHARED, {"env.memory_length": space.choice(*LENGTHS)}),
        judge_length,
    ),
    Sweep(
        "bits",
        NI,
        f"it remembers {BITS} cues, one of which it is asked for",
        partial(both, CHAIN, SHARED, {}, {"num_bits": BITS}),
        judge_bits,
    ),
    Sweep(
        "cartpole",
        PLEINES,
        "learning curve where observations tell the state, against PPO",
        partial(both, "gymnax/CartPole-v1", CARTPOLE, {}),
        judge_cartpole,
    ),
)
