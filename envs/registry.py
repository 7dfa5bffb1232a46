"""Environments by name: ``family/name``."""

from typing import Any

import gymnax
from gymnax.environments.environment import Environment

import kagebench
from kagebench.schema import nearest
from kagebench.suites import PAIRS

FAMILIES = ("kage", "gymnax")


def make(name: str, **options: Any) -> tuple[Environment, Any]:
    """Build an environment by name.

    Args:
        name: "kage/CONFIG" with a shipped configuration or a YAML path ("kage/simplest"),
            "kage/PAIR/train" or "kage/PAIR/validation" ("kage/background-5/validation"), or
            "gymnax/ID" ("gymnax/CartPole-v1").
        options: keyword arguments of the family's own constructor (`kagebench.make`,
            `gymnax.make`).

    Returns:
        The environment and its parameters.

    Raises:
        ValueError: the name does not exist, or an option is not valid; the message names it.
    """
    family, _, rest = name.partition("/")
    if family == "kage" and rest:
        return kagebench.make(_kage_config(rest), **options)
    if family == "gymnax" and rest:
        known = gymnax.registered_envs
        if rest not in known:
            raise ValueError(f"env: got {name!r}{_hint(rest, known)}, allowed: {', '.join(known)}")
        return gymnax.make(rest, **options)
    raise ValueError(f"env: got {name!r}, allowed: FAMILY/NAME with FAMILY in {FAMILIES}")


def _kage_config(name: str) -> Any:
    pair, _, split = name.rpartition("/")
    if pair in PAIRS:
        if split not in ("train", "validation"):
            raise ValueError(f"env: got {name!r}, allowed: {pair}/train or {pair}/validation")
        return getattr(PAIRS[pair], split)
    return name


def _hint(name: str, known: Any) -> str:
    near = nearest(name, known)
    return f" (did you mean {near}?)" if near else ""
