"""``kagebench play``: the environment under the keyboard."""

import os
from dataclasses import dataclass
from types import ModuleType
from typing import Annotated, Any

import jax
import numpy as np
import tyro

from kagebench import physics
from kagebench.commands._output import check_range
from kagebench.env import KageEnv, KageState
from kagebench.params import EnvParams
from kagebench.registry import make
from sweeps.engine import use_compile_cache

_PANEL = 44  # height of the text under the frame, px of the screen
_PAPER, _INK = (24, 24, 28), (235, 235, 235)
_HELP = "arrows or space: move   R: new level   N: next config   P: pause   Q: quit"


@dataclass(frozen=True)
class Args:
    """Play with the keyboard.

    Left, right and up (or space) move; R starts a new level, N shows the same level under the next
    config, P pauses, Q or Escape quits.
    """

    configs: Annotated[tuple[str, ...], tyro.conf.Positional] = ("simplest", "base-g", "default")
    """Shipped configs or YAML files."""
    scale: int = 5
    """Size of a pixel."""
    speed: int = 60
    """Steps per second."""
    seed: int = 0
    """Chooses the first level."""
    steps: int = 0
    """Quit after so many steps; 0 for never."""
    assets: str | None = None
    """Folder of an art pack; by default KAGEBENCH_ASSETS or the shipped one."""


class Game:
    """What is played: all configs in one program, one of them shown.

    Args:
        env, params: the environment and its parameters, leaves with a leading axis of configs.
        names: of the configs.
        seed: chooses the levels.

    Attributes:
        state, frame: of the present moment.
        paused: whether time stands still.
    """

    def __init__(self, env: KageEnv, params: EnvParams, names: tuple[str, ...], seed: int):
        self.env, self.names = env, names
        self.paused = False
        self._all_params, self._seed = params, jax.random.key(seed)
        self._level, self._config = 0, 0
        self._start()

    @property
    def over(self) -> bool:
        """Whether the time limit is reached."""
        return int(self.state.time) >= self._limit

    def new_level(self) -> None:
        """Start another level."""
        self._level += 1
        self._start()

    def next_config(self) -> None:
        """Start the present level under the next config."""
        self._config = (self._config + 1) % len(self.names)
        self._start()

    def step(self, action: int) -> None:
        """Advance by one step, unless paused or over."""
        if not self.paused and not self.over:
            self.frame, self.state = _step(self.env, self._key, self.state, action, self._params)

    def _start(self) -> None:
        self._params = jax.tree.map(lambda leaf: leaf[self._config], self._all_params)
        self._limit = int(self._params.episode_length)
        level = jax.random.fold_in(self._seed, self._level)
        reset_key, self._key = jax.random.split(level)
        self.frame, self.state = self.env.reset(reset_key, self._params)

    def status(self) -> str:
        """One line about the episode."""
        state = self.state
        parts = [
            self.names[self._config],
            f"step {int(state.time)}",
            f"distance {float(state.body.x - state.initial_x):.0f} px",
            f"return {float(state.episode_return):.1f}",
        ]
        flags = {"goal reached": bool(state.success_once), "paused": self.paused, "over": self.over}
        return "   ".join(parts + [text for text, shown in flags.items() if shown])


def run(args: Args) -> None:
    """Open a window and play until it is closed.

    Raises:
        ValueError: an option is not valid, or pygame is missing or finds no display.
    """
    for name, low in (("scale", 1), ("speed", 1), ("steps", 0)):
        check_range(name, getattr(args, name), low)
    if not args.configs:
        raise ValueError("configs: none given, allowed: names of shipped configs or YAML files")
    pygame = import_pygame()
    use_compile_cache()
    env, params = make(list(args.configs), assets=args.assets)
    game = Game(env, params, args.configs, args.seed)
    try:
        _play(pygame, game, args)
    except pygame.error as error:
        raise ValueError(f"display: {error}") from error
    finally:
        pygame.quit()
    print(game.status())


def import_pygame() -> ModuleType:
    """The module pygame.

    Raises:
        ValueError: it is not installed.
    """
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    try:
        import pygame
    except ImportError as error:
        raise ValueError(
            "play needs the play extra: pip install 'kagebench[play]' (pygame)"
        ) from error
    return pygame


@jax.jit(static_argnames="env")
def _step(
    env: KageEnv, key: jax.Array, state: KageState, action: int, params: EnvParams
) -> tuple[jax.Array, KageState]:
    return env.step_env(jax.random.fold_in(key, state.time), state, action, params)[:2]


def _play(pygame: Any, game: Game, args: Args) -> None:
    pygame.display.init()
    pygame.font.init()
    height, width = game.env.spec.height * args.scale, game.env.spec.width * args.scale
    pygame.display.set_caption("kagebench")
    screen = pygame.display.set_mode((width, height + _PANEL))
    font, clock = pygame.font.Font(None, 20), pygame.time.Clock()
    played = 0
    while not args.steps or played < args.steps:
        for event in pygame.event.get():
            if not handle(pygame, game, event):
                return
        game.step(action_of(pygame, pygame.key.get_pressed()))
        _show(pygame, screen, font, game, args.scale)
        clock.tick(args.speed)
        played += 1


def handle(pygame: Any, game: Game, event: Any) -> bool:
    """React to one event of the window; False if it asks for the end."""
    key = event.key if event.type == pygame.KEYDOWN else None
    if event.type == pygame.QUIT or key in (pygame.K_q, pygame.K_ESCAPE):
        return False
    if key == pygame.K_r:
        game.new_level()
    elif key == pygame.K_n:
        game.next_config()
    elif key == pygame.K_p:
        game.paused = not game.paused
    return True


def action_of(pygame: Any, pressed: Any) -> int:
    """The action 0..7 of the keys that are held down."""
    jump = pressed[pygame.K_UP] or pressed[pygame.K_SPACE]
    left, right = pressed[pygame.K_LEFT], pressed[pygame.K_RIGHT]
    return physics.LEFT * bool(left) + physics.RIGHT * bool(right) + physics.JUMP * bool(jump)


def _show(pygame: Any, screen: Any, font: Any, game: Game, scale: int) -> None:
    frame = np.asarray(game.frame)
    height, width = frame.shape[0] * scale, frame.shape[1] * scale
    picture = pygame.surfarray.make_surface(frame.swapaxes(0, 1))
    screen.fill(_PAPER)
    screen.blit(pygame.transform.scale(picture, (width, height)), (0, 0))
    for line, text in enumerate((game.status(), _HELP)):
        screen.blit(font.render(text, True, _INK), (8, height + 6 + 18 * line))
    pygame.display.flip()
