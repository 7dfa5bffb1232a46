"""KAGE-Bench in JAX: visual generalization over one fixed control problem."""

from kagebench._version import __version__
from kagebench.assets import AssetError
from kagebench.config import ConfigError, dump, load, save
from kagebench.env import KageEnv, KageState
from kagebench.params import EnvParams, EnvSpec
from kagebench.registry import make

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
