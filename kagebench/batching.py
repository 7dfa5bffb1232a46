"""Functions written for a whole batch that can still be called, and vmapped, like single ones."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap


def batch_native(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a batch function callable on single examples under any nesting of `jax.vmap`.

    `vmap` turns data-dependent branches and loops into work for every element. A function that
    sees the batch as one axis can instead skip what no element needs.

    Args:
        function: takes and returns pytrees whose leaves all have one leading batch axis.

    Returns:
        A function of the same pytrees without that axis.
    """

    @custom_vmap
    def batched(*args: Any) -> Any:
        return function(*args)

    @batched.def_vmap
    def _(size: int, is_batched: Any, *args: Any) -> tuple[Any, Any]:
        def merge(leaf: Any, has_axis: bool) -> Any:
            if not has_axis:
                leaf = jnp.broadcast_to(leaf, (size, *leaf.shape))
            return leaf.reshape((leaf.shape[0] * leaf.shape[1], *leaf.shape[2:]))

        merged = jax.tree.map(merge, args, tuple(is_batched))
        out = batched(*merged)
        split = jax.tree.map(lambda x: x.reshape((size, x.shape[0] // size, *x.shape[1:])), out)
        return split, jax.tree.map(lambda _: True, out)

    @wraps(function)
    def single(*args: Any) -> Any:
        expanded = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], args)
        return jax.tree.map(lambda leaf: leaf[0], batched(*expanded))

    return single


def materialize(compute: Callable[[], Any], token: jax.Array) -> Any:
    """Evaluate `compute` into memory before anything that reads it.

    XLA for CPU fuses producers into every consumer, also where each value is then recomputed once
    per pixel, and drops optimization barriers early. A branch on a value that is always true at
    run time is a boundary that it keeps. Elsewhere the ordinary barrier does.

    Args:
        compute: the computation; its results must be arrays.
        token: signed array that is not known at compile time, with a first element above -30000.
    """

    def on_cpu() -> Any:
        shapes = jax.eval_shape(compute)
        zeros = lambda: jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)  # noqa: E731
        always = token.reshape(-1)[0] > -30000
        return jax.lax.cond(always, compute, zeros)

    def elsewhere() -> Any:
        return jax.lax.optimization_barrier(compute())

    return jax.lax.platform_dependent(cpu=on_cpu, default=elsewhere)
