"""CQN-AS: its learning curve, the length of the sequences, and how plans are executed."""

from sweeps import space
from sweeps.evidence.spec import Point, Sweep, Verdict, difference, find, in_words, measured
from sweeps.study import Objective, Study

PAPER = "Seo and Abbeel 2024, arXiv 2411.12155"
LAST = Objective("return", "max", 0.3)
SMALL = {"network": "mlp", "batch_size": 64}
EXECUTIONS = ("ensemble", "open-loop", "first")


def pendulum() -> Study:
    """The curve on the pendulum."""
    options = {"total_timesteps": 30_720, "rounds": 200}
    return Study("cqn_as", "gymnax/Pendulum-v1", seeds=5, set=options, objective=LAST)


def chunks() -> Study:
    """Sequences of four actions and single ones, both with 4-step returns and the same data.

    The car must be pushed the same way for many steps before there is any reward.
    """
    return Study(
        "cqn_as",
        "gymnax/MountainCarContinuous-v0",
        seeds=5,
        set={
            **SMALL,
            "total_timesteps": 61_440,
            "gradient_steps": 1,
            "reward_scale": 0.1,
            "noise": 0.3,
            "n_step": 4,
        },
        space={"chunk": space.choice(1, 4, 8)},
        objective=LAST,
    )


def judge_chunks(points: list[Point]) -> Verdict:
    """Whether sequences beat single actions: all lengths, some, or none."""
    single = find(points, chunk=1)
    parts, won = [f"1 action {in_words(single)}"], []
    for chunk in (4, 8):
        point = find(points, chunk=chunk)
        mean, low, high = difference(point, single, 2)
        won.append(low > 0)
        parts.append(
            f"{chunk} actions {in_words(point)}, difference {mean:+.1f} [{low:.1f}, {high:.1f}]"
        )
    outcome = "reproduced" if all(won) else "partly" if any(won) else "not"
    return Verdict(outcome, "; ".join(parts))


def execution() -> Study:
    """Three ways to follow plans of four actions."""
    return Study(
        "cqn_as",
        "gymnax/Pendulum-v1",
        seeds=5,
        set={**SMALL, "total_timesteps": 30_720, "rounds": 200},
        space={"execution": space.choice(*EXECUTIONS)},
        objective=LAST,
    )


EXPERIMENTS = (
    Sweep("pendulum", PAPER, "learning curve", pendulum, measured),
    Sweep(
        "chunks",
        PAPER,
        "values of sequences of actions give higher returns than values of single ones",
        chunks,
        judge_chunks,
        where="chunk",
    ),
    Sweep(
        "execution",
        PAPER,
        "returns of the temporal ensemble, of open loop, and of first actions alone",
        execution,
        measured,
        where="execution",
    ),
)
