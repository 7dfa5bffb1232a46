"""The backgrounds of the pack: scene function and options of each, read from catalogue.toml."""

import tomllib
from collections.abc import Callable
from pathlib import Path

from kagebench.assets.draw.scenes import abstract, built, fantasy, land, patterns, town, water, wild

Scene = Callable[..., None]

SCENES: dict[str, Scene] = {
    "forest": land.forest,
    "mountains": land.mountains,
    "city": town.city,
    "candy": fantasy.candy,
    "meadow": land.meadow,
    "cave": fantasy.cave,
    "desert": wild.desert,
    "snow": wild.snow,
    "castle": built.castle,
    "underwater": water.underwater,
    "space": fantasy.space,
    "coast": water.coast,
    "hall": built.hall,
    "volcano": fantasy.volcano,
    "street": town.street,
    "synthwave": patterns.synthwave,
    "ruins": built.ruins,
    "alien": fantasy.alien,
    "circuit": patterns.circuit,
    "waterfall": water.waterfall,
    "tiles": patterns.tiles,
    "field": land.field,
    "polygons": abstract.polygons,
    "islands": wild.sky_islands,
    "checker": patterns.checker,
    "swamp": water.swamp,
    "marble": abstract.marble,
    "stripes": patterns.stripes,
    "harbour": town.harbour,
    "mosaic": abstract.mosaic,
    "rings": patterns.rings,
    "watercolour": abstract.watercolour,
    "sunburst": patterns.sunburst,
    "bokeh": abstract.bokeh,
    "contours": abstract.contours,
    "squares": patterns.squares,
    "weave": patterns.weave,
}


def read_options() -> dict[str, list[dict]]:
    """For every family the options of its images, in the order of the file."""
    text = (Path(__file__).parent / "catalogue.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


OPTIONS = read_options()
