"""The throughput benchmark, and what its figures rest on."""

import json
import re

import jax
import numpy as np
import pytest

from kagebench import make, throughput
from kagebench.cli import main


@pytest.mark.parametrize("shape", [(64, 16, 16, 3), (7, 5, 9, 3), (1, 1, 1)])
def test_the_checksum_reads_every_byte(shape):
    frames = jax.random.bits(jax.random.key(0), shape, "uint8")
    lanes = frames.size // (shape[0] * shape[1])
    expected = np.asarray(frames, np.int64).reshape(-1, lanes).sum(axis=0) % 256
    np.testing.assert_array_equal(throughput.checksum(frames), expected)


def test_the_command_writes_what_it_measured(tmp_path, capsys):
    out = tmp_path / "bench.json"
    line = "bench throughput --config simplest --num-envs 4 --mode pixels --block 3 --repeats 1"
    assert main([*line.split(), "--obs-size", "32", "--json", str(out)]) == 0
    result = json.loads(out.read_text())
    assert result["steps_per_second"] > 0
    assert result["frame_bytes"] == 32 * 32 * 3
    assert result["state_bytes_per_env"] <= 512
    for key in ("compile_seconds", "peak_memory_bytes", "write_bandwidth_fraction"):
        assert result[key] > 0
    assert "jax" in result["machine"] and "git_revision" in result["machine"]
    assert "every byte" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--num-envs 0", "error: --num-envs: got 0, allowed: >= 1"),
        ("--block -1", "error: --block: got -1, allowed: >= 1"),
        ("--json nowhere/x.json", "error: --json: no folder"),
        ("--mode pixel", "error: --mode: got 'pixel'"),
        ("--config simplst", "simplst"),
    ],
)
def test_bad_options(options, message, capsys):
    assert main(["bench", *options.split()]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="about fusions of XLA for CPU")
def test_the_loop_over_all_bytes_only_compares_and_selects():
    """What makes rendering fast: nothing is looked up or divided once per byte of a frame."""
    env, params = make("simplest")
    keys = jax.random.split(jax.random.key(0), 8)
    states = jax.vmap(lambda key: env.reset_env(key, params)[1])(keys)
    scenes = jax.vmap(env.scene, (0, None))(states, params)
    text = jax.jit(jax.vmap(env.render, (0, None))).lower(scenes, params).compile().as_text()
    bodies = re.findall(r"^%\S+ \([^\n]*\) -> u8\[8,128,384\]\S* \{\n(.*?)^\}", text, re.M | re.S)
    fills = [body for body in bodies if " select(" in body and "scatter(" not in body]
    assert fills
    assert not any(re.search(r" (gather|divide|remainder|floor)\(", body) for body in fills)
