"""Fixtures shared by all tests."""

import os
from pathlib import Path

import jax
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Folder with the reference data (a sibling of the checkout); skips the test when absent."""
    folder = Path(os.environ.get("KAGEBENCH_REFERENCE", REPOSITORY.parent / "shared"))
    if not (folder / "golden").is_dir():
        pytest.skip(f"reference data not found at {folder}")
    return folder


@pytest.fixture(scope="module", autouse=True)
def free_programs():
    """Drop the compiled programs of a module: each holds memory maps, of which a process may have
    65,530 on Linux, and running out of them is a segmentation fault."""
    yield
    jax.clear_caches()
