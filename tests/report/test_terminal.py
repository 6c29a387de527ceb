import io
import re

import pytest
from rich.cells import cell_len

from tests.report import build
from tracekit.report.terminal import print_summary


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def summary(report, lang="en", stream=None):
    stream = stream or io.StringIO()
    print_summary(report, None, lang, stream)
    return stream.getvalue()


@pytest.mark.parametrize("lang", ["en", "ru"])
@pytest.mark.parametrize("name", build.ALL)
def test_fits_and_is_plain_when_piped(name, lang):
    text = summary(build.ALL[name](), lang)
    assert max(cell_len(line) for line in text.splitlines()) <= 80
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\ud800]|\bNone\b|\bnan\b", text)


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
    monkeypatch.delenv("NO_COLOR", raising=False)
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
