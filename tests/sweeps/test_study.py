"""Studies from files and from Python, and what their points become."""

import dataclasses
import json
import sys
import types
from pathlib import Path

import pytest
import yaml
from flax import struct

from algorithms import ppo
from kagebench import config as configs
from sweeps import groups, search, space, study
from sweeps.plan import build_task
from sweeps.study import Objective, Study, StudyError

TEXT = """
algorithm: ppo
preset: state
env: gymnax/CartPole-v1
seeds: 1-4
set: {total_timesteps: 1e5, env.max_steps_in_episode: 200}
space:
  learning_rate: {loguniform: [1e-4, 1E-2]}
  ent_coef: {choice: [0, 1e-2]}
  gae_lambda: {quantised: [.8, 1.0, 5e-2]}
  num_envs: {choice: [64, 128]}
  env.gravity: {uniform: [5, 15]}
  clip_vloss: {choice: [false, true]}
  vf_coef: {uniform: [0.1, 1.0], when: {clip_vloss: [true]}}
search: {method: sobol, points: 8, seed: 3}
objective: {metric: return, last: 0.2}
"""


def in_python() -> Study:
    return Study(
        algorithm="ppo",
        preset="state",
        env="gymnax/CartPole-v1",
        seeds=range(1, 5),
        set={"total_timesteps": 100_000, "env.max_steps_in_episode": 200},
        space={
            "learning_rate": space.loguniform(0.0001, 0.01),
            "ent_coef": space.choice(0.0, 0.01),
            "gae_lambda": space.quantised(0.8, 1.0, 0.05),
            "num_envs": space.choice(64, 128),
            "env.gravity": space.uniform(5.0, 15.0),
            "clip_vloss": space.choice(False, True),
            "vf_coef": space.conditional(space.uniform(0.1, 1.0), {"clip_vloss": [True]}),
        },
        search=search.Sobol(points=8, seed=3),
        objective=Objective(last=0.2),
    )


def write(folder: Path, text: str, name: str = "study.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_file_is_what_python_says(tmp_path):
    loaded = study.load(write(tmp_path, TEXT))
    assert loaded == in_python()
    assert loaded != dataclasses.replace(loaded, seeds=4)
    assert loaded.search.draw(loaded.space) == in_python().search.draw(in_python().space)


def test_the_example_of_the_docs(tmp_path, monkeypatch, capsys):
    """Its file and its Python code are the same study, as the code itself asserts."""
    text = (Path(__file__).parents[2] / "docs" / "sweeps.md").read_text()
    write(tmp_path, text.partition("```yaml\n")[2].partition("```")[0], "cartpole.yaml")
    monkeypatch.chdir(tmp_path)
    exec(text.partition("```python\n")[2].partition("```")[0], {})
    assert "64 ('num_envs = 16',)" in capsys.readouterr().out


def test_numbers_have_the_type_of_their_field(tmp_path):
    loaded = study.load(write(tmp_path, TEXT))
    assert loaded.space["learning_rate"] == space.loguniform(1e-4, 1e-2)
    assert [type(value) for value in loaded.space["ent_coef"].values] == [float, float]
    assert type(loaded.set["total_timesteps"]) is int
    assert type(loaded.space["env.gravity"].low) is float
    points = loaded.search.draw(loaded.space)
    assert {type(point["num_envs"]) for point in points} == {int}


@pytest.mark.parametrize("seeds", [4, [0, 1, 2, 3], "0-3", "0,1-3", range(4)])
def test_ways_to_give_seeds(seeds):
    assert study.parse_seeds(seeds) == (0, 1, 2, 3)
    assert study.parse_seeds([7, 3]) == (7, 3)


@pytest.mark.parametrize("seeds", ["1e3", "-1", -1, [1.0], [-1], [True], True, [2**31], None, {}])
def test_what_are_no_seeds(seeds):
    with pytest.raises(StudyError, match=r"^seeds: got"):
        study.parse_seeds(seeds)


def test_the_normal_form_is_a_study_file(tmp_path):
    path = write(tmp_path, "base: simplest\nepisode_length: 77\n", "small.yaml")
    full = Study(
        "ppo",
        ["base-a", str(path)],
        preset="quick",
        task={"obs_size": 64, "assets": str(tmp_path)},
        space={
            "env.character.shape_colors": space.choice(["red"], ["red", "blue"]),
            "network": space.choice("small"),
            "env.filters.brightness": space.conditional(
                space.uniform(-0.5, 0.5), {"env": ["base-a"]}
            ),
        },
        search=search.Random(3),
    )
    for one in (in_python(), full):
        text = study.dump(one)
        assert study.parse(yaml.safe_load(text)) == one
        assert study.dump(study.parse(yaml.safe_load(text))) == text


def test_paths_are_relative_to_the_file(tmp_path, monkeypatch):
    folder = tmp_path / "studies"
    folder.mkdir()
    write(folder, "base: simplest\nepisode_length: 77\n", "small.yaml")
    text = "algorithm: ppo\npreset: state\nenv: {}\ntask: {{assets: art}}\n"
    one = study.load(write(folder, text.format("small.yaml")))
    assert one.env == str(folder / "small.yaml") and one.task["assets"] == str(folder / "art")
    assert one.resolve({}).params["episode_length"] == 77
    axis = study.load(
        write(
            folder,
            text.format("[small.yaml, base-a]")
            + "space: {gamma: {choice: [0.9, 0.95], when: {env: [small.yaml]}}}\n",
        )
    )
    monkeypatch.chdir(folder)
    same = Study(
        "ppo",
        ["small.yaml", "base-a"],
        "state",
        task={"assets": "art"},
        space={"gamma": space.conditional(space.choice(0.9, 0.95), {"env": ["small.yaml"]})},
    )
    assert axis == same
    assert len(axis.search.draw(axis.space)) == 3


def test_a_point_becomes_a_config_and_an_environment():
    one = in_python()
    point = {"learning_rate": 1e-3, "num_envs": 64, "clip_vloss": False, "env.gravity": 7.0}
    resolved = one.resolve(point)
    assert resolved.algorithm == "algorithms.ppo"
    assert resolved.config == ppo.PRESETS["state"].replace(
        learning_rate=1e-3, num_envs=64, clip_vloss=False, total_timesteps=100_000
    )
    assert resolved.params == {"max_steps_in_episode": 200, "gravity": 7.0}
    assert resolved.named and resolved.options == {}


def test_options_and_parameters_of_an_environment_of_another_family():
    one = Study(
        "ppo",
        "tabular/chain",
        task={"length": 6},
        set={"env.max_steps_in_episode": 40},
        space={"env.gamma": space.choice(0.5, 0.9)},
    )
    group = groups.split(one, one.search.draw(one.space))[0]
    assert group.task == {
        "env": "tabular/chain",
        "length": 6,
        "params": [
            {"max_steps_in_episode": 40, "gamma": 0.5},
            {"max_steps_in_episode": 40, "gamma": 0.9},
        ],
    }
    params = build_task(group.task).params
    assert params.gamma.tolist() == pytest.approx([0.5, 0.9])
    assert params.max_steps_in_episode.tolist() == [40, 40]
    assert params.P.shape[:2] == (2, 6)


def test_points_of_kage_environments():
    one = Study(
        "ppo",
        ["base-a", "kage/base-b", "kage/background-5/validation"],
        "quick",
        set={"env.physics.move_speed": 2},
        space={"env.filters.brightness": space.uniform(-1, 1), "env.H": space.choice(128, 64)},
        search=search.Random(2),
    )
    point = {"env.filters.brightness": 0.25, "env.H": 64}
    found = {name: one.resolve({"env": name, **point}) for name in one.space["env"].values}
    first = found["base-a"]
    assert first.params == {
        "base": "base-a",
        "physics": {"move_speed": 2},
        "filters": {"brightness": 0.25},
        "H": 64,
    }
    assert found["kage/base-b"].params == first.params | {"base": "base-b"}
    shifted = found["kage/background-5/validation"]
    assert configs.load(shifted.params)["background"]["mode"] == "image"
    assert first.structure == shifted.structure == (64, 128)
    assert first.options == {"obs": "pixels", "obs_size": 32, "pooling": "mean", "assets": None}
    assert json.loads(json.dumps(shifted.params)) == shifted.params


def test_what_contradicts_itself_in_one_point():
    heights = {"env.layout.min_height": space.choice(0, 30)}
    one = Study("ppo", "base-a", "state", space=heights)
    assert one.resolve({"env.layout.min_height": 0})
    with pytest.raises(StudyError, match=r"^env.layout.min_height: got 30, allowed: <= layout.max"):
        one.resolve({"env.layout.min_height": 30})


def test_options_of_the_preset_give_way_to_those_of_the_task():
    assert Study("ppo", "base-a", "quick").resolve({}).options["obs_size"] == 32
    state = Study("ppo", "base-a", "quick", {"obs": "state"}).resolve({}).options
    assert state["obs"] == "state" and state["obs_size"] is None
    assert Study("ppo", "base-a", "quick", {"obs_size": 64}).resolve({}).options["obs_size"] == 64
    assert Study("taco", "pixels/pendulum", "quick").resolve({}).options == {"obs_size": 24}
    sized = Study("taco", "pixels/pendulum", "quick", {"obs_size": 16}).resolve({}).options
    assert sized == {"obs_size": 16}


@struct.dataclass
class ToyConfig:
    learning_rate: float = 0.1
    target: float | None = None
    width: int = struct.field(pytree_node=False, default=8)
    depth: int | None = struct.field(pytree_node=False, default=None)


@pytest.fixture
def toy(monkeypatch) -> str:
    """A module that is no part of the package, as an algorithm."""
    module = types.ModuleType("toys.toy")
    module.Config, module.PRESETS = ToyConfig, {"default": ToyConfig(), "state": ToyConfig()}  # pyright: ignore
    monkeypatch.setitem(sys.modules, "toys", types.ModuleType("toys"))
    monkeypatch.setitem(sys.modules, "toys.toy", module)
    return "toys.toy"


def test_several_algorithms_with_fields_of_their_own(toy):
    only = {"algorithm": ["ppo"]}
    one = Study(
        ["ppo", toy],
        "gymnax/CartPole-v1",
        "state",
        space={
            "learning_rate": space.choice(1, 2),
            "clip_coef": space.conditional(space.choice(0.1, 0.2), only),
            "width": space.conditional(space.choice(8.0, 16), {"algorithm": [toy]}),
            "target": space.conditional(space.choice(None, 1), {"algorithm": [toy]}),
            # Exists only with its parent, and so only in ppo.
            "vf_coef": space.conditional(space.choice(0.5), {"clip_coef": [0.1]}),
        },
    )
    points = one.search.draw(one.space)
    assert len(points) == 2 * 2 + 2 * 2 * 2
    assert {tuple(point) for point in points} == {
        ("algorithm", "learning_rate", "clip_coef"),
        ("algorithm", "learning_rate", "clip_coef", "vf_coef"),
        ("algorithm", "learning_rate", "width", "target"),
    }
    resolved = [one.resolve(point) for point in points]
    assert {r.config.width for r in resolved if r.algorithm == toy} == {8, 16}
    assert {r.config.target for r in resolved if r.algorithm == toy} == {None, 1.0}
    with pytest.raises(
        StudyError, match=r"^space.clip_coef: no parameter of toys.toy, allowed: with when: "
    ):
        Study(["ppo", toy], one.env or "base-a", space={"clip_coef": space.choice(0.1)})


def test_fields_that_may_be_none(toy):
    domains = {"depth": space.choice(None, 2), "target": space.quantised(0, 1, 0.5)}
    one = Study(toy, "gymnax/CartPole-v1", space=domains)
    assert one.space["depth"].values == (None, 2)
    with pytest.raises(StudyError, match=r"^space.width.choice: got null, allowed: a whole number"):
        Study(toy, "gymnax/CartPole-v1", space={"width": space.choice(None)})
    with pytest.raises(StudyError, match=r"^space.depth: got uniform, allowed: choice quantised$"):
        Study(toy, "gymnax/CartPole-v1", space={"depth": space.uniform(0, 1)})


def test_every_kind_of_parameter(toy):
    one = Study([toy], ["base-a"], space={"width": space.choice(1), "target": space.choice(1)})
    roles = {name: one.role(name) for name in one.space}
    assert roles == {
        "algorithm": "algorithm",
        "env": "environment",
        "width": "static",
        "target": "traced",
    }
