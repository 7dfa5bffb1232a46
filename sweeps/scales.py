"""Parameters of a finished study as coordinates: levels in order, or numbers between two ends."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from sweeps.domains import Choice, LogUniform, Quantised, Value, contains, thawed
from sweeps.search import Grid
from sweeps.space import text
from sweeps.study import Study

MOST_LEVELS = 12  # a lattice of more values is treated as continuous


@dataclass(frozen=True)
class Scale:
    """A parameter's axis.

    Attributes:
        name: of the parameter.
        levels: values of a discrete parameter in the order of the axis; empty for a continuous one.
        ordered: whether neighbours on the axis are neighbours in value.
        low, high: ends of a continuous parameter.
        log: whether a continuous parameter is even in its logarithm.
        conditional: whether it exists only at some points.
    """

    name: str
    levels: tuple[Value, ...] = ()
    ordered: bool = True
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    conditional: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        """The levels in words; numbers with many digits, as grids have, with three."""
        long = any(isinstance(value, float) and len(text(value)) > 6 for value in self.levels)
        words = [
            short(value, 3) if long and isinstance(value, float) else text(value)
            for value in self.levels
        ]
        return tuple(words if len(set(words)) == len(words) else map(text, self.levels))

    def places(self, column: pl.Series) -> np.ndarray:
        """Where values are on the axis: the number, or the index of the level; NaN where absent.

        Args:
            column: of ``trials.parquet``.
        """
        if not self.levels:
            return column.cast(pl.Float64).fill_null(np.nan).to_numpy()
        found = {cell: self._index(cell) for cell in column.unique().to_list()}
        return np.array([found[cell] for cell in column.to_list()], float)

    def unit(self, places: np.ndarray) -> np.ndarray:
        """Places as numbers from 0 to 1, evenly along the axis as it is searched."""
        if self.levels:
            return places / (len(self.levels) - 1) if len(self.levels) > 1 else 0.5 + 0.0 * places
        low, high = self.low, self.high
        if self.log:
            low, high, places = np.log(low), np.log(high), np.log(places)
        return (places - low) / (high - low)

    def ticks(self) -> list[tuple[float, str]]:
        """Marks of the axis: (place from 0 to 1, label)."""
        if self.levels:
            return list(zip(self.unit(np.arange(len(self.levels), dtype=float)), self.labels))
        values = np.array([self.low, self.high])
        if self.log:
            first, last = int(np.ceil(np.log10(self.low))), int(np.floor(np.log10(self.high)))
            values = np.unique([self.low, *(10.0**n for n in range(first, last + 1)), self.high])
        return [(float(self.unit(value)), short(float(value))) for value in values]

    def _index(self, cell: Any) -> float:
        """Index of the level that a cell stands for: the value itself, or its JSON."""
        if cell is None:
            return np.nan
        for index, value in enumerate(self.levels):
            if contains([value], cell) or (
                isinstance(cell, str) and json.dumps(thawed(value)) == cell
            ):
                return float(index)
        raise ValueError(f"{self.name}: got {cell!r}, allowed: {' '.join(self.labels)}")


def short(number: float, digits: int = 2) -> str:
    """A number with few digits, or all of a whole one."""
    if number and abs(number) < 1e-3:
        return re.sub(r"\.?0*e-0?", "e-", f"{number:.{digits - 1}e}")
    return f"{number:.0f}" if abs(number) >= 10**digits else f"{number:.{digits}g}"


def of_study(study: Study) -> dict[str, Scale]:
    """Parameter -> its axis, for all parameters with more than one value."""
    scales = {name: _scale(study, name) for name in study.space}
    return {name: scale for name, scale in scales.items() if len(scale.levels) != 1}


def _scale(study: Study, name: str) -> Scale:
    domain = study.space[name]
    conditional = bool(domain.when)
    if isinstance(domain, Choice):
        values, ordered = _in_order(domain.values)
        return Scale(name, values, ordered, conditional=conditional)
    few = isinstance(domain, Quantised) and len(domain.values) <= MOST_LEVELS
    if few or isinstance(study.search, Grid):
        return Scale(name, study.space.grid_values(name), conditional=conditional)
    return Scale(
        name,
        low=domain.low,
        high=domain.high,
        log=isinstance(domain, LogUniform),
        conditional=conditional,
    )


def _in_order(values: Sequence[Value]) -> tuple[tuple[Value, ...], bool]:
    """Numbers in ascending order, other values as they are; whether these were numbers."""
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    return (tuple(sorted(values)) if numbers else tuple(values)), numbers
