"""The scripted policies reach their reference figures, on many levels."""

import typing

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kagebench import make
from kagebench.commands import video
from kagebench.env import KageEnv, KageState
from kagebench.oracle import POLICIES
from kagebench.params import EnvParams

LEVELS, STEPS = 512, 500
# The range of a mean is about five standard errors around its value over 16,384 levels.
FIGURES = {
    "oracle": {"distance": (499.0, 500.0), "return": (-11.0, -1.0), "success_once": (0.99, 1.0)},
    "random": {"distance": (-5.0, 17.0), "return": (-3945.0, -3860.0), "success_once": (0.0, 0.01)},
    "right": {"distance": (50.0, 82.0), "return": (-2290.0, -2120.0), "success_once": (0.0, 0.02)},
    "right_jump": {
        "distance": (489.0, 492.0),
        "return": (-5008.0, -4991.0),
        "success_once": (0.49, 0.71),
    },
    "noop": {"distance": (0.0, 0.0), "return": (-2550.1, -2549.9), "success_once": (0.0, 0.0)},
}
JUMPS = {"oracle": (4.5, 6.0), "random": (245.0, 255.0), "right_jump": (500.0, 500.0)}


@jax.jit(static_argnames="env")
def play(env: KageEnv, params: EnvParams, key: jax.Array) -> KageState:
    """All policies on the same levels, in one program: final states [policies, LEVELS]."""
    reset_key, *keys = jax.random.split(key, STEPS + 1)
    start = jax.vmap(env.reset_env, (0, None))(jax.random.split(reset_key, LEVELS), params)[1]
    states = jax.tree.map(lambda leaf: jnp.stack([leaf] * len(POLICIES)), start)

    def step(states: KageState, key: jax.Array) -> tuple[KageState, None]:
        act_keys = jax.random.split(key, LEVELS)
        chosen = [
            jax.vmap(policy, (0, 0, None))(
                act_keys, jax.tree.map(lambda x, i=i: x[i], states), params
            )
            for i, policy in enumerate(POLICIES.values())
        ]
        advance = jax.vmap(jax.vmap(env.step_env, (None, 0, 0, None)), (None, 0, 0, None))
        return advance(key, states, jnp.stack(chosen), params)[1], None

    return jax.lax.scan(step, states, jnp.stack(keys))[0]


@pytest.fixture(scope="module")
def final() -> KageState:
    env, params = make("base-a", obs="state")
    return jax.device_get(play(env, params, jax.random.key(5)))


@pytest.mark.parametrize("name", POLICIES)
def test_reference_points(final: KageState, name: str) -> None:
    state = jax.tree.map(lambda leaf: leaf[list(POLICIES).index(name)], final)
    found = {
        "distance": state.body.x - state.initial_x,
        "return": state.episode_return,
        "success_once": state.success_once,
        "jumps": state.jump_count,
    }
    expected = FIGURES[name] | {"jumps": JUMPS.get(name, (0.0, 0.0))}
    for metric, (low, high) in expected.items():
        mean = np.mean(found[metric], dtype=np.float64)
        assert low <= mean <= high, f"{metric}: {mean}"


def test_the_oracle_bounds_the_others_on_every_level(final: KageState) -> None:
    returns = dict(zip(POLICIES, final.episode_return, strict=True))
    for name in set(POLICIES) - {"oracle"}:
        # On a level that happens to be flat, walking right is as good as anything.
        assert (returns["oracle"] >= returns[name]).all(), name
        assert (returns["oracle"] > returns[name]).mean() > 0.99, name


def test_commands_offer_every_policy() -> None:
    assert typing.get_args(video.PolicyName) == tuple(POLICIES)
