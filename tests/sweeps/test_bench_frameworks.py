"""Comparisons with other frameworks: what is wrong with the other side is said in one line."""

import sys

import pytest

from sweeps import bench_frameworks
from sweeps.peers import brax_training
from sweeps.peers.sizes import SIZES, Sizes


@pytest.mark.parametrize(
    ("python", "message"),
    [
        ("/no/such/python", r"--sbx-python: /no/such/python does not exist"),
        (sys.executable, r"--sbx-python: .* cannot run SBX: ModuleNotFoundError.*sbx"),
    ],
)
def test_a_python_without_sbx_is_named(python, message):
    with pytest.raises(SystemExit, match=message):
        bench_frameworks.sbx("dqn", SIZES["dqn"], python)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ppo", "sac"])
def test_brax_training_runs(name):
    sizes = Sizes(env="brax/inverted-pendulum", total_timesteps=8 * 640, num_minibatches=2)
    assert brax_training.steps_per_second(name, sizes) > 0.0
