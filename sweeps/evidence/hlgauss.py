"""HL-Gauss, two-hot, categorical targets and squared errors: curves, and noise of two kinds."""

from sweeps import space
from sweeps.evidence.spec import Point, Sweep, Verdict, difference, find, in_words, measured
from sweeps.study import Study

PAPER = "Farebrother et al. 2024, arXiv 2403.03950"
TARGETS = ("hl-gauss", "two-hot", "categorical", "mse")
# Deviations in units of scaled rewards; a step of CartPole is worth 0.1, a whole episode up to 10.
REWARD_NOISE = (0.0, 0.5, 2.0)
TARGET_NOISE = (0.0, 1.0, 4.0)
CHANGES = {"learning_rate": 1e-3, "v_min": -5.0, "v_max": 15.0}


def cartpole() -> Study:
    """The curve on CartPole."""
    return Study("hlgauss", "gymnax/CartPole-v1", seeds=5, set=CHANGES)


def breakout() -> Study:
    """HL-Gauss and squared errors on MinAtar."""
    return Study(
        "hlgauss",
        "gymnax/Breakout-MinAtar",
        preset="minatar",
        seeds=3,
        set={"total_timesteps": 150_000, "epsilon_fraction": 0.3},
        space={"target": space.choice("hl-gauss", "mse")},
    )


def judge_breakout(points: list[Point]) -> Verdict:
    """The paired difference of the returns."""
    ours, mse = (find(points, target=kind) for kind in ("hl-gauss", "mse"))
    mean, low, high = difference(ours, mse)
    summary = f"HL-Gauss {in_words(ours)}, MSE {in_words(mse)}; difference {mean:+.1f}"
    return Verdict("reproduced" if low > 0 else "not", f"{summary} [{low:.1f}, {high:.1f}]")


def noise(name: str, levels: tuple[float, ...]) -> Study:
    """All targets under noise of one kind."""
    return Study(
        "hlgauss",
        "gymnax/CartPole-v1",
        seeds=6,
        set={"total_timesteps": 60_000, **CHANGES},
        space={"target": space.choice(*TARGETS), name: space.choice(*levels)},
    )


def reward_noise() -> Study:
    """Noise on what is stored, the same whenever it is replayed."""
    return noise("reward_noise", REWARD_NOISE)


def target_noise() -> Study:
    """Noise on targets, new in each gradient step."""
    return noise("target_noise", TARGET_NOISE)


def judge_noise(name: str, levels: tuple[float, ...], points: list[Point]) -> Verdict:
    """Whether HL-Gauss beats squared errors at all levels of noise ("partly": at one of them)."""
    wins, texts = 0, []
    for level in levels:
        at = {kind: find(points, target=kind, **{name: level}) for kind in TARGETS}
        mean, low, high = difference(at["hl-gauss"], at["mse"], 2)
        wins += level > 0 and low > 0
        scores = ", ".join(f"{kind} {at[kind].scores.mean():.0f}" for kind in TARGETS)
        texts.append(f"{level}: {scores} (hl-gauss - mse {mean:+.0f} [{low:.0f}, {high:.0f}])")
    outcome = ("not", "partly", "reproduced")[wins]
    return Verdict(outcome, "; ".join(texts))


def judge_reward_noise(points: list[Point]) -> Verdict:
    """See :func:`judge_noise`."""
    return judge_noise("reward_noise", REWARD_NOISE, points)


def judge_target_noise(points: list[Point]) -> Verdict:
    """See :func:`judge_noise`."""
    return judge_noise("target_noise", TARGET_NOISE, points)


EXPERIMENTS = (
    Sweep("cartpole", PAPER, "learning curve", cartpole, measured),
    Sweep(
        "breakout",
        PAPER,
        "classification by HL-Gauss gives higher returns than regression",
        breakout,
        judge_breakout,
        where="target",
    ),
    Sweep(
        "reward-noise",
        PAPER,
        "classification withstands noise in stored rewards better than regression",
        reward_noise,
        judge_reward_noise,
        where="target",
    ),
    Sweep(
        "target-noise",
        PAPER,
        "classification withstands noise in targets better than regression",
        target_noise,
        judge_target_noise,
        where="target",
    ),
)
