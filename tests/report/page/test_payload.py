"""The file before a browser reads it: its data are the numbers of report.json, and nothing in it escapes."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from tests.report import build
from tests.report.page import reports
from tracekit.report.escape import clean
from tracekit.report.i18n import LANGUAGES
from tracekit.report.page import FOLDER, SCRIPTS, VENDOR_SCRIPTS, render_page


class Document(HTMLParser):
    """Its elements with their attributes, and the text of its scripts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self._into: list[str] | None = None
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._into = {"script": self.scripts, "style": self.styles}.get(tag)
        if self._into is not None:
            self._into.append("")

    def handle_endtag(self, tag: str) -> None:
        self._into = None

    def handle_data(self, data: str) -> None:
        if self._into is not None:
            self._into[-1] += data


@pytest.fixture(scope="module", params=reports.ALL)
def name(request: pytest.FixtureRequest) -> str:
    reports.report(request.param)
    return str(request.param)


@pytest.fixture(scope="module")
def html(name: str) -> str:
    return render_page(reports.report(name), "en")


@pytest.fixture(scope="module")
def document(html: str) -> Document:
    return Document(html)


@pytest.fixture(scope="module")
def payload(document: Document) -> dict[str, Any]:
    found = json.loads(document.scripts[0], parse_constant=lambda constant: pytest.fail(constant))
    assert isinstance(found, dict)
    return found


def test_nothing_escapes_from_the_scripts(document: Document) -> None:
    # The data, the libraries, our scripts in one: a name that ended one early would make more of them.
    assert len(document.scripts) == 1 + len(VENDOR_SCRIPTS) + 1
    assert document.scripts[-1].count("startContents()") == 1
    assert document.scripts[-1].rstrip().endswith("})();")
    assert set("<>&\u2028\u2029").isdisjoint(document.scripts[0])
    tags = {tag for tag, _attributes in document.elements}
    assert tags.isdisjoint({"img", "iframe", "object", "embed", "link", "base", "form", "svg"})
    names = {attribute for _tag, attributes in document.elements for attribute in attributes}
    assert not [one for one in names if one.startswith("on")]


def test_nothing_is_loaded_from_elsewhere(document: Document) -> None:
    policies = [
        (i, attributes["content"])
        for i, (_tag, attributes) in enumerate(document.elements)
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    first_script = next(i for i, (tag, _attributes) in enumerate(document.elements) if tag == "script")
    assert len(policies) == 1
    assert policies[0][0] < first_script
    rules = dict(rule.strip().split(" ", 1) for rule in (policies[0][1] or "").split(";"))
    assert rules == {
        "default-src": "'none'",
        "script-src": "'unsafe-inline'",
        "style-src": "'unsafe-inline'",
        "img-src": "data: blob:",
    }
    for _tag, attributes in document.elements:
        assert not {"src", "srcset", "action", "data", "poster", "background"} & set(attributes)
        assert (attributes.get("href") or "#").startswith("#")
    for style in document.styles:
        assert "@import" not in style
        assert all(url.strip("\"'").startswith("data:") for url in re.findall(r"url\(([^)]*)\)", style))


def test_size(html: str, document: Document) -> None:
    assert len(html.encode()) - len(document.scripts[0].encode()) < 3e6


def test_modules_are_those_of_report_json(name: str, payload: dict[str, Any]) -> None:
    rows, tree = reports.document(name)["modules"], payload["modules"]
    assert tree["count"] == len(rows)
    equal_columns(tree["columns"], rows, without={"path", "name", "type", "parent", "block", "phases"})
    paths = [row.path for row in reports.report(name).modules]
    position = {path: i for i, path in enumerate(paths)}
    for i, row in enumerate(reports.report(name).modules):
        parent = tree["parent"][i]
        assert parent == (None if row.parent is None else position[row.parent])
        assert tree["block"][i] == (None if row.block is None else position[row.block])
        assert (None if row.type is None else clean(row.type)) == (
            None if tree["type"][i] is None else tree["types"][tree["type"][i]]
        )
        above = "" if parent is None else paths[parent]
        label = tree["label"][i]
        if i in tree["elsewhere"]:
            assert label == clean(row.path)
        else:
            assert clean(row.path) == clean(f"{above}.{label}" if above else label)
    for phase, columns in tree["phases"].items():
        found = [next((one for one in row["phases"] if one["phase"] == phase), None) for row in rows]
        for column, values in columns.items():
            assert (values or [None] * len(rows)) == [
                None if one is None else one[column] for one in found
            ], column


def test_tables_are_those_of_report_json(name: str, payload: dict[str, Any]) -> None:
    document = reports.document(name)
    for table in ("types", "kernels", "ops", "passes"):
        equal_columns(payload[table], document[table], without={"phases", "short"})
    blocks = dict(payload["blocks"])
    for row, parts, phases in zip(document["blocks"], blocks.pop("parts"), blocks.pop("phases"), strict=True):
        equal_rows(parts, row["parts"])
        equal_rows(phases, row["phases"])
    paths = [row["path"] for row in document["modules"]]
    for row, module in zip(document["blocks"], blocks.pop("module"), strict=True):
        assert module is None or paths[module] == row["path"]
    equal_columns(blocks, document["blocks"], without={"parts", "phases"})
    for field in ("time", "flops"):
        assert payload[field] == document[field]
    timeline = document["timeline"]
    if timeline is None:
        assert payload["timeline"] is None
    else:
        for field in ("pass_index", "start_us", "wall_us", "events"):
            assert payload["timeline"][field] == timeline[field], field
        equal_rows(payload["timeline"]["streams"], timeline["streams"])
        equal_rows(payload["timeline"]["gaps"], timeline["gaps"])


def equal_columns(columns: dict[str, Any], rows: list[dict[str, Any]], without: set[str]) -> None:
    """Every figure of `rows` is in `columns` exactly; texts are cleaned; null stands for nulls only."""
    names = {key for row in rows for key in row} - without
    assert names <= set(columns)
    for key in names:
        expected = [clean(row[key]) if isinstance(row[key], str) else row[key] for row in rows]
        found = columns[key]
        assert (found is None and not any(value is not None for value in expected)) or found == expected, key


def equal_rows(found: list[dict[str, Any]], rows: list[dict[str, Any]]) -> None:
    assert found == [
        {key: clean(value) if isinstance(value, str) else value for key, value in row.items()} for row in rows
    ]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_language_it_opens_in(lang: str) -> None:
    html = render_page(build.hybrid(), lang)
    document = Document(html)
    assert dict(document.elements)["html"]["lang"] == lang
    assert json.loads(document.scripts[0])["lang"] == lang
    assert json.loads(document.scripts[0])["messages"]["ru"]["GPU time"] == "Время GPU"
    # Both are in it, whichever it opens in.
    assert ">At a glance</span>" in html
    assert ">Главное</span>" in html


def test_every_script_is_in_the_page(document: Document) -> None:
    for name in SCRIPTS:
        assert (FOLDER / name).read_text(encoding="utf-8").rstrip("\n") in document.scripts[-1]
