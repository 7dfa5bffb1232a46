"""Gallery, video and play: few configurations, small frames."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kagebench import axes, cli, gallery, make, movie
from kagebench.commands import play, video
from kagebench.palettes import PRESETS
from kagebench.params import NEUTRAL
from kagebench.suites import derive

SMALL = """
base: base-a
H: 64
W: 64
episode_length: 40
layout: {base_ground_y: 56, height_px: 64}
character: {shape_types: [star], shape_rotate: true}
"""


@pytest.fixture
def small(tmp_path: Path) -> str:
    """A config with small frames and short episodes."""
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return str(path)


def test_the_gallery_shows_every_axis() -> None:
    content = axes.axes()
    keys = {
        key for axis in content for cell in axis.cells.values() for key in {**axis.base, **cell}
    }
    for name in (*NEUTRAL, "pop_filter_list"):
        assert f"filters.{name}" in keys
        cells = next(axis.cells for axis in content if axis.title == f"filters.{name}")
        assert len(cells) >= 4
    assert set(PRESETS) == set(cells)
    sections = {key.partition(".")[0] for key in keys}
    assert sections == {
        "background",
        "character",
        "npc",
        "distractors",
        "filters",
        "effects",
        "layout",
    }
    configs = [derive("base-a", {**a.base, **c}) for a in content for c in a.cells.values()]
    assert len(configs) > 150
    repeated = len(configs) - len({str(config) for config in configs})
    assert repeated <= 2  # neutral filter values: the scene as it is


def test_cells_show_one_moment_under_each_config() -> None:
    """Stacked configurations render as each one alone does."""
    cells = [
        axes.SKELETON,
        {"background.mode": "color", "background.color_names": ["red"]},
        {"layout.layout_colors": ["white"]},
    ]
    frames, places = gallery.frames(cells, moment=30)
    assert frames.shape == (3, 128, 128, 3) and (places == places[0]).all()
    assert places[0][0] == 88  # the oracle has walked until the camera follows
    level = (frames[1] == (0, 255, 255)).all(-1)
    np.testing.assert_array_equal((frames[2] == 255).all(-1), level)
    assert level.any() and (frames[1][:20] == (220, 20, 60)).all()
    np.testing.assert_array_equal(
        frames[0][:, :20], np.where(level[..., None], (0, 255, 255), 0)[:, :20]
    )


def test_gallery_layout() -> None:
    assert gallery.pack_rows([12, 6, 6, 4, 5, 12, 5]) == [[0], [0, 6], [0, 6], [0], [0]]
    frame = np.arange(64 * 64 * 3, dtype=np.uint8).reshape(64, 64, 3)
    np.testing.assert_array_equal(gallery.magnify(frame, np.array([9, 40]), 1), frame)
    zoomed = gallery.magnify(frame, np.array([2, 40]), 4)  # at the border the window stays inside
    np.testing.assert_array_equal(zoomed[::4, ::4], frame[32:48, 0:16])
    content = [
        axes.Axis("first", {}, {str(i): {} for i in range(6)}),
        axes.Axis("second", {}, {"a very long caption that is cut by nothing": {}}),
    ]
    pictures = np.stack([np.full((64, 64, 3), 30 * i, np.uint8) for i in range(7)])
    sheet = np.asarray(gallery.compose(content, pictures, np.zeros((7, 2), int)))
    for i in range(7):
        assert (sheet == 30 * i).all(-1).sum() >= 64 * 64
    levels = np.unique(np.asarray(gallery.compact(Image.fromarray(frame))))
    assert len(levels) == 40 and levels[[0, -1]].tolist() == [0, 255]


def test_video_formats(small: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One episode in every format that needs no extra; the frames are those of the environment."""
    line = ["video", "--config", small, "--policy", "right_jump", "--scale", "1", "--steps", "20"]
    for name, options in {"v.gif": ["--every", "10"], "v.png": ["--stills", "3"]}.items():
        assert cli.main([*line, "--output", str(tmp_path / name), *options]) == 0
        assert "3 frames of 20 steps, distance" in capsys.readouterr().out
    with Image.open(tmp_path / "v.gif") as movie_file:
        assert (movie_file.n_frames, movie_file.size) == (3, (64, 64))
        assert movie_file.info["duration"] == 170  # ten steps, in hundredths of a second
        frames = []
        for index in range(3):
            movie_file.seek(index)
            frames.append(np.asarray(movie_file.convert("RGB")))
    with Image.open(tmp_path / "v.png") as strip:
        assert strip.size == (3 * 64 + 2 * 2, 64)
        for index, frame in enumerate(frames):
            left = index * 66
            np.testing.assert_array_equal(np.asarray(strip)[:, left : left + 64], frame)
    assert (frames[0] != frames[2]).any()


def test_frames_of_a_video() -> None:
    np.testing.assert_array_equal(video.choose_frames(7, 3, None), [0, 3, 6])
    np.testing.assert_array_equal(video.choose_frames(500, 3, 3), [0, 250, 500])
    np.testing.assert_array_equal(video.choose_frames(2, 3, 8), [0, 1, 2])
    big = movie.magnify(np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3), 3)
    assert big.shape == (1, 6, 6, 3) and (big[0, 3:, :3] == big[0, 5, 0]).all()


@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")  # of the reader
def test_mp4(tmp_path: Path) -> None:
    pytest.importorskip("imageio_ffmpeg")
    import imageio.v2 as imageio

    ramp = np.linspace(0, 250, 10, dtype=np.uint8)[:, None, None, None]
    path = tmp_path / "v.mp4"
    movie.write(path, np.broadcast_to(ramp, (10, 33, 64, 3)), 0.05)
    with imageio.get_reader(path) as reader:
        found = np.stack([np.asarray(frame) for frame in reader])  # pyright: ignore
        assert reader.get_meta_data()["fps"] == 20
    assert found.shape == (10, 34, 64, 3)
    assert np.abs(found.mean((1, 2, 3)) - ramp.ravel()).max() < 8


def test_playing_without_a_screen(
    small: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Right is held; N, P and Q are pressed at some time."""
    pygame = pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    held = dict.fromkeys(range(2**9), False) | {pygame.K_RIGHT: True}
    held |= dict.fromkeys((pygame.K_LEFT, pygame.K_UP, pygame.K_SPACE), False)
    monkeypatch.setattr(pygame.key, "get_pressed", lambda: held)
    pressed = {10: pygame.K_n, 15: pygame.K_p}
    asked = []

    def events() -> list:
        asked.append(None)
        key = pressed.get(len(asked) - 1)
        return [] if key is None else [pygame.event.Event(pygame.KEYDOWN, key=key)]

    monkeypatch.setattr(pygame.event, "get", events)
    assert cli.main(["play", small, small, "--steps", "30", "--speed", "1000"]) == 0
    assert f"{small}   step 5   distance 5 px" in capsys.readouterr().out
    assert len(asked) == 30
    pressed[3 + len(asked)] = pygame.K_q
    assert cli.main(["play", small, small, "--speed", "1000"]) == 0
    assert "step 3   distance 3 px" in capsys.readouterr().out


def test_the_game(small: str) -> None:
    env, params = make([small, small])
    game = play.Game(env, params, ("first", "second"), seed=1)
    tops = np.asarray(game.state.tops)
    for _ in range(45):
        game.step(2)
    assert game.over and int(game.state.time) == 40 and "over" in game.status()
    game.next_config()
    assert "second   step 0" in game.status()
    np.testing.assert_array_equal(game.state.tops, tops)
    game.new_level()
    assert (np.asarray(game.state.tops) != tops).any()
    game.paused = True
    game.step(2)
    assert int(game.state.time) == 0 and "paused" in game.status()


@pytest.mark.parametrize(("keys", "action"), [("", 0), ("LEFT", 1), ("RIGHT UP", 6), ("SPACE", 4)])
def test_keys_to_actions(keys: str, action: int) -> None:
    pygame = pytest.importorskip("pygame")
    names = ("LEFT", "RIGHT", "UP", "SPACE")
    held = {getattr(pygame, f"K_{name}"): name in keys.split() for name in names}
    assert play.action_of(pygame, held) == action


def test_no_display_is_one_line(
    small: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "nonexistent")
    assert cli.main(["play", small, small, "--steps", "1"]) == 2
    assert capsys.readouterr().err.startswith("error: display: ")
    assert "pygame" in sys.modules
