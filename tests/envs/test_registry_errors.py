"""Wrong names and options of environments: one line that says what is allowed."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

import envs
from envs.options import cast_leaf, param_leaves, split_options, with_time_limit

MISTAKES: list[tuple[str, dict[str, Any], str]] = [
    # Names.
    ("", {}, "env: got '', allowed: FAMILY/NAME with FAMILY in kage gymnax"),
    ("cartpole", {}, "env: got 'cartpole' (did you mean mjx/cartpole-swingup?), allowed: FAMILY"),
    ("CartPole-v1", {}, "env: got 'CartPole-v1' (did you mean gymnax/CartPole-v1?), allowed:"),
    ("tabluar/chain", {}, "env: got 'tabluar/chain' (did you mean tabular/chain?), allowed:"),
    ("gymnax", {}, "env: got 'gymnax' (did you mean gymnax/NAME?), allowed: FAMILY/NAME"),
    ("gymnax/CartPole", {}, "env: got 'gymnax/CartPole' (did you mean gymnax/CartPole-v1?)"),
    ("kage/simplst", {}, "env: got 'kage/simplst' (did you mean kage/simplest?), allowed: kage/"),
    ("kage/backgroud-5", {}, "did you mean kage/background-5?"),
    ("kage/background-5:test", {}, "allowed: background-5/train or background-5/validation"),
    ("kage/nowhere.yaml", {}, "kage/nowhere.yaml: nowhere.yaml: no such file"),
    ("brax/antt", {}, "env: got 'brax/antt' (did you mean brax/ant?), allowed: brax/ant"),
    ("mjx/maze-larg", {}, "env: got 'mjx/maze-larg' (did you mean mjx/maze-large?)"),
    ("pixels/pendulm", {}, "env: got 'pixels/pendulm' (did you mean pixels/pendulum?), allowed:"),
    ("tabular/clif-walk", {}, "(did you mean tabular/cliff-walk?), allowed: tabular/"),
    ("grid/key-dor-5", {}, "(did you mean grid/key-door-5?), allowed: grid/"),
    ("marl/climbin", {}, "(did you mean marl/climbing?), allowed: marl/"),
    ("gflow/hyper-grid", {}, "(did you mean gflow/hypergrid?), allowed: gflow/"),
    ("bandit/bernouli", {}, "(did you mean bandit/bernoulli?), allowed: bandit/"),
    ("token/tre", {}, "(did you mean token/tree?), allowed: token/"),
    # Options.
    ("gymnax/CartPole-v1", {"gravty": 1}, "got 'gravty' (did you mean gravity?), allowed: max_"),
    ("gymnax/CartPole-v1", {"gravity": "g"}, "gravity: got 'g', allowed: a number"),
    ("gymnax/CartPole-v1", {"gravity": [1, 2]}, "gravity: got [1, 2], allowed: a number"),
    ("gymnax/CartPole-v1", {"gravity": float("nan")}, "gravity: got nan, allowed: a number"),
    ("gymnax/CartPole-v1", {"max_steps_in_episode": 2.5}, "got 2.5, allowed: an integer"),
    ("gymnax/CartPole-v1", {"max_steps_in_episode": 1e12}, "allowed: an integer"),
    ("gymnax/Asterix-MinAtar", {"ramping": 1}, "ramping: got 1, allowed: true or false"),
    ("gymnax/Catch-bsuite", {"rows": "10"}, "gymnax/Catch-bsuite: rows: got '10', allowed: an"),
    ("gymnax/Acrobot-v1", {"available_torque": [1, 2]}, "a number, or an array of shape (3,)"),
    ("kage/simplest", {"physics.gravit": 1}, "(did you mean physics.gravity?), allowed: obs, "),
    ("kage/simplest", {"physics.gravity": -1}, "kage/simplest: physics.gravity: got -1, allowed:"),
    ("kage/simplest", {"obs": "state", "obs_size": 7}, "kage/simplest: obs_size: 7 does not"),
    ("pixels/pendulum", {"obs_siz": 32}, "got 'obs_siz' (did you mean obs_size?), allowed: obs_"),
    ("pixels/pendulum", {"obs_size": 7}, "pixels/pendulum: obs_size: got 7, allowed: an integer"),
    ("pixels/pendulum", {"frames": 1.5}, "pixels/pendulum: frames: got 1.5, allowed: an integer"),
    ("pixels/maze-small", {"mass": "x"}, "pixels/maze-small: mass: got 'x', allowed: a number"),
    ("tabular/chain", {"lenght": 3}, "tabular/chain"),
    ("grid/empty", {"sise": 3}, "grid/empty"),
    ("marl/climbing", {"noise": "x"}, "marl/climbing"),
    ("gflow/hypergrid", {"hight": 3}, "gflow/hypergrid"),
    ("bandit/bernoulli", {"arms": "x"}, "bandit/bernoulli"),
    ("token/tree", {"dept": 3}, "token/tree"),
]


@pytest.mark.parametrize(("name", "options", "message"), MISTAKES)
def test_a_mistake_gets_one_line(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as error:
        envs.make(name, **options)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_families_are_checked() -> None:
    with pytest.raises(ValueError, match=r"family: got 'gym' .*, allowed: kage, gymnax, brax"):
        envs.list("gym")


# --- Options that are right -----------------------------------------------------------------------


@struct.dataclass
class Inner:
    mass: Any = 1.0
    on: bool = True


@struct.dataclass
class Params:
    inner: Inner
    goal: Any
    factors: Any
    nothing: Any = None
    size: int = struct.field(pytree_node=False, default=3)
    max_steps_in_episode: int = 10


def make_params() -> Params:
    return Params(Inner(), jnp.zeros(2), {"arm": 1.0, "hand.left": 2})


def test_leaves_have_dotted_names() -> None:
    names = ["inner.mass", "inner.on", "goal", "factors.arm", "factors.hand.left"]
    assert [*param_leaves(make_params())] == [*names, "max_steps_in_episode"]


def test_options_go_to_the_constructor_or_to_a_leaf() -> None:
    given = {"size": 5, "inner.mass": 2, "goal": [1, 2], "factors.arm": 3, "factors.hand.left": 4}
    constructor, params = split_options("x", given, {"size": 3, "slip": 0.1}, make_params())
    assert constructor == {"size": 5, "slip": 0.1}
    assert params.inner.mass == 2.0 and isinstance(params.inner.mass, float)
    np.testing.assert_array_equal(params.goal, [1.0, 2.0])
    assert params.goal.dtype == jnp.float32 and params.factors == {"arm": 3.0, "hand.left": 4}
    assert make_params().inner.mass == 1.0  # untouched


def test_parameters_may_follow_from_the_constructor() -> None:
    build = lambda size: Params(Inner(), jnp.zeros(size), {})  # noqa: E731
    _, params = split_options("x", {"size": 4, "goal": 7}, {"size": 3}, build)
    np.testing.assert_array_equal(params.goal, [7.0] * 4)
    with pytest.raises(ValueError, match=r"x: goal: got \[1, 2\], allowed: a number, or an array"):
        split_options("x", {"size": 4, "goal": [1, 2]}, {"size": 3}, build)


def test_leaves_keep_their_dtype() -> None:
    assert cast_leaf("x", 1e6, 5) == 1_000_000 and isinstance(cast_leaf("x", 1e6, 5), int)
    assert cast_leaf("x", 3, jnp.float32(1)).dtype == jnp.float32
    assert cast_leaf("x", True, False) is True
    assert float(jax.jit(lambda v: cast_leaf("x", v, 1.0))(jnp.float32(2))) == 2.0
    for value, leaf in ((300, jnp.uint8(0)), (-1, jnp.uint8(0)), (True, 1.0), ([[1], [1, 2]], 1.0)):
        with pytest.raises(ValueError, match="x: got"):
            cast_leaf("x", value, leaf)


def test_time_limits_are_found() -> None:
    assert with_time_limit(make_params(), 3).max_steps_in_episode == 3
    kage = envs.make("kage/simplest", max_steps_in_episode=7)[1]
    assert kage.max_steps_in_episode == 7
    assert with_time_limit(kage, 5).max_steps_in_episode == 5
    with pytest.raises(ValueError, match="no leaf max_steps_in_episode"):
        with_time_limit(Inner(), 3)


def test_pairs_have_several_spellings() -> None:
    expected = envs.make("kage/background-2/validation", obs="state")
    for name in ("kage/background-2:val", "kage/background-2:validation"):
        env, params = envs.make(name, obs="state")
        assert env == expected[0]
        for a, b in zip(jax.tree.leaves(params), jax.tree.leaves(expected[1]), strict=True):
            np.testing.assert_array_equal(a, b)
    assert envs.make("kage/background-2")[0] == envs.make("kage/background-2/train")[0]


def test_keys_of_the_configuration_are_options() -> None:
    env, params = envs.make("kage/simplest", obs="state", **{"physics.gravity": 0.25})
    assert float(params.physics.gravity) == 0.25
    assert "filters" not in str(params) or env.spec.filters == ()  # type: ignore[attr-defined]
    bright = envs.make("kage/simplest", **{"filters.brightness": 0.5})[0]
    assert bright.spec.filters != ()  # type: ignore[attr-defined]
