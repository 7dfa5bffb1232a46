"""Running experiments, and the file of their outcomes."""

import importlib
import json
import pkgutil
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl

from kagebench import machine
from kagebench.schema import nearest
from sweeps import analysis, runner
from sweeps.evidence import spec
from sweeps.store import write_json
from sweeps.study import Study, to_data

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results" / "algorithms"
PARTS = 24  # points of a stored curve
# Keys of a stored point that are not its parameters.
OUTCOME = ("score", "low", "high", "scores", "curve")


def names() -> list[str]:
    """Algorithms that have experiments."""
    package = importlib.import_module("sweeps.evidence")
    found = [entry.name for entry in pkgutil.iter_modules(package.__path__)]
    return [
        name
        for name in found
        if name not in ("__main__", "plot", "record", "spec", "table", "training")
    ]


def module(name: str) -> ModuleType:
    """The module of an algorithm, with its ``EXPERIMENTS``.

    Raises:
        ValueError: there is none.
    """
    known = names()
    if name not in known:
        near = nearest(name, known)
        hint = f" (did you mean {near}?)" if near else ""
        raise ValueError(f"name: got {name!r}{hint}, allowed: judge table {' '.join(known)}")
    return importlib.import_module(f"sweeps.evidence.{name}")


def run(name: str, keys: list[str], runs: Path) -> None:
    """Run experiments and write their outcomes, each as soon as it is finished.

    Args:
        name: of the algorithm.
        keys: of the experiments; all if empty.
        runs: folder of the studies, where an interrupted one goes on.

    Raises:
        ValueError: a name or a key does not exist.
    """
    experiments = {experiment.key: experiment for experiment in module(name).EXPERIMENTS}
    for key in keys:
        if key not in experiments:
            raise ValueError(f"key: got {key!r}, allowed: {' '.join(experiments)}")
    for key in keys or experiments:
        print(f"{name} {key}", flush=True)
        outcome = outcome_of(experiments[key], runs / name / key)
        outcome["command"] = f"python -m sweeps.evidence {name} {key}"
        RESULTS.mkdir(parents=True, exist_ok=True)
        write_json(RESULTS / f"{name}.json", read(name) | {key: outcome})
        print(f"  {outcome['verdict']}: {outcome['summary']}", flush=True)


def judge(name: str) -> None:
    """Judge stored outcomes of studies again, for rules that changed after they were run.

    Measurements are left: what they compare is not stored, they have to be run again. So do studies
    whose definitions changed.
    """
    outcomes = read(name)
    for experiment in module(name).EXPERIMENTS:
        outcome = outcomes.get(experiment.key)
        if not isinstance(experiment, spec.Sweep) or outcome is None:
            continue
        if outcome.get("study") != json.loads(json.dumps(to_data(experiment.study()))):
            print(f"{name} {experiment.key}: another study was run, not judged", flush=True)
            continue
        points = []
        for row in outcome["points"]:
            scores = np.array(row["scores"])
            row["low"], row["high"] = (round(end, 4) for end in spec.interval(scores))
            values = {key: value for key, value in row.items() if key not in OUTCOME}
            points.append(spec.Point(values, scores))
        verdict = experiment.judge(points)
        outcome |= {"claim": experiment.claim, "verdict": verdict.outcome}
        outcome["summary"] = verdict.summary
    if outcomes:
        write_json(RESULTS / f"{name}.json", outcomes)


def read(name: str) -> dict[str, Any]:
    """Outcomes of an algorithm by key; empty if there are none."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.is_file() else {}


def outcome_of(experiment: spec.Experiment, folder: Path) -> dict[str, Any]:
    """Run an experiment; its outcome as JSON values."""
    start = time.perf_counter()
    if isinstance(experiment, spec.Measurement):
        rows, verdict = experiment.measure()
        content: dict[str, Any] = {"env": experiment.env, "points": rows}
    else:
        study = experiment.study()
        results = analysis.read(runner.run(study, folder))
        points = points_of(results)
        verdict = experiment.judge(points)
        content = describe(study, results, points)
    return {
        "paper": experiment.paper,
        "claim": experiment.claim,
        "where": experiment.where,
        "verdict": verdict.outcome,
        "summary": verdict.summary,
        **content,
        "seconds": round(time.perf_counter() - start, 1),
        "machine": machine.describe(),
    }


def points_of(results: analysis.Results) -> list[spec.Point]:
    """Finished points of a study."""
    names = list(results.study.space)
    rows = results.finished.select("point", *names).to_dicts()
    values = [{name: row[name] for name in names if row[name] is not None} for row in rows]
    return [spec.Point(v, scores) for v, scores in zip(values, results.scores)]


def describe(study: Study, results: analysis.Results, points: list[spec.Point]) -> dict[str, Any]:
    """What was run, and what came out, as JSON values."""
    curves = analysis.curves(results, analysis.read_metrics(results))
    described = []
    for number, point in zip(results.numbers, points):
        low, high = spec.interval(point.scores)
        described.append(
            {
                **point.values,
                "score": round(float(point.scores.mean()), 4),
                "low": round(low, 4),
                "high": round(high, 4),
                "scores": np.round(point.scores, 4).tolist(),
                "curve": thinned(curves.filter(point=int(number))),
            }
        )
    unfinished = results.points.height - len(points)
    return {
        # Where the environment is a parameter, all of its values.
        "env": study.env or ", ".join(dict.fromkeys(str(p.values["env"]) for p in points)),
        "study": to_data(study),
        "points": described,
        **({"unfinished": unfinished} if unfinished else {}),
    }


def thinned(curve: pl.DataFrame) -> dict[str, list[float]]:
    """At most `PARTS` points of a learning curve: step, mean, lowest and highest over seeds."""
    rows = np.unique(np.linspace(0, curve.height - 1, min(PARTS, curve.height)).astype(int))
    chosen = curve[rows.tolist()].select("step", "mean", "lowest", "highest")
    return {name: [float(f"{v:.4g}") for v in chosen[name]] for name in chosen.columns}
