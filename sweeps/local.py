"""Runs one chunk in this process, and finds out what became of it and of its trials."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from sweeps import engine, scheduled, store
from sweeps.chunks import Chunk
from sweeps.plan import Plan
from sweeps.space import Space

Outcome = Literal["finished", "out of memory"]


class Job(NamedTuple):
    """A chunk and what it needs to run.

    Attributes:
        chunk: which one.
        plan: its trials.
        folder: of its results.
        rules: of the scheduler that decides which trials go on; None if all of them do.
        points: number of each trial's point, for the scheduler.
        space: priors of the parameters, for the scheduler.
    """

    chunk: Chunk
    plan: Plan
    folder: Path
    rules: scheduled.Settings | None = None
    points: tuple[int, ...] = ()
    space: Space | None = None


def run(job: Job, progress: bool = True) -> Outcome:
    """Run the trials of a chunk to their end, going on where an earlier call was stopped.

    Without a scheduler this writes failed.json, the positions of the trials whose parameters are
    not finite.

    Raises:
        sweeps.store.FolderError: the disk is full or the folder cannot be written.
    """
    plan, folder = job.plan, job.folder
    num_updates = plan.trials[0].config.num_updates
    visit = engine.Visit(num_updates, partial(_note_failed, folder, num_updates))
    try:
        if job.rules is None:
            engine.run(plan, folder, progress=progress, visit=visit)
        else:
            points = list(job.points)
            scheduled.run(
                plan, folder, job.rules, points=points, space=job.space, progress=progress
            )
    except Exception as error:
        if disk_full(error):
            raise store.FolderError(f"{folder}: no space left on the disk") from error
        if job.rules is None and len(plan.trials) > 1 and out_of_memory(error):
            return "out of memory"
        raise
    return "finished"


def not_finite(states: Any) -> list[int]:
    """Positions of the trials whose parameters (all of the state if it has none) are not finite.

    Args:
        states: of an algorithm, leaves (S, ...).
    """
    leaves = [leaf for leaf in jax.tree.leaves(getattr(states, "params", states)) if _real(leaf)]
    finite = [np.isfinite(np.asarray(leaf)).reshape(len(leaf), -1).all(axis=1) for leaf in leaves]
    return np.flatnonzero(~np.all(finite, axis=0)).tolist() if finite else []


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory did not suffice."""
    texts = ("RESOURCE_EXHAUSTED", "Out of memory", "out of memory", "OUT_OF_MEMORY")
    return isinstance(error, MemoryError) or any(text in str(error) for text in texts)


def disk_full(error: BaseException) -> bool:
    """Whether an exception says that a file could not be written for want of space."""
    return any("No space left" in str(found) for found in chain(error))


def chain(error: BaseException | None) -> Sequence[BaseException]:
    """An exception and those it came from."""
    found = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def _note_failed(
    folder: Path, num_updates: int, group: engine.Group, updates: int, states: Any
) -> None:
    if updates == num_updates:
        store.write_json(folder / "failed.json", not_finite(states))


def _real(leaf: Any) -> bool:
    return jax.numpy.issubdtype(leaf.dtype, np.floating)
