"""Environments by name: ``family/name``.

A family is a module with two functions, `names` and `make`; it is imported when it is asked for.
"""

import importlib
import importlib.util
import types
from typing import TYPE_CHECKING, Any, NamedTuple

from envs.options import unknown_name
from kagebench.schema import nearest

if TYPE_CHECKING:
    from gymnax.environments.environment import Environment


class Family(NamedTuple):
    """A module with `names` and `make`, what it holds, and the package it needs if that is
    optional: without it the family has no names."""

    module: str
    about: str
    needs: str = ""


# The order is that of `list`.
FAMILIES: dict[str, Family] = {
    "kage": Family("envs.kage", "KAGE-Bench: a platformer under visual shifts"),
    "gymnax": Family("envs.gymnax_ids", "everything that gymnax registers, used as it is"),
    "brax": Family("envs.brax", "the locomotion and manipulation tasks of Brax"),
    "mjx": Family("envs.mjx", "small continuous control tasks on MuJoCo MJX"),
    "pixels": Family("envs.pixels", "continuous control from images drawn on the device"),
    "playground": Family(
        "envs.mjx.playground", "the environments of MuJoCo Playground", "mujoco_playground"
    ),
    "tabular": Family("envs.tabular", "finite problems, also as arrays with exact solutions"),
    "control": Family("envs.control", "linear quadratic problems with their Riccati solutions"),
    "grid": Family("envs.grid", "procedurally generated, partially observed grid worlds"),
    "marl": Family("envs.marl", "games of several agents with simultaneous moves"),
    "gflow": Family("envs.gflow", "objects built step by step, with exact target distributions"),
    "bandit": Family("envs.bandit", "bandits, and logged data with known propensities"),
    "token": Family("envs.token", "tiny deterministic token problems with exact soft values"),
}


def make(name: str, **options: Any) -> "tuple[Environment, Any]":
    """Build an environment by name.

    Args:
        name: "family/name", see `list`; for example "gymnax/CartPole-v1", "tabular/chain",
            "kage/simplest", "kage/background-5/validation" or "kage/background-5:val".
        options: arguments of the environment's constructor, or fields of its parameters by
            (dotted) name; docs/environments.md lists them.

    Returns:
        A gymnax 1.0 `Environment` and its parameters, a pytree of leaves to be traced.

    Raises:
        ValueError: the name or an option does not exist, or a value is not allowed; one line that
            says what is, with the nearest valid name.
    """
    family, _, rest = name.partition("/")
    if family not in FAMILIES or not rest:
        raise _unknown(name)
    return load_family(family).make(rest, **options)


def list(family: str | None = None) -> tuple[str, ...]:
    """The names of all environments, or of those of one family.

    Raises:
        ValueError: there is no such family.
    """
    if family is not None and family not in FAMILIES:
        raise unknown_name("family", family, FAMILIES)
    chosen = FAMILIES if family is None else (family,)
    here = [key for key in chosen if _is_here(FAMILIES[key].needs)]
    return tuple(f"{key}/{name}" for key in here for name in load_family(key).names())


def load_family(family: str) -> types.ModuleType:
    """The module of a family."""
    return importlib.import_module(FAMILIES[family].module)


def _is_here(package: str) -> bool:
    return not package or importlib.util.find_spec(package) is not None


def _unknown(name: str) -> ValueError:
    """The error for a name without a family that exists, with the nearest of all names."""
    known = {full: full for full in list()}
    bare = {full.partition("/")[2]: full for full in reversed(known)}
    families = {family: f"{family}/NAME" for family in FAMILIES}
    near = None
    for forms in (known,) if "/" in name else (families, bare):
        near = near or forms.get(nearest(name, forms) or "")
    hint = f" (did you mean {near}?)" if near else ""
    return ValueError(
        f"env: got {name!r}{hint}, allowed: FAMILY/NAME with FAMILY in {' '.join(FAMILIES)}"
    )
