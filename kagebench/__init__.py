"""KAGE-Bench in JAX: visual generalization over one fixed control problem.

Names are imported when they are first used: the environment pulls in JAX and gymnax, which take
seconds, and `kagebench --help` or a look at a config need neither.
"""

import importlib
from typing import TYPE_CHECKING, Any

from kagebench._version import __version__

if TYPE_CHECKING:
    from kagebench.assets import AssetError
    from kagebench.config import ConfigError, dump, load, save
    from kagebench.env import KageEnv, KageState
    from kagebench.params import EnvParams, EnvSpec
    from kagebench.registry import make

_MODULES = {
    "AssetError": "assets",
    "ConfigError": "config",
    "dump": "config",
    "load": "config",
    "save": "config",
    "KageEnv": "env",
    "KageState": "env",
    "EnvParams": "params",
    "EnvSpec": "params",
    "make": "registry",
}

__all__ = [
    "AssetError",
    "ConfigError",
    "EnvParams",
    "EnvSpec",
    "KageEnv",
    "KageState",
    "__version__",
    "dump",
    "load",
    "make",
    "save",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"kagebench.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
