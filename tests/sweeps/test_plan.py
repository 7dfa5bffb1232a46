"""Plans as data."""

import json

import pytest

from sweeps.plan import PlanError, describe_task, difference, from_json, grid, to_json


def test_a_plan_survives_json(plan):
    assert from_json(json.loads(json.dumps(to_json(plan)))) == plan


def test_grid_combines_everything(plan):
    trials = [(trial.seed, trial.config.learning_rate) for trial in plan.trials]
    assert trials == [(3, 1e-3), (4, 1e-3), (3, 1e-4), (4, 1e-4)]
    config = plan.trials[0].config
    two = grid(plan.algorithm, {"env": ["a", "b"]}, config, [1], {"gamma": [0.9]})
    assert [(trial.env, trial.config.gamma) for trial in two.trials] == [(0, 0.9), (1, 0.9)]


def test_static_fields_make_groups_and_leaves_do_not(plan):
    assert plan.groups() == [[0, 1, 2, 3]]
    config = plan.trials[0].config
    axes = {"num_steps": [8, 16], "gamma": [0.9, 0.99]}
    mixed = grid(plan.algorithm, plan.task, config, [1], axes)
    assert mixed.groups() == [[0, 1], [2, 3]]


def test_plans_that_cannot_be_made(plan):
    config = plan.trials[0].config
    with pytest.raises(
        PlanError, match=r"'learning_rat' is no field .* did you mean learning_rate"
    ):
        grid(plan.algorithm, plan.task, config, [1], {"learning_rat": [1.0]})
    with pytest.raises(PlanError, match="no trial to run"):
        grid(plan.algorithm, plan.task, config, [])


def test_difference_names_the_first_field(plan):
    data = to_json(plan)
    assert difference(data, to_json(plan)) is None
    other = to_json(grid(plan.algorithm, plan.task, plan.trials[0].config, [3, 5], {}))
    assert difference(data, other) == "trials has 4 entries there and 2 here"
    other = json.loads(json.dumps(data))
    other["trials"][2]["config"]["gamma"] = 0.5
    assert difference(data, other) == "trials[2].config.gamma is 0.995 there and 0.5 here"
    del other["task"]["env"]
    assert difference(data, other) == "task.env is 'gymnax/CartPole-v1' there and None here"


def test_a_config_file_is_described_by_its_content(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("base: simplest\nepisode_length: 77\n")
    assert describe_task("simplest", obs_size=32)["env"] == "simplest"
    described = describe_task([str(path), "simplest"])["env"]
    assert described[0]["episode_length"] == 77
    assert described[1] == "simplest"
    assert json.loads(json.dumps(described)) == described


def test_only_images_of_other_families_have_a_size():
    sized = describe_task("pixels/pendulum", obs_size=24)
    assert sized == {"env": "pixels/pendulum", "obs_size": 24}
    assert describe_task("gymnax/CartPole-v1", obs_size=24) == {"env": "gymnax/CartPole-v1"}
