"""Discrete SAC: curves, and what each part of the stable variant does for the vanilla one."""

from sweeps import space
from sweeps.evidence.spec import Point, Sweep, Verdict, difference, find, in_words, measured
from sweeps.study import Objective, Study

PAPER = "Zhou et al. 2022, arXiv 2209.10081"
LAST = Objective("return", "max", 0.2)
HUGE = 1e6
VANILLA = {"combine": "min", "entropy_penalty": 0.0, "clip_range": HUGE}
STABLE = {"combine": "mean", "entropy_penalty": 0.5, "clip_range": 0.5}


def cartpole() -> Study:
    """The preset on CartPole."""
    return Study("sd_sac", "gymnax/CartPole-v1", seeds=5, objective=LAST)


def parts() -> Study:
    """All combinations of the three parts."""
    return Study(
        "sd_sac",
        "gymnax/CartPole-v1",
        seeds=6,
        set={"network": "mlp", "batch_size": 64, "total_timesteps": 40_960},
        space={
            "combine": space.choice("min", "mean"),
            "entropy_penalty": space.choice(0.0, 0.5),
            "clip_range": space.choice(0.5, HUGE),
        },
        objective=LAST,
    )


def judge_parts(points: list[Point]) -> Verdict:
    """Whether all three together beat none, and each one alone, too ("partly": any of these)."""
    vanilla, stable = find(points, **VANILLA), find(points, **STABLE)
    tried = {"all": stable}
    for name, value in STABLE.items():
        tried[name] = find(points, **{**VANILLA, name: value})
    gains = {n: difference(point, vanilla, len(tried)) for n, point in tried.items()}
    texts = [f"{n} {m:+.0f} [{low:+.0f}, {high:+.0f}]" for n, (m, low, high) in gains.items()]
    helped = [low > 0.0 for _, low, _ in gains.values()]
    outcome = "reproduced" if all(helped) else "partly" if any(helped) else "not"
    text = f"vanilla {in_words(vanilla, 0)}, stable {in_words(stable, 0)}; change with"
    return Verdict(outcome, f"{text} {', '.join(texts)}")


def breakout() -> Study:
    """Stable and vanilla on MinAtar."""
    return Study(
        "sd_sac",
        "gymnax/Breakout-MinAtar",
        preset="minatar-vanilla",
        seeds=3,
        set={"total_timesteps": 60_000, "num_envs": 16, "learning_starts": 2000},
        space={
            "entropy_penalty": space.choice(0.0, 0.5),
            "combine": space.conditional(space.choice("mean"), when={"entropy_penalty": [0.5]}),
            "clip_range": space.conditional(space.choice(0.5), when={"entropy_penalty": [0.5]}),
        },
        objective=LAST,
    )


def judge_breakout(points: list[Point]) -> Verdict:
    """Whether the stable variant beats the vanilla one."""
    vanilla, stable = (find(points, entropy_penalty=x) for x in (0.0, 0.5))
    mean, low, high = difference(stable, vanilla)
    text = f"vanilla {in_words(vanilla)}, stable {in_words(stable)}; difference {mean:+.1f}"
    return Verdict("reproduced" if low > 0.0 else "not", f"{text} [{low:+.1f}, {high:+.1f}]")


EXPERIMENTS = (
    Sweep("cartpole", PAPER, "learning curve", cartpole, measured),
    Sweep(
        "parts",
        PAPER,
        "average of the critics, entropy penalty and clipped loss beat vanilla discrete SAC",
        parts,
        judge_parts,
        "combine, entropy_penalty, clip_range",
    ),
    Sweep(
        "breakout",
        f"{PAPER}; Christodoulou 2019, arXiv 1910.07207",
        "the stable variant beats vanilla discrete SAC in games",
        breakout,
        judge_breakout,
        "combine, entropy_penalty, clip_range",
    ),
)
