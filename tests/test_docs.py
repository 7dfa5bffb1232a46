"""Pages link only to what exists."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
FOLDERS = (".", "docs", "algorithms", "envs", "sweeps", "results")
PAGES = sorted(page for folder in FOLDERS for page in (REPOSITORY / folder).glob("*.md"))
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def test_the_index_of_the_docs_is_complete() -> None:
    index = (REPOSITORY / "docs" / "README.md").read_text()
    names = [page.name for page in (REPOSITORY / "docs").glob("*.md") if page.name != "README.md"]
    assert names and [name for name in names if f"({name})" not in index] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_relative_links_exist(page: Path) -> None:
    targets = [link.partition("#")[0] for link in LINK.findall(page.read_text())]
    local = [target for target in targets if target and "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []
