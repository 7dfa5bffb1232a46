"""The folder of a run: what is written, when, and how a killed run finds its place again.

    plan.json                    what is run; written first
    env.json                     versions, hardware, git revision of the first start
    metrics/GROUP-START-END.parquet   metrics of updates START <= u < END, written before
    checkpoints/GROUP/END        the complete state after END updates; only the last one is kept
    timing.jsonl                 wall-clock seconds and environment steps, one line per checkpoint
    metrics.parquet              all metrics in order, once all groups are finished

Everything is first written under another name and then renamed, so that a file that exists is
complete. A checkpoint makes the parts before it final; parts after it belong to updates that will
be run again, and are deleted on resume.
"""

import json
import os
import shutil
from pathlib import Path
from typing import IO, Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
import polars as pl

from kagebench import machine
from sweeps.plan import Plan, difference, from_json, to_json

try:
    import fcntl
except ImportError:  # not on this system: two processes in one folder go unnoticed
    fcntl = None


class FolderError(ValueError):
    """A folder that cannot be used for a run; one line that says why."""


class Store:
    """A run's folder, opened for writing; locked against other processes until closed."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        """Make the folder, or check that it belongs to this very plan.

        Raises:
            FolderError: it belongs to another plan (named is the first field that differs), holds
                other files, or is in use by another process.
        """
        self.folder = folder
        claim(folder, plan)
        self._lock = lock(folder / ".lock")
        self._checkpointer = ocp.StandardCheckpointer()
        if not (folder / "env.json").exists():
            write_json(folder / "env.json", machine.describe())

    def close(self) -> None:
        """Release the folder."""
        self._checkpointer.close()
        self._lock.close()

    @property
    def finished(self) -> bool:
        """Whether all groups have been run to their end."""
        return (self.folder / "metrics.parquet").exists()

    def resume(self, group: int) -> int:
        """Number of updates that a group has behind it, after deleting what lies beyond."""
        folder = self.folder / "checkpoints" / str(group)
        done = last_checkpoint(folder) or 0
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.name != str(done):
                shutil.rmtree(path)
        for path in parts(self.folder):
            if part_range(path)[0] == group and part_range(path)[1] >= done:
                path.unlink()
        return done

    def save(self, group: int, start: int, end: int, metrics: pl.DataFrame, states: Any) -> None:
        """Make updates START <= u < END of a group final: their metrics, then the state."""
        part = self.folder / "metrics" / f"{group}-{start:09d}-{end:09d}.parquet"
        part.parent.mkdir(exist_ok=True)
        _write_parquet(metrics.lazy(), part)
        folder = self.folder / "checkpoints" / str(group)
        unfinished = folder / f"unfinished-{end}"
        shutil.rmtree(unfinished, ignore_errors=True)
        self._checkpointer.save(unfinished.absolute(), named_leaves(states))
        self._checkpointer.wait_until_finished()
        os.replace(unfinished, folder / str(end))
        for path in folder.iterdir():
            if path.name != str(end):
                shutil.rmtree(path)

    def log_timing(self, **values: float) -> None:
        """Append one line to ``timing.jsonl``."""
        with (self.folder / "timing.jsonl").open("a") as file:
            file.write(json.dumps(values) + "\n")

    def finish(self) -> None:
        """Join the parts of the metrics into one file, in the order of group and update."""
        _write_parquet(read_metrics(self.folder), self.folder / "metrics.parquet")
        shutil.rmtree(self.folder / "metrics")


def claim(folder: Path, plan: Plan) -> None:
    """Write the plan into a new folder, or check it against the one that is there."""
    path, data = folder / "plan.json", json.loads(json.dumps(to_json(plan)))
    if path.exists():
        found = difference(json.loads(path.read_text()), data)
        if found:
            raise FolderError(f"{folder}: belongs to another plan, {found}; choose another folder")
        return
    if folder.exists() and any(entry.name != "plan.json.part" for entry in folder.iterdir()):
        raise FolderError(f"{folder}: holds files but no plan.json; choose a new or empty folder")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(path, data)


def read_plan(folder: Path) -> Plan:
    """The plan of a run's folder.

    Raises:
        FolderError: the folder holds no run.
    """
    path = folder / "plan.json"
    if not path.exists():
        raise FolderError(f"{folder}: holds no run (plan.json not found)")
    return from_json(json.loads(path.read_text()))


def read_metrics(folder: Path) -> pl.LazyFrame:
    """Metrics of a run, finished or not: one row per group, update and trial, in this order.

    Columns: trial, seed, update (1 is the first), step (environment steps of the trial so far),
    then the algorithm's metrics as float32.
    """
    merged = folder / "metrics.parquet"
    if merged.exists():
        return pl.scan_parquet(merged)
    found = parts(folder)
    if not found:
        return pl.LazyFrame()
    return pl.concat([pl.scan_parquet(path) for path in found], how="diagonal")


def parts(folder: Path) -> list[Path]:
    """Files of metrics of an unfinished run, in order."""
    return sorted((folder / "metrics").glob("*.parquet"), key=part_range)


def part_range(path: Path) -> tuple[int, int, int]:
    """Group, first update and end of a part, from its name."""
    group, start, end = path.stem.split("-")
    return int(group), int(start), int(end)


def last_checkpoint(folder: Path) -> int | None:
    """Number of updates of the last complete checkpoint in a group's folder."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return max((int(name) for name in names if name.isdigit()), default=None)


def restore(folder: Path, group: int, template: Any) -> Any:
    """The last checkpoint of a group, with the structure of ``template`` (shapes and dtypes).

    Raises:
        FolderError: there is none.
    """
    path = folder / "checkpoints" / str(group)
    update = last_checkpoint(path)
    if update is None:
        raise FolderError(f"{folder}: no checkpoint of group {group} yet")
    place = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    wanted = {
        name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place)
        for name, leaf in named_leaves(template).items()
    }
    with ocp.StandardCheckpointer() as checkpointer:
        found = checkpointer.restore((path / str(update)).absolute(), wanted)
    leaves, structure = jax.tree_util.tree_flatten_with_path(template)
    restored = [
        found[leaf_name(key)] if leaf.size else jnp.zeros(leaf.shape, leaf.dtype)
        for key, leaf in leaves
    ]
    return jax.tree.unflatten(structure, restored)


def named_leaves(tree: Any) -> dict[str, Any]:
    """Leaves by name, as in ``params.actor.kernel``, without empty ones, which orbax rejects."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {leaf_name(key): leaf for key, leaf in leaves if leaf.size}


def leaf_name(path: tuple[Any, ...]) -> str:
    """Name of a leaf from its path in a pytree."""
    return jax.tree_util.keystr(path, simple=True, separator=".")


def write_json(path: Path, data: Any) -> None:
    """Write JSON so that the file is complete or absent."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(data, indent=1) + "\n")
    os.replace(part, path)


def _write_parquet(frame: pl.LazyFrame, path: Path) -> None:
    part = path.with_name(path.name + ".part")
    frame.sink_parquet(part)
    os.replace(part, path)


def lock(path: Path) -> IO[str]:
    """Lock a file until it is closed.

    Raises:
        FolderError: another process holds it.
    """
    file = path.open("w")
    if fcntl is None:
        return file
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise FolderError(f"{path.parent}: another process is running in this folder") from error
    return file
