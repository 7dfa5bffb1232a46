"""``algorithms/README.md``: every paper, where it lives, its claim, and what was measured."""

import ast
import os
from pathlib import Path

from sweeps.evidence import record
from sweeps.evidence.spec import Experiment

PAGE = record.ROOT / "algorithms" / "README.md"

HEAD = """# Algorithms

One file per algorithm, with the four names `Config`, `init`, `update` and `policy`; how to add one
is in [CONTRIBUTING](../CONTRIBUTING.md#add-an-algorithm). `python -m algorithms.NAME --help` trains
one, `kagebench sweep` runs [studies](../docs/sweeps.md) of them.

The claims of the papers are tested on a small scale; *reproduced*, *partly* and *not* speak of this
scale, with 95 % intervals over seeds in brackets (Student's t; of several comparisons of which one
is enough, at the joint level): *not* says that a claim did not show here, be it that nothing did,
the opposite, or that the seeds are too few to tell, *partly* that a part of it did. Numbers,
curves, seeds, revision and hardware lie in [results/algorithms](../results/algorithms);
`python -m sweeps.evidence table` writes this page.

PPO on KAGE-Bench, with preset `paper` as the benchmark's own baseline (Cherepanov et al. 2026,
arXiv 2601.14232): [docs/reproduce.md](../docs/reproduce.md).
"""


def write() -> Path:
    """Write the page."""
    PAGE.write_text(text())
    return PAGE


def text() -> str:
    """The page: a table of files, then one of papers per file."""
    modules = {name: record.module(name) for name in record.names()}
    lines = [HEAD, "| file | what | experiments |", "|---|---|---|"]
    for name, module in modules.items():
        link = _link(name)
        page = f"[{name}](#{name})"
        lines.append(f"| {link} | {_title(name)} | {page}: {len(module.EXPERIMENTS)} |")
    for name, module in modules.items():
        lines += ["", f"## {name}", ""]
        lines += _section(name, module.EXPERIMENTS)
    return "\n".join(lines) + "\n"


def _source(name: str) -> Path:
    """The file of an algorithm; of what is no algorithm by itself, the file of its experiments."""
    path = PAGE.parent / f"{name}.py"
    return path if path.is_file() else record.ROOT / "sweeps" / "evidence" / f"{name}.py"


def _link(name: str) -> str:
    path = _source(name)
    return f"[{path.name}]({os.path.relpath(path, PAGE.parent)})"


def _title(name: str) -> str:
    """First line of the docstring."""
    return (
        (ast.get_docstring(ast.parse(_source(name).read_text())) or "").splitlines()[0].rstrip(".")
    )


def _section(name: str, experiments: tuple[Experiment, ...]) -> list[str]:
    outcomes = record.read(name)
    lines = [
        "| paper | option | environment | claim | outcome | command |",
        "|---|---|---|---|---|---|",
    ]
    for experiment in experiments:
        outcome = outcomes.get(experiment.key)
        env, found = "", "not run yet"
        if outcome:
            env = outcome["env"]
            found = f"*{outcome['verdict']}*: {outcome['summary']}"
        option = f"`{experiment.where}`" if experiment.where else ""
        command = f"`python -m sweeps.evidence {name} {experiment.key}`"
        cells = (experiment.paper, option, env, experiment.claim, found, command)
        lines.append("| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |")
    if (record.RESULTS / f"{name}.png").is_file():
        lines += ["", f"![learning curves of {name}](../results/algorithms/{name}.png)"]
    return lines
