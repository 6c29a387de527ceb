"""`tracekit gate` as CI meets it: exit codes, one line for what is wrong, files, and what GitHub reads."""

from __future__ import annotations

import io
import os
import threading
from itertools import product
from pathlib import Path
from xml.etree import ElementTree

import pytest

import tracekit
from tests.runs import plain, run
from tracekit.cli import main
from tracekit.cli_common import parse_share
from tracekit.messages import UserError
from tracekit.report.gate.text import write_lines

SAMPLE = Path(__file__).parents[1] / "sample_traces" / "llama_small.json.gz"
BEFORE, SLOWER = [100.0, 101.0, 99.0], [120.0, 121.0, 119.0]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with two runs, on no runner of GitHub."""
    monkeypatch.chdir(tmp_path)
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    plain(BEFORE, Path("before.json"), peak=1000)
    plain(SLOWER, Path("slower.json.gz"), peak=1000)


def gate(*arguments: str) -> int:
    return main(["gate", *arguments])


def test_a_regression_is_exit_code_1_and_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert gate("before.json", "slower.json.gz", "--max-regression", "5%") == 1
    out, err = capsys.readouterr()
    assert err.startswith(
        "tracekit: regression: GPU time, forward: 100.00 µs → 120.00 µs (+20.0%, 90% interval"
    )
    assert err.count("\n") == 1
    assert out.startswith("failed: GPU time, forward: ")
    assert "::" not in out


def test_no_regression_is_exit_code_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert gate("before.json", "before.json", "--max-regression", "0") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines()[-1] == "no regression: 1 check"
    assert gate("slower.json.gz", "before.json", "--max-regression", "5%", "-q") == 0
    assert capsys.readouterr() == ("", "")


def test_what_cannot_be_judged_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert gate("before.json", "before.json", "--max-regression", "5%", "--metric", "latency") == 2
    err = capsys.readouterr().err
    assert err.startswith("tracekit: regressions cannot be judged: Latency: the baseline has no latency")
    assert gate("before.json", "before.json", "--max-regression", "5%", "--module", "nowhere.*") == 2
    assert "the baseline has no module that matches `nowhere.*`" in capsys.readouterr().err


def test_each_side_may_be_a_report(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("before.json", "slower.json.gz"):
        assert main(["analyze", name, "-q", "--format", "json", "-o", name.partition(".")[0]]) == 0
    sides = product(("before.json", "before/report.json"), ("slower.json.gz", "slower/report.json"))
    capsys.readouterr()
    outputs = set()
    for before, after in sides:
        metrics = ["--metric", "gpu_time", "--metric", "memory"]
        assert gate(before, after, "--max-regression", "5%", *metrics) == 1
        outputs.add(capsys.readouterr().out)
    assert len(outputs) == 1


def test_the_same_from_python() -> None:
    result = tracekit.gate("before.json", tracekit.analyze("slower.json.gz"), max_regression=0.05)
    assert (result.verdict, [check.metric for check in result.checks]) == ("fail", ["gpu_time"])
    assert (
        tracekit.gate("before.json", "before.json", max_regression=0.05, modules=["*.mlp"]).verdict == "pass"
    )
    one = tracekit.gate(
        "before.json", "before.json", max_regression=0.05, metrics="cpu_time", modules="*.mlp"
    )
    assert [(check.metric, check.module) for check in one.checks] == [("cpu_time", "*.mlp")]
    with pytest.raises(UserError, match="metric speed"):
        tracekit.gate("before.json", "before.json", max_regression=0.05, metrics=["speed"])


def test_options_reach_the_gate() -> None:
    plain(BEFORE, Path("other.json"), kind="Other")
    assert gate("before.json", "other.json", "--max-regression", "5%") == 2
    assert gate("before.json", "other.json", "--max-regression", "5%", "--allow-different-models") == 0
    # + 6.5% with a spread of 3%: p is about 0.3
    plain([103.0, 106.5, 110.0], Path("near.json"))
    assert gate("before.json", "near.json", "--max-regression", "0.05") == 0
    assert gate("before.json", "near.json", "--max-regression", "0.05", "--level", "0.45") == 1


def test_files_are_written_whatever_the_verdict() -> None:
    files = ["--junit", "gate.xml", "--markdown", "gate.md"]
    assert gate("before.json", "slower.json.gz", "--max-regression", "5%", *files) == 1
    assert ElementTree.parse("gate.xml").find(".//failure") is not None
    assert Path("gate.md").read_text().startswith("### Performance: regression\n")
    assert gate("before.json", "before.json", "--max-regression", "5%", *files) == 0
    assert ElementTree.parse("gate.xml").find(".//failure") is None
    assert Path("gate.md").read_text().startswith("### Performance: no regression\n")


def test_a_pipe_is_written_to_and_stays() -> None:
    os.mkfifo("pipe")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(Path("pipe").read_bytes()), daemon=True)
    reader.start()
    assert gate("before.json", "before.json", "--max-regression", "5%", "--markdown", "pipe") == 0
    reader.join(timeout=60)
    assert b"### Performance: no regression" in read[0]
    assert Path("pipe").is_fifo()


def test_two_files_may_both_be_the_null_device() -> None:
    files = ["--junit", os.devnull, "--markdown", os.devnull]
    assert gate("before.json", "before.json", "--max-regression", "5%", *files) == 0
    assert Path(os.devnull).is_char_device()


def test_on_github(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary.md")
    Path("summary.md").write_text("What another step wrote\n")
    assert gate("before.json", "slower.json.gz", "--max-regression", "5%", "-q") == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(
        "::error title=tracekit gate%3A failed::GPU time, forward: 100.00 µs → 120.00 µs (+20.0%25, "
    )
    assert Path("summary.md").read_text().startswith("What another step wrote\n### Performance: regression\n")


def test_a_summary_that_cannot_be_written_changes_no_verdict(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "no/such/folder.md")
    assert gate("before.json", "before.json", "--max-regression", "5%") == 0
    assert "no/such/folder.md: cannot be written" in capsys.readouterr().err


def test_names_in_a_log_are_no_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    phase = "x\n::stop-commands::y\r##[error]z"
    run([{"": 9.0}], phases=[phase]).write(Path("evil.json"))
    run([{"": 10.0}], phases=[phase]).write(Path("worse.json"))
    assert gate("evil.json", "worse.json", "--max-regression", "5%") == 1
    out, err = capsys.readouterr()
    lines = [*out.splitlines(), *err.splitlines()]
    assert [line.partition(":")[0] for line in lines] == ["failed", "", "tracekit"]
    assert "##[" not in lines[0] + lines[2]


def test_a_model_on_the_host_is_gated_by_its_time_there() -> None:
    same = (str(SAMPLE), str(SAMPLE), "--max-regression", "5%")
    assert gate(*same) == 0
    assert gate(*same, "--metric", "gpu_time") == 2
    assert gate(*same, "--metric", "cpu_time", "--metric", "latency", "--module", "model.layers.*.mlp") == 0


def test_a_stream_without_the_signs_shows_question_marks() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    write_lines(iter(["1 µs → 2 µs"]), stream)
    assert raw.getvalue() == b"1 ?s ? 2 ?s\n"


@pytest.mark.parametrize(
    ("text", "share"), [("5%", 0.05), ("0.05", 0.05), ("0", 0.0), ("150%", 1.5), ("2.5 %", 0.025)]
)
def test_shares(text: str, share: float) -> None:
    assert parse_share("--max-regression", text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["5", "1", "50us", "-5%", "nan", "inf%", "", "%", "5%%"])
def test_what_is_no_share(text: str) -> None:
    with pytest.raises(UserError, match="percentage such as 5%"):
        parse_share("--max-regression", text)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Missing option '--max-regression'"),
        (["--max-regression", "50us"], "--max-regression 50us: give a percentage"),
        (["--max-regression", "-1"], "--max-regression -1: give a percentage"),
        (["--max-regression", "5%", "--metric", "speed"], "metric speed is not known"),
        (["--max-regression", "5%", "--level", "2"], "the level is a probability"),
        (["--max-regression", "5%", "--level", "nan"], "the level is a probability"),
        (["--max-regression", "5%", "--junit", "before.json/x.xml"], "before.json/x.xml"),
        (["--max-regression", "5%", "--junit", "./before.json"], "before.json: is named twice"),
        (["--max-regression", "5%", "--junit", "a.out", "--markdown", "a.out"], "a.out: is named twice"),
    ],
)
def test_options_that_a_user_can_mend_are_one_line_and_exit_code_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gate("before.json", "before.json", *arguments) == 2
    assert words in _the_line(capsys)


@pytest.mark.parametrize("name", ["missing.json", "empty.json", "old/report.json"])
def test_files_that_cannot_be_read_are_one_line_and_exit_code_2(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty.json").touch()
    Path("old").mkdir()
    Path("old/report.json").write_text('{"schema": "tracekit.report/0"}')
    assert gate("before.json", name, "--max-regression", "5%") == 2
    assert name in _the_line(capsys)


def _the_line(capsys: pytest.CaptureFixture[str]) -> str:
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("tracekit: ")
    return line
