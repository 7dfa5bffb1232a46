"""TACO: against DrQ-v2 at equal steps, and the parts of its loss."""

from typing import Any

from sweeps import space
from sweeps.evidence.spec import Point, Sweep, Verdict, difference, find, in_words
from sweeps.study import Objective, Study

PAPER = "Zheng et al. 2023, arXiv 2306.13229"
DRQ_V2 = "Yarats, Fergus, Lazaric, Pinto 2021, arXiv 2107.09645"
LATER = Objective("return", "max", 0.5)
PIXELS = "pixels/pendulum"
TASK = {"obs_size": 24}
# A gradient step per environment step; frames are kept, which is faster than drawing them again.
# With steps of 1e-3 some actors of both arms saturate and never learn.
FAST: dict[str, Any] = {
    "learning_rate": 3e-4,
    "reward_scale": 0.1,
    "learning_starts": 400.0,
    "gradient_steps": 4,
    "rounds": 50,
    "batch_size": 64,
    "buffer_size": 10_000,
    "store": "frames",
    "total_timesteps": 10_000,
}


def study(space_of: dict[str, Any], seeds: int, **options: Any) -> Study:
    """A study on the pendulum that is seen."""
    return Study(
        "taco",
        PIXELS,
        preset="quick",
        task=TASK,
        seeds=seeds,
        set=FAST | options,
        space=space_of,
        objective=LATER,
    )


def against() -> Study:
    """TACO and DrQ-v2 with the same steps."""
    return study({"taco": space.choice(False, True)}, seeds=4)


def judge_against(points: list[Point]) -> Verdict:
    """Whether TACO has higher returns over the second half of the run."""
    plain, ours = (find(points, taco=on) for on in (False, True))
    mean, low, high = difference(ours, plain)
    text = (
        f"TACO {in_words(ours, 0)}, DrQ-v2 {in_words(plain, 0)}, "
        f"difference {mean:+.0f} [{low:+.0f}, {high:+.0f}]"
    )
    return Verdict("reproduced" if low > 0.0 else "not", text)


def parts() -> Study:
    """Weights of the contrastive loss and of the two others; latent actions in all of them."""
    return study(
        {
            "contrast_coef": space.choice(0.0, 1.0),
            "reward_coef": space.choice(0.0, 1.0),
        },
        seeds=3,
        curl_coef=0.0,
        total_timesteps=8_000,
    )


def judge_parts(points: list[Point]) -> Verdict:
    """Whether the contrastive loss helps by itself, and reward prediction on top of it."""
    none, alone, both = (
        find(points, contrast_coef=c, reward_coef=r)
        for c, r in ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))
    )
    first, low, high = difference(alone, none, 2)
    second, second_low, second_high = difference(both, alone, 2)
    outcome = "not"
    if low > 0.0 or second_low > 0.0:
        outcome = "reproduced" if low > 0.0 and second_low > 0.0 else "partly"
    return Verdict(
        outcome,
        f"latent actions alone {in_words(none, 0)}; the contrastive loss adds {first:+.0f} "
        f"[{low:+.0f}, {high:+.0f}], the reward's {second:+.0f} "
        f"[{second_low:+.0f}, {second_high:+.0f}]",
    )


EXPERIMENTS = (
    Sweep(
        "against",
        f"{PAPER}; {DRQ_V2}",
        "higher returns than DrQ-v2 at equal steps (40 % at a million, on nine tasks)",
        against,
        judge_against,
        "taco",
    ),
    Sweep(
        "parts",
        PAPER,
        "the contrastive loss helps by itself, reward prediction helps on top of it",
        parts,
        judge_parts,
        "contrast_coef, reward_coef",
    ),
)
