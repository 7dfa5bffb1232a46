"""The conformance checks on every environment, and that they find what is wrong."""

import importlib
import importlib.util
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import struct
from gymnax.environments import spaces
from gymnax.environments.environment import Environment

import envs
from envs.conformance import CHECKS, Report, check, check_name, unexpected
from envs.departures import DEPARTURES
from envs.registry import FAMILIES

# One environment per class (about two seconds each); the others are slow tests.
QUICK = (
    "gymnax/CartPole-v1",
    "gymnax/Pendulum-v1",
    "gymnax/MemoryChain-bsuite",
    "gymnax/MetaMaze-misc",
    "brax/inverted-pendulum",
    "mjx/cartpole-swingup",
    "pixels/pendulum",
    "tabular/garnet",
    "control/lqr",
    "grid/empty",
    "grid/t-maze",
    "grid/goal",
    "grid/invalid-actions-4",
    "grid/deep-sea-treasure",
    "marl/climbing",
    "marl/foraging",
    "gflow/hypergrid",
    "bandit/bernoulli",
    "bandit/slate",
    "token/tree",
)
# The sides of pairs that are trained on are shipped configurations.
SLOW = tuple(name for name in envs.list() if name not in QUICK and not name.endswith("/train"))


@pytest.mark.parametrize("name", QUICK)
def test_quick(name: str) -> None:
    assert check_name(name, DEPARTURES.get(name, {})).failures == {}


def test_quick_kage() -> None:
    assert check_name("kage/simplest", {}, obs="state").failures == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_slow(name: str) -> None:
    report = check_name(name, DEPARTURES.get(name, {}))
    if report.skipped:
        pytest.skip(report.skipped)
    assert report.failures == {}


def test_the_lists_are_of_environments() -> None:
    assert {*QUICK, *DEPARTURES} <= {*envs.list()}
    assert {check for listed in DEPARTURES.values() for check in listed} <= {*CHECKS, "make"}
    covered = {name.partition("/")[0] for name in QUICK}
    apart = {"kage", "playground"}  # its own test, and not always there
    assert {*FAMILIES} - covered == apart


def test_departures_that_do_not_happen_are_failures() -> None:
    report = Report("x", failures={"dtypes": "reward: int32"})
    assert unexpected(report, {"dtypes": "why"}) == {}
    assert unexpected(report, {}) == {"dtypes": "reward: int32"}
    assert "passed, but" in unexpected(report, {"dtypes": "why", "step": "why"})["step"]


# --- Environments that are wrong ------------------------------------------------------------------


@struct.dataclass
class ToyParams:
    slope: float = 1.0
    max_steps_in_episode: int = 100


@struct.dataclass
class ToyState:
    x: jax.Array
    time: jax.Array


class Toy(Environment):
    """A walk on a line that ends at 3, correct in all ways."""

    @property
    def default_params(self) -> ToyParams:
        return ToyParams()

    def reset_env(self, key: jax.Array, params: Any) -> tuple[Any, Any]:
        state = ToyState(jax.random.uniform(key), jnp.int32(0))
        return self.observe(None, state, None, params), state

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> Any:
        x = state.x + params.slope * (2.0 * action - 1.0) + 0.1 * jax.random.normal(key)
        state = ToyState(x, state.time + 1)
        obs = self.observe(None, state, None, params)
        return obs, state, state.x, jnp.abs(x) > 3, {"x": x}

    def observe(self, key: Any, state: Any, action: Any, params: Any) -> Any:
        return jnp.stack([state.x, 1.0])

    def action_space(self, params: Any = None) -> Any:
        return spaces.Discrete(2)

    def observation_space(self, params: Any = None) -> Any:
        return spaces.Box(-jnp.inf, jnp.inf, (2,), jnp.float32)


class NarrowSpace(Toy):
    def observation_space(self, params: Any = None) -> Any:
        return spaces.Box(-0.5, 1.0, (2,), jnp.float32)


class WrongShape(Toy):
    def observation_space(self, params: Any = None) -> Any:
        return spaces.Box(-jnp.inf, jnp.inf, (3,), jnp.float32)


class WholeReward(Toy):
    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> Any:
        obs, state, _, terminated, info = super().step_env(key, state, action, params)
        return obs, state, jnp.int32(1), terminated, info


class LimitTerminates(Toy):
    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> Any:
        obs, state, reward, terminated, info = super().step_env(key, state, action, params)
        return obs, state, reward, terminated | self.is_truncated(state, params), info


class ForgetsFinal(Toy):
    def step(self, key: Any, state: Any, action: Any, params: Any = None) -> Any:
        obs, *rest = super().step(key, state, action, params)
        return obs, *rest[:-1], {**rest[-1], "final_observation": obs}


class NeverResets(Toy):
    def step(self, key: Any, state: Any, action: Any, params: Any = None) -> Any:
        key = jax.random.split(key)[0]
        obs, state, reward, over, info = self.step_env(key, state, action, params)
        info["final_observation"] = obs
        return obs, state, reward, over, self.is_truncated(state, params), info


class ClockOnHost(Toy):
    """Differs from call to call of the same program's trace: plain steps see another number."""

    traces = 0

    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> Any:
        ClockOnHost.traces += 1
        obs, state, reward, terminated, info = super().step_env(key, state, action, params)
        return obs, state, reward + self.traces, terminated, info


class ReadsParams(Toy):
    def reset_env(self, key: jax.Array, params: Any) -> Any:
        if params.slope > 0:
            return super().reset_env(key, params)
        return super().reset_env(key, params)


class FloatClock(Toy):
    def reset_env(self, key: jax.Array, params: Any) -> Any:
        obs, state = super().reset_env(key, params)
        return obs, state.replace(time=jnp.float32(0))


class BadMask(Toy):
    num_actions = 2  # type: ignore[assignment]

    def action_mask(self, state: Any, params: Any) -> jax.Array:
        return jnp.ones(2)


class VectorInfo(Toy):
    def step_env(self, key: jax.Array, state: Any, action: Any, params: Any) -> Any:
        *rest, info = super().step_env(key, state, action, params)
        return *rest, {**info, "all": jnp.zeros(3)}


WRONG = {
    NarrowSpace: {"observation space"},
    WrongShape: {"observation space"},
    WholeReward: {"dtypes"},
    LimitTerminates: {"truncation"},
    ForgetsFinal: {"step"},
    NeverResets: {"step"},
    ClockOnHost: {"step", "compiled"},
    ReadsParams: {"structure"},
    FloatClock: {"structure"},
    BadMask: {"extras"},
    VectorInfo: {"dtypes"},
}


def test_a_correct_environment_passes() -> None:
    assert check("toy", Toy(), ToyParams()).failures == {}


@pytest.mark.parametrize("kind", WRONG, ids=lambda kind: kind.__name__)
def test_a_wrong_environment_fails(kind: type[Toy]) -> None:
    found = check("toy", kind(), ToyParams()).failures
    assert WRONG[kind] <= {*found} and len(found) <= 2, found


def test_families_are_imported_when_asked_for() -> None:
    for family in FAMILIES.values():
        loaded = importlib.import_module(family.module)
        assert family.about and callable(loaded.make)
        assert loaded.names() or importlib.util.find_spec(family.needs) is None
    probe = "import sys, envs; envs.list(); print({'brax', 'mujoco'} & {*sys.modules})"
    found = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    assert found.stdout.strip() == "set()", found.stderr
