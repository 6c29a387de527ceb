import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from tests.report import build
from tracekit.api import Report
from tracekit.messages import N_

VOID = {"br", "hr", "img", "meta", "link", "input"}


class Page(HTMLParser):
    """The texts of a piece of HTML, its tags and attributes; fails where a tag is not closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.texts = [], set(), [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip() and self.open[-1] != "style":
            self.texts.append(data.strip())


def card(report, lang="en"):
    shown = Report(report)
    shown.lang = lang
    return shown._repr_html_()


@pytest.mark.parametrize("lang", ["en", "ru"])
@pytest.mark.parametrize("name", build.ALL)
def test_a_card_is_small_and_harmless(name, lang):
    text = card(build.ALL[name](), lang)
    assert len(text.encode()) < 20_000
    page = Page(text)
    assert page.tags <= {"div", "style", "table", "tr", "td", "span", "b"}
    assert {attribute for attribute, _value in page.attributes} <= {"class", "style", "lang"}
    # Nothing is fetched from anywhere.
    assert not re.search(r"https?:|url\(|@import|\bNone\b|\bnan\b", text)


def test_facts():
    texts = Page(card(build.hybrid())).texts
    assert texts[0] == "NVIDIA-Nemotron-Nano-9B-v2"
    pairs = dict(pairwise(texts))
    assert pairs["Device"] == "NVIDIA H100 80GB HBM3"
    assert pairs["Latency"] == "5.00 ms"
    assert pairs["Achieved"] == "202.49 TFLOP/s; matrix operators at 20.5% of the peak"
    assert pairs["modules, forward"] == "10.000 ms"
    assert pairs["2.000 ms"] == "backbone.layers.0.mixer.in_proj"
    assert pairs["backbone.layers.0.mixer.in_proj"] == "Linear"
    assert texts[-1] == "Gain: up to 2.50 ms."


def test_bars():
    # 10, 0.5, 1 and 0.5 of 12 ms; modules of 2, 1.5, 1 and 0.5 ms.
    widths = re.findall(r"width: ([\d.]+%)", card(build.hybrid()))
    assert widths == ["83.3%", "4.2%", "8.3%", "4.2%", "100.0%", "75.0%", "50.0%", "25.0%"]


def test_without_a_gpu():
    texts = Page(card(build.cpu_only())).texts
    assert "Where the GPU time went" not in texts
    assert "layers.0.fc" in texts


def test_phases_stand_beside_each_other():
    assert "prefill: 5.00 ms; decode: 500.00 µs" in Page(card(build.phases())).texts


def test_in_russian():
    texts = Page(card(build.hybrid(), "ru")).texts
    assert {"Устройство", "5,00 мс", "Самые медленные модули", "Выводы", "заметно"} <= set(texts)


def test_names_are_shown_as_they_are():
    text = card(build.hostile())
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_names_of_any_length():
    report = build.hybrid()
    finding = build.changed(
        report.findings[0], module="<" * 5000, evidence=N_("{name} waits", name="&" * 50_000)
    )
    named = build.changed(
        report,
        device=build.changed(report.device, name='"' * 5000),
        model=build.changed(report.model, name="<" * 5000),
        modules=tuple(build.changed(m, path="<" * 5000, type=">" * 5000) for m in report.modules),
        findings=(finding,) * 9,
    )
    text = card(named)
    assert len(text.encode()) < 40_000
    assert "3 more in the report" in Page(text).texts


def test_the_notebook_decides_the_colours_of_text_and_background():
    style = card(build.hybrid()).partition("<style>")[2].partition("</style>")[0]
    assert set(re.findall(r"(?<![-\w])color: ([^;]+);", style)) == {"inherit"}
    assert set(re.findall(r"background: ([^;]+);", style)) == {"none", "rgba(128, 128, 128, .18)", "#0173b2"}
    # What holds for tables elsewhere in the notebook is left alone.
    selectors = [part for rule in re.findall(r"([^{}]+)\{", style) for part in rule.split(",")]
    assert all(part.strip().startswith(".tracekit-card") for part in selectors)


def test_in_a_terminal_the_report_is_one_line():
    assert repr(Report(build.hybrid())).count("\n") == 0
