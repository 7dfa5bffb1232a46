"""Result files made by hand, for tests of what is made of them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kagebench.suites import BASES, PAIRS

# Success once under the shifts of a suite, as a share of that in training.
KEPT = {
    "agent_appearance": 0.8,
    "background": 0.4,
    "distractors": 0.7,
    "effects": 0.25,
    "filters": 0.125,
    "layout": 0.5,
}


def entry(base: str, seed: int, config: str, step: int, success: float) -> dict[str, Any]:
    """One evaluation with this success once; the other metrics follow from it."""
    distance = 40.0 + 456.0 * success
    return {
        "base": base,
        "seed": seed,
        "config": config,
        "step": step,
        "distance": distance,
        "progress": distance / 490.0,
        "success": 0.75 * success,
        "success_strict": 0.5 * success,
        "success_once": success,
        "return": -2000.0 * (1.0 - success),
        "jump_count": 20.0 + seed,
    }


def content(
    algorithm: str,
    level: float = 0.95,
    seeds: Sequence[int] = (1, 2, 3),
    steps: Sequence[int] = (2_000_000,),
    pairs: Sequence[str] = tuple(PAIRS),
    **other: Any,
) -> dict[str, Any]:
    """Content of a result file.

    Args:
        algorithm: its label.
        level: success once in training at the last step; of the seeds, the first has a little less.
        seeds: of the agents of every base.
        steps: checkpoints; success grows in proportion.
        pairs: that were evaluated.
        other: fields that are not the usual ones.
    """
    rows = []
    for base in BASES.values():
        own = [name for name in pairs if PAIRS[name].base == base]
        for seed in seeds if own else ():
            for step in steps:
                success = level * (step / steps[-1] if steps[-1] else 1.0) * (1 - 0.01 / seed)
                rows.append(entry(base, seed, base, step, success))
                for name in own:
                    share = KEPT[PAIRS[name].suite] * (1 - 0.02 * PAIRS[name].id)
                    rows.append(entry(base, seed, name, step, success * share))
    return {
        "schema": "kagebench-result/1",
        "algorithm": algorithm,
        "protocol": "paired",
        "observation": {"obs": "pixels", "obs_size": 32, "pooling": "mean", "art": "shipped"},
        "training_steps": max(steps),
        "episodes": 16,
        "actions": "sampled",
        "evaluations": rows,
    } | other


def write(path: Path, *arguments: Any, **options: Any) -> Path:
    """Write a result file with this `content`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content(*arguments, **options)))
    return path
