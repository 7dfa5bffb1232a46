"""Chunks on a local Ray cluster of two workers, one of which is killed."""

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from sweeps import memory, ray_backend, runner, space
from sweeps.study import Study

ray = pytest.importorskip("ray")

STUDY = Study(
    algorithm="ppo",
    preset="state",
    env="gymnax/CartPole-v1",
    seeds=2,
    set={"num_envs": 4, "num_steps": 8, "num_minibatches": 2, "total_timesteps": 320},
    space={"learning_rate": space.choice(1e-3, 1e-4, 1e-5)},
)


@pytest.fixture(scope="module")
def cluster():
    ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False)
    yield
    ray.shutdown()


def workers() -> list[int]:
    """Processes that run a chunk right now."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_text()
        except OSError:
            continue
        if text.startswith("ray::run_chunk"):
            found.append(int(path.parent.name))
    return found


def kill_one(folder: Path, killed: list[int]) -> None:
    """Kill a worker as soon as it has begun with a chunk."""
    for _ in range(6000):
        if list(folder.glob("chunks/*/env.json")) and (found := workers()):
            os.kill(found[0], signal.SIGKILL)
            killed.append(found[0])
            return
        time.sleep(0.01)


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="finds workers in /proc")
def test_a_killed_worker_loses_nothing_and_doubles_nothing(cluster, tmp_path, monkeypatch):
    whole = runner.run(STUDY, tmp_path / "local", progress=False)
    monkeypatch.setattr(memory, "fit", lambda *_: memory.Fit(2, 1, 0, 0))
    folder, killed = tmp_path / "ray", []
    killer = threading.Thread(target=kill_one, args=(folder, killed))
    killer.start()
    runner.run(STUDY, folder, backend=ray_backend.connect(cpus=1), progress=False)
    killer.join()
    assert len(killed) == 1
    trials = pl.read_parquet(folder / "trials.parquet")
    assert trials["status"].to_list() == ["finished"] * 6 and trials["chunk"].n_unique() == 3
    a, b = (
        pl.read_parquet(path / "metrics.parquet").sort("trial", "update")
        for path in (whole, folder)
    )
    assert a.select("trial", "seed", "update").equals(b.select("trial", "seed", "update"))
    np.testing.assert_allclose(a["entropy"], b["entropy"], atol=1e-3)
