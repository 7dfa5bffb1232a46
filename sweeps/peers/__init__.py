"""Training loops written the common way in JAX, for comparisons of speed.

One function is the whole run: environment, replay and network updates in one `jax.lax.scan`, flax
networks, one step of all environments per iteration, and the metrics of all iterations stacked (the
style of purejaxrl and purejaxql). Networks, batch sizes and numbers of gradient steps are those of
this project's algorithms, so that only the way of writing differs.
"""

from sweeps.peers.policies import ppo, sac
from sweeps.peers.sizes import Sizes
from sweeps.peers.values import dqn, pqn

__all__ = ["Sizes", "dqn", "ppo", "pqn", "sac"]
