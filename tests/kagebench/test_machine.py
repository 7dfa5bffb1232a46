"""The description of the machine that measurements carry."""

import json
import subprocess
from pathlib import Path

import jax
import numpy as np

from kagebench import machine


def test_describe_is_plain_data_and_names_what_runs() -> None:
    description = machine.describe()
    assert json.loads(json.dumps(description)) == description
    assert description["jax"] == jax.__version__
    assert description["jaxlib"] == jax.lib.__version__
    assert description["numpy"] == np.__version__
    assert description["device"] == jax.devices()[0].device_kind
    assert description["cpu"] and description["cores"] >= 1
    assert description["memory_bytes"] is None or description["memory_bytes"] > 2**28


def test_processor_name_comes_from_cpuinfo(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel\t\t: 85\nmodel name\t: Example CPU: 3 GHz\n")
    assert machine._cpu_model(cpuinfo) == "Example CPU: 3 GHz"
    assert machine._cpu_model(tmp_path / "absent")


def test_revision_only_of_the_checkout_itself(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True, capture_output=True)

    inside = tmp_path / "installed"
    inside.mkdir()
    git("init")
    assert machine._git("rev-parse", "HEAD", root=tmp_path) is None  # no commit yet
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "--allow-empty", "-m", "one")
    revision = machine._git("rev-parse", "HEAD", root=tmp_path)
    assert revision is not None and len(revision) == 40
    assert machine._git("rev-parse", "HEAD", root=inside) is None
