"""Learning curves of an algorithm's experiments as one picture."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from sweeps.evidence import record

FEW = 6  # curves whose bands and legend leave each other readable in one panel
MANY = 12  # curves beyond which no legend helps
WIDE = 36  # characters of a label of which two fit side by side under a panel


def draw(name: str) -> Path | None:
    """``results/algorithms/NAME.png``, one panel per experiment with curves; None without any.

    Lines are means over seeds; bands, where lines are few, reach from the lowest to the highest.
    """
    outcomes = {key: value for key, value in record.read(name).items() if _is_study(value)}
    if not outcomes:
        return None
    columns = min(3, len(outcomes))
    rows = -(-len(outcomes) // columns)
    # Legends of many curves stand under their panels.
    height = 4.0 if any(len(value["points"]) > FEW for value in outcomes.values()) else 3.2
    figure, panels = plt.subplots(
        rows, columns, figsize=(4.2 * columns, height * rows), squeeze=False, layout="constrained"
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
        if len(points) <= FEW:
            panel.fill_between(
                curve["step"], curve["lowest"], curve["highest"], color=colour, alpha=0.12, lw=0
            )
    several = "env" in outcome["study"].get("space", {})
    env = "several environments" if several else outcome["env"]
    panel.set_title(f"{key}: {env}", fontsize=9)
    panel.set_xlabel("environment steps", fontsize=8)
    panel.set_ylabel(outcome["study"]["objective"]["metric"], fontsize=8)
    panel.tick_params(labelsize=7)
    if 1 < len(points) <= FEW:
        panel.legend(fontsize=6)
    elif FEW < len(points) <= MANY:
        widest = max(len(label) for label in panel.get_legend_handles_labels()[1])
        columns = 2 if widest <= WIDE else 1
        panel.legend(fontsize=6, ncol=columns, loc="upper center", bbox_to_anchor=(0.5, -0.2))


def _is_study(outcome: dict[str, Any]) -> bool:
    """Whether it is a study; what is measured in another way has rows of its own."""
    return "study" in outcome
