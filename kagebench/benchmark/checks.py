"""Checks of values from a JSON file; each returns the value or says what is allowed instead."""

import math
import reprlib
from collections.abc import Callable, Mapping
from typing import Any

from kagebench.schema import nearest

LARGEST = 2**63 - 1

Check = Callable[[Any, str], Any]


class Invalid(ValueError):
    """A value that is not allowed; one line with its key, the value and what is."""


def wrong(key: str, value: Any, allowed: str) -> Invalid:
    """The error for a value at a dotted key ("" for the whole file)."""
    return Invalid(f"{key or 'content'}: got {reprlib.repr(value)}, allowed: {allowed}")


def mapping(
    value: Any, key: str, fields: Mapping[str, Check], optional: Mapping[str, Any]
) -> dict[str, Any]:
    """An object with the given fields, each checked; optional ones have a default."""
    given = free_mapping(value, key)
    prefix = f"{key}." if key else ""
    for name in given:
        if name not in fields:
            near = nearest(name, fields)
            hint = f" (did you mean {near}?)" if near else f", allowed: {' '.join(fields)}"
            raise Invalid(f"{prefix}{name}: unknown key{hint}")
    for name in fields:
        if name not in given and name not in optional:
            raise Invalid(f"{prefix}{name}: missing")
    given = {**optional, **given}
    return {name: check(given[name], prefix + name) for name, check in fields.items()}


def free_mapping(value: Any, key: str) -> dict[str, Any]:
    """An object with any fields."""
    if not isinstance(value, Mapping):
        raise wrong(key, value, "an object")
    return dict(value)


def text(value: Any, key: str) -> str:
    """Any text."""
    if not isinstance(value, str):
        raise wrong(key, value, "a text")
    return value


def label(value: Any, key: str, longest: int) -> str:
    """A text for a table."""
    if not (isinstance(value, str) and 1 <= len(value.strip()) <= len(value) <= longest):
        raise wrong(key, value, f"a text of 1 to {longest} characters")
    if not value.isprintable():
        raise wrong(key, value, "printable characters")
    return value


def choice(value: Any, key: str, allowed: tuple[str, ...]) -> str:
    """One of several texts."""
    if value not in allowed:
        near = nearest(value, allowed) if isinstance(value, str) else None
        hint = f" (did you mean {near}?)" if near else ""
        raise Invalid(f"{key}: got {reprlib.repr(value)}{hint}, allowed: {' '.join(allowed)}")
    return value


def integer(value: Any, key: str, low: int, high: int = LARGEST) -> int:
    """A whole number in low..high."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        limits = f"at least {low}" if high == LARGEST else f"from {low} to {high}"
        raise wrong(key, value, f"a whole number, {limits}")
    return value


def number(value: Any, key: str, low: float, high: float) -> float:
    """A finite number in low..high."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise wrong(key, value, "a finite number")
    if not low <= value <= high:
        raise wrong(key, value, f"a number from {low:g} to {high:g}")
    return float(value)


def texts(value: Any, key: str) -> tuple[str, ...]:
    """A list of texts."""
    return tuple(text(item, f"{key}[{i}]") for i, item in enumerate(items(value, key)))


def items(value: Any, key: str) -> list[Any]:
    """A list."""
    if not isinstance(value, list):
        raise wrong(key, value, "a list")
    return value
