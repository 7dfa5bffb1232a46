"""Munchausen DQN: the bonus against soft DQN, the index of the entropy, and DQN on MinAtar."""

from sweeps import space
from sweeps.evidence.spec import Point, Sweep, Verdict, difference, find, in_words, measured
from sweeps.study import Study

MUNCHAUSEN = "Vieillard, Pietquin, Geist 2020, arXiv 2007.14430"
TSALLIS = "Zhu, Chen, Schlegel, White 2023, arXiv 2301.11476"
INDICES = (1.0, 1.5, 2.0, 3.0)
FAST = {"learning_rate": 1e-3, "network": "mlp", "batch_size": 64, "total_timesteps": 60_000}
MINATAR = {"total_timesteps": 200_000, "epsilon_fraction": 0.3}


def cartpole() -> Study:
    """The curve on CartPole."""
    return Study("munchausen", "gymnax/CartPole-v1", seeds=5, set={"learning_rate": 1e-3})


def bonus() -> Study:
    """M-DQN with and without its bonus."""
    return Study(
        "munchausen",
        "gymnax/CartPole-v1",
        seeds=10,
        set={**FAST, "q": 1.0, "bonus": "log-policy"},
        space={"munchausen": space.choice(0.0, 0.5, 0.9)},
    )


def judge_bonus(points: list[Point]) -> Verdict:
    """Whether 0.9, the paper's weight, beats soft DQN."""
    by_weight = {weight: find(points, munchausen=weight) for weight in (0.0, 0.5, 0.9)}
    return judge("alpha", by_weight, best=0.9, base=0.0)


def index() -> Study:
    """The index of the entropy."""
    return Study(
        "munchausen",
        "gymnax/CartPole-v1",
        seeds=10,
        set=FAST,
        space={"q": space.choice(*INDICES)},
    )


def judge_index(points: list[Point]) -> Verdict:
    """Whether q = 2, the paper's choice, beats q = 1."""
    return judge("q", {q: find(points, q=q) for q in INDICES}, best=2.0, base=1.0)


def judge(name: str, points: dict[float, Point], best: float, base: float) -> Verdict:
    """Whether one value of a parameter gives higher returns than another."""
    count = len(points) - 1
    mean, low, high = difference(points[best], points[base], count)
    others = any(
        difference(p, points[base], count)[1] > 0 for p in points.values() if p is not points[base]
    )
    outcome = "reproduced" if low > 0 else "partly" if others else "not"
    scores = ", ".join(f"{name} = {value}: {in_words(p)}" for value, p in points.items())
    return Verdict(outcome, f"{scores}; {best} minus {base}: {mean:+.1f} [{low:.1f}, {high:.1f}]")


def breakout() -> Study:
    """M-DQN (q = 1 with its own bonus), MVI(2) and DQN on MinAtar, with transitions of one step."""
    of_dqn, of_munchausen = ({"algorithm": [name]} for name in ("dqn", "munchausen"))
    return Study(
        ["munchausen", "dqn"],
        "gymnax/Breakout-MinAtar",
        preset="minatar",
        seeds=3,
        set=MINATAR,
        space={
            "q": space.conditional(space.choice(1.0, 2.0), of_munchausen),
            "bonus": space.conditional(space.choice("log-policy"), {"q": [1.0]}),
            "n_step": space.conditional(space.choice(1), of_dqn),
        },
    )


def judge_breakout(points: list[Point]) -> Verdict:
    """Whether both beat DQN, and q = 2 beats q = 1."""
    dqn = find(points, algorithm="dqn")
    one, two = (find(points, algorithm="munchausen", q=q) for q in (1.0, 2.0))
    pairs = {"q = 1 - DQN": (one, dqn), "q = 2 - DQN": (two, dqn), "q = 2 - q = 1": (two, one)}
    gains = {name: difference(*pair, len(pairs)) for name, pair in pairs.items()}
    better = [low > 0 for _, low, _ in gains.values()]
    outcome = "reproduced" if all(better) else "partly" if any(better) else "not"
    texts = [
        f"{name} {mean:+.1f} [{low:.1f}, {high:.1f}]" for name, (mean, low, high) in gains.items()
    ]
    scores = f"DQN {in_words(dqn)}, q = 1 {in_words(one)}, q = 2 {in_words(two)}"
    return Verdict(outcome, f"{scores}; " + ", ".join(texts))


EXPERIMENTS = (
    Sweep("cartpole", TSALLIS, "learning curve, q = 2", cartpole, measured),
    Sweep(
        "bonus",
        MUNCHAUSEN,
        "adding 0.9 tau log pi(a|s) to the reward gives higher returns than soft DQN",
        bonus,
        judge_bonus,
        where="munchausen",
    ),
    Sweep("index", TSALLIS, "q = 2 gives higher returns than q = 1", index, judge_index, where="q"),
    Sweep(
        "breakout",
        f"{MUNCHAUSEN}; {TSALLIS}",
        "M-DQN beats DQN, and q = 2 beats q = 1, in games",
        breakout,
        judge_breakout,
    ),
)
