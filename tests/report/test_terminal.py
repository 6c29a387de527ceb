import io
import re

import pytest
from rich.cells import cell_len

from tests.report import build
from tracekit.messages import N_
from tracekit.report.terminal import print_summary

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS", "LINES", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def summary(report, lang="en", stream=None):
    stream = stream or io.StringIO()
    print_summary(report, None, lang, stream)
    return stream.getvalue()


def on_a_terminal(monkeypatch, columns, report, lang="en"):
    """The lines that a terminal of some width shows, without colours."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm-256color")
    return ESCAPE.sub("", summary(report, lang, Terminal())).splitlines()


def renamed(name):
    """The hybrid with a text from the trace wherever the summary shows one."""
    report = build.hybrid()
    return build.changed(
        report,
        device=build.changed(report.device, name=name),
        model=build.changed(report.model, name=name),
        modules=tuple(build.changed(m, path=name, type=name) for m in report.modules),
        findings=tuple(
            build.changed(f, module=name, evidence=N_("{name} waits", name=name)) for f in report.findings
        ),
    )


@pytest.mark.parametrize("lang", ["en", "ru"])
@pytest.mark.parametrize("name", build.ALL)
def test_fits_and_is_plain_when_piped(name, lang):
    text = summary(build.ALL[name](), lang)
    assert max(cell_len(line) for line in text.splitlines()) <= 80
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\ud800]|\bNone\b|\bnan\b", text)


@pytest.mark.parametrize("lang", ["en", "ru"])
@pytest.mark.parametrize("columns", [1, 32, 40, 59, 60, 79, 80, 200])
@pytest.mark.parametrize("name", ["hybrid", "phases", "training", "large", "hostile", "cpu_only"])
def test_fits_the_terminal(monkeypatch, name, columns, lang):
    lines = on_a_terminal(monkeypatch, columns, build.ALL[name](), lang)
    # Below 32 columns there is no layout: the terminal wraps.
    assert max(map(cell_len, lines)) <= max(32, min(80, columns))


NAMES = [
    "a" * 5000,
    "漢字" * 60,
    "😀" * 60,
    "model.层.自注意力" * 9,
    "x y " * 300,
    "[bold]\x1b[31m" * 9,
    "é" * 90,
]


@pytest.mark.parametrize("columns", [40, 80])
@pytest.mark.parametrize("name", NAMES)
def test_names_of_any_width_fit(monkeypatch, name, columns):
    lines = on_a_terminal(monkeypatch, columns, renamed(name))
    assert max(map(cell_len, lines)) <= columns
    # A name of thousands of characters does not push the rest off the screen.
    assert len(lines) < 70


def test_all_of_the_width_is_used():
    # Time and margins take 14 of 80 columns, the type 9: 57 are left for 64 letters.
    report = build.hybrid()
    modules = (build.changed(report.modules[1], path="p" * 64), *report.modules[2:])
    line = next(line for line in summary(build.changed(report, modules=modules)).splitlines() if "pp" in line)
    assert line == f"  2.000 ms  {'p' * 28}…{'p' * 28} (Linear)"


def test_wide_letters_count_twice():
    # 57 columns: 27 wide letters, one column for the ellipsis, and one that is too few for another letter.
    report = build.hybrid()
    modules = (build.changed(report.modules[1], path="漢" * 64), *report.modules[2:])
    line = next(line for line in summary(build.changed(report, modules=modules)).splitlines() if "漢" in line)
    assert line == f"  2.000 ms  {'漢' * 14}…{'漢' * 14} (Linear)"
    assert cell_len(line) == 78


def test_a_narrow_terminal_has_names_instead_of_bars_and_types(monkeypatch):
    # Time and margins take 14 of 40 columns: 12 letters, the ellipsis and 13 letters are left.
    lines = on_a_terminal(monkeypatch, 40, build.hybrid())
    assert "  2.000 ms  backbone.lay…mixer.in_proj" in lines
    assert "  modules,        10.000 ms  83.3%" in lines
    assert not any("█" in line for line in lines)


def test_headline():
    text = summary(build.hybrid())
    assert re.search(r"Latency +5\.00 ms", text)
    assert re.search(r"modules, forward +10\.000 ms +83\.3%", text)
    assert "2.000 ms  backbone.layers.0.mixer.in_proj (Linear)" in text
    assert "Findings" in text


def test_phases_stand_beside_each_other():
    text = summary(build.phases())
    assert re.search(r"Latency +prefill: 5\.00 ms; decode: 500\.00 µs", text)
    # 10¹² FLOPs in 5 ms, 2·10¹⁰ in 0.5 ms; 122 tokens and 2.
    assert re.search(r"Achieved +prefill: 200\.00 TFLOP/s; decode: 40\.00 TFLOP/s", text)
    assert re.search(r"Tokens per second +prefill: 24,400\.0; decode: 4,000\.0", text)
    assert "per pass of prefill" in text


def test_a_training_step():
    assert re.search(r"Step +20\.00 ms; 150\.00 TFLOP/s", summary(build.training()))


def test_shares_are_left_out_without_a_gpu():
    text = summary(build.cpu_only())
    assert "Where the GPU time went" not in text
    assert "1.500 ms  layers.0.fc (Linear)" in text


def test_names_are_neither_markup_nor_escapes(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    text = summary(build.hostile(), stream=Terminal())
    assert "[bold]" in text
    assert "\x1b[31m$" not in text
    assert "\x1b[" in text


def test_no_color(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]", summary(build.hybrid(), stream=Terminal()))


def test_a_stream_without_unicode():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    print_summary(build.hybrid(), None, "ru", stream)


def test_names_the_directory(tmp_path):
    stream = io.StringIO()
    print_summary(build.hybrid(), tmp_path, "en", stream)
    assert stream.getvalue().splitlines()[-1] == f"Report: {tmp_path}"
