"""Building environments from configurations."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kagebench.assets import AssetPack, default_pack
from kagebench.build import build
from kagebench.config import ConfigError, load
from kagebench.env import KageEnv
from kagebench.params import EnvParams

Source = str | Path | Mapping[str, Any]


def make(
    config: Source | Sequence[Source] = "default",
    *,
    obs: str = "pixels",
    obs_size: int | None = None,
    pooling: str = "mean",
    assets: str | Path | AssetPack | None = None,
) -> tuple[KageEnv, EnvParams]:
    """Build an environment and its parameters.

    Args:
        config: the name of a shipped configuration ("simplest", "default", ...), a YAML path or a
            nested dict; or a list of those, whose parameters are stacked along a leading axis to be
            `vmap`-ed over, in one program.
        obs: "pixels" (uint8 frames) or "state" (the privileged float32 vector).
        obs_size: side of the low-resolution track (for example 64 or 32): frames are reduced by
            blocks. Must divide H and W. None keeps full frames.
        pooling: block reduction of the low-resolution track, "mean" (rounded) or "max".
        assets: folder of an asset pack; by default KAGEBENCH_ASSETS or the shipped pack.

    Returns:
        The environment and its traced parameters.

    Raises:
        ValueError: an argument or a configuration is not valid; the message names it.
    """
    many = isinstance(config, Sequence) and not isinstance(config, str)
    sources: list[Any] = list(config) if many else [config]  # pyright: ignore
    if not sources:
        raise ConfigError("config: an empty list; give at least one configuration")
    configs = [load(source) for source in sources]
    _check_options(configs, obs, obs_size, pooling)
    pack = assets if isinstance(assets, AssetPack) else default_pack(assets)
    options = {"obs": obs, "obs_size": obs_size, "pooling": pooling}
    spec, params, atlas = build(configs, pack, stack=many, **options)
    return KageEnv(spec, atlas, params), params


def _check_options(
    configs: Sequence[Mapping[str, Any]], obs: str, obs_size: int | None, pooling: str
) -> None:
    if obs not in ("pixels", "state"):
        raise ConfigError(f"obs: {obs!r} is not one of 'pixels', 'state'")
    if pooling not in ("mean", "max"):
        raise ConfigError(f"pooling: {pooling!r} is not one of 'mean', 'max'")
    for config in configs:
        height, width = config["H"], config["W"]
        if obs_size is not None and (obs_size < 1 or height % obs_size or width % obs_size):
            raise ConfigError(f"obs_size: {obs_size} does not divide the frame {height} x {width}")
