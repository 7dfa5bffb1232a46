"""What both sides of a comparison have in common."""

from typing import NamedTuple


class Sizes(NamedTuple):
    """Numbers of steps and samples, width of the networks' two hidden layers."""

    env: str = "CartPole-v1"
    total_timesteps: int = 204_800
    num_envs: int = 8
    width: int = 128
    batch_size: int = 128
    buffer_size: int = 48_000
    num_steps: int = 64
    num_minibatches: int = 8
    update_epochs: int = 4


# By algorithm.
SIZES = {
    "dqn": Sizes(),
    "pqn": Sizes(),
    "ppo": Sizes(),
    "sac": Sizes(env="Pendulum-v1", total_timesteps=20_480),
}
