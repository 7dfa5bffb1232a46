"""The benchmark's table in HTML: suites or pairs, with a tab per metric."""

from collections.abc import Mapping, Sequence

from kagebench.benchmark.published import Published
from kagebench.benchmark.table import OVERALL, Relative, Row, Stat
from kagebench.evaluate import METRICS
from kagebench.report.tables import Cell, Column, Line, sortable, views

SPLITS = ("train", "validation", "gap")
# The first view has the metrics of the paper's table, then one view per metric has all statistics.
PAPER = ("success_once", "distance", "progress", "return")
_DECIMALS = {"distance": 1, "return": 0, "jump_count": 1}  # 3 for the others
_OVERVIEW = "overview"

Key = tuple[str, str, str]


def words(name: str) -> str:
    """A name of a metric or suite in words."""
    return {"jump_count": "jumps"}.get(name, name.replace("_", " "))


def number(value: float, metric: str) -> str:
    """A value of a metric as text."""
    return f"{value:z.{_DECIMALS.get(metric, 3)}f}"


def table(
    rows: Sequence[Row], name: str, label: str, published: Mapping[Key, Published] | None = None
) -> str:
    """Rows of suites or of pairs with tabs: the paper's metrics together, then each one alone.

    Args:
        rows: `kagebench.benchmark.table.suites` or `pairs`.
        name: unique on the page.
        label: what the table shows.
        published: `kagebench.benchmark.published.values`, shown below ours.
    """
    contents = {_OVERVIEW: _together(rows, label, published or {})}
    for metric in (*PAPER, *(name for name in METRICS if name not in PAPER)):
        contents[words(metric)] = _alone(rows, metric, f"{label}, {words(metric)}")
    return views(name, "columns", contents)


def _together(rows: Sequence[Row], label: str, published: Mapping[Key, Published]) -> str:
    columns = [Column("name", numeric=False)]
    for metric in PAPER:
        columns += [Column(name, group=words(metric)) for name in ("train", "val.", "gap", "gap %")]
    lines = []
    for row in rows:
        line = [Cell(row.name)]
        for metric in PAPER:
            for split in SPLITS:
                mean = getattr(row, split)[metric].mean
                known = published.get((row.name, metric, split))
                small = f"paper {known.value:g}" if known else ""
                line.append(Cell(number(mean, metric), mean, small))
            known = published.get((row.name, metric, "relative_gap"))
            small = f"paper {known.value:g}" if known else ""
            line.append(_percent(row.relative_gap[metric], small))
        lines.append(line)
    return _split(label, columns, rows, lines)


def _alone(rows: Sequence[Row], metric: str, label: str) -> str:
    bases = any(row.base for row in rows)
    columns = [Column("name", numeric=False)]
    columns += [Column("base", numeric=False)] if bases else [Column("pairs")]
    columns.append(Column("agents"))
    for split in SPLITS:
        columns += [Column("mean ± SEM", group=split), Column("IQM", group=split)]
    columns.append(Column("gap %"))
    lines = []
    for row in rows:
        kind = Cell(row.base) if bases else Cell(str(row.num_pairs), row.num_pairs)
        line = [Cell(row.name), kind, Cell(str(row.num_agents), row.num_agents)]
        for split in SPLITS:
            line += _statistics(getattr(row, split)[metric], metric)
        share = row.relative_gap[metric]
        line.append(_percent(share, _ends(share)))
        lines.append(line)
    return _split(label, columns, rows, lines)


def _split(
    label: str, columns: Sequence[Column], rows: Sequence[Row], lines: Sequence[Line]
) -> str:
    """The table, with the line of all pairs in its foot."""
    body = [line for row, line in zip(rows, lines) if row.name != OVERALL]
    foot = [line for row, line in zip(rows, lines) if row.name == OVERALL]
    return sortable(label, columns, body, foot)


def _statistics(stat: Stat, metric: str) -> Line:
    low, high, mean, iqm, sem = (
        number(getattr(stat, name), metric) for name in ("low", "high", "mean", "iqm", "sem")
    )
    ends = number(stat.iqm_low, metric), number(stat.iqm_high, metric)
    return [
        Cell(f"{mean} ± {sem}", stat.mean, f"[{low}, {high}]"),
        Cell(iqm, stat.iqm, f"[{ends[0]}, {ends[1]}]"),
    ]


def _percent(share: Relative | None, small: str) -> Cell:
    if share is None:
        return Cell("–", None, small)
    return Cell(f"{share.mean:z.0f}", share.mean, small)


def _ends(share: Relative | None) -> str:
    if share is None or share.low is None or share.high is None:
        return ""
    return f"[{share.low:z.0f}, {share.high:z.0f}]"
