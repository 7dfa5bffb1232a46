"""What a measurement was made on: versions, hardware and revision, for `env.json` and reports."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax

from kagebench._version import __version__

ROOT = Path(__file__).resolve().parents[1]


def describe() -> dict[str, Any]:
    """Describe this process and its machine; every value can be written as JSON.

    Returns a flat dict with the keys
        kagebench, python, jax, jaxlib, numpy   versions (str)
        platform                                operating system and architecture (str)
        cpu                                     model name of the processor (str)
        cores                                   processors that this process may use (int)
        memory_bytes                            physical memory (int, None where unknown)
        backend, device, devices                JAX backend, kind of the first device, their number
        git_revision                            commit of the checkout (str), None outside of one
        git_modified                            whether the checkout differs from it (bool or None)
    """
    devices = jax.devices()
    revision = _git("rev-parse", "HEAD")
    changes = None if revision is None else _git("status", "--porcelain")
    return {
        "kagebench": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in ("jax", "jaxlib", "numpy")},
        "platform": platform.platform(),
        "cpu": _cpu_model(Path("/proc/cpuinfo")),
        "cores": _usable_cores(),
        "memory_bytes": _memory_bytes(),
        "backend": jax.default_backend(),
        "device": devices[0].device_kind,
        "devices": len(devices),
        "git_revision": revision,
        "git_modified": None if changes is None else changes != "",
    }


def _cpu_model(cpuinfo: Path) -> str:
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _git(*arguments: str, root: Path = ROOT) -> str | None:
    """Output of a git command, None unless `root` itself is a working checkout.

    An installed package may lie inside the checkout of something else, whose revision would say
    nothing about this code.
    """
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), *arguments]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip()
