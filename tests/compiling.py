"""How well programs are compiled in tests."""

from collections.abc import Iterator
from contextlib import contextmanager

import jax
import pytest

FLAG = "jax_disable_most_optimizations"


@contextmanager
def optimised() -> Iterator[None]:
    """Compile with optimisations, also where `make test` switches them off, here and in processes
    that are started: for programs that run for longer than they compile."""
    before = jax.config.read(FLAG)
    jax.config.update(FLAG, False)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(FLAG.upper(), "0")
            yield
    finally:
        jax.config.update(FLAG, before)
