"""``kagebench video``: record an episode of a scripted policy or of a trained agent."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from rich.console import Console

from kagebench import config as configs
from kagebench import movie
from kagebench.commands._output import check_output, check_range, replacing
from kagebench.env import KageEnv, KageState
from kagebench.evaluate import Act, record, scripted
from kagebench.oracle import POLICIES
from kagebench.params import EnvParams
from kagebench.registry import make
from kagebench.visuals import STEP_SECONDS
from sweeps.engine import use_compile_cache

PolicyName = Literal["oracle", "random", "right", "right_jump", "noop"]
_TOGETHER = 32  # frames that are rendered at the same time


@dataclass(frozen=True)
class Args:
    """Record one episode; the ending of the output decides between GIF, MP4 and a PNG strip."""

    config: str = ""
    """Shipped config or YAML file; by default that of the run, or simplest."""
    policy: PolicyName = "oracle"
    """Scripted policy that acts."""
    run: Path | None = None
    """Folder of a training run: its agent acts instead of a scripted policy."""
    agent: int = 0
    """Which agent of the run, in the order of its seeds."""
    output: Path = Path("video.gif")
    """The file: .gif, .mp4 (needs the video extra) or .png (a strip of stills)."""
    steps: int = 0
    """Steps to play; 0 for the whole episode."""
    every: int = 3
    """Show every n-th step; the speed stays that of the game, 60 steps per second."""
    stills: int = 8
    """Number of frames of a PNG strip, evenly spaced."""
    scale: int = 2
    """Size of a pixel."""
    seed: int = 0
    """Chooses the level."""
    assets: str | None = None
    """Folder of an art pack; by default KAGEBENCH_ASSETS or the shipped one."""


def run(args: Args) -> None:
    """Play, render and write.

    Raises:
        ValueError: an option is not valid.
    """
    check_output(args.output, movie.FORMATS)
    movie.check_format(args.output)
    for name, low in (("every", 1), ("stills", 1), ("scale", 1), ("agent", 0)):
        check_range(name, getattr(args, name), low)
    console = Console(highlight=False)
    use_compile_cache()
    config, act, agent, options = _player(args)
    limit = config["episode_length"]
    check_range("steps", args.steps, 0, limit)
    steps = args.steps or limit
    with console.status("playing"):
        env, params = make([config], **options)
        states = record(env, act, steps, agent, params, jax.random.key(args.seed))
        states = jax.tree.map(lambda leaf: leaf[0], states)
        chosen = choose_frames(steps, args.every, args.stills if _is_strip(args) else None)
        canvas, params = make(config, assets=options["assets"])
        frames = render(canvas, params, jax.tree.map(lambda leaf: leaf[chosen], states))
        with replacing(args.output) as part:
            movie.write(part, movie.magnify(frames, args.scale), args.every * STEP_SECONDS)
    distance = float(states.body.x[-1] - states.initial_x[-1])
    console.print(
        f"{args.output}: {len(frames)} frames of {steps} steps, distance {distance:.0f} px, "
        f"return {float(states.episode_return[-1]):.1f}",
        soft_wrap=True,
    )


def choose_frames(steps: int, every: int, stills: int | None) -> np.ndarray:
    """Indices of the states to show: every n-th, or `stills` of them, evenly spaced."""
    if stills is None:
        return np.arange(0, steps + 1, every)
    return np.unique(np.linspace(0, steps, stills).round().astype(int))


def render(env: KageEnv, params: EnvParams, states: KageState) -> np.ndarray:
    """Frames uint8 [T, H, W, 3] of states with one leading axis."""
    return np.asarray(_render(env, params, states))


def _is_strip(args: Args) -> bool:
    return args.output.suffix.lower() == ".png"


@jax.jit(static_argnames="env")
def _render(env: KageEnv, params: EnvParams, states: KageState) -> jax.Array:
    observe = partial(env.observe, None, action=None, params=params)
    return jax.lax.map(observe, states, batch_size=_TOGETHER)


def _player(args: Args) -> tuple[dict[str, Any], Act, Any, dict[str, Any]]:
    """Configuration, policy, its agent, and the options of the environment that it acts in."""
    if args.run is None:
        act = partial(scripted, POLICIES[args.policy])
        return configs.load(args.config or "simplest"), act, None, {"assets": args.assets}
    from kagebench.commands import _trained

    trained = _trained.load_trained(args.run)
    check_range("agent", args.agent, 0, len(trained.seeds) - 1)
    config = configs.load(args.config) if args.config else trained.config
    options = {"assets": None, **trained.options}
    if args.assets is not None:
        options["assets"] = args.assets
    env, _ = make([config], **options)
    agent = jax.tree.map(lambda leaf: leaf[args.agent], trained.agents)
    return config, partial(_trained.act, trained.module, env, False), agent, options
