"""The summary on a real terminal (a pty) and in a pipe: colours, width, and saying nothing."""

from __future__ import annotations

import os
import re
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.builder import TraceBuilder

fcntl = pytest.importorskip("fcntl")
pty = pytest.importorskip("pty")
termios = pytest.importorskip("termios")

COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-7]")
ERASED = "\x1b[?25h\r\x1b[1A\x1b[2K"
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    builder = TraceBuilder().frame("Net_0", 0, 50).op("aten::mm", 1, 9, [[2, 3], [3, 4]], ["float", "float"])
    return builder.launch(1, 5).kernel(1, 20, 30).write(tmp_path / "t.json")


def environment(**variables: str) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS", "LINES", "COLORTERM")
    }
    return {**kept, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8", **variables}


def command(trace: Path, *arguments: str) -> list[str]:
    options = ["--format", "json", "--lang", "en", "-o", str(trace.parent / "out")]
    return [sys.executable, "-m", "tracekit", "analyze", str(trace), *options, *arguments]


def on_terminal(
    words: list[str], columns: int = 80, until: str | None = None, number: int = 0, **variables: str
) -> tuple[int, str]:
    """Exit code and all that a terminal of `columns` was sent, on stdout and stderr.

    The signal of this `number` is sent as soon as the text `until` is there.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        words, stdin=theirs, stdout=theirs, stderr=theirs, env=environment(**variables), close_fds=True
    )
    os.close(theirs)
    received = b""
    # Linux ends a read of what the other side has closed with an error.
    while chunk := _read(ours):
        received += chunk
        if until is not None and until.encode() in received:
            process.send_signal(number)
            until = None
    os.close(ours)
    return process.wait(timeout=60), received.decode().replace("\r\n", "\n")


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:
        return b""


def piped(words: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, env=environment(**variables), capture_output=True, text=True, timeout=60)


def test_a_terminal_has_colours(trace: Path) -> None:
    code, text = on_terminal(command(trace))
    assert code == 0
    assert COLOUR.search(text)


def test_a_terminal_has_its_own_width(trace: Path) -> None:
    code, text = on_terminal(command(trace), 40)
    assert code == 0
    lines = ESCAPE.sub("", text).splitlines()
    assert "Where the GPU time went" in lines
    assert max(len(line) for line in lines if not line.startswith("Report: ")) <= 40


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"NO_COLOR": "1", "FORCE_COLOR": "1"}])
def test_no_color(trace: Path, variables: dict[str, str]) -> None:
    code, text = on_terminal(command(trace), **variables)
    assert code == 0
    assert not COLOUR.search(text)


@pytest.mark.parametrize("term", ["dumb", "unknown"])
def test_a_dumb_terminal_gets_text(trace: Path, term: str) -> None:
    code, text = on_terminal(command(trace), TERM=term)
    assert (code, "\x1b" in text) == (0, False)
    assert "Where the GPU time went" in text


def test_a_pipe_gets_text(trace: Path) -> None:
    done = piped(command(trace))
    assert (done.returncode, done.stderr, "\x1b" in done.stdout) == (0, "", False)
    assert "Where the GPU time went" in done.stdout


def test_a_pipe_gets_colours_if_they_are_forced(trace: Path) -> None:
    assert COLOUR.search(piped(command(trace), FORCE_COLOR="1").stdout)
    assert not COLOUR.search(piped(command(trace), FORCE_COLOR="1", NO_COLOR="1").stdout)


@pytest.mark.parametrize("option", ["-q", "--quiet"])
def test_quiet(trace: Path, option: str) -> None:
    assert on_terminal(command(trace, option)) == (0, "")
    done = piped(command(trace, option))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (trace.parent / "out" / "report.json").is_file()


def test_quiet_has_no_progress_bar(trace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tracekit import cli

    monkeypatch.setattr(cli, "shown_work", lambda lang: pytest.fail("a progress bar was asked for"))
    assert cli.main(["analyze", str(trace), "--format", "json", "-o", str(trace.parent / "out"), "-q"]) == 0


def test_quiet_does_not_hide_errors(tmp_path: Path) -> None:
    done = piped(command(tmp_path / "nowhere.json", "-q"))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "nowhere.json: no such file" in done.stderr


SLOW = """
import sys, time
import tracekit.progress, tracekit.analysis, tracekit.report.json
from tracekit.cli import main
tracekit.progress.SILENT_SECONDS = 0.01
analyze, pieces = tracekit.analysis.analyze, tracekit.report.json.json_pieces
def slow_analyze(trace, progress, **options):
    progress(trace.stat().st_size // 2)
    time.sleep(0.7)
    progress(trace.stat().st_size)
    time.sleep(0.3)
    return analyze(trace, **options)
def slow_pieces(report):
    time.sleep(0.3)
    return pieces(report)
tracekit.analysis.analyze, tracekit.report.json.json_pieces = slow_analyze, slow_pieces
sys.exit(main())
"""


def slow_command(trace: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-c", SLOW, *command(trace, *arguments)[3:]]


def lines_of(text: str) -> list[str]:
    return re.split(r"[\r\n]+", ESCAPE.sub("", text))


@pytest.mark.parametrize("columns", [40, 200])
@pytest.mark.parametrize("name", ["[red]t[blink].json", "a\x1b[31m\tb\n.json", "长" * 60 + ".json"])
def test_long_work_says_what_it_does(trace: Path, columns: int, name: str) -> None:
    trace = trace.rename(trace.parent / name)
    code, text = on_terminal(slow_command(trace), columns)
    assert code == 0
    lines = lines_of(text)
    shown = [line for line in lines if "━" in line]
    reading = [line for line in shown if "50%" in line]
    steps = ["reading", "analysing", "writing report.json"]
    found = [next(step for step in steps if line.startswith(step)) for line in shown]
    assert list(dict.fromkeys(found)) == steps
    beginning = {"[": "reading [red]t[blink]", "a": "reading a\\x1b[31m", "长": "reading 长"}[name[0]]
    assert all(line.startswith(beginning[: 12 if columns == 40 else None]) for line in reading)
    assert reading
    assert max(map(cell_len, shown)) <= columns
    assert (text.count("\x1b[?25l"), text.count("\x1b[?25h")) == (1, 1)
    assert text.index("\x1b[?25h") < text.index("Where the GPU time went")


def test_quiet_work_says_nothing(trace: Path) -> None:
    assert on_terminal(slow_command(trace, "-q")) == (0, "")


def test_nothing_of_the_work_is_said_in_a_pipe(trace: Path) -> None:
    assert piped(slow_command(trace)).stderr == ""


def test_the_line_is_gone_after_an_error(trace: Path) -> None:
    trace.write_text("{}" + " " * 100)
    code, text = on_terminal(slow_command(trace))
    assert code == 2
    assert (text.count("\x1b[?25l"), text.count("\x1b[?25h")) == (1, 1)
    assert text.endswith(ERASED + f"tracekit: {trace}: has no traceEvents; {text.partition('; ')[2]}")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_line_is_gone_after_an_interruption(trace: Path, number: int, code: int) -> None:
    got, text = on_terminal(slow_command(trace), until="━", number=number)
    assert got == code
    assert (text.count("\x1b[?25l"), text.count("\x1b[?25h")) == (1, 1)
    assert text.endswith(ERASED + "tracekit: interrupted; nothing is left half-written\n")
    assert not (trace.parent / "out").exists()
