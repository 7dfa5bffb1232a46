"""A point mass in a maze, goal-conditioned."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import spaces
from gymnax.environments.environment import Environment

from envs.mjx.goals import GoalObservation
from envs.mjx.mazes import LAYOUTS, free_cells, path_lengths, walls_of
from envs.mjx.picture import PALETTE, TARGET, Shape, View, draw

RADIUS = 0.1  # m, of the point mass; cells are 1 m wide
TIMESTEP = 0.01  # s
FRAMES = 5
FORCE = 10.0  # N, of a full action
DAMPING = 1.0  # N s / m
SPREAD = 0.25  # m, of starts and goals about the centre of their cell
_WALL = (88, 96, 110)
_AROUND = [(-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1)]


@struct.dataclass
class MazeParams:
    """Parameters of a maze.

    max_steps_in_episode: time limit in control steps.
    mass: kg. damping: multiplies the viscous friction of 1 N s/m. gear: multiplies the force.
    wall_friction: Coulomb coefficient of the walls. max_speed: m/s per axis, at most 8.
    sparse: reward -1 until success and 0 then, instead of minus the straight distance.
    success_distance: m. terminate_on_success: end the episode there.
    fixed_start, fixed_goal: use `start`, `goal` ((2,), m) in every episode instead of random ones.
    """

    max_steps_in_episode: int = 300
    mass: float = 1.0
    damping: float = 1.0
    gear: float = 1.0
    wall_friction: float = 0.0
    max_speed: float = 5.0
    sparse: bool = True
    success_distance: float = 0.45
    terminate_on_success: bool = True
    fixed_start: bool = False
    start: Any = (0.0, 0.0)
    fixed_goal: bool = False
    goal: Any = (0.0, 0.0)


class MazeState(struct.PyTreeNode):
    """position, velocity, goal: float32 (2,), m and m/s. time: int32, control steps."""

    position: jax.Array
    velocity: jax.Array
    goal: jax.Array
    time: jax.Array


class Maze(GoalObservation, Environment):
    """Steer a ball of 0.1 m and 1 kg to a goal through a maze of square cells of 1 m.

    The origin is the middle of the maze, x points right, y up. Physics step 0.01 s, five per
    control step (0.05 s); episodes of 150, 300 and 400 steps (small, medium, large). Action:
    force, float32 (2,), times 10 N. Observation: float32 (6,), position (the achieved goal),
    velocity, goal. Reward: -1 per step until the goal is within 0.45 m, then 0, and the episode
    ends (all by parameters).

    The motion is that of MuJoCo's Euler integrator with implicit damping, written out: for a point
    mass it has two lines, and compiles and runs a hundred times faster than a physics engine.
    Walls are exact: after each physics step the ball is moved out of the walls that it overlaps
    along the shortest way, and loses the velocity into them (and, with `wall_friction`, some of
    that along them).

    Args:
        size: "small", "medium" or "large".

    Attributes:
        walls: bool (rows, columns). cells: free cells, int (n, 2), row and column.
        distances: lengths of the shortest paths between all free cells, int32 (n, n), in cells.

    Source of the task: the point mazes of Fu et al., "D4RL", 2020; layouts and numbers are our
    own.
    """

    def __init__(self, size: str = "small") -> None:
        self.size = size
        self.walls = walls_of(LAYOUTS[size])
        self.cells = free_cells(self.walls)
        self.distances = path_lengths(self.walls)
        rows, columns = self.walls.shape
        self._half = np.array([columns / 2, rows / 2], np.float32)
        numbers = np.zeros(self.walls.shape, np.int32)
        numbers[tuple(self.cells.T)] = np.arange(len(self.cells))
        self._numbers = numbers

    @property
    def name(self) -> str:
        """Environment name."""
        return f"Maze-{self.size}"

    @property
    def default_params(self) -> MazeParams:
        """Random starts and goals, sparse reward; fixed ones are far apart."""
        steps = {"small": 150, "medium": 300, "large": 400}[self.size]
        first = self.center(self.cells[0])
        last = self.center(self.cells[self.distances[0].argmax()])
        return MazeParams(
            max_steps_in_episode=steps, start=jnp.asarray(first), goal=jnp.asarray(last)
        )

    # --- Geometry --------------------------------------------------------------------------------

    def center(self, cell: np.ndarray) -> np.ndarray:
        """Position (..., 2) in m of the centre of cells (..., 2), row and column."""
        row, column = np.moveaxis(np.asarray(cell), -1, 0)
        x, y = column + 0.5, self.walls.shape[0] - row - 0.5
        return np.stack([x, y], -1).astype(np.float32) - self._half

    def cell(self, position: jax.Array) -> jax.Array:
        """Row and column, int32 (..., 2), of the cell that holds a position (..., 2)."""
        corner = jnp.floor(position + self._half).astype(jnp.int32)
        return jnp.stack([self.walls.shape[0] - 1 - corner[..., 1], corner[..., 0]], -1)

    def path_distance(self, position: jax.Array, goal: jax.Array) -> jax.Array:
        """Cells on the shortest way between two positions (..., 2), int32 (...)."""
        here, there = self.cell(position), self.cell(goal)
        numbers = jnp.asarray(self._numbers)
        table = jnp.asarray(self.distances)
        return table[numbers[here[..., 0], here[..., 1]], numbers[there[..., 0], there[..., 1]]]

    # --- The interface ---------------------------------------------------------------------------

    def reset_env(self, key: jax.Array, params: Any) -> tuple[jax.Array, MazeState]:
        """Start at rest in a free cell, with a goal in another one (random or given)."""
        start_cell, start_key, goal_cell, goal_key = jax.random.split(key, 4)
        count = len(self.cells)
        first = jax.random.randint(start_cell, (), 0, count)
        last = (first + jax.random.randint(goal_cell, (), 1, count)) % count
        centers = jnp.asarray(self.center(self.cells))
        start = centers[first] + _spread(start_key)
        goal = centers[last] + _spread(goal_key)
        state = MazeState(
            position=jnp.where(params.fixed_start, jnp.asarray(params.start), start),
            velocity=jnp.zeros(2),
            goal=jnp.where(params.fixed_goal, jnp.asarray(params.goal), goal),
            time=jnp.int32(0),
        )
        return self.observe(None, state, None, params), state

    def step_env(
        self, key: jax.Array, state: MazeState, action: Any, params: Any
    ) -> tuple[jax.Array, MazeState, jax.Array, jax.Array, dict[str, jax.Array]]:
        """Advance one control step without auto-reset; the action is clipped to [-1, 1]."""
        del key
        force = FORCE * params.gear * jnp.clip(jnp.asarray(action, jnp.float32), -1, 1)

        def physics(carry: tuple[jax.Array, jax.Array], _: None) -> tuple[Any, None]:
            return self._physics(*carry, force, params), None

        start = (state.position, state.velocity)
        (position, velocity), _ = jax.lax.scan(physics, start, None, length=FRAMES)
        new = state.replace(position=position, velocity=velocity, time=state.time + 1)
        distance = jnp.linalg.norm(position - state.goal)
        success = distance <= params.success_distance
        info = {
            "success": success,
            "distance": distance,
            "path_distance": self.path_distance(position, state.goal),
        }
        reward = self.goal_reward(position, state.goal, params)
        terminated = success & jnp.bool_(params.terminate_on_success)
        return self.observe(None, new, action, params), new, reward, terminated, info

    def observe(self, key: Any, state: MazeState, action: Any, params: Any) -> jax.Array:
        """Position, velocity, goal."""
        del key, action, params
        return jnp.concatenate([state.position, state.velocity, state.goal])

    def is_terminated(self, state: MazeState, params: Any) -> jax.Array:
        """Whether the goal is reached, if that ends episodes."""
        distance = jnp.linalg.norm(state.position - state.goal)
        reached = distance <= params.success_distance
        return reached & jnp.bool_(params.terminate_on_success)

    def action_space(self, params: Any = None) -> spaces.Box:
        """Box [-1, 1]^2, float32."""
        del params
        return spaces.Box(-1.0, 1.0, (2,), jnp.float32)

    def observation_space(self, params: Any = None) -> spaces.Box:
        """Unbounded, float32 (6,)."""
        del params
        return spaces.Box(-jnp.inf, jnp.inf, (6,), jnp.float32)

    # --- Physics ---------------------------------------------------------------------------------

    def _physics(
        self, position: jax.Array, velocity: jax.Array, force: jax.Array, params: Any
    ) -> tuple[jax.Array, jax.Array]:
        drag = TIMESTEP * DAMPING * params.damping
        velocity = (params.mass * velocity + TIMESTEP * force) / (params.mass + drag)
        velocity = jnp.clip(velocity, -params.max_speed, params.max_speed)
        position = position + TIMESTEP * velocity
        row, column = self.cell(position)
        walls = jnp.asarray(self.walls)
        # The four sides before the corners: along a flat wall corners must not be felt.
        for down, right in _AROUND:
            wall = walls[row + down, column + right]
            center = jnp.stack([column + right + 0.5, self.walls.shape[0] - (row + down) - 0.5])
            moved = _leave_box(position, velocity, center - self._half, params.wall_friction)
            position = jnp.where(wall, moved[0], position)
            velocity = jnp.where(wall, moved[1], velocity)
        return position, velocity

    # --- Looking at it ---------------------------------------------------------------------------

    def text(self, state: MazeState, params: Any = None) -> str:
        """The maze as text: walls #, the ball o, the goal G."""
        del params
        rows = [["#" if wall else " " for wall in row] for row in self.walls]
        for position, letter in ((state.goal, "G"), (state.position, "o")):
            row, column = np.asarray(self.cell(position))
            rows[row][column] = letter
        return "\n".join("".join(row) for row in rows)

    @property
    def view(self) -> View:
        """The whole maze from above."""
        rows, columns = self.walls.shape
        return View("top", width=float(columns), height=float(rows))

    @property
    def fixed(self) -> list[Shape]:
        """The walls: each run of a row and of a column is a box, so that none has seams."""
        rows, columns = (_runs(walls) for walls in (self.walls, self.walls.T))
        spans = [((row, a), (row, b)) for row, a, b in rows]
        spans += [((a, column), (b, column)) for column, a, b in columns]
        return [_wall(*self.center(np.array(ends))) for ends in spans]

    def shapes(self, state: MazeState, params: Any = None) -> list[Shape]:
        """The goal and the ball."""
        del params
        goal = Shape(state.goal[None], TARGET, 0.2)
        return [goal, Shape(state.position[None], PALETTE[0], RADIUS)]

    def picture(self, state: MazeState, params: Any = None) -> np.ndarray:
        """The maze from above, uint8 (H, W, 3); on the host."""
        return draw(self.fixed + self.shapes(state, params), self.view)


def _runs(walls: np.ndarray) -> list[tuple[int, int, int]]:
    """Row, first and last column of each run of walls in a row."""
    change = np.diff(np.pad(walls.astype(int), ((0, 0), (1, 1))), axis=1)
    firsts, lasts = np.argwhere(change > 0), np.argwhere(change < 0) - [0, 1]
    return [(int(row), int(a), int(b)) for (row, a), (_, b) in zip(firsts, lasts, strict=True)]


def _wall(first: np.ndarray, last: np.ndarray) -> Shape:
    """The box of the cells between two centres (2,)."""
    half = np.abs(last - first) / 2 + 0.5
    return Shape((first + last)[None] / 2, _WALL, spans=np.diag([*half, 0.0])[:, :2])


def _spread(key: jax.Array) -> jax.Array:
    return jax.random.uniform(key, (2,), minval=-SPREAD, maxval=SPREAD)


def _leave_box(
    position: jax.Array, velocity: jax.Array, center: jax.Array, friction: Any
) -> tuple[jax.Array, jax.Array]:
    """Position and velocity after a contact with a box of 1 m, unchanged if there is none."""
    away = position - jnp.clip(position, center - 0.5, center + 0.5)
    distance = jnp.linalg.norm(away)
    normal = away / jnp.maximum(distance, 1e-6)
    inward = jnp.minimum(velocity @ normal, 0.0)
    along = velocity - (velocity @ normal) * normal
    speed = jnp.linalg.norm(along)
    slowed = jnp.maximum(speed + friction * inward, 0.0) / jnp.maximum(speed, 1e-6)
    after = velocity - inward * normal + (slowed - 1) * along
    touching = distance < RADIUS
    position = position + jnp.where(touching, RADIUS - distance, 0.0) * normal
    return position, jnp.where(touching, after, velocity)
