"""What both sides of a comparison have in common."""

from typing import NamedTuple


class Sizes(NamedTuple):
    """What is trained on and how much.

    env: name of the environment in :func:`envs.make`.
    total_timesteps: environment steps of a seed.
    num_envs: environments side by side.
    width: of the networks' two hidden layers.
    batch_size, buffer_size: transitions of a gradient step and of the replay buffer.
    num_steps, num_minibatches, update_epochs: of a rollout, for on-policy algorithms.
    """

    env: str = "gymnax/CartPole-v1"
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
    "sac": Sizes(env="gymnax/Pendulum-v1", total_timesteps=20_480),
}
