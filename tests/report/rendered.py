"""What a reader of HTML sees: its text, tags, addresses and the cells of its tables."""

from __future__ import annotations

from html.parser import HTMLParser


class Rendered(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.all_tags: list[str] = []
        self.addresses: list[str] = []
        self.cells: list[str] = []
        self.text = ""
        self.outside_code = ""
        self._in_code = 0
        self._in_cell = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.all_tags.append(tag)
        self.addresses += [target or "" for name, target in attrs if name in ("src", "href")]
        if tag in ("td", "th"):
            self.cells.append("")
            self._in_cell = True
        self._in_code += tag == "code"
        if tag == "code":
            self.outside_code += " "

    def handle_endtag(self, tag: str) -> None:
        self._in_code -= tag == "code"
        self._in_cell &= tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        self.text += data
        if not self._in_code:
            self.outside_code += data
        if self._in_cell:
            self.cells[-1] += data
