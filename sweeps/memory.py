"""How many trials of a group fit into memory together.

The compiler says what a program reserves: arguments, results and temporaries. So the whole group is
compiled first, which is what will run in most cases; if it does not fit, a share of it is.
"""

import os
from typing import Any, NamedTuple

import jax

from algorithms.common.task import Task
from sweeps import engine
from sweeps.plan import Plan

FRACTION = 0.8


class Fit(NamedTuple):
    """Trials that run together.

    trials: their number, a multiple of `devices` unless it is all there are.
    devices: over how many local devices they are spread.
    program_bytes: what their program reserves on each device.
    budget_bytes: what it may reserve.
    """

    trials: int
    devices: int
    program_bytes: int
    budget_bytes: int


def fit(plan: Plan, task: Task, fraction: float = FRACTION, axis: engine.Axis = "auto") -> Fit:
    """The most trials of a plan with one group that fit; at least one, even if that does not.

    Args:
        plan: its trials differ in no static field.
        task: that of the plan.
        fraction: share of the free memory that may be used, in (0, 1].
        axis: as in `sweeps.engine.run`.

    Raises:
        ValueError: the fraction is out of range.
    """
    if not 0.0 < fraction <= 1.0:
        raise ValueError(f"memory_fraction: got {fraction}, allowed: above 0, at most 1")
    budget = int(free_bytes() * fraction)
    trials = len(plan.trials)
    while True:
        devices = engine.choose_devices(trials)
        needed = program_bytes(plan, task, trials, axis)
        # On a CPU the devices share one memory.
        together = needed * devices if jax.default_backend() == "cpu" else needed
        if together <= budget or trials == 1:
            return Fit(trials, devices, needed, budget)
        trials = smaller(trials, budget / together, len(jax.local_devices()))


def smaller(trials: int, share: float, devices: int) -> int:
    """A share of a number of trials, fewer than before, and a multiple of the devices if many."""
    wanted = max(1, min(trials - 1, int(trials * share)))
    return wanted - wanted % devices if wanted > devices else wanted


def program_bytes(plan: Plan, task: Task, trials: int, axis: engine.Axis = "auto") -> int:
    """What the program of the first trials of a plan reserves on each device, in bytes."""
    axis = engine.choose_axis(task, trials) if axis == "auto" else axis
    devices = engine.choose_devices(trials)
    group = engine.place(engine.stack_group(plan, plan.trials[:trials], task), devices)
    states = engine.state_template(plan.module, group, task, devices)
    capacity = engine.CAPACITY
    program = engine.advance.lower(
        plan.module, states, group, task, 1, axis, capacity, devices
    ).compile()
    return reserved_bytes(program.memory_analysis())


def reserved_bytes(sizes: Any) -> int:
    """Arguments, results that do not take their place, and temporaries of a compiled program.

    Args:
        sizes: the memory analysis of the compiled program.
    """
    return (
        sizes.argument_size_in_bytes
        + sizes.output_size_in_bytes
        - sizes.alias_size_in_bytes
        + sizes.temp_size_in_bytes
    )


def free_bytes() -> int:
    """Memory that is free on a local device, or of the machine on a CPU."""
    stats = jax.local_devices()[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] - stats["bytes_in_use"]
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
