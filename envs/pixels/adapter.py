"""An environment seen through pictures of it."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from gymnax.environments import spaces
from gymnax.environments.environment import Environment

from envs.mjx.picture import BACKGROUND, Shape, View, ground
from envs.pixels.raster import Part, part_of, quantise, rasterise
from envs.wrappers.base import Wrapper


class Drawing(NamedTuple):
    """How the states of an environment look.

    view: what is shown; the image is a square of its longer side around its center.
    shapes: (state, params) -> shapes in the view's plane, the first one lowest. Their number,
        kinds, colours and radii are the same for all states.
    fixed: what lies below, in all states.
    """

    view: View
    shapes: Callable[[Any, Any], list[Shape]]
    fixed: Sequence[Shape] = ()


class Pixels(Wrapper):
    """Observations are images, uint8 (size, size, 3); all else is the inner environment's.

    The scene of a state is where its shapes are, int16 (rows, 2) in 1/64 of a pixel: some tens of
    bytes. It holds what the image needs and no more, so that drawing a stored scene again is a few
    integer operations without any kinematics, and gives the same bytes in every program.

    Args:
        env: an environment of vectors.
        drawing: how its states look.
        size: pixels per side.
    """

    hidden = (
        *("goal_size", "achieved_slice", "achieved_goal", "desired_goal", "with_goal"),
        *("goal_reward", "observation_size"),
    )

    def __init__(self, env: Environment, drawing: Drawing, size: int):
        super().__init__(env)
        self.size = size
        self.drawing = drawing
        self._view = drawing.view.square()
        params = env.default_params
        state = jax.eval_shape(env.reset_env, jax.random.key(0), params)[1]
        template = jax.eval_shape(drawing.shapes, state, params)
        self._parts = self._parts_of(template)
        self._background = self._fixed_image()

    def _parts_of(self, shapes: Sequence[Shape]) -> list[Part]:
        return [part_of(shape, self._view, self.size) for shape in shapes]

    def _fixed_image(self) -> np.ndarray:
        """What never changes, uint8 (size, size, 3)."""
        image = np.full((self.size, self.size, 3), BACKGROUND, np.uint8)
        shapes = [*ground(self._view), *self.drawing.fixed]
        if not shapes:
            return image
        with jax.ensure_compile_time_eval():
            coordinates = quantise(shapes, self._view, self.size)
            return np.asarray(rasterise(coordinates, self._parts_of(shapes), image))

    def observation_space(self, params: Any = None) -> spaces.Box:
        del params
        return spaces.Box(0, 255, (self.size, self.size, 3), jnp.uint8)

    # Compiled also where the caller does not: kinematics are hundreds of operations.
    @partial(jax.jit, static_argnames=("self",))
    def scene(self, state: Any, params: Any = None) -> jax.Array:
        """Where the shapes of a state are, int16 (rows, 2), see `raster.quantise`."""
        params = self.default_params if params is None else params
        return quantise(self.drawing.shapes(state, params), self._view, self.size)

    @partial(jax.jit, static_argnames=("self",))
    def render(self, scene: jax.Array, params: Any = None) -> jax.Array:
        """The image of a scene, uint8 (size, size, 3); parameters do not matter."""
        del params
        return rasterise(scene, self._parts, self._background)

    def begin(self, obs: Any, inner: Any, params: Any, last: Any) -> tuple[Any, Any]:
        del obs, last
        return self.observe(None, inner, None, params), inner

    def step_env(
        self, key: jax.Array, state: Any, action: Any, params: Any
    ) -> tuple[Any, Any, jax.Array, jax.Array, dict[Any, Any]]:
        _, new, reward, terminated, info = super().step_env(key, state, action, params)
        return self.observe(None, new, None, params), new, reward, terminated, info

    def observe(self, key: Any, state: Any, action: Any, params: Any) -> jax.Array:
        del key, action
        return self.render(self.scene(state, params), params)

    def picture(self, state: Any, params: Any = None) -> np.ndarray:
        """The image as a NumPy array."""
        return np.asarray(self.observe(None, state, None, params))
