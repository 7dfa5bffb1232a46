"""Asynchronous successive halving: a decision for each trial when it gets to a rung.

Paper: Li, Jamieson, Rostamizadeh, Gonina, Ben-tzur, Hardt, Recht and Talwalkar 2020 (MLSys, arXiv
1810.05934). This is the stopping rule that is used in practice: a point that gets to a rung, after
r eta^k updates, goes on if it is in the top 1/eta of all results recorded at that rung so far, and
otherwise is stopped for good. Since results come in one after the other, the best so far always
goes on; of equal results the earlier one is better. Results of the same moment are all recorded
before the first decision.

A fixed number of points runs side by side in one program. The slot of a point that ended goes to
the next one in the plan at once, so slots differ in age. When no point is left to start, the
program shrinks to the slots in use as soon as they are one in eta.
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


@dataclass(frozen=True)
class Asha:
    """Settings.

    Attributes:
        min_updates: r, updates before the first decision on a trial. A whole run lasts a multiple
            of it: the largest that fits into the run of a config.
        slots: points side by side; fewer if there are fewer.
        eta: one in so many points goes on from a rung to the next.
        metric, mode: what is best.
    """

    min_updates: int
    slots: int
    eta: int = 3
    metric: str = "return"
    mode: Mode = "max"

    def __post_init__(self) -> None:
        require_whole("scheduler.asha.min_updates", self.min_updates, 1)
        require_whole("scheduler.asha.slots", self.slots, 1)
        require_whole("scheduler.asha.eta", self.eta, 2)
        require_mode(self.mode)

    def rungs(self, num_updates: int) -> list[int]:
        """Updates of a trial at its decisions, then those of a whole run.

        Args:
            num_updates: of the config.
        """
        whole = num_updates // self.min_updates * self.min_updates
        require(
            whole > 0,
            "scheduler.asha.min_updates",
            self.min_updates,
            f"at most {num_updates}, the updates of a run",
        )
        rungs = [self.min_updates]
        while rungs[-1] < whole:
            rungs.append(min(rungs[-1] * self.eta, whole))
        return rungs


def goes_on(recorded: Sequence[float], index: int, eta: int, mode: Mode) -> bool:
    """Whether a result is in the top 1/eta of those recorded at its rung, the best always being.

    Args:
        recorded: results so far, in order.
        index: of the result in question.
        eta: the factor.
        mode: which is best.
    """
    return index in ranked(recorded, mode)[: max(1, len(recorded) // eta)]


class Slot(NamedTuple):
    """A place in the program.

    point: what runs there.
    began: clock before its first update.
    rung: that it runs to.
    active: False when it has ended and no other took its place.
    """

    point: int
    began: int = 0
    rung: int = 0
    active: bool = True


class Slots:
    """Runs the points in a number of slots; see `sweeps.scheduler.Scheduler`.

    Decisions have the keys clock, rung, update (of the trial), slot, point, trial, trial_score,
    score (of the point) and action: "kept", "stopped" or "finished".
    """

    name = "asha"
    unit = "point"

    def __init__(self, settings: Asha, plan: Plan, points: Sequence[int] | None = None) -> None:
        """At the start.

        Args:
            settings: eta, metric and so on.
            plan: the candidates, in the order in which they are started.
            points: see `sweeps.scheduler.group_points`.
        """
        self.metric = settings.metric
        self.decisions: list[dict[str, Any]] = []
        self._settings, self._plan = settings, plan
        self._points = group_points(plan, points)
        self._rungs = settings.rungs(plan.trials[0].config.num_updates)
        self._started = min(settings.slots, len(self._points))
        self._slots = [Slot(point) for point in range(self._started)]
        self._recorded: list[list[float]] = [[] for _ in self._rungs]

    def settings(self) -> dict[str, Any]:
        """Settings and points."""
        return asdict(self._settings) | {"points": self._points}

    def rows(self) -> list[Row]:
        """The seeds of the points in the slots."""
        return [
            Row(number, self._plan.trials[number], slot.began, slot.active)
            for slot in self._slots
            for number in self._points[slot.point]
        ]

    def boundary(self) -> int | None:
        """When the next point gets to a rung."""
        return min((self._due(slot) for slot in self._slots if slot.active), default=None)

    def window(self) -> int:
        """Updates before the first rung; no two boundaries are closer."""
        return self._settings.min_updates

    def decide(self, scores: Sequence[float]) -> Move:
        """Record what came to a rung, let the best of it go on, and start others in its place."""
        clock, seeds = self.boundary() or 0, len(self._points[0])
        due = [i for i, slot in enumerate(self._slots) if slot.active and self._due(slot) == clock]
        places = {}
        for i in due:
            recorded = self._recorded[self._slots[i].rung]
            places[i] = len(recorded)
            recorded.append(point_score(scores[i * seeds : (i + 1) * seeds]))
        fresh, ended = [], []
        for i in due:
            action = self._judge(self._slots[i], places[i])
            self._note(clock, i, places[i], action, scores[i * seeds : (i + 1) * seeds])
            if action == "finished":
                ended.append(i)
            if action == "kept":
                self._slots[i] = self._slots[i]._replace(rung=self._slots[i].rung + 1)
            elif self._started < len(self._points):
                self._slots[i] = Slot(self._started, clock)
                self._started += 1
                fresh.append(i)
            else:
                self._slots[i] = self._slots[i]._replace(active=False)
        stay = self._shrink()
        sources = [
            Source(None if i in fresh else i * seeds + k) for i in stay for k in range(seeds)
        ]
        return Move(sources, [i * seeds + k for i in ended for k in range(seeds)])

    def progress(self, clock: int) -> tuple[int, int]:
        """Points that have ended."""
        return self._started - sum(slot.active for slot in self._slots), len(self._points)

    def known(self) -> dict[str, Any]:
        """Slots, results of each rung, and how many points have been started."""
        return {
            "slots": self._slots,
            "recorded": self._recorded,
            "started": self._started,
            "decisions": self.decisions,
        }

    def restore(self, known: Mapping[str, Any]) -> None:
        """Take up what `known` gave."""
        self._slots = [Slot(*slot) for slot in known["slots"]]
        self._recorded = [list(results) for results in known["recorded"]]
        self._started, self.decisions = known["started"], list(known["decisions"])

    def _due(self, slot: Slot) -> int:
        return slot.began + self._rungs[slot.rung]

    def _judge(self, slot: Slot, place: int) -> str:
        if slot.rung == len(self._rungs) - 1:
            return "finished"
        recorded = self._recorded[slot.rung]
        better = goes_on(recorded, place, self._settings.eta, self._settings.mode)
        return "kept" if better else "stopped"

    def _note(
        self, clock: int, index: int, place: int, action: str, scores: Sequence[float]
    ) -> None:
        slot = self._slots[index]
        for trial, score in zip(self._points[slot.point], scores):
            self.decisions.append(
                {
                    "clock": clock,
                    "rung": slot.rung,
                    "update": self._rungs[slot.rung],
                    "slot": index,
                    "point": slot.point,
                    "trial": trial,
                    "trial_score": score,
                    "score": self._recorded[slot.rung][place],
                    "action": action,
                }
            )

    def _shrink(self) -> list[int]:
        """Drop the slots that are free, once few are in use; returns those that stay."""
        used = [i for i, slot in enumerate(self._slots) if slot.active]
        if not used or len(used) * self._settings.eta > len(self._slots):
            used = list(range(len(self._slots)))
        self._slots = [self._slots[i] for i in used]
        return used
