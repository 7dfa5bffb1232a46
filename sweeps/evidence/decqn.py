"""DecQN and REValueD: how coarse bins may be, ensembles over bins, and the variance of targets."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from algorithms import decqn
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

DECQN = "Seyde et al. 2023, arXiv 2210.12566"
REVALUED = "Ireland and Montana 2024, arXiv 2401.08850"
LAST = Objective("return", "max", 0.2)
COARSE = (2, 3, 5, 11)
# On Pendulum, where random actions have -1,230 and good ones -150.
ALIKE, LEARNED = 100.0, -400.0
BINS = (3, 10, 30)
CRITICS = 10
DIMENSIONS = 6
SAMPLES = 5000


def pendulum() -> Study:
    """DecQN with few and many bins."""
    return Study(
        "decqn",
        "gymnax/Pendulum-v1",
        seeds=5,
        set={"total_timesteps": 40_960, "reward_scale": 0.1, "epsilon_end": 0.05},
        space={"bins": space.choice(*COARSE)},
        objective=LAST,
    )


def judge_pendulum(points: list[Point]) -> Verdict:
    """Whether no finer grid is better than the three bins of bang-off-bang control by a tenth of
    what there is to learn ("partly": than some), and these learned."""
    three = find(points, bins=3)
    gains = {n: difference(find(points, bins=n), three) for n in COARSE if n != 3}
    finer = [gains[n] for n in COARSE if n > 3]
    as_good = [high < ALIKE for _, _, high in finer]
    outcome = "not"
    if interval(three.scores)[0] > LEARNED and any(as_good):
        outcome = "reproduced" if all(as_good) else "partly"
    scores = ", ".join(f"{n} bins {in_words(find(points, bins=n), 0)}" for n in COARSE)
    texts = [f"{n} - 3: {m:+.0f} [{low:+.0f}, {high:+.0f}]" for n, (m, low, high) in gains.items()]
    return Verdict(outcome, f"return with {scores}; {', '.join(texts)}")


def bins() -> Study:
    """An arm with two joints: one critic, ten, and ten that are regularised, over bins.

    All else is equal: targets that follow slowly, single estimation, joint exploration.
    """
    return Study(
        "decqn",
        "gymnax/Reacher-misc",
        seeds=4,
        set={
            "total_timesteps": 40_960,
            "learning_rate": 2e-3,
            "gamma": 0.95,
            "network": "mlp",
            "batch_size": 64,
            "epsilon_end": 0.05,
            "target_interval": 1,
            "target_tau": 0.02,
            "double": False,
            "explore_jointly": True,
        },
        space={
            "bins": space.choice(*BINS),
            "num_critics": space.choice(1, CRITICS),
            "regularise": space.conditional(
                space.choice(False, True), when={"num_critics": [CRITICS]}
            ),
        },
        objective=LAST,
    )


def judge_bins(points: list[Point]) -> Verdict:
    """Whether the regularised ensemble beats one critic for all numbers of bins."""
    texts, lows = [], []
    for number in BINS:
        one = find(points, bins=number, num_critics=1)
        ten = find(points, bins=number, num_critics=CRITICS, regularise=False)
        full = find(points, bins=number, num_critics=CRITICS, regularise=True)
        mean, low, high = difference(full, one, len(BINS))
        lows.append(low)
        texts.append(
            f"{number} bins: DecQN {in_words(one)}, ensemble {in_words(ten)}, REValueD "
            f"{in_words(full)}, REValueD - DecQN {mean:+.1f} [{low:+.1f}, {high:+.1f}]"
        )
    better = [low > 0.0 for low in lows]
    outcome = "reproduced" if all(better) else "partly" if any(better) else "not"
    return Verdict(outcome, "; ".join(texts))


def variance() -> tuple[list[dict[str, Any]], Verdict]:
    """Targets made of utilities that should be zero and have errors of size one."""
    rows = []
    for noise in ("uniform", "normal"):
        for number in BINS:
            key = jax.random.fold_in(jax.random.key(0), number)
            one, ensemble, averaged = _targets(key, noise, number)
            row: dict[str, Any] = {"noise": noise, "bins": number}
            for name, target in (("decqn", one), ("max_of_mean", ensemble), ("mean_max", averaged)):
                row[f"{name}_bias"] = round(float(target.mean()), 4)
                row[f"{name}_variance"] = round(float(target.var()), 6)
            if noise == "uniform":
                row |= _uniform("dqn", number**DIMENSIONS, 1)
                row |= _uniform("theory", number, DIMENSIONS)
            rows.append(row)
    return rows, judge_variance(rows)


def judge_variance(rows: list[dict[str, Any]]) -> Verdict:
    """Whether decomposition lowers the bias and raises the variance, and the ensemble lowers it."""
    uniform = [row for row in rows if row["noise"] == "uniform"]
    exact = all(_close(row["decqn_variance"], row["theory_variance"]) for row in uniform)
    decomposed = all(
        row["decqn_bias"] < row["dqn_bias"] and row["decqn_variance"] > row["dqn_variance"]
        for row in uniform
    )
    averaged = all(
        _close(CRITICS * row["mean_max_variance"], row["decqn_variance"]) for row in rows
    )
    ratios = {
        (row["noise"], row["bins"]): row["max_of_mean_variance"] / row["decqn_variance"]
        for row in rows
    }
    lower = [ratio < 1.0 for ratio in ratios.values()]
    some = exact and decomposed and averaged
    outcome = "reproduced" if some and all(lower) else "partly" if some or any(lower) else "not"
    texts = [f"{noise} errors, {n} bins: {r:.2f}" for (noise, n), r in ratios.items()]
    return Verdict(
        outcome,
        f"against one value per joint action, bias lower and variance higher: {decomposed}; "
        f"variance as in closed form: {exact}; maxima averaged over {CRITICS} critics have "
        f"1/{CRITICS} of it: {averaged}; the maximum of the average, which is the algorithm's "
        f"target, has {', '.join(texts)} of it",
    )


def _targets(key: jax.Array, noise: str, number: int) -> tuple[jax.Array, ...]:
    """Targets of one critic, of the ensemble, and the mean of those of its critics (samples,)."""
    shape = (CRITICS, SAMPLES, DIMENSIONS, number)
    if noise == "uniform":
        errors = jax.random.uniform(key, shape, minval=-1.0, maxval=1.0)
    else:
        errors = jax.random.normal(key, shape)
    each = jnp.stack([decqn.bootstrap(e[None], e[None]) for e in errors])
    return each[0], decqn.bootstrap(errors, errors), jnp.mean(each, axis=0)


def _uniform(name: str, number: int, dimensions: int) -> dict[str, float]:
    """Bias and variance of the mean over dimensions of maxima of numbers uniform in [-1, 1]."""
    m = float(number)
    spread = 4.0 * m / ((m + 1.0) ** 2 * (m + 2.0)) / dimensions
    return {f"{name}_bias": round((m - 1.0) / (m + 1.0), 4), f"{name}_variance": spread}


def _close(value: float, expected: float) -> bool:
    return bool(np.isclose(value, expected, rtol=0.1))


EXPERIMENTS = (
    Sweep(
        "pendulum",
        DECQN,
        "three values per dimension, bang-off-bang, do as well as finer grids",
        pendulum,
        judge_pendulum,
        "bins",
    ),
    Sweep(
        "bins",
        REVALUED,
        "a regularised ensemble beats DecQN, for few and for many sub-actions per dimension",
        bins,
        judge_bins,
        "num_critics, regularise",
    ),
    Measurement(
        "variance",
        REVALUED,
        "decomposition lowers the bias of targets and raises their variance, which K critics divide"
        f" by K; here K = {CRITICS}, {DIMENSIONS} dimensions",
        "noisy utilities",
        variance,
        "num_critics",
    ),
)
