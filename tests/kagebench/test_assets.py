"""The art pack, the code that draws it, and the loader."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kagebench.assets import (
    AssetError,
    AssetPack,
    default_pack,
    load_image,
    load_sprite,
    resize,
)
from kagebench.assets.draw import backgrounds, sprites
from kagebench.assets.draw.__main__ import write

# (width, height) of every frame of every skin.
FRAMES = {
    "boy": [(16, 24)] * 2,
    "chibi": [(16, 23), (16, 24)],
    "clown": [(16, 24)] * 2,
    "cowboy": [(16, 24)] * 2,
    "cowboy_2": [(14, 24), (16, 24)],
    "dark_knight": [(16, 24)] * 3,
    "dark_knight_2": [(16, 24)] * 2,
    "dark_skeleton": [(16, 24)] * 3,
    "dog": [(14, 15), (16, 24)],
    "elder_skeleton": [(15, 24), (16, 24), (16, 24)],
    "elf": [(15, 24), (16, 23)],
    "enchanter": [(11, 24), (15, 24)],
    "farmer": [(16, 24)] * 2,
    "girl": [(16, 24)] * 2,
    "girl_2": [(16, 24)] * 3,
    "girl_3": [(10, 23), (13, 24)],
    "knight": [(12, 24), (14, 23)],
    "man": [(14, 24), (16, 24)],
    "robot": [(16, 24)] * 2,
    "scientist": [(14, 24), (16, 24)],
    "skeleton": [(16, 24)] * 2,
    "spy": [(10, 23), (16, 22)],
    "thief": [(14, 23), (16, 24)],
    "warrior": [(16, 24)] * 2,
    "woman": [(10, 24), (15, 23)],
    "woman_2": [(12, 24), (16, 24), (16, 24)],
    "woman_wizard": [(14, 24), (16, 24)],
}
TRANSLUCENT = {
    *("clown", "dark_knight", "dark_skeleton", "elder_skeleton", "farmer"),
    *("girl", "girl_2", "skeleton", "robot", "woman_2"),
}


@pytest.fixture(autouse=True)
def no_override(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAGEBENCH_ASSETS", raising=False)


@pytest.fixture(scope="module")
def images() -> dict[str, np.ndarray]:
    pack = AssetPack(Path(backgrounds.__file__).parents[1] / "pack")
    return {path.stem: load_image(path) for path in pack.list_images("backgrounds")}


def test_pack_has_128_backgrounds_of_the_right_size(images):
    assert set(images) == {f"bg-{i}" for i in range(1, 129)}
    assert {image.shape for image in images.values()} == {(128, 128, 3)}
    assert {image.dtype for image in images.values()} == {np.dtype(np.uint8)}


def test_pack_is_small():
    files = [path for path in default_pack().root.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 4e6


def test_list_images_is_sorted_by_characters():
    names = [path.stem for path in default_pack().list_images("backgrounds")]
    assert names[:4] == ["bg-1", "bg-10", "bg-100", "bg-101"]


def test_backgrounds_tile_sideways(images):
    for name, image in images.items():
        columns = np.concatenate([image, image[:, :1]], axis=1).astype(int)
        steps = np.abs(np.diff(columns, axis=1)).mean(axis=(0, 2))
        # The last step is the seam; it must not stand out among the steps inside.
        assert steps[-1] <= 1.1 * steps[:-1].max() + 1, name


def test_backgrounds_are_varied_and_not_black(images):
    small = {k: v.reshape(16, 8, 16, 8, 3).mean(axis=(1, 3)) for k, v in images.items()}
    distance = {
        (a, b): np.abs(small[a] - small[b]).mean() for a, b in combinations(sorted(small), 2)
    }
    assert min(distance.values()) > 8
    assert np.mean(list(distance.values())) > 60
    favourites = combinations(("bg-1", "bg-128", "bg-2", "bg-3"), 2)
    assert min(distance[pair] for pair in favourites) > 40
    assert min(image.mean() for image in images.values()) > 45
    assert max((image.max(axis=2) < 16).mean() for image in images.values()) < 0.1


def test_skins_have_the_specified_frames():
    pack = default_pack()
    skins = pack.list_skins("sprites")
    assert [path.name for path in skins] == sorted(FRAMES)
    for folder in skins:
        frames = load_sprite(folder)
        assert [(f.shape[1], f.shape[0]) for f in frames] == FRAMES[folder.name], folder.name
        assert all(f.shape[2] == 4 and f.dtype == np.uint8 for f in frames)


def test_only_named_skins_are_translucent():
    for folder in default_pack().list_skins("sprites"):
        alpha = np.concatenate([frame[..., 3].ravel() for frame in load_sprite(folder)])
        partial = bool(np.any((alpha > 0) & (alpha < 255)))
        assert partial == (folder.name in TRANSLUCENT), folder.name


def test_frames_stand_on_the_bottom_row_and_move():
    for folder in default_pack().list_skins("sprites"):
        frames = load_sprite(folder)
        assert all(frame[-1, :, 3].any() for frame in frames), folder.name
        padded = [np.pad(f, ((24 - len(f), 0), (0, 16 - f.shape[1]), (0, 0))) for f in frames]
        for first, second in combinations(padded, 2):
            assert np.any(first != second, axis=2).sum() > 20, folder.name


@pytest.mark.parametrize("number", [1, 57, 128])
def test_backgrounds_can_be_redrawn(images, number):
    again, shipped = backgrounds.draw(number).astype(int), images[f"bg-{number}"]
    # Elementary functions differ in the last bit between processors, which may flip a rounding.
    assert np.abs(again - shipped).max() <= 2
    assert (again != shipped).mean() < 1e-3


@pytest.mark.parametrize("skin", ["clown", "dog", "woman_wizard"])
def test_sprites_can_be_redrawn(skin):
    shipped = load_sprite(default_pack().find(f"sprites/{skin}"))
    for again, frame in zip(sprites.draw(skin), shipped, strict=True):
        np.testing.assert_array_equal(again, frame)


def test_draw_rejects_unknown_names():
    with pytest.raises(ValueError, match=r"background number 129: must be 1 \.\.\. 128"):
        backgrounds.draw(129)
    with pytest.raises(ValueError, match="skin 'ghost': must be one of boy, chibi"):
        sprites.draw("ghost")


def test_write_keeps_pixels(tmp_path):
    frame = sprites.draw("clown")[0]
    write(frame, tmp_path / "a" / "b.png")
    np.testing.assert_array_equal(load_sprite(tmp_path)[0], frame)


def test_find_resolves_by_last_components():
    pack = default_pack()
    image = pack.root / "backgrounds" / "bg-1.png"
    assert pack.find("src/kage_bench/assets/backgrounds/bg-1.jpeg") == image
    assert pack.find("backgrounds/bg-1.png") == image
    assert pack.find("x/sprites/skeleton") == pack.root / "sprites" / "skeleton"
    assert pack.find("my/backgrounds/sprites/dog") == pack.root / "sprites" / "dog"
    assert pack.find("x/backgrounds") == pack.root / "backgrounds"
    assert pack.find(Path("sprites/")) == pack.root / "sprites"


def test_find_prefers_existing_paths(tmp_path, monkeypatch):
    (tmp_path / "backgrounds").mkdir()
    own = tmp_path / "backgrounds" / "bg-1.jpeg"
    Image.new("RGB", (4, 4)).save(own)
    pack = default_pack()
    assert pack.find(own) == own
    monkeypatch.chdir(tmp_path)
    assert pack.find("backgrounds/bg-1.jpeg") == Path("backgrounds/bg-1.jpeg")
    assert pack.find("backgrounds/bg-2.jpeg") == pack.root / "backgrounds" / "bg-2.png"


@pytest.mark.parametrize(
    "path", ["backgrounds/bg-129.jpeg", "sprites/ghost", "images/bg-1.jpeg", "bg-1.jpeg", ""]
)
def test_find_reports_missing_paths(path):
    pack = default_pack()
    with pytest.raises(AssetError) as caught:
        pack.find(path)
    message = str(caught.value)
    assert repr(path) in message and str(pack.root) in message and "\n" not in message


def test_pack_order_is_argument_then_environment_then_shipped(tmp_path, monkeypatch):
    shipped = default_pack().root
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        (folder / "backgrounds").mkdir(parents=True)
    monkeypatch.setenv("KAGEBENCH_ASSETS", str(first))
    assert default_pack().root == first
    assert default_pack(second).root == second
    monkeypatch.setenv("KAGEBENCH_ASSETS", str(tmp_path / "none"))
    with pytest.raises(AssetError, match=r"KAGEBENCH_ASSETS .*none"):
        default_pack()
    monkeypatch.setenv("KAGEBENCH_ASSETS", "")
    assert default_pack().root == shipped
    with pytest.raises(AssetError, match=r"^assets .*/none'"):
        default_pack(tmp_path / "none")


def test_listing_errors(tmp_path):
    pack = default_pack()
    with pytest.raises(AssetError, match="no file ending in"):
        pack.list_images(tmp_path)
    with pytest.raises(AssetError, match="no sub-folder"):
        pack.list_skins(tmp_path)
    with pytest.raises(AssetError, match="is not a folder"):
        pack.list_images("backgrounds/bg-1.jpeg")
    with pytest.raises(AssetError, match="no PNG file"):
        load_sprite(tmp_path)


def test_list_images_takes_images_only(tmp_path):
    for name in ("b.png", "a.jpg", "c.bmp", "d.jpeg"):
        Image.new("RGB", (2, 2)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    found = default_pack().list_images(tmp_path)
    assert [path.name for path in found] == ["a.jpg", "b.png", "c.bmp", "d.jpeg"]


def test_load_image_converts_to_rgb_and_reports_bad_files(tmp_path):
    Image.new("L", (3, 2), 7).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(load_image(tmp_path / "grey.png"), np.full((2, 3, 3), 7))
    (tmp_path / "bad.png").write_bytes(b"nothing")
    for name in ("bad.png", "absent.png"):
        with pytest.raises(AssetError, match=f"image '.*{name}': "):
            load_image(tmp_path / name)


def test_load_sprite_reads_nested_frames_in_path_order(tmp_path):
    for level, name in enumerate(("b.png", "a/z.png", "c.png")):
        write(np.full((2, 2, 4), level, np.uint8), tmp_path / name)
    assert [int(frame[0, 0, 0]) for frame in load_sprite(tmp_path)] == [1, 0, 2]


def test_resize():
    image = np.random.default_rng(0).integers(0, 256, (8, 12, 3)).astype(np.uint8)
    np.testing.assert_array_equal(resize(image, 8, 12), image)
    expected = Image.fromarray(image).resize((5, 4), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(resize(image, 4, 5), np.asarray(expected))
    with pytest.raises(AssetError, match="at least 1, got 0 x 5"):
        resize(image, 0, 5)


@pytest.mark.reference
def test_reference_pack_resolves(shared_dir):
    pack = default_pack(shared_dir / "kage-assets")
    found = pack.find("src/kage_bench/assets/backgrounds/bg-1.jpeg")
    assert found == shared_dir / "kage-assets" / "backgrounds" / "bg-1.jpeg"
    assert load_image(found).shape == (128, 128, 3)
    assert len(pack.list_images("backgrounds")) == 128
    for name, sizes in FRAMES.items():
        frames = load_sprite(pack.find(f"src/kage_bench/assets/sprites/{name}"))
        assert [(f.shape[1], f.shape[0]) for f in frames] == sizes, name
        alpha = np.concatenate([frame[..., 3].ravel() for frame in frames])
        assert bool(np.any((alpha > 0) & (alpha < 255))) == (name in TRANSLUCENT), name
