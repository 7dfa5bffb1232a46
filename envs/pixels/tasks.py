"""The environments of the family: inner environment, drawing, stack of frames."""

import functools
from collections.abc import Mapping
from typing import Any

from gymnax.environments.environment import Environment

from envs.build import whole
from envs.options import split_options
from envs.pixels.adapter import Drawing, Pixels
from envs.pixels.drawings import PENDULUM
from envs.registry import make as make_env
from envs.wrappers.actions import ActionRepeat
from envs.wrappers.stack import FrameStack

DEFAULTS = {"obs_size": 48, "frames": 3, "action_repeat": 1}
# Least and greatest value.
LIMITS = {"obs_size": (8, 128), "frames": (1, 16), "action_repeat": (1, 64)}


def make_task(title: str, inner: str, options: Mapping[str, Any]) -> tuple[Environment, Any]:
    """An environment of images and its parameters, which are those of the inner one.

    The same arguments give the same object, so that compiled programs are used again.

    Args:
        title: name of the environment, for messages.
        inner: name of the environment that is drawn.
        options: see `envs.pixels.make`.
    """
    arguments, params = split_options(title, options, DEFAULTS, _inner(inner)[1])
    for name, limits in LIMITS.items():
        whole(title, name, arguments[name], *limits)
    return _build(inner, **arguments), params


@functools.lru_cache(maxsize=16)
def _inner(name: str) -> tuple[Environment, Any]:
    return make_env(name)


@functools.lru_cache(maxsize=64)
def _build(inner: str, obs_size: int, frames: int, action_repeat: int) -> Environment:
    env = _inner(inner)[0]
    drawing = drawing_of(env)
    if action_repeat > 1:
        env = ActionRepeat(env, action_repeat)
    return FrameStack(Pixels(env, drawing, obs_size), frames)


def drawing_of(env: Any) -> Drawing:
    """How an environment looks."""
    if env.name == "Pendulum-v1":
        return PENDULUM
    return Drawing(env.view, env.shapes, env.fixed)
