"""Files that commands write: checked before the work, replaced as a whole or not at all."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


def check_output(path: Path, suffixes: tuple[str, ...]) -> None:
    """Make sure that a file can be written, before the time to make its content is spent.

    Raises:
        ValueError: the name does not end in one of the suffixes, or the place is no folder.
    """
    if path.suffix.lower() not in suffixes or path.is_dir():
        ending = " or ".join(suffixes)
        raise ValueError(f"output: got {str(path)!r}, allowed: a file ending in {ending}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"output: got {str(path)!r}, {path.parent}: {error.strerror}") from error


def check_range(name: str, value: int, low: int, high: int | None = None) -> None:
    """Check a number given on the command line.

    Raises:
        ValueError: it is outside of low..high.
    """
    if value < low or (high is not None and value > high):
        allowed = f"at least {low}" if high is None else f"{low} to {high}"
        raise ValueError(f"{name}: got {value}, allowed: {allowed}")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to; on success its file replaces the one at `path`."""
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        yield part
        os.replace(part, path)
    finally:
        with contextlib.suppress(OSError):
            part.unlink()
