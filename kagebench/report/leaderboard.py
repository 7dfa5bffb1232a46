"""Tables of several algorithms in HTML: scores, ranks, probabilities of improvement."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from kagebench.benchmark import compare, table
from kagebench.benchmark.scores import Scores
from kagebench.benchmark.table import OVERALL, Row
from kagebench.evaluate import METRICS
from kagebench.report.benchmark_tables import number, words
from kagebench.report.tables import Cell, Column, sortable, views


@dataclass(frozen=True)
class Leaderboard:
    """Several algorithms on the pairs that all of them have.

    Attributes:
        labels: of the algorithms.
        rows: label -> rows of suites.
        ranks: metric -> standings.
        improvements: (a, b) -> P(a > b) in success once, for every a before b.
    """

    labels: tuple[str, ...]
    rows: dict[str, list[Row]]
    ranks: dict[str, list[compare.Standing]]
    improvements: dict[tuple[str, str], list[compare.Improvement]]

    @property
    def names(self) -> list[str]:
        """Overall and the suites."""
        suites = [row.name for row in self.rows[self.labels[0]] if row.name != OVERALL]
        return [OVERALL, *suites]

    @property
    def num_pairs(self) -> int:
        """That all algorithms have."""
        return next(row.num_pairs for row in self.rows[self.labels[0]] if row.name == OVERALL)


def compute(scores: Sequence[Scores], metric: str, resamples: int) -> Leaderboard:
    """Compare algorithms with different labels; `metric` is that of the improvements.

    Raises:
        ValueError: no pair was evaluated by all.
    """
    ranks = {name: compare.ranks(scores, name, resamples) for name in METRICS}
    common = [pair for pair in scores[0].pairs if all(pair in own.pairs for own in scores)]
    shared = [replace(own, pairs={pair: own.pairs[pair] for pair in common}) for own in scores]
    improvements = {
        (a.algorithm, b.algorithm): compare.improvement(a, b, metric, resamples)
        for index, a in enumerate(scores)
        for b in scores[index + 1 :]
    }
    return Leaderboard(
        tuple(own.algorithm for own in scores),
        {own.algorithm: table.suites(own, resamples) for own in shared},
        ranks,
        improvements,
    )


def scores_and_ranks(board: Leaderboard) -> str:
    """Algorithms x suites: means with intervals, and ranks with intervals; a tab per metric."""
    order = sorted(METRICS, key=lambda metric: metric != "success_once")
    contents = {words(metric): _scores(board, metric) + _ranks(board, metric) for metric in order}
    return views("leaderboard", "metric", contents)


def matrix(board: Leaderboard) -> str:
    """Probability that the algorithm of the line beats that of the column; a tab per suite."""
    contents = {words(name): _matrix(board, name) for name in board.names}
    return views("improvement", "suite", contents)


def _columns(board: Leaderboard) -> list[Column]:
    return [Column("algorithm", numeric=False), *(Column(words(name)) for name in board.names)]


def _scores(board: Leaderboard, metric: str) -> str:
    lines = []
    for label in board.labels:
        line = [Cell(label)]
        stats = {row.name: row.validation[metric] for row in board.rows[label]}
        for name in board.names:
            mean, low, high = (
                number(getattr(stats[name], end), metric) for end in ("mean", "low", "high")
            )
            line.append(Cell(mean, stats[name].mean, f"[{low}, {high}]"))
        lines.append(line)
    title = f"validation, {words(metric)}"
    return f"<h3>Mean in {title}</h3>" + sortable(title, _columns(board), lines)


def _ranks(board: Leaderboard, metric: str) -> str:
    found = {(entry.algorithm, entry.name): entry for entry in board.ranks[metric]}
    lines = []
    for label in board.labels:
        entries = [found[label, name] for name in board.names]
        cells = [
            Cell(f"{entry.rank:g}", entry.rank, f"[{entry.low:g}, {entry.high:g}]")
            for entry in entries
        ]
        lines.append([Cell(label), *cells])
    title = f"rank, {words(metric)}"
    return "<h3>Rank by this mean</h3>" + sortable(title, _columns(board), lines)


def _matrix(board: Leaderboard, name: str) -> str:
    columns = [Column("algorithm", numeric=False), *(Column(label) for label in board.labels)]
    lines = [
        [Cell(a), *(_improvement(board, name, a, b) for b in board.labels)] for a in board.labels
    ]
    return sortable(f"probability of improvement, {words(name)}", columns, lines)


def _improvement(board: Leaderboard, name: str, a: str, b: str) -> Cell:
    if a == b:
        return Cell("–")
    turned = (a, b) not in board.improvements
    entries = board.improvements[(b, a) if turned else (a, b)]
    entry = next(entry for entry in entries if entry.name == name)
    value, low, high = entry.probability, entry.low, entry.high
    if turned:
        value, low, high = 1.0 - value, 1.0 - high, 1.0 - low
    return Cell(f"{value:.2f}", value, f"[{low:.2f}, {high:.2f}]", _shade(value))


def _shade(value: float) -> str:
    """Blue above one half, red below."""
    color = "37, 99, 168" if value > 0.5 else "200, 68, 47"
    return f"rgba({color}, {0.5 * abs(value - 0.5):.2f})"
