"""Trials in groups, and what every group runs on."""

import json

import polars as pl
import pytest

from algorithms.common.task import Task
from sweeps import engine, groups, search, space, store
from sweeps.plan import build_task, from_json, grid, to_json
from sweeps.study import Objective, Study, StudyError

TINY = {
    "num_envs": 4,
    "num_steps": 8,
    "num_minibatches": 2,
    "update_epochs": 1,
    "total_timesteps": 96,
    "stagger_episodes": False,
}


@pytest.fixture(scope="module")
def limits() -> Study:
    """Two time limits of CartPole by two sizes of the rollout, two seeds each."""
    return Study(
        "ppo",
        "gymnax/CartPole-v1",
        "state",
        seeds=[5, 3],
        set={name: value for name, value in TINY.items() if name != "num_steps"},
        space={
            "env.max_steps_in_episode": space.choice(3, 5),
            "num_steps": space.choice(8, 6),
            "learning_rate": space.choice(1e-3, 1e-4),
        },
    )


def test_static_fields_split_and_leaves_do_not(limits):
    points = limits.search.draw(limits.space)
    first, second = groups.split(limits, points)
    assert first.numbers == (0, 1, 2, 3, 8, 9, 10, 11)
    assert second.numbers == (4, 5, 6, 7, 12, 13, 14, 15)
    assert first.why == () and second.why == ("num_steps = 6",)
    assert second.static["num_steps"] == 6 and "learning_rate" not in second.static
    assert first.task == {
        "env": "gymnax/CartPole-v1",
        "params": [{"max_steps_in_episode": 3}, {"max_steps_in_episode": 5}],
    }
    assert [(t.seed, t.env) for t in first.trials] == [
        *((5, 0), (3, 0), (5, 0), (3, 0)),
        *((5, 1), (3, 1), (5, 1), (3, 1)),
    ]
    assert [trial.config.learning_rate for trial in first.trials[::2]] == [1e-3, 1e-4] * 2
    assert from_json(json.loads(json.dumps(to_json(first.plan)))) == first.plan


def test_parameters_of_gymnax_per_trial(limits, tmp_path):
    """Episodes last as long as the trial's own limit says; both are one program."""
    group = groups.split(limits, limits.search.draw(limits.space))[0]
    engine.run(group.plan, tmp_path, progress=False)
    metrics = store.read_metrics(tmp_path).collect()
    longest = metrics.group_by("trial").agg(pl.col("length").max()).sort("trial")["length"]
    assert longest.to_list() == [3.0] * 4 + [5.0] * 4
    # A part of the trials knows all environments of its group, and takes its own.
    part = engine.stack_group(group.plan, group.trials[3:6], build_task(group.task))
    assert part.params.max_steps_in_episode.tolist() == [3, 5, 5]


def test_parameters_of_kage_per_trial():
    one = Study(
        "ppo",
        ["base-a", "kage/base-b"],
        "state",
        set=TINY,
        space={"env.episode_length": space.quantised(20, 40, 10)},
    )
    (group,) = groups.split(one, one.search.draw(one.space))
    assert group.env == "base-a, kage/base-b"
    assert [trial.env for trial in group.trials] == [*range(6)]
    task = build_task(group.task)
    assert task.params.episode_length.tolist() == [20, 30, 40] * 2
    assert task.observation_shape == (15,)
    stacked = engine.stack_group(group.plan, group.trials[4:], task)
    assert stacked.params.episode_length.tolist() == [30, 40]
    assert engine.choose_axis(task, 6) == "vmap"
    assert groups.check(one, group).params.episode_length.shape == (6,)


def test_frames_decide_about_groups_of_kage_environments(tmp_path):
    (tmp_path / "small.yaml").write_text("base: simplest\nH: 64\n")
    one = Study("ppo", ["simplest", str(tmp_path / "small.yaml"), "gymnax/CartPole-v1"], "state")
    found = groups.split(one, one.search.draw(one.space))
    assert [group.why for group in found] == [
        (),
        ("env = frames of 64 x 128",),
        ("env = gymnax/CartPole-v1",),
    ]
    assert found[0].task["env"] == "simplest"
    assert found[1].task["env"]["H"] == 64
    assert found[2].task == {"env": "gymnax/CartPole-v1"}


def test_equal_environments_are_one():
    domains = {"env.gravity": space.choice(5.0, 9.8), "gamma": space.choice(0.9, 0.99)}
    one = Study("ppo", "gymnax/CartPole-v1", "state", space=domains, search=search.Random(32))
    (group,) = groups.split(one, one.search.draw(one.space))
    assert sorted(entry["gravity"] for entry in group.task["params"]) == [5.0, 9.8]
    for trial, point in zip(group.trials, one.search.draw(one.space), strict=True):
        assert group.task["params"][trial.env] == {"gravity": point["env.gravity"]}


def test_several_reasons_and_the_wrong_ones():
    domains = {"num_envs": space.choice(4, 8), "num_minibatches": space.choice(2, 3)}
    fixed = {name: value for name, value in TINY.items() if name not in domains}
    one = Study("ppo", "gymnax/CartPole-v1", "state", set=fixed, space=domains)
    found = groups.split(one, one.search.draw(one.space))
    assert found[3].why == ("num_envs = 8", "num_minibatches = 3")
    groups.check(one, found[0])
    with pytest.raises(StudyError, match=r"^group with num_minibatches = 3: num_minibatches: 3 do"):
        groups.check(one, found[1])
    with pytest.raises(StudyError, match=r"^objective.metric: got 'retur' \(did you mean return\?"):
        groups.check(Study("ppo", "base-a", "state", objective=Objective("retur")), found[0])


def test_tasks_of_older_plans_are_read(cartpole):
    data = {"env": "gymnax/CartPole-v1"}
    assert type(build_task(data)) is Task
    config = Study("ppo", "gymnax/CartPole-v1", "state").resolve({}).config
    both = grid("algorithms.ppo", data | {"params": [{}, {"gravity": 1.0}]}, config, [0])
    assert [trial.env for trial in both.trials] == [0, 1]
    old = {
        "format": 1,
        "algorithm": "algorithms.ppo",
        "task": data,
        "trials": [{"seed": 0, "env": 0, "config": {"gamma": 0.5}}],
    }
    plan = from_json(old)
    assert engine.stack_group(plan, plan.trials, cartpole).params is None
