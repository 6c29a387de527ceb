"""Every command and every line of Python in docs/ranks.md runs as it stands there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tracekit.cli import main
from tracekit.cli_ranks import make_command

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "ranks.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.skipif(sys.platform == "win32", reason="torchrun needs libuv there")
def test_from_capture_to_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch.distributed")
    script, example = blocks("python")
    (tmp_path / "train.py").write_text(script)
    (commands,) = blocks("bash")
    torchrun, ranks = map(shlex.split, commands.splitlines())
    assert (torchrun[0], ranks[:2]) == ("torchrun", ["tracekit", "ranks"])
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", *torchrun[1:]],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    monkeypatch.chdir(tmp_path)
    assert main([*ranks[1:], "--lang", "en", "--workers", "1", "--no-cache"]) == 0
    assert capsys.readouterr().out.startswith("Job of 2 ranks\n")
    for name in ("job.html", "job.md", "job.json", "rank_time.png", "collectives.csv"):
        assert f"`{name}`" in PAGE or name.endswith((".png", ".csv"))
        assert (tmp_path / "ranks-report" / name).is_file()
    exec(example, {})
    assert (tmp_path / "out" / "job.md").is_file()


def test_commands_for_clusters_have_the_options_that_they_show() -> None:
    (commands,) = blocks("console")
    for line in commands.splitlines():
        program, name, *arguments = shlex.split(line)
        assert (program, name) == ("tracekit", "ranks")
        command = make_command(lambda _help: lambda function: function, lambda *_: None)  # type: ignore[arg-type, return-value]
        assert command.make_context("ranks", arguments).params["paths"]


def test_sections_are_those_of_the_report() -> None:
    template = (ROOT / "tracekit" / "report" / "templates" / "job.md.j2").read_text()
    for name in re.findall(r"^\| ([A-Z][^|]*?) \|", PAGE, re.M):
        assert f'_("{name}' in template, name
