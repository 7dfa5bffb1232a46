"""Running, resuming and loading."""

import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest

from algorithms import ppo
from algorithms.common.task import Task
from sweeps import engine, store
from sweeps.plan import PlanError, grid

COMMAND = [
    *(sys.executable, "-m", "algorithms.ppo", "state", "--env", "gymnax/CartPole-v1"),
    *("--num-envs", "4", "--num-steps", "16", "--num-minibatches", "2", "--update-epochs", "1"),
    *("--total-timesteps", "64000", "--seeds", "0", "1", "--checkpoint-seconds", "0", "--out"),
]


def same_bits(one: engine.Loaded, two: engine.Loaded) -> None:
    """Equal final states, keys included, and equal metrics."""
    for a, b in zip(jax.tree.leaves(one.state), jax.tree.leaves(two.state), strict=True):
        if jax.dtypes.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        np.testing.assert_array_equal(a, b)
    assert one.metrics.equals(two.metrics)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, cartpole, plan):
    """The small plan, run without a break; its folder must stay as it is."""
    return engine.run(plan, tmp_path_factory.mktemp("run") / "x", task=cartpole, progress=False)


def test_a_run_is_a_folder(finished, plan):
    names = {path.name for path in finished.iterdir()}
    assert names == {
        *("plan.json", "env.json", "metrics.parquet", "checkpoints", "timing.jsonl", ".lock")
    }
    assert [path.name for path in (finished / "checkpoints" / "0").iterdir()] == ["20"]
    assert json.loads((finished / "env.json").read_text())["jax"] == jax.__version__
    metrics = store.read_metrics(finished).collect()
    assert metrics["update"].to_list() == [u for u in range(1, 21) for _ in range(4)]
    assert metrics["trial"].to_list() == [0, 1, 2, 3] * 20
    assert metrics["step"].to_list() == [32 * u for u in metrics["update"]]
    steps = sum(json.loads(line)["steps"] for line in (finished / "timing.jsonl").open())
    assert steps == 20 * 32 * 4


def test_each_trial_is_what_it_is_alone(finished, cartpole, plan):
    loaded = engine.load(finished, task=cartpole)
    assert loaded.algorithm is ppo
    assert loaded.config.learning_rate.tolist() == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4])
    trial = plan.trials[2]
    state = ppo.init(jax.random.key(trial.seed), trial.config, cartpole)
    update = jax.jit(ppo.update)
    for _ in range(20):
        state, metrics = update(state, trial.config, cartpole)
    # Batched matrix products round differently, so that this holds to some digits only.
    got = jax.tree.map(lambda x: x[2], loaded.state)
    np.testing.assert_array_equal(got.env_state.time, state.env_state.time)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-3), got.params, state.params)
    last = loaded.metrics.filter(pl.col("trial") == 2).tail(1)
    assert last["entropy"].item() == pytest.approx(float(metrics["entropy"]), abs=1e-3)


def test_side_by_side_is_one_after_the_other(finished, cartpole, plan, tmp_path):
    folder = engine.run(plan, tmp_path / "map", task=cartpole, axis="map", progress=False)
    one, two = engine.load(finished, task=cartpole), engine.load(folder, task=cartpole)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-3), one.state.params, two.state.params
    )


@pytest.mark.parametrize("crash_at", [0, 2, 3, 6, 7, 8, 9, 26])
def test_crash_at_any_file_operation(finished, cartpole, plan, tmp_path, monkeypatch, crash_at):
    """The process ends before the n-th rename or deletion; the next run must not notice."""
    countdown = crash_at

    def crashing(operation):
        def call(*args, **kwargs):
            nonlocal countdown
            countdown -= 1
            if countdown < 0:
                raise SystemExit
            return operation(*args, **kwargs)

        return call

    monkeypatch.setattr(engine, "CAPACITY", 4)
    monkeypatch.setattr(engine, "SAVE_SHARE", math.inf)  # save after each call
    with monkeypatch.context() as patch:
        patch.setattr(store.os, "replace", crashing(os.replace))
        patch.setattr(store.shutil, "rmtree", crashing(shutil.rmtree))
        with pytest.raises(SystemExit):
            engine.run(plan, tmp_path, task=cartpole, checkpoint_seconds=0, progress=False)
    engine.run(plan, tmp_path, task=cartpole, checkpoint_seconds=0, progress=False)
    same_bits(engine.load(finished, task=cartpole), engine.load(tmp_path, task=cartpole))
    assert not list(tmp_path.rglob("*.part")) and not list(tmp_path.rglob("unfinished*"))


def kill_and_resume(folder: Path, kills: int, seed: int) -> None:
    """Start the command, kill it at a random moment after a new checkpoint, several times."""
    rng = random.Random(seed)
    checkpoints = folder / "checkpoints" / "0"
    for _ in range(kills):
        before = store.last_checkpoint(checkpoints) or 0
        process = subprocess.Popen([*COMMAND, str(folder)], stdout=subprocess.DEVNULL)
        while process.poll() is None and (store.last_checkpoint(checkpoints) or 0) <= before:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "the run ended before it could be killed"
        assert not (folder / "metrics.parquet").exists()
    subprocess.run([*COMMAND, str(folder)], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("kills", [1, pytest.param(4, marks=pytest.mark.slow)])
def test_a_killed_process_resumes_to_the_same_bits(tmp_path, cartpole, kills):
    kill_and_resume(tmp_path / "killed", kills, seed=kills)
    plan = store.read_plan(tmp_path / "killed")
    folder = engine.run(plan, tmp_path / "whole", task=cartpole, progress=False)
    same_bits(engine.load(folder), engine.load(tmp_path / "killed"))


def test_visits_see_every_state_on_the_way_and_change_nothing(
    finished, cartpole, plan, tmp_path, monkeypatch
):
    seen: dict[int, list[int]] = {}

    def look(group, updates, states):
        assert group.configs.learning_rate.shape == (4,)
        seen.setdefault(updates, []).append(int(states.iteration[0]))
        if updates == 14 and len(seen[14]) == 1:
            raise SystemExit  # killed during a visit

    visit = engine.Visit(7, look)
    monkeypatch.setattr(engine, "CAPACITY", 4)
    options = {"task": cartpole, "checkpoint_seconds": 0, "progress": False, "visit": visit}
    with pytest.raises(SystemExit):
        engine.run(plan, tmp_path, **options)
    engine.run(plan, tmp_path, **options)
    assert list(seen) == [0, 7, 14, 20]
    assert all(set(found) == {updates} for updates, found in seen.items())
    assert len(seen[14]) == 2
    same_bits(engine.load(finished, task=cartpole), engine.load(tmp_path, task=cartpole))


def test_a_finished_run_is_left_alone(finished, cartpole, plan, monkeypatch):
    monkeypatch.setattr(engine, "advance", None)
    engine.run(plan, finished, task=cartpole)


def test_folders_that_do_not_belong_here(finished, plan, cartpole, tmp_path):
    config = plan.trials[0].config
    other = grid(plan.algorithm, plan.task, config, [3, 4], {"learning_rate": [1e-3, 2e-4]})
    with pytest.raises(
        store.FolderError,
        match=r"another plan, trials\[2\].config.learning_rate is 0.0001 there and 0.0002 here",
    ):
        engine.run(other, finished, task=cartpole)
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(store.FolderError, match=r"holds files but no plan.json"):
        engine.run(plan, tmp_path, task=cartpole)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
    with pytest.raises(store.FolderError, match="holds no run"):
        engine.load(tmp_path)


def test_one_process_per_folder(plan, tmp_path):
    first = store.Store(tmp_path, plan)
    with pytest.raises(store.FolderError, match="another process"):
        store.Store(tmp_path, plan)
    first.close()
    store.Store(tmp_path, plan).close()


def test_a_config_that_does_not_fit_leaves_no_folder(plan, cartpole, tmp_path):
    config = plan.trials[0].config.replace(num_minibatches=3)
    wrong = grid(plan.algorithm, plan.task, config, [0])
    with pytest.raises(PlanError, match="num_minibatches: 3 does not divide"):
        engine.run(wrong, tmp_path / "new", task=cartpole)
    assert not (tmp_path / "new").exists()


def test_groups_and_environments_per_trial(cartpole, plan, tmp_path):
    """Static fields run one group after the other; a list of environments gives each its own."""
    limits = jnp.array([5, 9])
    task = Task(cartpole.env, cartpole.params.replace(max_steps_in_episode=limits))
    params = jax.tree.map(lambda x: jnp.broadcast_to(jnp.asarray(x), (2,)), task.params)
    config = plan.trials[0].config.replace(stagger_episodes=False, total_timesteps=96)
    many = grid(plan.algorithm, {"env": ["a", "b"]}, config, [0], {"num_steps": [8, 12]})
    engine.run(many, tmp_path, task=task.replace(params=params), progress=False)
    metrics = store.read_metrics(tmp_path).collect()
    assert metrics["trial"].to_list() == [0, 1, 0, 1, 0, 1, 2, 3, 2, 3]
    longest = metrics.group_by("trial").agg(pl.col("length").max()).sort("trial")["length"]
    assert longest.to_list() == [5.0, 9.0, 5.0, 9.0]
    second = engine.load(tmp_path, group=1, task=task.replace(params=params))
    assert second.metrics["trial"].unique().sort().to_list() == [2, 3]


def test_any_number_of_updates_is_one_program(cartpole, plan):
    engine.use_compile_cache()
    group = engine.stack_group(plan, plan.trials, cartpole)
    states = engine.initialise(ppo, group, cartpole)
    engine.advance.clear_cache()
    for count in (1, 3):
        states, metrics = engine.advance(ppo, states, group, cartpole, count, "vmap", 8)
        faster = group.configs.replace(learning_rate=2 * group.configs.learning_rate)
        group = group._replace(configs=faster)
    assert engine.advance._cache_size() == 1
    assert states.iteration.tolist() == [4] * 4
    assert metrics["loss"].shape == (4, 8)
    assert (metrics["loss"][:, 3:] == 0).all() and (metrics["loss"][:, :3] != 0).all()


def test_calls_aim_at_a_second():
    assert engine.next_count(1, 20.0, 100) == 1
    assert engine.next_count(4, 0.4, 100) == 10
    assert engine.next_count(4, 0.004, 100) == 16
    assert engine.next_count(64, 0.1, 1000) == 64
    assert engine.next_count(64, 1.0, 7) == 7
