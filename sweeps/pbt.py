"""Population-based training: hyper-parameters change while the agents are trained.

Paper: Jaderberg, Dalibard, Osindero, Czarnecki et al. 2017 (arXiv 1711.09846). Every so many
updates, bad members of the population take over the state and the hyper-parameters of good ones
(*exploit*) and then change the hyper-parameters that they took over (*explore*):

    truncation: a member in the bottom 20 % copies one drawn from the top 20 %
    tournament: each member draws another one, and copies it if its score is better
    perturb:    each hyper-parameter times 1.2 or 0.8, either as likely
    resample:   each hyper-parameter from its prior, with some probability, instead

All decisions of a moment are taken on the scores and states of that moment. The whole population is
one program. Random numbers of the agents are no part of what is copied.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from types import ModuleType
from typing import Any, Literal, get_args, get_type_hints

import numpy as np

from kagebench.schema import show
from sweeps.domains import Choice, Domain, Quantised, StudyError, Value, contains
from sweeps.plan import Plan
from sweeps.scheduler import (
    Mode,
    Move,
    Row,
    Source,
    ranked,
    require,
    require_mode,
    require_whole,
)
from sweeps.space import Space, to_data

Exploit = Literal["truncation", "tournament"]


@dataclass(frozen=True)
class Pbt:
    """Settings.

    Attributes:
        interval: updates between two decisions.
        exploit: who copies whom.
        fraction: share of the population that copies, and that is copied, under truncation;
            rounded down to whole members, but at least one.
        factors: of which one is drawn to perturb a number.
        resample: probability to draw a hyper-parameter anew instead of perturbing it.
        clip: keep perturbed numbers within the ends of their domains.
        seed: of the decisions.
        metric, mode: what is best.
    """

    interval: int
    exploit: Exploit = "truncation"
    fraction: float = 0.2
    factors: tuple[float, ...] = (0.8, 1.2)
    resample: float = 0.0
    clip: bool = True
    seed: int = 0
    metric: str = "return"
    mode: Mode = "max"

    def __post_init__(self) -> None:
        where = "scheduler.pbt"
        exploits = get_args(Exploit)
        factors = self.factors if isinstance(self.factors, list | tuple) else ()
        good = factors and all(_is_number(factor) and factor > 0 for factor in factors)
        require_whole(f"{where}.interval", self.interval, 1)
        require(self.exploit in exploits, f"{where}.exploit", self.exploit, " ".join(exploits))
        require(
            _is_number(self.fraction) and 0 < self.fraction <= 0.5,
            f"{where}.fraction",
            self.fraction,
            "a number above 0, at most 0.5",
        )
        require(bool(good), f"{where}.factors", self.factors, "a list of numbers above 0")
        require(
            _is_number(self.resample) and 0 <= self.resample <= 1,
            f"{where}.resample",
            self.resample,
            "a number from 0 to 1",
        )
        require(isinstance(self.clip, bool), f"{where}.clip", self.clip, "true or false")
        require_whole(f"{where}.seed", self.seed, 0)
        require_mode(self.mode)
        object.__setattr__(self, "factors", tuple(factors))


# --- Rules ----------------------------------------------------------------------------------------


def truncation(
    scores: Sequence[float], fraction: float, mode: Mode, rng: np.random.Generator
) -> list[int]:
    """Whom each member goes on from: itself, or if it is among the worst, one of the best.

    Args:
        scores: of P members; NaN is worst, and is not copied.
        fraction: share of the worst, and of the best.
        mode: which is best.
        rng: draws.

    Returns:
        P members.
    """
    # The addend makes 0.29 of 100 members 29.
    count = max(1, int(fraction * len(scores) + 1e-9))
    order = ranked(scores, mode)
    best = [member for member in order[:count] if not math.isnan(scores[member])]
    sources = list(range(len(scores)))
    for member in sorted(order[-count:]) if best else ():
        sources[member] = best[rng.integers(len(best))]
    return sources


def tournament(scores: Sequence[float], mode: Mode, rng: np.random.Generator) -> list[int]:
    """Whom each member goes on from: another one drawn uniformly if that is better, else itself.

    Args:
        scores: of P members; NaN is worst.
        mode: which is best.
        rng: draws.

    Returns:
        P members.
    """
    sources = []
    for member, score in enumerate(scores):
        other = int(rng.integers(len(scores) - 1))
        other += other >= member
        better = ranked([score, scores[other]], mode)[0] == 1
        sources.append(other if better else member)
    return sources


def explore(value: Value, domain: Domain, settings: Pbt, rng: np.random.Generator) -> Value:
    """A hyper-parameter of a copy: perturbed, or drawn anew.

    One of a choice goes to a neighbour in the list of its values, and one of a quantised domain to
    the value nearest to the perturbed number, but at least one step.

    Args:
        value: that of the original.
        domain: prior of the hyper-parameter.
        settings: probability of drawing anew, factors, clip.
        rng: draws.
    """
    if rng.random() < settings.resample:
        return domain.at(rng.random())
    if isinstance(domain, Choice):
        return _neighbour(domain.values, value, 1 if rng.random() < 0.5 else -1)
    factor = settings.factors[rng.integers(len(settings.factors))]
    if isinstance(domain, Quantised):
        nearest = min(domain.values, key=lambda other: abs(other - value * factor))
        step = int(math.copysign(1, value * factor - value))
        return nearest if nearest != value else _neighbour(domain.values, value, step)
    number = value * factor
    return min(max(number, domain.low), domain.high) if settings.clip else number


def _neighbour(values: Sequence[Value], value: Value, step: int) -> Value:
    return values[min(max(values.index(value) + step, 0), len(values) - 1)]


class Population:
    """Trains a population; see `sweeps.scheduler.Scheduler`.

    Decisions have the keys clock, trial (the member), score, action ("started" at clock 0, "kept",
    "copied" or "finished"), source (the member that it goes on from), and the values of the
    hyper-parameters from then on: together, the lineage of every member.
    """

    name = "pbt"
    unit = "update"

    def __init__(self, settings: Pbt, plan: Plan, space: Space) -> None:
        """At the start.

        Args:
            settings: interval and so on.
            plan: the members.
            space: priors of the hyper-parameters that change, traced fields of the config.

        Raises:
            StudyError: a parameter of the space cannot change, or the members do not fit.
        """
        self.metric = settings.metric
        self._settings, self._plan, self._space = settings, plan, space
        require(len(plan.trials) > 1, "search.points", len(plan.trials), "at least 2 under pbt")
        environments = {trial.env for trial in plan.trials}
        require(len(environments) == 1, "env", len(environments), "1 environment under pbt")
        require(len(space) > 0, "space", dict(space.domains), "at least 1 parameter under pbt")
        for name, domain in space.domains.items():
            check_field(plan.module, name, domain, [trial.config for trial in plan.trials])
        self._kinds = get_type_hints(plan.module.Config)
        self._num_updates = plan.trials[0].config.num_updates
        self._clock = 0
        self._bases = list(range(len(plan.trials)))  # whose config, but for the values
        self._values = [
            {name: self._typed(name, getattr(trial.config, name)) for name in space}
            for trial in plan.trials
        ]
        self.decisions: list[dict[str, Any]] = []
        members = range(len(plan.trials))
        self._note("started", list(members), [math.nan] * len(members))

    def settings(self) -> dict[str, Any]:
        """Settings and space."""
        return asdict(self._settings) | {"space": to_data(self._space)}

    def rows(self) -> list[Row]:
        """The members with the hyper-parameters that they have now."""
        trials = self._plan.trials
        return [
            Row(member, replace(trial, config=trials[base].config.replace(**values)))
            for member, (trial, base, values) in enumerate(zip(trials, self._bases, self._values))
        ]

    def boundary(self) -> int | None:
        """The end of the interval, or of the run."""
        if self._clock == self._num_updates:
            return None
        return min(self._clock + self._settings.interval, self._num_updates)

    def window(self) -> int:
        """The interval."""
        return self._settings.interval

    def decide(self, scores: Sequence[float]) -> Move:
        """Exploit and explore, except at the end of the run."""
        settings, members = self._settings, range(len(scores))
        self._clock = self.boundary() or self._num_updates
        if self._clock == self._num_updates:
            self._note("finished", list(members), scores)
            return Move([], list(members))
        rng = np.random.default_rng([settings.seed, self._clock])
        if settings.exploit == "tournament":
            sources = tournament(scores, settings.mode, rng)
        else:
            sources = truncation(scores, settings.fraction, settings.mode, rng)
        self._bases = [self._bases[source] for source in sources]
        self._values = [
            dict(self._values[member]) if source == member else self._explored(source, rng)
            for member, source in enumerate(sources)
        ]
        self._note("kept", sources, scores)
        return Move([Source(source, source != m) for m, source in enumerate(sources)], [])

    def progress(self, clock: int) -> tuple[int, int]:
        """Updates of each member."""
        return clock, self._num_updates

    def known(self) -> dict[str, Any]:
        """Whose config each member has, what is different in it, and since when."""
        return {
            "clock": self._clock,
            "bases": self._bases,
            "values": self._values,
            "decisions": self.decisions,
        }

    def restore(self, known: Mapping[str, Any]) -> None:
        """Take up what `known` gave."""
        self._clock, self._bases = known["clock"], list(known["bases"])
        self._values, self.decisions = list(known["values"]), list(known["decisions"])

    def _explored(self, source: int, rng: np.random.Generator) -> dict[str, Value]:
        return {
            name: self._typed(name, explore(value, self._space[name], self._settings, rng))
            for name, value in self._values[source].items()
        }

    def _typed(self, name: str, value: Value) -> Value:
        """A value in the type of its field, so that leaves keep their dtypes."""
        return {float: float, int: round}.get(self._kinds[name], lambda same: same)(value)

    def _note(self, action: str, sources: Sequence[int], scores: Sequence[float]) -> None:
        for member, source in enumerate(sources):
            self.decisions.append(
                {
                    "clock": self._clock,
                    "trial": member,
                    "score": scores[member],
                    "action": action if source == member else "copied",
                    "source": source,
                    **self._values[member],
                }
            )


def check_field(module: ModuleType, name: str, domain: Domain, configs: Iterable[Any] = ()) -> None:
    """Check that a parameter of the space can change during a run.

    Args:
        module: the algorithm.
        name: of the parameter.
        domain: its prior.
        configs: of the first population.

    Raises:
        StudyError: it is no traced field of the algorithm's ``Config``, it has conditions, or a
            member has none of the values of a choice.
    """
    where, short = f"space.{name}", module.__name__.rpartition(".")[2]
    kinds = {field.name: field.metadata.get("pytree_node", True) for field in fields(module.Config)}
    if not kinds.get(name, False):
        kind = "a static field" if name in kinds else "no field"
        traced = " ".join(field for field, leaf in kinds.items() if leaf)
        raise StudyError(f"{where}: {kind} of {short}.Config, allowed under pbt: {traced}")
    require(not domain.when, f"{where}.when", dict(domain.when), "no condition under pbt")
    if isinstance(domain, Choice):
        values = " ".join(show(value) for value in domain.values)
        for config in configs:
            value = getattr(config, name)
            require(contains(domain.values, value), where, value, values)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
