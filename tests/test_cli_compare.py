"""`tracekit compare` and `tracekit.compare` as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tracekit
from tests.runs import run
from tracekit.cli import main
from tracekit.cli_common import parse_share
from tracekit.cli_compare import default_directory
from tracekit.messages import UserError


def trace(path: Path, second_us: float) -> Path:
    """Four passes of 30 µs in one MLP and `second_us` in the other, which varies by 0.1 µs."""
    spread = (0.1, -0.1, 0.1, -0.1)
    return run([{"layers.0.mlp": 30.0, "layers.1.mlp": second_us + one} for one in spread]).write(path)


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    monkeypatch.chdir(tmp_path)
    trace(tmp_path / "a.json", 20.0)
    trace(tmp_path / "b.json.gz", 25.0)
    return "a.json", "b.json.gz"


def test_every_default_format_and_a_summary(
    pair: tuple[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["compare", *pair]) == 0
    directory = tmp_path / "a-vs-b-report"
    assert {path.suffix for path in directory.iterdir() if path.name[0] != "."} == {
        *(".md", ".html", ".json", ".png", ".csv"),
    }
    document = json.loads((directory / "comparison.json").read_text())
    (phase,) = document["phases"]
    # 50 µs before, 55 µs after.
    assert phase["total"]["difference_us"] == pytest.approx(5.0)
    assert phase["total"]["verdict"] == "slower"
    (changed,) = [row for row in document["modules"] if row["verdict"] != "same"]
    assert (changed["path_after"], changed["difference_us"]) == ("layers.1.mlp", pytest.approx(5.0))
    printed = capsys.readouterr()
    assert "a.json → b.json.gz" in printed.out
    assert "+10.0%" in printed.out
    assert "Report: a-vs-b-report" in printed.out
    assert printed.err == ""


def test_a_report_stands_for_its_trace(pair: tuple[str, str], tmp_path: Path) -> None:
    assert main(["analyze", "a.json", "-q", "--format", "json"]) == 0
    assert main(["compare", "a-report/report.json", "b.json.gz", "-q", "--format", "json"]) == 0
    assert main(["compare", *pair, "-q", "--format", "json", "-o", "traces"]) == 0
    documents = [
        json.loads((tmp_path / name / "comparison.json").read_text()) for name in ("a-vs-b-report", "traces")
    ]
    assert documents[0] == documents[1]


def test_a_report_that_is_compared_is_not_replaced(
    pair: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["analyze", "a.json", "-q", "--format", "json"]) == 0
    saved = Path("a-report/report.json")
    before = saved.read_bytes()
    assert main(["compare", str(saved), "b.json.gz", "-o", "./a-report"]) == 2
    assert "holds report.json, which is compared" in capsys.readouterr().err
    assert saved.read_bytes() == before


def test_options(pair: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["compare", *pair, "-q", "-o", "out", "--format", "json,md", "--lang", "ru", "--top", "1"]
    assert main([*command, "--margin", "50%", "--level", "0.01"]) == 0
    document = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert (document["method"]["margin"], document["method"]["level"]) == (0.5, 0.01)
    # A tenth more is no change where half of it may change.
    assert {row["verdict"] for row in document["modules"]} == {"same"}
    assert capsys.readouterr().out == ""
    assert "50,0\N{NO-BREAK SPACE}%" in (tmp_path / "out" / "comparison.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["a.json"], "Missing argument 'AFTER'"),
        (["a.json", "missing.json"], "no such file"),
        (
            ["a.json", "b.json.gz", "--format", "xlsx"],
            "not known; choose some of: md, png, html, json, csv, svg",
        ),
        (["a.json", "b.json.gz", "--margin", "5"], "--margin 5: give a percentage"),
        (["a.json", "b.json.gz", "--margin", "nan"], "--margin nan: give a percentage"),
        (["a.json", "b.json.gz", "--level", "nan"], "--level"),
        (["a.json", "b.json.gz", "--level", "1"], "--level"),
        (["a.json", "b.json.gz", "-o", "."], "current directory"),
        (["a.json", "broken/report.json"], "broken/report.json"),
    ],
)
def test_what_a_user_can_mend_is_one_line(
    pair: tuple[str, str],
    arguments: list[str],
    says: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "report.json").write_text('{\n  "schema": "tracekit.report/1"')
    assert main(["compare", *arguments]) == 2
    printed = capsys.readouterr()
    assert says in printed.err
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert not list(tmp_path.glob("*-vs-*"))


def test_default_directories() -> None:
    assert default_directory(Path("x/a.1.json.gz"), Path("b.json")) == Path("a.1-vs-b-report")
    assert default_directory(Path("/r/base-report/report.json"), Path("/r/new/report.json")) == Path(
        "base-vs-new-report"
    )


def test_margins() -> None:
    assert [parse_share("--margin", text) for text in ("5%", "0.05", "0", "150%")] == [0.05, 0.05, 0, 1.5]
    for text in ("", "5", "-1%", "five", "inf", "nan%"):
        with pytest.raises(UserError):
            parse_share("--margin", text)


def test_python(pair: tuple[str, str], tmp_path: Path) -> None:
    before = tracekit.analyze(pair[0])
    read: list[int] = []
    comparison = tracekit.compare(before, pair[1], progress=read.append)
    assert isinstance(comparison, tracekit.Comparison)
    assert sum(read) == (tmp_path / pair[1]).stat().st_size
    total = comparison.phases.set_index("quantity").difference_us["total"]
    assert total == pytest.approx(5.0)
    assert comparison.modules.difference_us.sum() == pytest.approx(total)
    assert comparison.data == tracekit.compare(before.data, tracekit.analyze(pair[1])).data
    assert comparison.save("out", formats=["md"], top=1) == Path("out")
    assert (tmp_path / "out" / "comparison.md").is_file()
    assert "a pass takes" in repr(comparison)
