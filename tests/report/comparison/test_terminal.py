import io
import re
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.report.comparison import build
from tests.report.test_terminal import ESCAPE, Terminal
from tracekit.report.comparison.terminal import print_summary


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS", "LINES", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)


def summary(comparison, lang="en", stream=None, directory=None):
    stream = stream or io.StringIO()
    print_summary(comparison, directory, lang, stream)
    return stream.getvalue()


@pytest.mark.parametrize("lang", ["en", "ru"])
@pytest.mark.parametrize("name", build.ALL)
def test_fits_and_is_plain_when_piped(name, lang):
    text = summary(build.ALL[name](), lang)
    assert max(cell_len(line) for line in text.splitlines()) <= 80
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\ud800]|\bNone\b|\bnan\b", text)


@pytest.mark.parametrize("columns", [32, 50, 80])
@pytest.mark.parametrize("name", build.ALL)
def test_fits_the_terminal(monkeypatch, name, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm-256color")
    text = ESCAPE.sub("", summary(build.ALL[name](), "en", Terminal()))
    assert max(cell_len(line) for line in text.splitlines()) <= columns


def test_headline_totals_places_and_notes():
    lines = summary(build.llama(), directory=Path("out")).splitlines()
    assert lines[:3] == [
        "before.json.gz → after.json.gz",
        "  a pass takes 2.0 ms more",
        "  most of it is in layers.*.mlp.down_proj",
    ]
    cells = [re.split(r" {2,}", line.strip()) for line in lines]
    assert ["GPU time", "10.00 ms", "12.00 ms", "+20.0%", "slower"] in cells
    assert ["GPU idle", "1.00 ms", "500.00 µs", "−50.0%", "less"] in cells
    # The two that explain it, and no others.
    at = lines.index("Largest differences")
    assert cells[at + 1] == ["+1.200 ms", "+30.0%", "layers.*.mlp.down_proj (Linear)"]
    assert cells[at + 2] == ["+1.000 ms", "+50.0%", "layers.*.mlp.gate_proj (Linear)"]
    assert lines[at + 3] == ""
    assert lines[lines.index("Notes") + 1] == "  the second trace has fewer passes"
    assert lines[-1] == "Report: out"


def test_what_takes_many_times_as_long_is_a_factor():
    """From 0.1 ms to 5 ms."""
    one = build.single()
    total = build.replaced(one.phases[0].total, before_us=100.0, after_us=5000.0, relative=49.0)
    phase = build.replaced(one.phases[0], total=total)
    assert "×50.0" in summary(build.replaced(one, phases=(phase,)))


def test_each_phase_has_its_totals():
    text = summary(build.phased())
    assert "A pass before and after: prefill" in text
    assert text.count("GPU idle") == 2


def test_without_what_explains_the_largest_are_listed():
    text = summary(build.single())
    assert "−0.400 ms" in text
    assert "+0.100 ms" in text
    assert "Largest differences" not in summary(build.equal())
