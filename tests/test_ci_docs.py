"""Every command of tracekit in docs/ci.md runs as it stands there, the workflow's and those before it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from tests.runs import run
from tracekit.capture.arguments import parse
from tracekit.cli import main

PAGE = (Path(__file__).parents[1] / "docs" / "ci.md").read_text()
PHASES = ["prefill", "decode", "decode", "decode"]


def blocks(language: str) -> str:
    (block,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return block


def steps() -> list[str]:
    (job,) = yaml.safe_load(blocks("yaml"))["jobs"].values()
    return [line for step in job["steps"] for line in step.get("run", "").splitlines() if line]


def execute(line: str, decode: float) -> int:
    """The exit code of a command. In place of a capture, which may need a GPU, a trace is made."""
    program, *arguments = shlex.split(line)
    assert program == "tracekit"
    if arguments[0] != "capture":
        return main(arguments)
    options = parse(arguments[1:])  # which ends the test where there is no such option
    # The path of the modules is that of a decoder of transformers.
    trace = run(
        [{"layers.0.mlp": 500.0}, *({"layers.0.mlp": decode + jitter} for jitter in (-0.5, 0.0, 0.5))],
        phases=PHASES,
        latencies={"prefill": [600.0, 601.0, 602.0], "decode": [70.0, 71.0, 72.0]},
        peak=10_000,
        prefix="model.",
    )
    trace.write(Path(options.output))
    return 0


@pytest.mark.parametrize(("decode", "codes"), [(50.0, [0, 0, 0]), (56.0, [0, 1, 1])])
def test_commands_and_workflow(
    decode: float,
    codes: list[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    assert [execute(line, 50.0) for line in blocks("bash").splitlines()] == [0, 0]
    assert (tmp_path / "baseline" / "report.json").is_file()
    capsys.readouterr()
    own = [line for line in steps() if line.startswith("tracekit ")]
    assert [execute(line, decode) for line in own] == codes
    assert {"gate.xml", "gate.md", "trace.json.gz"} <= {path.name for path in tmp_path.iterdir()}
    assert (tmp_path / "summary.md").read_text().count("### Performance: ") == 2
    annotated = capsys.readouterr().out.count("::error title=tracekit gate%3A failed::GPU time")
    assert annotated == sum(codes)


def test_nothing_else_is_run_but_the_comment() -> None:
    others = [line for line in steps() if not line.startswith("tracekit ")]
    assert [shlex.split(line)[:3] for line in others] == [["gh", "pr", "comment"]]
    assert "--body-file gate.md" in others[0]


def test_every_option_is_in_the_table() -> None:
    from tracekit.cli import commands

    options = {name for one in commands.commands["gate"].params for name in one.opts if name.startswith("-")}
    rows = "".join(re.findall(r"^\| `.*$", PAGE, re.MULTILINE))
    assert {name for name in options if f"`{name}" not in rows} == {"--quiet"}
