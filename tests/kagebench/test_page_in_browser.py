"""The page in a real browser: it loads from a file without the network, its tables sort by mouse
and keyboard, its tabs switch, and all images are there."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kagebench.commands import _report
from kagebench.report import benchmark_page, media
from kagebench.report.benchmark_page import Clip, Profile
from tests.kagebench import results_by_hand

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = (
    "--no-sandbox",  # a container's root may not use it, and the page is our own
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE = 120_000  # ms; machines that test are busy
EVIL = "<img src=x onerror=alert(1)>"
SHARE = {"mean": 0.5, "low": 0.4, "high": 0.6, "relative": None}
AXES = [
    {
        "key": f"filters.{name}",
        "title": name,
        "values": [0.0, 1.0],
        "neutral": 0.0,
        "thresholds": {"left": None, "right": place},
        "robustness": SHARE,
    }
    for name, place in (("a", 9.5), ("b", None), ("c", 10.5), ("d", -100.0))
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser of this system. Where there is one, its driver must be there too."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser on the path, wanted: {' or '.join(BROWSERS)}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=found, args=list(QUIET), timeout=PATIENCE)
        yield started
        started.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page of two algorithms, one with everything that a run can have."""
    folder = tmp_path_factory.mktemp("page")
    files = [
        results_by_hand.write(folder / f"{i}.json", label, level, description=EVIL)
        for i, (label, level) in enumerate((("ppo", 0.9), (EVIL, 0.95)))
    ]
    sources = _report.find(files, "last")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_report, "RESAMPLES", 100)
        entries = [_report.build(folder, source, 0, 0) for source in sources]
        board, chart, names = _report.compare(folder, sources)
    noise = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), np.uint8)
    media.write_gif(folder / "clip.gif", media.beside(noise, noise[::-1]), 0.1, 10**6)
    Image.fromarray(noise[0]).save(folder / "strip.png")
    clips = [Clip("filters-9", folder / "clip.gif", folder / "strip.png", "seed 1")]
    about = {"policy": "ppo", "train": "base-a", "seeds": [1], "episodes": 8, "axes": AXES}
    profiles = [Profile("base-a", about, [folder / "strip.png"])]
    entries[0] = replace(entries[0], clips=clips, profiles=profiles, curves=chart)
    text = benchmark_page.several(entries, board, chart, names, "kagebench report")
    (folder / "index.html").write_text(text)
    return (folder / "index.html").as_uri()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """The loaded page; after the test nothing may have been reported or asked of the network."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    said: list[str] = []
    asked: list[str] = []
    page.set_default_timeout(PATIENCE)
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    yield page
    page.close()
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [address]


def column(page: Any, label: str, index: int) -> list[str]:
    """First lines of the cells of a column, as shown, without the foot."""
    cells = page.get_by_role("region", name=label, exact=True).locator(
        f"tbody tr > :nth-child({index + 1})"
    )
    return [text.split("\n")[0] for text in cells.all_inner_texts()]


def heading(page: Any, label: str, index: int) -> Any:
    """The heading of a column."""
    table = page.get_by_role("region", name=label, exact=True)
    return table.locator("thead tr").last.locator("th").nth(index)


def test_all_images_are_there(page: Any) -> None:
    images = page.evaluate("[...document.images].map(i => [i.src.slice(0, 15), i.naturalWidth])")
    assert len(images) == 9 and all(width > 0 for _, width in images)
    assert sum(source == "data:image/gif;" for source, _ in images) == 1
    assert page.title() == "KAGE-Bench: 2 algorithms"


def test_a_click_sorts_by_number_and_a_second_one_turns_around(page: Any) -> None:
    label = "ppo, pairs"
    before = column(page, label, 6)  # distance under the shift
    values = sorted(map(float, before), reverse=True)
    assert len(values) == 34 and [f"{value:.1f}" for value in values] != sorted(before)[::-1]
    cell = heading(page, label, 6)
    assert cell.get_attribute("aria-sort") == "none"
    cell.get_by_role("button").click()
    assert list(map(float, column(page, label, 6))) == values
    assert cell.get_attribute("aria-sort") == "descending"
    cell.get_by_role("button").click()
    assert list(map(float, column(page, label, 6))) == values[::-1]
    assert cell.get_attribute("aria-sort") == "ascending"
    assert len(set(column(page, label, 0))) == 34


def test_texts_sort_with_their_numbers_and_the_foot_stays(page: Any) -> None:
    cell = heading(page, "ppo, pairs", 0)
    cell.get_by_role("button").click()
    names = column(page, "ppo, pairs", 0)
    assert names.index("background-2") < names.index("background-10") < names.index("layout-1")
    assert cell.get_attribute("aria-sort") == "ascending"
    heading(page, "ppo, pairs", 3).get_by_role("button").click()
    assert cell.get_attribute("aria-sort") == "none"
    heading(page, "ppo, suites", 1).get_by_role("button").click()
    foot = page.get_by_role("region", name="ppo, suites", exact=True).locator("tfoot th")
    assert foot.all_inner_texts() == ["overall"]


def test_the_keyboard_sorts_and_chooses_tabs(page: Any) -> None:
    button = heading(page, "validation, success once", 1).get_by_role("button")
    button.focus()
    page.keyboard.press("Enter")
    assert column(page, "validation, success once", 0) == [EVIL, "ppo"]
    page.keyboard.press("Space")
    assert column(page, "validation, success once", 0) == ["ppo", EVIL]
    tab = page.get_by_role("group", name="metric").get_by_role("radio").first
    tab.focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("region", name="validation, distance").is_visible()
    assert page.get_by_role("region", name="validation, success once").count() == 0


def test_missing_values_stay_at_the_end(page: Any) -> None:
    label = "ppo, robustness, base-a"
    button = heading(page, label, 8).get_by_role("button")
    button.click()
    assert column(page, label, 8) == ["10.5", "9.5", "-100", "–"]
    button.click()
    assert column(page, label, 8) == ["-100", "9.5", "10.5", "–"]
    heading(page, label, 7).get_by_role("button").click()
    assert column(page, label, 7) == ["–"] * 4


def test_nothing_is_wider_than_a_phone(page: Any) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == 390
