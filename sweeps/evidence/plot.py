"""Learning curves of an algorithm's experiments as one picture."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from sweeps.evidence import record


def draw(name: str) -> Path | None:
    """``results/algorithms/NAME.png``, one panel per experiment with curves; None without any.

    Lines are means over seeds, bands reach from the lowest to the highest seed.
    """
    outcomes = {key: value for key, value in record.read(name).items() if _is_study(value)}
    if not outcomes:
        return None
    columns = min(3, len(outcomes))
    rows = -(-len(outcomes) // columns)
    figure, panels = plt.subplots(
        rows, columns, figsize=(4.2 * columns, 3.2 * rows), squeeze=False, layout="constrained"
    )
    for panel in panels.flat[len(outcomes) :]:
        panel.set_visible(False)
    for panel, (key, outcome) in zip(panels.flat, outcomes.items()):
        _panel(panel, key, outcome)
    path = record.RESULTS / f"{name}.png"
    figure.savefig(path, dpi=80)
    plt.close(figure)
    return path


def _panel(panel: Any, key: str, outcome: dict[str, Any]) -> None:
    points = outcome["points"]
    colours = plt.get_cmap("viridis").resampled(max(len(points), 2))
    for i, point in enumerate(points):
        curve = point["curve"]
        values = [f"{n} {v}" for n, v in point.items() if n not in record.OUTCOME]
        colour = colours(i)
        panel.plot(curve["step"], curve["mean"], color=colour, label=", ".join(values), lw=1.5)
        panel.fill_between(
            curve["step"], curve["lowest"], curve["highest"], color=colour, alpha=0.12, lw=0
        )
    panel.set_title(f"{key}: {outcome['env']}", fontsize=9)
    panel.set_xlabel("environment steps", fontsize=8)
    panel.set_ylabel(outcome["study"]["objective"]["metric"], fontsize=8)
    panel.tick_params(labelsize=7)
    if 1 < len(points) <= 12:
        panel.legend(fontsize=6)


def _is_study(outcome: dict[str, Any]) -> bool:
    """Whether it is a study; what is measured in another way has rows of its own."""
    return "study" in outcome
