"""Environment steps per second, with every pixel written and read.

Protocol: random actions inside a `lax.scan` of `block` steps over `num_envs` environments; one
block to warm up, then the best of `repeats` blocks. In pixel modes the frame is part of the scan's
carry, so it is written to memory in every step, and by default every byte of it is then added into
a checksum: under jit, an output that nobody reads is deleted together with the work that made it.
"""

import resource
import time
from functools import partial, reduce
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from kagebench import machine
from kagebench.env import NUM_ACTIONS, KageEnv, KageState
from kagebench.params import EnvParams

Mode = Literal["dynamics", "pixels", "pixels+reset"]
Consume = Literal["checksum", "carry"]
METHOD = {
    "dynamics": "states carried through a scan, no observation",
    "checksum": "frames carried through a scan; every byte of each is then summed",
    "carry": "frames carried through a scan, that is written to memory in every step",
}
_FILL_BYTES = 1 << 28
_FILLS = 8
_PARTS = 16


class Carry(NamedTuple):
    """What a scan hands on: states, the last frames [N, H, W, C], checksum uint32 [rows]."""

    states: KageState
    frames: jax.Array
    checksum: jax.Array


def checksum(frames: jax.Array) -> jax.Array:
    """Sum of all bytes modulo 256 per lane (uint8 [lanes]): reads everything once.

    Sixteen equal parts are added at a time, because that vectorises on every backend.
    """
    lanes = frames.size // (frames.shape[0] * frames.shape[1])
    rows = frames.reshape(-1, lanes)
    while rows.shape[0] > 1:
        parts = min(_PARTS, rows.shape[0])
        rows = jnp.pad(rows, ((0, -rows.shape[0] % parts), (0, 0)))
        rows = reduce(jnp.add, rows.reshape(parts, -1, lanes))
    return rows[0]


def step(
    carry: Carry, key: jax.Array, env: KageEnv, params: EnvParams, mode: Mode, consume: Consume
) -> Carry:
    """One step of all environments with random actions."""
    action_key, step_key = jax.random.split(key)
    count = carry.states.time.shape[0]
    actions = jax.random.randint(action_key, (count,), 0, NUM_ACTIONS)
    keys = jax.random.split(step_key, count)
    advance = env.step if mode == "pixels+reset" else env.step_env
    obs, states, *_ = jax.vmap(advance, (0, 0, 0, None))(keys, carry.states, actions, params)
    total = carry.checksum
    if consume == "checksum" and mode != "dynamics":
        total = total + checksum(obs)
    return Carry(states, carry.frames if mode == "dynamics" else obs, total)


@partial(jax.jit, static_argnames=("env", "mode", "consume", "block"), donate_argnames="carry")
def run_block(
    carry: Carry,
    key: jax.Array,
    params: EnvParams,
    env: KageEnv,
    mode: Mode,
    consume: Consume,
    block: int,
) -> Carry:
    """`block` steps of all environments."""

    def body(carry: Carry, key: jax.Array) -> tuple[Carry, None]:
        return step(carry, key, env, params, mode, consume), None

    return jax.lax.scan(body, carry, jax.random.split(key, block))[0]


@partial(jax.jit, static_argnames=("env", "num_envs", "mode"))
def _start(key: jax.Array, params: EnvParams, env: KageEnv, num_envs: int, mode: Mode) -> Carry:
    frames, states = jax.vmap(env.reset_env, (0, None))(jax.random.split(key, num_envs), params)
    if mode == "pixels+reset":
        # Episodes out of phase, so that resets are spread over the steps as in long training.
        phase = jnp.arange(num_envs) * params.episode_length // num_envs
        states = states.replace(time=phase.astype(jnp.int32))
    if mode == "dynamics":
        frames = jnp.zeros((num_envs, 1, 1), jnp.uint8)
    lanes = frames.size // (frames.shape[0] * frames.shape[1])
    return Carry(states, frames, jnp.zeros(lanes, jnp.uint8))


def measure(
    env: KageEnv,
    params: EnvParams,
    num_envs: int,
    mode: Mode = "pixels",
    consume: Consume = "checksum",
    block: int = 100,
    repeats: int = 3,
) -> dict[str, Any]:
    """Measure one case.

    Returns:
        steps_per_second (best block), steps_per_second_mean, trace_seconds, compile_seconds,
        state_bytes_per_env, peak_memory_bytes (of the process on CPU, of the device elsewhere),
        frame_bytes, write_bandwidth (bytes/s that this machine fills memory with),
        write_bandwidth_fraction (of it that frames take; 0 in dynamics mode), method.
    """
    carry = _start(jax.random.key(0), params, env, num_envs, mode)
    state_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(carry.states)) / num_envs
    frame_bytes = 0 if mode == "dynamics" else carry.frames.nbytes // num_envs
    clock = time.perf_counter()
    lowered = run_block.lower(carry, jax.random.key(0), params, env, mode, consume, block)
    traced = time.perf_counter()
    program = lowered.compile()
    compiled = time.perf_counter()
    rates = []
    for i in range(repeats + 1):
        start = time.perf_counter()
        carry = jax.block_until_ready(program(carry, jax.random.key(i), params))
        rates.append(num_envs * block / (time.perf_counter() - start))
    best, bandwidth = max(rates[1:]), write_bandwidth()
    return {
        "steps_per_second": best,
        "steps_per_second_mean": sum(rates[1:]) / repeats,
        "trace_seconds": traced - clock,
        "compile_seconds": compiled - traced,
        "state_bytes_per_env": state_bytes,
        "peak_memory_bytes": peak_memory_bytes(),
        "frame_bytes": frame_bytes,
        "write_bandwidth": bandwidth,
        "write_bandwidth_fraction": best * frame_bytes / bandwidth,
        "method": METHOD["dynamics" if mode == "dynamics" else consume],
        "num_envs": num_envs,
        "mode": mode,
        "block": block,
        "repeats": repeats,
        "machine": machine.describe(),
    }


def peak_memory_bytes() -> int:
    """Most memory in use so far: of the device, or of the process where devices do not count."""
    stats = jax.local_devices()[0].memory_stats() or {}
    return stats.get("peak_bytes_in_use", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def write_bandwidth() -> float:
    """Bytes per second with which a jitted program fills a buffer larger than the caches."""
    seconds = []
    buffer = jnp.zeros(_FILL_BYTES, jnp.uint8)
    for _ in range(4):
        start = time.perf_counter()
        buffer = jax.block_until_ready(_fill(buffer))
        seconds.append(time.perf_counter() - start)
    return _FILL_BYTES * _FILLS / min(seconds[1:])


@partial(jax.jit, donate_argnums=0)
def _fill(buffer: jax.Array) -> jax.Array:
    """Overwrite the buffer _FILLS times in place (fresh memory would measure page faults)."""
    fill = lambda i, old: jnp.full(old.shape, i, jnp.uint8)  # noqa: E731
    return jax.lax.fori_loop(0, _FILLS, fill, buffer)
