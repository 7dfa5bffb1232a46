"""Reads a page as a browser would, as far as tests need it, and is strict about its structure."""

from html.parser import HTMLParser

VOID = {"meta", "img", "input", "br"}


class Page(HTMLParser):
    """A parsed page.

    Attributes:
        attributes: name -> all its values, in order.
        images: (kind, bytes in base64) of all images.
        tables: label -> lines, the headings first; a cell is (text, value to sort by or None).
        texts: everything a reader sees, in order.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: dict[str, list[str]] = {}
        self.tables: dict[str, list[list[tuple[str, str | None]]]] = {}
        self.texts: list[str] = []
        self._lines: list[list[tuple[str, str | None]]] = []
        self.feed(text)
        self.close()
        assert self.open == [], f"never closed: {self.open}"
        ids = self.attributes.get("id", [])
        assert len(ids) == len(set(ids)), "an id is there twice"

    @property
    def text(self) -> str:
        """Everything a reader sees."""
        return " ".join(self.texts)

    @property
    def links(self) -> list[str]:
        """Addresses of links and images."""
        return self.attributes.get("href", []) + self.attributes.get("src", [])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert len(given) == len(attrs), f"an attribute of {tag} is there twice"
        for name, value in attrs:
            self.attributes.setdefault(name, []).append(value or "")
        if tag not in VOID:
            self.open.append(tag)
        if given.get("role") == "region":
            self._lines = self.tables.setdefault(given["aria-label"] or "", [])
        if tag == "tr":
            self._lines.append([])
        if tag in ("td", "th"):
            self._lines[-1].append(("", given.get("data-value")))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.texts.append(" ".join(data.split()))
        if "table" in self.open and ("td" in self.open or "th" in self.open):
            text, value = self._lines[-1][-1]
            self._lines[-1][-1] = (f"{text} {data.strip()}".strip(), value)
