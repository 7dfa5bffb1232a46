"""Family ``pixels``: continuous control from images that are drawn on the device.

Kostrikov, Yarats, Fergus 2021 (DrQ, arXiv 2004.13649) and Yarats et al. 2021 (DrQ-v2, arXiv
2107.09645) learn from stacks of three frames of such tasks.
"""

from typing import Any

# Id -> the environment that is drawn.
NAMES = {
    "pendulum": "gymnax/Pendulum-v1",
    "cartpole-balance": "mjx/cartpole-balance",
    "cartpole-swingup": "mjx/cartpole-swingup",
    "reacher": "mjx/reacher",
    "arm": "mjx/arm",
    "maze-small": "mjx/maze-small",
    "maze-medium": "mjx/maze-medium",
    "maze-large": "mjx/maze-large",
    "pusher": "mjx/pusher",
    "push-t": "mjx/push-t",
    "runner": "mjx/runner",
}


def names() -> tuple[str, ...]:
    """The ids of the family."""
    return tuple(NAMES)


def make(name: str, **options: Any) -> tuple[Any, Any]:
    """An environment and its parameters.

    Args:
        name: one of `names`.
        options: `obs_size`, pixels per side of an image (8 to 128, default 48); `frames`, images
            of an observation, one behind the other along the last axis (default 3);
            `action_repeat`, inner steps per action, whose rewards are added up (default 1); or
            fields of the inner environment's parameters, for example ``mass=1.5``.

    Raises:
        ValueError: an unknown name or option, or a value that is not allowed; one line.
    """
    # Importing MJX takes seconds, which listing the names should not.
    from envs.options import unknown_name
    from envs.pixels.tasks import make_task

    if name not in NAMES:
        raise unknown_name("env", f"pixels/{name}", [f"pixels/{known}" for known in NAMES])
    return make_task(f"pixels/{name}", NAMES[name], options)
