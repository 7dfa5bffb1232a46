"""The commands of `kagebench`: each module has a dataclass `Args` and a function `run(args)`."""
