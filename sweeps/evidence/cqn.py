"""CQN: its learning curves, levels against bins, and distance to an optimum that is known."""

from sweeps import space
from sweeps.evidence.spec import Point, Sweep, Verdict, difference, find, in_words, measured
from sweeps.study import Objective, Study

PAPER = "Seo, Uruc, James 2024, arXiv 2407.07787"
LAST = Objective("return", "max", 0.3)


def pendulum() -> Study:
    """Both forms of the critic on the pendulum."""
    return Study(
        "cqn",
        "gymnax/Pendulum-v1",
        seeds=5,
        set={"total_timesteps": 30_720, "rounds": 200, "reward_scale": 0.02},
        space={"critic": space.choice("scalar", "categorical")},
        objective=LAST,
    )


def levels() -> Study:
    """Three levels of five bins, and one level of as many intervals or of as many bins.

    The double integrator is where resolution counts: near the goal the best actions are small parts
    of the range, and what is lost for being coarse is lost in every step.
    """
    return Study(
        "cqn",
        "control/double-integrator",
        seeds=5,
        set={
            "total_timesteps": 40_960,
            "network": "mlp",
            "batch_size": 64,
            "reward_scale": 0.05,
            "env.max_action": 2.0,
            "env.max_steps_in_episode": 64,
        },
        space={
            "levels": space.choice(1, 3),
            "bins": space.conditional(space.choice(5, 125), {"levels": [1]}),
        },
        objective=LAST,
    )


def judge_levels(points: list[Point]) -> Verdict:
    """Whether three levels of five bins beat five bins, and 125, on one level."""
    fine = find(points, levels=3)
    parts, won = [f"3 levels of 5 bins {in_words(fine)}"], []
    for bins in (5, 125):
        flat = find(points, levels=1, bins=bins)
        mean, low, high = difference(fine, flat, 2)
        won.append(low > 0)
        parts.append(
            f"1 level of {bins} {in_words(flat)}, difference {mean:+.1f} [{low:.1f}, {high:.1f}]"
        )
    outcome = "reproduced" if all(won) else "partly" if any(won) else "not"
    return Verdict(outcome, "; ".join(parts))


def reacher() -> Study:
    """The same comparison where the action has several components, on a task with physics."""
    return Study(
        "cqn",
        "gymnax/Reacher-misc",
        seeds=5,
        set={"total_timesteps": 40_960, "network": "mlp", "batch_size": 64, "reward_scale": 0.1},
        space={
            "levels": space.choice(1, 3),
            "bins": space.conditional(space.choice(5, 125), {"levels": [1]}),
        },
        objective=LAST,
    )


CLAIM = "few bins on several levels beat one level of as many bins or of as many intervals"

EXPERIMENTS = (
    Sweep("pendulum", PAPER, "learning curve", pendulum, measured, where="critic"),
    Sweep("levels", PAPER, CLAIM, levels, judge_levels, where="levels"),
    Sweep("reacher", PAPER, CLAIM, reacher, judge_levels, where="levels"),
)
