"""Successive halving and Hyperband: many configurations for a short time, the best for longer.

Papers: Jamieson and Talwalkar 2016 (arXiv 1502.07943) for successive halving; Li, Jamieson,
DeSalvo, Rostamizadeh and Talwalkar 2018 (JMLR 18:185, arXiv 1603.06560), Algorithm 1, for Hyperband
and for the form of successive halving that is its inner loop:

    n_k = floor(n eta^-k) configurations run until r_k = r eta^k,
    then the best floor(n_k / eta) of them go on.

Resources are updates of the algorithm. A configuration is a point with all its seeds. Those that go
on are gathered on the trial axis, so that a smaller program runs on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from sweeps.plan import Plan
from sweeps.scheduler import (
    Mode,
    Move,
    Row,
    Source,
    group_points,
    point_score,
    ranked,
    require,
    require_mode,
    require_whole,
)


class Rung(NamedTuple):
    """So many points run until they have so many updates behind them."""

    points: int
    updates: int


Bracket = list[Rung]

# --- Settings -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Halving:
    """Settings of successive halving.

    Attributes:
        eta: one in so many points goes on from a rung to the next.
        min_updates: r, updates before the first decision. None chooses r so that the last rung, as
            far as there are points, is a whole run.
        metric, mode: what is best.
    """

    eta: int = 3
    min_updates: int | None = None
    metric: str = "return"
    mode: Mode = "max"

    def __post_init__(self) -> None:
        require_whole("scheduler.halving.eta", self.eta, 2)
        if self.min_updates is not None:
            require_whole("scheduler.halving.min_updates", self.min_updates, 1)
        require_mode(self.mode)

    def brackets(self, points: int, num_updates: int) -> list[Bracket]:
        """The only bracket.

        Args:
            points: n.
            num_updates: updates of a whole run; no rung goes beyond.
        """
        if self.min_updates is None:
            halvings = min(_whole_log(points, self.eta), _whole_log(num_updates, self.eta))
            return [_whole_bracket(points, halvings, self.eta, num_updates)]
        require(
            self.min_updates <= num_updates,
            "scheduler.halving.min_updates",
            self.min_updates,
            f"at most {num_updates}, the updates of a run",
        )
        return [_bracket(points, self.min_updates, self.eta, num_updates)]


@dataclass(frozen=True)
class Hyperband:
    """Settings of Hyperband.

    Attributes:
        eta: one in so many points goes on from a rung to the next.
        min_updates: least number of updates before a decision; R of the paper is the number of
            updates of a whole run divided by it.
        metric, mode: what is best.
    """

    eta: int = 3
    min_updates: int = 1
    metric: str = "return"
    mode: Mode = "max"

    def __post_init__(self) -> None:
        require_whole("scheduler.hyperband.eta", self.eta, 2)
        require_whole("scheduler.hyperband.min_updates", self.min_updates, 1)
        require_mode(self.mode)

    def brackets(self, points: int, num_updates: int) -> list[Bracket]:
        """Brackets of the paper, from the one with most points to the one without decisions.

        Args:
            points: must be `num_points(num_updates)`.
            num_updates: updates of a whole run, those of the last rung of each bracket.
        """
        needed = self.num_points(num_updates)
        require(points == needed, "search.points", points, f"{needed}, all brackets of hyperband")
        return self._brackets(num_updates)

    def num_points(self, num_updates: int) -> int:
        """Points of all brackets together."""
        return sum(bracket[0].points for bracket in self._brackets(num_updates))

    def _brackets(self, num_updates: int) -> list[Bracket]:
        require(
            self.min_updates <= num_updates,
            "scheduler.hyperband.min_updates",
            self.min_updates,
            f"at most {num_updates}, the updates of a run",
        )
        most = _whole_log(num_updates // self.min_updates, self.eta)
        # n = ceil((s_max + 1) eta^s / (s + 1)), of which -(-a // b) is the ceiling.
        return [
            _whole_bracket(-(-(most + 1) * self.eta**s // (s + 1)), s, self.eta, num_updates)
            for s in range(most, -1, -1)
        ]


def _bracket(points: int, first: int, eta: int, num_updates: int) -> Bracket:
    """Rungs at first, first eta, ... updates, until a whole run or no point is left."""
    rungs = [Rung(points, first)]
    while rungs[-1].updates < num_updates and rungs[-1].points >= eta:
        rungs.append(Rung(rungs[-1].points // eta, min(rungs[-1].updates * eta, num_updates)))
    return rungs


def _whole_bracket(points: int, halvings: int, eta: int, num_updates: int) -> Bracket:
    """Rungs that end with a whole run, updates rounded to whole numbers."""
    shares = [eta ** (halvings - k) for k in range(halvings + 1)]
    return [
        Rung(points // eta**k, (2 * num_updates + share) // (2 * share))
        for k, share in enumerate(shares)
    ]


def _whole_log(value: int, base: int) -> int:
    """The largest whole k with base^k <= value."""
    k = 0
    while base ** (k + 1) <= value:
        k += 1
    return k


# --- Rules ----------------------------------------------------------------------------------------


class Halver:
    """Runs brackets one after the other; see `sweeps.scheduler.Scheduler`.

    Decisions have the keys clock, bracket, rung, update (of the trial), point, trial, trial_score,
    score (of the point) and action: "kept", "stopped" or "finished".
    """

    unit = "update"

    def __init__(
        self, settings: Halving | Hyperband, plan: Plan, points: Sequence[int] | None = None
    ) -> None:
        """At the start.

        Args:
            settings: eta, metric and so on.
            plan: the candidates.
            points: see `sweeps.scheduler.group_points`.
        """
        self.name = type(settings).__name__.lower()
        self.metric = settings.metric
        self.decisions: list[dict[str, Any]] = []
        self._settings, self._plan = settings, plan
        self._points = group_points(plan, points)
        num_updates = plan.trials[0].config.num_updates
        self._brackets = settings.brackets(len(self._points), num_updates)
        self._bracket = self._rung = self._began = 0
        self._alive = self._starting(0)

    def settings(self) -> dict[str, Any]:
        """Settings and points."""
        return asdict(self._settings) | {"points": self._points}

    def rows(self) -> list[Row]:
        """The trials of the points that are left of the bracket, in the order of the plan."""
        numbers = [number for point in self._alive for number in self._points[point]]
        return [Row(number, self._plan.trials[number], self._began) for number in numbers]

    def boundary(self) -> int | None:
        """The end of the rung."""
        if self._bracket == len(self._brackets):
            return None
        return self._began + self._brackets[self._bracket][self._rung].updates

    def window(self) -> int:
        """Length of the very first rung; in all brackets alike, so that scores can be compared."""
        return self._brackets[0][0].updates

    def decide(self, scores: Sequence[float]) -> Move:
        """Keep the best points of the rung."""
        clock, rungs, seeds = self.boundary(), self._brackets[self._bracket], len(self._points[0])
        found = [point_score(scores[i : i + seeds]) for i in range(0, len(scores), seeds)]
        last = self._rung == len(rungs) - 1
        count = 0 if last else rungs[self._rung + 1].points
        kept = sorted(ranked(found, self._settings.mode)[:count])
        for i, score in enumerate(scores):
            position = i // seeds
            point = self._alive[position]
            stays = "kept" if position in kept else "stopped"
            self.decisions.append(
                {
                    "clock": clock,
                    "bracket": self._bracket,
                    "rung": self._rung,
                    "update": rungs[self._rung].updates,
                    "point": point,
                    "trial": self._points[point][i % seeds],
                    "trial_score": score,
                    "score": found[position],
                    "action": "finished" if last else stays,
                }
            )
        if last:
            return self._next_bracket(len(scores))
        self._rung += 1
        self._alive = [self._alive[position] for position in kept]
        rows = [position * seeds + k for position in kept for k in range(seeds)]
        return Move([Source(row) for row in rows], [])

    def progress(self, clock: int) -> tuple[int, int]:
        """Updates of the program."""
        return clock, sum(bracket[-1].updates for bracket in self._brackets)

    def known(self) -> dict[str, Any]:
        """Where it is."""
        return {
            "bracket": self._bracket,
            "rung": self._rung,
            "began": self._began,
            "alive": self._alive,
            "decisions": self.decisions,
        }

    def restore(self, known: Mapping[str, Any]) -> None:
        """Take up what `known` gave."""
        self._bracket, self._rung, self._began = known["bracket"], known["rung"], known["began"]
        self._alive, self.decisions = list(known["alive"]), list(known["decisions"])

    def _starting(self, bracket: int) -> list[int]:
        """Points of a bracket."""
        first = sum(before[0].points for before in self._brackets[:bracket])
        return list(range(first, first + self._brackets[bracket][0].points))

    def _next_bracket(self, rows: int) -> Move:
        self._began = self.boundary() or 0
        self._bracket, self._rung = self._bracket + 1, 0
        if self._bracket == len(self._brackets):
            return Move([], list(range(rows)))
        self._alive = self._starting(self._bracket)
        return Move([Source(None)] * len(self.rows()), list(range(rows)))
