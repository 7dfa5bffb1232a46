"""AVG: learning from a stream, against SAC without a buffer, and the worth of normalisations."""

from itertools import product
from types import ModuleType
from typing import Any

import numpy as np

from algorithms import avg, sac
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
from sweeps.evidence.training import train
from sweeps.plan import Trial, build_task
from sweeps.study import Study

PAPER = "Vasan, Elsayed, Azimi et al. 2024, arXiv 2411.15370"
PENDULUM = "gymnax/Pendulum-v1"
SEEDS = 8
STEPS = 100_000
RATES = (3e-4, 1e-3, 3e-3)  # step sizes, of which every arm has its best
UNTRAINED = -1232.0  # return of uniform actions on Pendulum: 4,096 episodes, standard error 4.5
FLAGS = ("normalise_observations", "normalise_features", "scale_errors")
# SAC as it learns from the newest transition alone, and with its buffer.
NO_BUFFER: dict[str, Any] = {
    "buffer_size": 1,
    "batch_size": 1,
    "num_envs": 1,
    "gradient_steps": 1,
    "rounds": 1000,
    "learning_starts": 1.0,
    "network": "mlp",
}


def pendulum() -> Study:
    """Many streams on Pendulum, each with a learner of its own."""
    return Study("avg", PENDULUM, seeds=32, set={"total_timesteps": STEPS})


def inverted_pendulum() -> Study:
    """A cart that balances a pole, with physics of Brax; episodes terminate."""
    return Study(
        "avg",
        "brax/inverted-pendulum",
        seeds=5,
        set={
            "total_timesteps": 25_000,
            "rounds": 500,
            "learning_rate": 3e-3,
            "actor_learning_rate": 1e-3,
            "alpha": 0.05,
        },
    )


def without_buffer() -> tuple[list[dict[str, Any]], Verdict]:
    """AVG and SAC on a stream, each at its best step size, and SAC with its buffer.

    AVG must have learned, and more than SAC without a buffer, which must have learned nothing,
    a tenth of what there is to learn at most ("partly": which learned less).
    """
    arms: dict[str, list[tuple[ModuleType, Any]]] = {
        "AVG": [(avg, avg.Config(total_timesteps=STEPS, learning_rate=rate)) for rate in RATES],
        "SAC, batch and buffer of 1": [
            (sac, sac.Config(total_timesteps=STEPS, learning_rate=rate, **NO_BUFFER))
            for rate in RATES
        ],
        "SAC, preset": [(sac, sac.Config(network="mlp", total_timesteps=20_480))],
    }
    points, rows = {}, []
    for name, runs in arms.items():
        scores = [last_returns(module, config) for module, config in runs]
        best = int(np.argmax([score.mean() for score in scores]))
        points[name] = Point({"arm": name}, scores[best])
        for (_, config), score in zip(runs, scores, strict=True):
            row = {"arm": name, "learning_rate": config.learning_rate}
            rows.append(
                row | {"score": round(float(score.mean()), 1), "steps": config.total_timesteps}
            )
    own, other, _ = points.values()
    mean, low, high = difference(own, other)
    outcome = "not"
    if interval(own.scores)[0] > UNTRAINED and low > 0:
        outcome = "reproduced" if interval(other.scores)[1] < UNTRAINED + 100.0 else "partly"
    text = ", ".join(f"{name} {in_words(point)}" for name, point in points.items())
    text += f"; AVG minus SAC without a buffer {mean:+.1f} [{low:+.1f}, {high:+.1f}]"
    return rows, Verdict(outcome, text)


def last_returns(algorithm: ModuleType, config: Any) -> np.ndarray:
    """Mean returns (SEEDS,) over the last fifth of runs on Pendulum."""
    trials = [Trial(seed, config) for seed in range(SEEDS)]
    _, metrics = train(algorithm, trials, build_task({"env": PENDULUM}))
    last = max(1, config.num_updates // 5)
    return np.nanmean(metrics["return"][:, -last:], axis=1)


def normalisations() -> Study:
    """All combinations of the three normalisations, over step sizes."""
    flags = {name: space.choice(True, False) for name in FLAGS}
    return Study(
        "avg",
        PENDULUM,
        seeds=5,
        set={"total_timesteps": 80_000},
        space={**flags, "learning_rate": space.choice(*RATES)},
    )


def judge_normalisations(points: list[Point]) -> Verdict:
    """Whether leaving out any of the three does harm, each combination at its best step size."""
    best = {}
    for on in product((True, False), repeat=len(FLAGS)):
        values = dict(zip(FLAGS, on, strict=True))
        rates = [find(points, **values, learning_rate=rate) for rate in RATES]
        best[on] = max(rates, key=lambda point: point.scores.mean())
    full = best[True, True, True]
    texts, harmed = [], []
    for i, name in enumerate(FLAGS):
        without = best[tuple(j != i for j in range(len(FLAGS)))]
        mean, low, high = difference(full, without, 4)
        harmed.append(low > 0)
        texts.append(f"without {name} {mean:+.1f} [{low:+.1f}, {high:+.1f}]")
    mean, low, high = difference(full, best[False, False, False], 4)
    texts.append(f"without any {mean:+.1f} [{low:+.1f}, {high:+.1f}]")
    helped = any(harmed) or low > 0
    outcome = "reproduced" if all(harmed) else "partly" if helped else "not"
    return Verdict(outcome, f"all three {in_words(full)}; more than {', '.join(texts)}")


EXPERIMENTS = (
    Sweep("pendulum", PAPER, "learning curve, 32 streams of their own", pendulum, measured),
    Sweep("inverted-pendulum", PAPER, "learning curve", inverted_pendulum, measured),
    Measurement(
        "without-buffer",
        PAPER,
        "AVG learns from a stream, where SAC with a batch and a buffer of 1 fails",
        PENDULUM,
        without_buffer,
    ),
    Sweep(
        "normalisations",
        PAPER,
        "observations, features and errors all have to be normalised",
        normalisations,
        judge_normalisations,
        where=", ".join(FLAGS),
    ),
)
