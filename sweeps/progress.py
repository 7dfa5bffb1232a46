"""Progress of a run on the terminal: a bar there, a line now and then in a log file."""

import math
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

SHOWN = ("success_once", "return")


class Reporter:
    """Shows updates, environment steps per second, time left and the latest metrics of a group."""

    def __init__(
        self,
        title: str,
        total: int,
        done: int,
        visible: bool,
        interval: float = 10.0,
        unit: str = "update",
    ):
        """Start.

        Args:
            title: what is run.
            total: number of updates of the group.
            done: how many of them lie behind.
            visible: False shows nothing.
            interval: seconds between lines where there is no terminal.
            unit: what is counted, if not updates.
        """
        self._console = Console(quiet=not visible)
        self._title, self._total, self._interval = title, total, interval
        self._unit = unit
        self._last_line = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[status]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task(title, total=total, completed=done, status="compiling")
        self._latest: dict[str, float] = {}

    def __enter__(self) -> "Reporter":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, done: int, steps_per_second: float, metrics: dict[str, float]) -> None:
        """Report progress.

        Args:
            done: updates that lie behind.
            steps_per_second: environment steps of all trials together.
            metrics: averages over the trials; NaN keeps the value before.
        """
        shown = {name: metrics[name] for name in SHOWN if name in metrics}
        self._latest |= {name: value for name, value in shown.items() if not math.isnan(value)}
        status = f"{steps_per_second:,.0f} steps/s"
        status += "".join(f"  {name} {value:.3g}" for name, value in self._latest.items())
        self._bar.update(self._task, completed=done, status=status)
        now = time.monotonic()
        due = now - self._last_line >= self._interval or done == self._total
        if due and not self._console.is_terminal:
            self._last_line = now
            self._console.print(f"{self._title}: {self._unit} {done}/{self._total}, {status}")
