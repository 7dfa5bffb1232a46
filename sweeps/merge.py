"""Joins the shards of a study into one folder, which can then be used as if it had run there."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from sweeps import chunks, collect, runner, store, study
from sweeps.runner import WHOLE, Work
from sweeps.study import Study


def merge(folders: Sequence[Path], out: Path) -> Path:
    """Copy the finished chunks of some shards into a new folder.

    What is not finished in any of them is left to `sweeps.runner.run` in the new folder.

    Args:
        folders: of the shards, see `sweeps.runner.run`.
        out: does not exist yet, or is an earlier merge of the same study.

    Returns:
        the new folder.

    Raises:
        sweeps.store.FolderError: a folder holds no study, another study, or trials that another
            one holds too.
    """
    what, batch = read(folders[0])
    text = study.dump(what)
    owners: dict[tuple[int, int], Path] = {}
    found = []
    for folder in folders:
        own = study.dump(read(folder)[0])
        if own != text:
            raise store.FolderError(f"{folder}: belongs to another study than {folders[0]}")
        for chunk in chunks.read(folder) or []:
            if chunks.finished(folder, chunk):
                claim(owners, chunk, folder)
                found.append((chunk, folder))
    work = Work(what, out, WHOLE)
    work.add(batch)
    runner.claim(out, what, WHOLE, work)
    with store.lock(out / ".lock"):
        store.write_json(out / "batches.json", work.batches)
        for chunk, folder in found:
            copy(chunks.path(folder, chunk), chunks.path(out, chunk))
        chunks.write(out, sorted(chunk for chunk, _ in found))
        collect.write(out, what, work.groups, work.points)
    return out


def read(folder: Path) -> tuple[Study, list]:
    """The study of a folder, and its points.

    Raises:
        FolderError: it holds none.
    """
    path = folder / "study.yaml"
    batches = runner.read_batches(folder)
    if not path.exists() or not batches:
        raise store.FolderError(f"{folder}: holds no study that was started")
    return study.load(path), [point for batch in batches for point in batch]


def claim(owners: dict[tuple[int, int], Path], chunk: chunks.Chunk, folder: Path) -> None:
    """Note who holds the trials of a chunk.

    Raises:
        FolderError: somebody else does already.
    """
    for position in range(chunk.first, chunk.last):
        other = owners.setdefault((chunk.group, position), folder)
        if other != folder:
            raise store.FolderError(f"{folder}: holds trials that {other} holds too")


def copy(source: Path, target: Path) -> None:
    """Copy a folder, which is then complete or absent."""
    if target.exists():
        return
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(source, part)
    part.rename(target)
