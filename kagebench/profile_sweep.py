"""Evaluating agents on the points of one axis, or of a grid of two, in one program.

All points share levels and action noise (`kagebench.evaluate`). What was found is a file of its
own, so that a long series of axes can go on where it was interrupted.
"""

import hashlib
import io
import json
import os
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kagebench import camera
from kagebench.env import KageEnv
from kagebench.evaluate import METRICS, Act, evaluate, play
from kagebench.layout import solid_rows
from kagebench.params import EnvParams
from kagebench.profile_axes import Axis, Config, Number, configure, find, neutral_value, tidy
from kagebench.registry import make

# Most frames along the axis of a curve, and along each axis of a grid.
FRAMES = {1: 9, 2: 5}
# The level of the frames, and how far behind the start the player stands in them (px).
_LEVEL, _AHEAD = 8, 150


@dataclass(frozen=True, eq=False)
class Subject:
    """Who is evaluated.

    Attributes:
        policy: name of the algorithm or of the scripted policy.
        seeds: names of the A agents.
        agents: leaves with a leading axis of agents.
        act: environment -> policy in it.
        train: name of the training configuration.
        config: the training configuration.
        options: observation options of `kagebench.make`.
    """

    policy: str
    seeds: tuple[int, ...]
    agents: Any
    act: Callable[[KageEnv], Act]
    train: str
    config: Config
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Grid:
    """Where to evaluate: all combinations of the values of one or two axes.

    Attributes:
        axes: one or two.
        values: of each, as drawn, with the neutral one.
        neutral: position of the neutral value of each.
    """

    axes: tuple[Axis, ...]
    values: tuple[tuple[Number, ...], ...]
    neutral: tuple[int, ...]

    @property
    def name(self) -> str:
        """For files: the keys."""
        return "--".join(axis.key for axis in self.axes)

    @property
    def digest(self) -> str:
        """Eight characters that tell grids over the same axes apart."""
        text = json.dumps([[asdict(axis) for axis in self.axes], self.values], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of values of each axis."""
        return tuple(map(len, self.values))


@dataclass(frozen=True, eq=False)
class Sweep:
    """What agents did on a grid with n (x m) points.

    Attributes:
        grid: the points.
        results: metric -> float32 [A, E, n(, m)].
        shown: of each axis, positions in its values at which there are frames; empty without.
        frames: uint8 [shown(, shown), H, W, 3], one moment of one level.
        seconds: wall-clock time of the evaluation.
    """

    grid: Grid
    results: Mapping[str, np.ndarray]
    shown: tuple[tuple[int, ...], ...]
    frames: np.ndarray
    seconds: float


def lay_out(axes: Sequence[Axis], values: Sequence[Sequence[Number]], train: Config) -> Grid:
    """The grid of some values of each axis, and of the neutral ones.

    Raises:
        ValueError: a key has no influence on `train`.
    """
    neutral = [neutral_value(axis, train) for axis in axes]
    complete = [tidy(axis, [*own, at]) for axis, own, at in zip(axes, values, neutral)]
    places = tuple(own.index(at) for own, at in zip(complete, neutral))
    return Grid(tuple(axes), tuple(complete), places)


def configurations(grid: Grid, train: Config, among: Sequence[Sequence[int]]) -> list[Config]:
    """Configurations of the points at the given positions of each axis, the last axis fastest.

    Raises:
        ValueError: one of them is not allowed.
    """
    indices = np.array(np.meshgrid(*among, indexing="ij")).reshape(len(among), -1).T
    return [
        configure(train, {a: v[i] for a, v, i in zip(grid.axes, grid.values, point)})
        for point in indices
    ]


def run(
    grid: Grid,
    subject: Subject,
    keys: jax.Array,
    frames: bool = True,
    progress: Callable[[float], None] | None = None,
) -> Sweep:
    """Evaluate agents on all points of a grid in one program.

    Args:
        grid: the points.
        subject: the agents.
        keys: typed PRNG keys [E] of the episodes, the same for all agents and points.
        frames: whether to render frames, too.
        progress: called with the finished share.

    Raises:
        ValueError: a configuration is not allowed, or they differ in their frame size.
    """
    start = time.monotonic()
    everything = [range(size) for size in grid.shape]
    env, params = make(configurations(grid, subject.config, everything), **subject.options)
    together = 256 if jax.default_backend() == "cpu" else 4096
    found = evaluate(
        env,
        params,
        subject.act(env),
        subject.agents,
        keys,
        together=together,
        progress=progress,
    )
    # No other grid uses this program, and dozens of them fill the memory.
    play.clear_cache()  # pyright: ignore
    shape = len(subject.seeds), len(keys), *grid.shape
    results = {name: np.moveaxis(v, 1, 2).reshape(shape) for name, v in found.items()}
    shown, pictures = _frames(grid, subject) if frames else ((), np.zeros(0, np.uint8))
    return Sweep(grid, results, shown, pictures, time.monotonic() - start)


def spread(count: int, neutral: int, limit: int) -> tuple[int, ...]:
    """At most `limit` of `count` positions, about evenly spaced, both ends and the neutral one."""
    if count <= limit:
        return tuple(range(count))
    chosen = np.linspace(0, count - 1, limit).round().astype(int)
    inner = chosen[1:-1]
    if neutral not in chosen:
        inner[np.argmin(np.abs(inner - neutral))] = neutral
    return tuple(sorted({*chosen.tolist(), *inner.tolist()}))


def save(sweep: Sweep, path: Path) -> None:
    """Write a sweep as one ``.npz`` file, which is complete or absent."""
    buffer = io.BytesIO()
    about = {
        "keys": [axis.key for axis in sweep.grid.axes],
        "values": sweep.grid.values,
        "neutral": sweep.grid.neutral,
        "shown": sweep.shown,
        "seconds": sweep.seconds,
    }
    arrays: dict[str, Any] = {"about": np.array(json.dumps(about)), "frames": sweep.frames}
    np.savez_compressed(buffer, **arrays, **sweep.results)  # pyright: ignore
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(buffer.getvalue())
    os.replace(part, path)


def load(path: Path) -> Sweep:
    """Read what `save` wrote.

    Raises:
        ValueError: the file is none of those.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            about = json.loads(str(file["about"]))
            results = {name: file[name] for name in METRICS}
            frames = file["frames"]
        axes = tuple(find(key) for key in about["keys"])
        values = tuple(map(tuple, about["values"]))
        grid = Grid(axes, values, tuple(about["neutral"]))
        return Sweep(grid, results, tuple(map(tuple, about["shown"])), frames, about["seconds"])
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: is no finished sweep; delete it and run again") from error


def fingerprint(agents: Any) -> str:
    """16 characters that depend on every leaf of a pytree of arrays and PRNG keys."""
    found = hashlib.sha256()
    for leaf in jax.tree.leaves(agents):
        is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        found.update(np.asarray(jax.random.key_data(leaf) if is_key else leaf).tobytes())
    return found.hexdigest()[:16]


def _frames(grid: Grid, subject: Subject) -> tuple[tuple[tuple[int, ...], ...], np.ndarray]:
    """Positions that are shown, and their frames, at full resolution whatever the agent sees."""
    limit = FRAMES[len(grid.axes)]
    shown = tuple(spread(size, at, limit) for size, at in zip(grid.shape, grid.neutral))
    chosen = configurations(grid, subject.config, shown)
    env, params = make(chosen, assets=subject.options.get("assets"))
    frames = np.asarray(_posed(env, params, jax.random.key(_LEVEL)))
    return shown, frames.reshape(*map(len, shown), *frames.shape[1:])


@partial(jax.jit, static_argnames="env")
def _posed(env: KageEnv, params: EnvParams, key: jax.Array) -> jax.Array:
    """Frames [C, H, W, 3] of the player on the ground of one level, some way from its start."""

    def pose(params: EnvParams) -> jax.Array:
        state, character = env.reset(key, params)[1], params.character
        x = jnp.minimum(state.body.x + _AHEAD, params.layout.length - character.width)
        cx, half = x.astype(jnp.int32), character.width // 2
        top, _ = solid_rows(state.tops, cx, half, params.layout, env.spec.box_segments)
        y = (top - character.height // 2 - 1).astype(jnp.float32)
        place = camera.follow(state.camera_x, x, params, env.spec.width)
        state = state.replace(body=state.body.replace(x=x, y=y), camera_x=place)
        return env.observe(None, state, None, params)

    return jax.vmap(pose)(params)
