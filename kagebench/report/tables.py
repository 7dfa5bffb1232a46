"""Tables in HTML: sorted by a click on a heading (page.js), and several of them behind tabs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby


@dataclass(frozen=True)
class Column:
    """A column: its heading, whether its cells are numbers, and the heading above its group."""

    name: str
    numeric: bool = True
    group: str = ""


@dataclass(frozen=True)
class Cell:
    """A cell: its text, a second smaller line, what it is sorted by if its column holds numbers,
    and a CSS colour of its background."""

    text: str
    value: float | None = None
    small: str = ""
    color: str = ""


Line = Sequence[Cell]


def sortable(
    label: str, columns: Sequence[Column], lines: Sequence[Line], foot: Sequence[Line] = ()
) -> str:
    """A table.

    Args:
        label: what the table shows, for those who do not see it.
        columns: the first one names the lines.
        lines: that are sorted.
        foot: lines that stay at the end.
    """
    groups = _groups(columns) if any(column.group for column in columns) else "<thead>"
    headings = "".join(_heading(index, column) for index, column in enumerate(columns))
    body = "\n".join(_line(columns, line) for line in lines)
    below = "".join(_line(columns, line) for line in foot)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(label)}">'
        f'<table class="sortable">{groups}<tr>{headings}</tr></thead>\n'
        f"<tbody>{body}</tbody>\n<tfoot>{below}</tfoot></table></div>"
    )


def views(name: str, legend: str, contents: Mapping[str, str]) -> str:
    """Pieces of HTML of which one is shown, with a tab for each; at most eight, works without
    a script.

    Args:
        name: of the choice, unique on the page.
        legend: what is chosen.
        contents: label -> HTML.
    """
    tabs = "".join(
        f'<input type="radio" name="{name}" id="{name}-{index}"{" checked" if not index else ""}>'
        f'<label for="{name}-{index}">{escape(label)}</label>'
        for index, label in enumerate(contents)
    )
    shown = "\n".join(f'<div class="view">{content}</div>' for content in contents.values())
    return f'<fieldset class="views"><legend>{escape(legend)}</legend>{tabs}\n{shown}</fieldset>'


def _groups(columns: Sequence[Column]) -> str:
    """Groups of columns, and the line of headings above those of the columns, up to its end."""
    runs = [(group, len(list(run))) for group, run in groupby(column.group for column in columns)]
    spans = "".join(f'<colgroup span="{count}"></colgroup>' for _, count in runs)
    cells = [
        f'<th colspan="{count}" scope="colgroup">{escape(group)}</th>'
        if group
        else f'<td colspan="{count}"></td>'
        for group, count in runs
    ]
    return f"{spans}<thead><tr>{''.join(cells)}</tr>"


def _heading(index: int, column: Column) -> str:
    kind = ' class="number"' if column.numeric else ""
    return (
        f'<th scope="col"{kind} aria-sort="none">'
        f'<button type="button" data-column="{index}">{escape(column.name)}</button></th>'
    )


def _line(columns: Sequence[Column], line: Line) -> str:
    name, *cells = line
    texts = [f'<th scope="row">{_content(name)}</th>']
    for column, cell in zip(columns[1:], cells):
        value = "" if cell.value is None else f' data-value="{cell.value!r}"'
        kind = ' class="number"' if column.numeric else ""
        color = f' style="background:{cell.color}"' if cell.color else ""
        texts.append(f"<td{kind}{value}{color}>{_content(cell)}</td>")
    return f"<tr>{''.join(texts)}</tr>"


def _content(cell: Cell) -> str:
    small = f"<small>{escape(cell.small)}</small>" if cell.small else ""
    return escape(cell.text) + small
