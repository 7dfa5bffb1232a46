"""Tables as text: the same figures in every form, published ones beside them."""

import io
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from rich.console import Console

from kagebench.benchmark import published, result, scores, table, text
from kagebench.benchmark.files import write_whole
from kagebench.evaluate import METRICS
from kagebench.suites import SUITES

Data = dict[str, Any]
Rows = list[table.Row]

MARKDOWN = """\
**success**

| name | train | validation | IQM | gap, 95 % interval | gap % |
| --- | ---: | ---: | ---: | ---: | ---: |
| background-5 | 0.750±0.250 | 0.500±0.250 | 0.500 | 0.250 [-0.250, 0.750] | 33.3 |
| filters-4 | 0.900±0.058 | 0.100±0.058 | 0.100 | 0.800 [0.800, 0.800] | 88.9 |
| layout-1 | 0.750±0.250 | 0.625±0.125 | 0.625 | 0.125 [0.000, 0.250] | 16.7 |

**jump_count**

| name | train | validation | IQM | gap, 95 % interval | gap % |
| --- | ---: | ---: | ---: | ---: | ---: |
| background-5 | 0.0±0.0 | 0.0±0.0 | 0.0 | 0.0 [0.0, 0.0] |  |
| filters-4 | 0.0±0.0 | 0.0±0.0 | 0.0 | 0.0 [0.0, 0.0] |  |
| layout-1 | 0.0±0.0 | 0.0±0.0 | 0.0 | 0.0 [0.0, 0.0] |  |
"""
LATEX = r"""\begin{tabular}{lrrrrrrrr}
\toprule
name & train & validation & IQM & gap, 95 \% interval & gap \% & published train & """ + (
    r"""published validation & published gap \% \\
\midrule
\multicolumn{9}{l}{\textbf{success\_once}} \\
background (1/10) & 0.750 $\pm$ 0.000 & 0.500 $\pm$ 0.000 & 0.500 & """
    r"""0.250 [$-$0.250, 0.750] & 33.3 &  &  &  \\
filters & 0.900 $\pm$ 0.000 & 0.100 $\pm$ 0.000 & 0.100 & """
    r"""0.800 [0.800, 0.800] & 88.9 & 0.83 & 0.11 & 86.8 \\
layout & 0.750 $\pm$ 0.000 & 0.625 $\pm$ 0.000 & 0.625 & """
    r"""0.125 [0.000, 0.250] & 16.7 &  &  &  \\
"""
)


@pytest.fixture
def own(data: Data) -> scores.Scores:
    return scores.collect(result.parse(data, "r.json"))


@pytest.fixture
def suites(data: Data) -> Rows:
    """With all pairs of the filters, all like filters-4."""
    entries = [entry for entry in data["evaluations"] if entry["config"] == "filters-4"]
    others = [pair.name for pair in SUITES["filters"] if pair.name != "filters-4"]
    copies = [entry | {"config": name} for entry in entries for name in others]
    data = data | {"evaluations": data["evaluations"] + copies}
    return table.suites(scores.collect(result.parse(data, "r.json")), resamples=1_000)


@pytest.fixture
def pairs(own: scores.Scores) -> Rows:
    return table.pairs(own, resamples=1_000)


def test_markdown(pairs: Rows) -> None:
    assert text.markdown(pairs, ("success", "jump_count")) == MARKDOWN


def test_latex(suites: Rows) -> None:
    found = text.latex(suites, ("success_once",))
    assert found.startswith(LATEX)
    *_, overall, bottom, end = found.splitlines()
    assert overall.startswith("overall (11/34) & 0.873 $\\pm$ 0.018 & 0.184 $\\pm$ 0.057 & ")
    assert (bottom, end) == (r"\bottomrule", r"\end{tabular}")


def test_csv(suites: Rows) -> None:
    frame = pl.read_csv(io.StringIO(text.csv(suites)))
    assert_frame_equal(frame.drop("published"), table.to_frame(suites))
    known = frame.filter(pl.col("published").is_not_null())
    assert known.select("name", "metric", "split", "published").rows() == [
        ("filters", "distance", "relative_gap", 11.7),
        ("filters", "success_once", "train", 0.83),
        ("filters", "success_once", "validation", 0.11),
        ("filters", "success_once", "relative_gap", 86.8),
    ]


def test_the_terminal_fits_80_columns(suites: Rows) -> None:
    console = Console(file=io.StringIO(), width=80)
    text.print_table(console, suites)
    lines = console.file.getvalue().splitlines()  # pyright: ignore[reportAttributeAccessIssue]
    assert max(map(len, lines)) <= 80
    assert [line.strip() for line in lines if line.strip() in text.SHOWN] == list(text.SHOWN)
    start = next(i for i, line in enumerate(lines) if line.strip() == "success_once")
    block = [line.split() for line in lines[start + 1 : start + 7]]
    assert block[0][:5] == ["background", "(1/10)", "0.750±0.000", "0.500±0.000", "0.500"]
    assert block[0][5:] == ["0.250", "[-0.250,", "0.750]", "33.3"]
    assert block[1][:2] == ["filters", "0.900±0.000"]
    assert block[2] == ["published", "0.83", "0.11", "86.8"]
    assert block[3][:2] == ["layout", "0.750±0.000"]


def test_one_agent_has_no_interval(data: Data) -> None:
    data["evaluations"] = [entry for entry in data["evaluations"] if entry["seed"] == 1]
    own = scores.collect(result.parse(data, "r.json"))
    cells = text.cells(table.pairs(own, resamples=10)[0], "success")
    assert cells == ["background-5", "1.000±0.000", "0.250±0.000", "0.250", "0.750", "75.0"]


def test_small_negative_numbers_are_not_minus_zero(data: Data) -> None:
    for entry in data["evaluations"]:
        entry["return"] = -0.4 * (entry["config"] == "layout-1")
    row = table.pairs(scores.collect(result.parse(data, "r.json")), resamples=10)[-1]
    assert text.cells(row, "return") == ["layout-1", "0±0", "0±0", "0", "0 [0, 0]", ""]


def test_notes(own: scores.Scores, data: Data) -> None:
    assert text.note(own).startswith(
        "ppo, paired protocol, agents per base: 2 to 3, last checkpoint"
    )
    data["protocol"] = "reference"
    data["evaluations"] = data["evaluations"][:6]
    other = scores.collect(result.parse(data, "r.json"), "max")
    start = "ppo, reference protocol, agents per base: 2, max over checkpoints. "
    assert text.note(other).startswith(start)


def test_files(suites: Rows, pairs: Rows, tmp_path: Path) -> None:
    paths = text.write(tmp_path / "new" / "tables", suites, pairs, "what it is")
    assert [path.name for path in paths] == [
        *("suites.md", "suites.tex", "suites.csv"),
        *("pairs.md", "pairs.tex", "pairs.csv"),
    ]
    assert sorted(paths[0].parent.iterdir()) == sorted(paths)
    assert paths[0].read_text() == f"{text.markdown(suites)}\nwhat it is\n"
    assert paths[4].read_text() == f"% what it is\n{text.latex(pairs)}"
    assert paths[5].read_text() == text.csv(pairs)


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "table.md"
    write_whole(path, "old ±\n")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "new" * 9_999 + "\ud800")
    assert path.read_bytes() == "old ±\n".encode() and list(tmp_path.iterdir()) == [path]


def test_published_values_have_a_place_and_a_source() -> None:
    values = published.values()
    assert len(values) == 8
    for (suite, metric, split), entry in values.items():
        assert suite in SUITES and metric in METRICS
        assert split in ("train", "validation", "relative_gap")
        assert entry.kind == "second-hand" and "2601.14232" in entry.source
    train, validation = (values["filters", "success_once", s] for s in ("train", "validation"))
    loss = 100 * (train.value - validation.value) / train.value
    assert values["filters", "success_once", "relative_gap"].value == pytest.approx(loss, abs=0.7)
    texts = [statement.text for statement in published.statements()]
    assert any("33 million" in words and "dynamics alone" in words for words in texts)
