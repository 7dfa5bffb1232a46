"""The built wheel is complete: it works in an environment of its own, outside the checkout."""

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGES = ("kagebench", "algorithms", "envs", "sweeps")
# What a user would do; prints the facts that the test compares.
SCRIPT = """
import importlib.metadata, json, sys
import jax, numpy
import algorithms.ppo, sweeps, kagebench
from kagebench.assets import default_pack

pack = default_pack()
env, params = kagebench.make("default", obs_size=32)
obs, state = jax.jit(env.reset)(jax.random.key(0), params)
print(json.dumps({
    "files": [module.__file__ for module in (kagebench, algorithms, sweeps)],
    "pack": str(pack.root),
    "backgrounds": len(pack.list_images("backgrounds")),
    "skins": len(pack.list_skins("sprites")),
    "frame": list(obs.shape),
    "spread": float(numpy.asarray(obs).std()),
    "path": sys.path,
    "version": importlib.metadata.version("kagebench"),
}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout into a folder of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    build = ["-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(REPOSITORY)]
    run(sys.executable, *build, cwd=folder)
    (built,) = folder.glob("kagebench-*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path) -> Path:
    """A clean virtual environment with the wheel; dependencies are borrowed from this one.

    They come by a path file. Path files are not followed from there, so that an editable install
    of the checkout stays invisible.
    """
    folder = wheel.parent
    venv = folder / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", str(venv), cwd=folder)
    python = str(venv / "bin" / "python")
    install = ["-m", "pip", "--python", python, "install", "--quiet", "--no-deps", str(wheel)]
    run(sys.executable, *install, cwd=folder)
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(run(python, "-c", where, cwd=folder).strip())
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return venv


def test_wheel_has_every_file_of_the_packages(wheel: Path) -> None:
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    files = [file for name in PACKAGES for file in (REPOSITORY / name).rglob("*") if file.is_file()]
    wanted = {file.relative_to(REPOSITORY).as_posix() for file in files}
    assert packed == {name for name in wanted if "/__pycache__/" not in name}


def test_wheel_works_outside_the_checkout(environment: Path, tmp_path: Path) -> None:
    output = run(str(environment / "bin" / "python"), "-c", SCRIPT, cwd=tmp_path)
    facts = json.loads(output.splitlines()[-1])
    for path in (*facts["files"], facts["pack"]):
        assert Path(path).is_relative_to(environment)
    assert str(REPOSITORY) not in facts["path"]
    assert facts["backgrounds"] == 128 and facts["skins"] == 27
    assert facts["frame"] == [32, 32, 3] and facts["spread"] > 1


def test_wheel_has_the_command(environment: Path, tmp_path: Path) -> None:
    output = run(str(environment / "bin" / "kagebench"), "--version", cwd=tmp_path)
    version: dict[str, str] = {}
    exec((REPOSITORY / "kagebench" / "_version.py").read_text(), version)
    assert version["__version__"] in output


def run(*command: str, cwd: Path) -> str:
    """Standard output of a command that must succeed and sees nothing of the checkout."""
    hidden = ("PYTHONPATH", "KAGEBENCH_ASSETS")
    variables = {name: value for name, value in os.environ.items() if name not in hidden}
    result = subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True)
    assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout}\n{result.stderr}"
    return result.stdout
