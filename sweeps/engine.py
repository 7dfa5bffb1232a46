"""Runs a plan: all trials of a group in one program, in chunks, resumable at any moment.

Seeds, config leaves and environment parameters are batch axes of one compiled program. The program
does a number of updates that the host chooses at run time; then the host shows progress and, every
now and then, makes what was done final (:mod:`sweeps.store`). How the updates are cut into calls
does not change any number, so a run that was killed and started again ends in the same bits.
"""

import functools
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl

from algorithms.common.task import Task
from sweeps import store
from sweeps.plan import Plan, PlanError, Trial, build_task, count_environments, stack
from sweeps.progress import Reporter

PyTree = Any
Axis = Literal["auto", "vmap", "map"]

CAPACITY = 64  # most updates per call of the program
CALL_SECONDS = 1.0  # what a call is meant to last
SAVE_SHARE = 0.05  # most of the time that may go into checkpoints
# A program that runs once spends its time in the compiler: without optimisations less than half.
RUN_ONCE = {"xla_backend_optimization_level": 0}
# How the arguments of a program lie on several devices.
TRIALS, WHOLE = jax.P("trials"), jax.P()


class Loaded(NamedTuple):
    """A run, or a group of it, as it was saved last.

    algorithm: the module.
    config: leaves (S,), one value per trial.
    state: leaves (S, ...).
    metrics: see :func:`sweeps.store.read_metrics`.
    """

    algorithm: ModuleType
    config: Any
    state: Any
    metrics: pl.DataFrame


class Group(NamedTuple):
    """What the trials of a group start from: leaves with a leading axis S, one entry per trial.

    params: the task's parameters per trial, None if all trials share those of the task.
    """

    keys: jax.Array
    configs: PyTree
    params: PyTree


class Visit(NamedTuple):
    """What to do with the agents while they are trained.

    every: number of updates between two calls.
    call: function of (group, updates done, states); the states, leaves (S, ...), are only valid
        during the call. It is called before the first update, after every ``every`` updates and
        after the last one, and again where a killed run repeats updates.
    """

    every: int
    call: Callable[[Group, int, PyTree], None]


def run(
    plan: Plan,
    folder: str | Path,
    *,
    task: Task | None = None,
    axis: Axis = "auto",
    checkpoint_seconds: float = 30.0,
    progress: bool = True,
    visit: Visit | None = None,
) -> Path:
    """Run a plan to its end, going on where an earlier call in the same folder was stopped.

    Args:
        plan: what to run.
        folder: of the results, see :mod:`sweeps.store`.
        task: used instead of the one built from the plan; for environments made by hand.
        axis: how trials become one program, see :func:`choose_axis`.
        checkpoint_seconds: at least so much time lies between two checkpoints, and more if saving
            one is slow.
        progress: report on the terminal.
        visit: what to do with the agents on the way.

    Returns:
        the folder.

    Raises:
        sweeps.store.FolderError: the folder belongs to something else.
        sweeps.plan.PlanError: the task or a config is not valid.
    """
    use_compile_cache()
    _refuse_scheduled(Path(folder))
    task = check(plan, task)
    results = store.Store(Path(folder), plan)
    try:
        if not results.finished:
            for index in range(len(plan.groups())):
                run_group(plan, index, results, task, axis, checkpoint_seconds, progress, visit)
            results.finish()
    finally:
        results.close()
    return Path(folder)


def check(plan: Plan, task: Task | None = None) -> Task:
    """Build the task and see whether every group's algorithm can start on it.

    Raises:
        PlanError: the task or a config is not valid.
    """
    try:
        task = build_task(plan.task) if task is None else task
        for numbers in plan.groups():
            group = stack_group(plan, [plan.trials[number] for number in numbers], task)
            state_template(plan.module, group, task)
    except ValueError as error:
        raise PlanError(str(error)) from error
    return task


def run_group(
    plan: Plan,
    index: int,
    results: store.Store,
    task: Task,
    axis: Axis,
    checkpoint_seconds: float,
    progress: bool,
    visit: Visit | None = None,
) -> None:
    """Run one group of a plan from its last checkpoint to its end."""
    numbers = plan.groups()[index]
    trials = [plan.trials[number] for number in numbers]
    config = trials[0].config
    start = done = results.resume(index)
    if done == config.num_updates:
        return
    axis = choose_axis(task, len(trials)) if axis == "auto" else axis
    devices = choose_devices(len(trials))
    group = place(stack_group(plan, trials, task), devices)
    if done:
        template = state_template(plan.module, group, task)
        states = place(store.restore(results.folder, index, template), devices)
    else:
        states = initialise(plan.module, group, task, devices)
        if visit:
            visit.call(group, 0, states)

    title = f"{plan.algorithm.rpartition('.')[2]} x {len(trials)}"
    frames: list[pl.DataFrame] = []
    count, pause, saved_at = 1, checkpoint_seconds, time.monotonic()
    with Reporter(title, config.num_updates, done, progress) as reporter:
        while done < config.num_updates:
            before = time.monotonic()
            if visit:
                count = min(count, visit.every - done % visit.every)
            states, metrics = advance(
                plan.module, states, group, task, count, axis, CAPACITY, devices
            )
            metrics = {name: value[:, :count] for name, value in jax.device_get(metrics).items()}
            seconds = time.monotonic() - before
            frames.append(to_frame(metrics, numbers, trials, done))
            done += count
            steps_per_second = count * len(trials) * config.steps_per_update / seconds
            reporter.show(done, steps_per_second, latest(metrics))
            if visit and (done % visit.every == 0 or done == config.num_updates):
                visit.call(group, done, states)
            count = next_count(count, seconds, config.num_updates - done)
            elapsed = time.monotonic() - saved_at
            if elapsed < pause and done < config.num_updates:
                continue
            before = time.monotonic()
            results.save(index, start, done, pl.concat(frames), states)
            saved_at = time.monotonic()
            pause = max(checkpoint_seconds, (saved_at - before) / SAVE_SHARE)
            steps = (done - start) * config.steps_per_update * len(trials)
            results.log_timing(group=index, update=done, seconds=elapsed, steps=steps)
            frames, start = [], done


def load(folder: str | Path, group: int = 0, task: Task | None = None) -> Loaded:
    """Read what a run saved last.

    Args:
        folder: of the run.
        group: which group of the plan, in order; 0 unless static config fields were varied.
        task: as in :func:`run`.

    Returns:
        algorithm, config, state, metrics; config and state have a leading axis of trials.

    Raises:
        sweeps.store.FolderError: the folder holds no run, no checkpoint yet, or a run under a
            scheduler.
    """
    folder = Path(folder)
    _refuse_scheduled(folder)
    plan = store.read_plan(folder)
    numbers = plan.groups()[group]
    task = build_task(plan.task) if task is None else task
    stacked = stack_group(plan, [plan.trials[number] for number in numbers], task)
    states = store.restore(folder, group, state_template(plan.module, stacked, task))
    metrics = store.read_metrics(folder).filter(pl.col("trial").is_in(numbers)).collect()
    return Loaded(plan.module, stacked.configs, states, metrics)


def _refuse_scheduled(folder: Path) -> None:
    """Raise a FolderError where a scheduler runs: its rows are not the trials of the plan."""
    if (folder / "scheduler.json").exists():
        raise store.FolderError(
            f"{folder}: holds a run under a scheduler (trials that came to their end are runs of "
            "their own in agents/); choose another folder"
        )


# --- The program ----------------------------------------------------------------------------------


@functools.partial(jax.jit, static_argnames=("algorithm", "devices"), compiler_options=RUN_ONCE)
def initialise(algorithm: ModuleType, group: Group, task: Task, devices: int = 1) -> PyTree:
    """States (S, ...) of all trials before the first update; arguments as for `advance`."""

    def trials(group: Group, task: Task) -> PyTree:
        return jax.vmap(functools.partial(_initialise_trial, algorithm, task))(*group)

    return over_devices(trials, devices, TRIALS, WHOLE)(group, task)


def state_template(algorithm: ModuleType, group: Group, task: Task, devices: int = 1) -> PyTree:
    """Shapes, dtypes and places of the states of a group."""
    shapes = initialise.eval_shape(algorithm, group, task)
    if devices == 1:
        return shapes
    sharding = jax.sharding.NamedSharding(_mesh(devices), TRIALS)
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), shapes
    )


@functools.partial(
    jax.jit,
    static_argnames=("algorithm", "axis", "capacity", "devices"),
    donate_argnames="states",
)
def advance(
    algorithm: ModuleType,
    states: PyTree,
    group: Group,
    task: Task,
    count: int | jax.Array,
    axis: Axis | int,
    capacity: int,
    devices: int = 1,
) -> tuple[PyTree, dict[str, jax.Array]]:
    """Do ``count`` updates of all trials.

    Args:
        algorithm: the module.
        states: leaves (S, ...); their memory is used for the result.
        group, task: what the trials are.
        count: at most ``capacity``; not static, so that it never compiles again.
        axis: "vmap", "map", or how many trials run side by side, one such part after the other.
        capacity: length of the metrics.
        devices: over how many local devices the trials are spread; divides S. With more than one,
            states and group must be there already (`place`).

    Returns:
        states (S, ...), and metrics (S, capacity) of which the first ``count`` are meaningful.
    """

    def trials(states: PyTree, group: Group, task: Task, count: jax.Array) -> PyTree:
        trial = functools.partial(_advance_trial, algorithm, task, count, capacity)
        if axis == "vmap":
            return jax.vmap(trial)(states, group.configs, group.params)
        size = axis if isinstance(axis, int) else None
        stacked = states, group.configs, group.params
        return jax.lax.map(lambda args: trial(*args), stacked, batch_size=size)

    return over_devices(trials, devices, TRIALS, TRIALS, WHOLE, WHOLE)(states, group, task, count)


def place(tree: PyTree, devices: int) -> PyTree:
    """Spread leaves (S, ...) over local devices, S / devices trials on each."""
    if devices == 1:
        return tree
    sharding = jax.sharding.NamedSharding(_mesh(devices), TRIALS)
    return jax.device_put(tree, sharding)


def over_devices(function: Callable[..., PyTree], devices: int, *specs: jax.P) -> Callable:
    """The function on every device, its arguments cut as the specs say, its results joined."""
    if devices == 1:
        return function
    return jax.shard_map(
        function, mesh=_mesh(devices), in_specs=specs, out_specs=TRIALS, check_vma=False
    )


def _mesh(devices: int) -> jax.sharding.Mesh:
    return jax.sharding.Mesh(np.array(jax.local_devices()[:devices]), ("trials",))


def _initialise_trial(algorithm, task, key, config, params):
    return _strongly_typed(algorithm.init(key, config, _trial_task(task, params)))


def _advance_trial(algorithm, task, count, capacity, state, config, params):
    task = _trial_task(task, params)
    update = functools.partial(algorithm.update, config=config, task=task)
    shapes = jax.eval_shape(update, state)[1]
    history = jax.tree.map(lambda x: jnp.zeros((capacity, *x.shape), x.dtype), shapes)

    def step(i, carry):
        state, history = carry
        state, metrics = update(state)
        return _strongly_typed(state), jax.tree.map(
            lambda all, new: all.at[i].set(new), history, metrics
        )

    return jax.lax.fori_loop(0, count, step, (state, history))


def _strongly_typed(tree: PyTree) -> PyTree:
    """The tree without weak types, which are other types to jit: a state that changes its types
    would have the program of a run compiled once more for its second part."""

    def strong(leaf: jax.Array) -> jax.Array:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.extended):
            return leaf
        return jax.lax.convert_element_type(leaf, leaf.dtype)

    return jax.tree.map(strong, tree)


def _trial_task(task: Task, params: PyTree) -> Task:
    return task if params is None else Task(task.env, params)


# --- Pieces ---------------------------------------------------------------------------------------


def stack_group(plan: Plan, trials: Sequence[Trial], task: Task) -> Group:
    """Stack the trials of a group along a leading axis."""
    keys, configs = stack(trials)
    if not count_environments(plan.task):
        return Group(keys, configs, None)
    rows = np.array([trial.env for trial in trials])
    return Group(keys, configs, jax.tree.map(lambda x: jnp.asarray(x)[rows], task.params))


def choose_axis(task: Task, num_trials: int) -> Axis:
    """How trials become one program: "vmap" (side by side) or "map" (one after the other).

    A CPU is busy with the pixels of a single trial, and its batched matrix products are slower than
    plain ones; everything else gains from running side by side (``sweeps.bench_seeds`` measures).
    """
    images = len(task.observation_shape) == 3
    on_cpu = jax.default_backend() == "cpu"
    return "map" if num_trials == 1 or (images and on_cpu) else "vmap"


def in_parts(axis: Axis, num_trials: int, most: int | None) -> Axis | int:
    """The axis of trials of a device of which at most so many may run side by side, None for all.

    Parts are as equal as they can be: one of another size is a further program.
    """
    if axis != "vmap" or most is None or most >= num_trials:
        return axis
    return -(-num_trials // -(-num_trials // most))


def choose_devices(num_trials: int) -> int:
    """Over how many local devices trials are spread: the most that divides their number."""
    available = range(min(len(jax.local_devices()), num_trials), 0, -1)
    return next(devices for devices in available if num_trials % devices == 0)


def next_count(count: int, seconds: float, left: int) -> int:
    """Updates of the next call, so that it lasts about ``CALL_SECONDS``.

    It grows at most fourfold per call: the first call includes the compilation.
    """
    wanted = int(CALL_SECONDS / max(seconds / count, 1e-9))
    return max(1, min(wanted, 4 * count, CAPACITY, left))


def to_frame(
    metrics: dict[str, np.ndarray], numbers: Sequence[int], trials: Sequence[Trial], done: int
) -> pl.DataFrame:
    """Table of metrics (S, count) of the updates after ``done``, ordered by update, then trial."""
    count = next(iter(metrics.values())).shape[1]
    updates = np.repeat(np.arange(done + 1, done + count + 1), len(trials))
    columns = {
        "trial": np.tile(np.array(numbers, np.int32), count),
        "seed": np.tile(np.array([trial.seed for trial in trials], np.int64), count),
        "update": updates.astype(np.int64),
        "step": updates.astype(np.int64) * trials[0].config.steps_per_update,
    }
    return pl.DataFrame(columns | {name: value.T.ravel() for name, value in metrics.items()})


def latest(metrics: dict[str, np.ndarray]) -> dict[str, float]:
    """Averages over the trials at the last update, without those that have none."""
    last = {name: value[:, -1] for name, value in metrics.items()}
    return {
        name: float(np.nanmean(value)) if np.isfinite(value).any() else float("nan")
        for name, value in last.items()
    }


def use_compile_cache() -> None:
    """Keep compiled programs in ``JAX_COMPILATION_CACHE_DIR``, by default in the user's cache."""
    if jax.config.jax_compilation_cache_dir is None:  # pyright: ignore
        cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
        jax.config.update("jax_compilation_cache_dir", str(cache / "kagebench" / "jax"))
