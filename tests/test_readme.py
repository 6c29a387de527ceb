"""Every command and every line of Python that the README shows runs as it stands there."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.builder import TraceBuilder

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


COMMANDS = [line for block in blocks("bash") for line in block.splitlines() if line]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of what the commands need, so that they write nothing into the repository."""
    for name in ("scripts", "sample_traces", "tracekit", "pyproject.toml", "README.md", "LICENSE"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tmp_path / name)
    return tmp_path


def test_the_commands_are_those_that_are_tested() -> None:
    programs = [shlex.split(command)[:2] for command in COMMANDS]
    assert [program[0] for program in programs] == [
        "scripts/analyze",
        "scripts/test",
        "tracekit",
        "python3",
        "tracekit",
    ]


@pytest.mark.parametrize("command", [command for command in COMMANDS if command != "scripts/test"])
def test_command(command: str, clone: Path) -> None:
    venv = Path(sys.prefix)
    if command.startswith("scripts/analyze"):
        # In any other environment the script would install this copy over what is there.
        sources = b"".join(
            (ROOT / name).read_bytes() for name in ("pyproject.toml", "scripts/constraints.txt")
        )
        wanted = (
            subprocess.run(["cksum"], input=sources, capture_output=True, check=True).stdout.decode().strip()
        )
        stamp = venv / "installed"
        if not stamp.is_file() or not stamp.read_text().startswith(f"{wanted} "):
            pytest.skip("not run by scripts/test: there is no environment for scripts/analyze to find")
        (clone / ".venv").symlink_to(venv)
        (clone / "scripts" / "constraints.txt").touch()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(clone), "CUDA_VISIBLE_DEVICES": ""}
    words = shlex.split(command)
    if "annotate" in words:
        gpu = TraceBuilder().frame("Net_0", 0, 50).op("aten::mm", 1, 9).launch(1, 5).kernel(1, 20, 30)
        gpu.write(clone / "trace.json.gz")  # samples are of a CPU
    if words[0] == "tracekit":
        words[:1] = [sys.executable, "-m", "tracekit"]
    elif words[0] == "python3":
        words[0] = sys.executable
    before = set(clone.iterdir())
    done = subprocess.run(words, cwd=clone, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert set(clone.iterdir()) - before


def test_scripts_test_runs_this_very_test() -> None:
    assert "-m pytest" in (ROOT / "scripts" / "test").read_text()
    assert "scripts/test" in (ROOT / ".ci" / "run").read_text()


def test_profiling_without_capture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from tracekit import analyze

    monkeypatch.chdir(tmp_path)
    (example,) = [block for block in blocks("python") if "torch.profiler" in block]
    exec(example, {"torch": torch, "model": torch.nn.Linear(4, 2), "inputs": {"input": torch.ones(3, 4)}})
    report = analyze("trace.json")
    assert report.modules["name"].tolist() == ["Linear_0"]
    assert report.modules["matrix_flops"].tolist() == [2 * 3 * 4 * 2]


def test_capture_of_a_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (example,) = [block for block in blocks("python") if "capture(" in block]
    exec(example, {})
    printed = [line.split()[-4:] for line in capsys.readouterr().out.splitlines()[1:]]
    # two steps of 16 rows: 2·16·64·64, and in the backward the gradient of the weight, the first input has
    # none; 2·16·64·8, and in the backward those of weight and input
    first, second = 2 * 2 * 16 * 64 * 64, 2 * 2 * 16 * 64 * 8
    rows = {cells[0]: cells[1:] for cells in printed if len(cells) == 4}
    assert rows["0"] == ["2", str(first), str(first)]
    assert rows["2"] == ["2", str(second), str(2 * second)]


def test_python(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clone)
    (example,) = [block for block in blocks("python") if "report.save" in block]
    names: dict[str, object] = {}
    exec(example, names)
    assert len(names["slowest"]) == 10  # type: ignore[arg-type]
    assert set(names["by_kind"].index) == {"attention", "mamba", "mlp"}  # type: ignore[attr-defined]
    assert (clone / "out" / "report.md").is_file()


def test_pictures_in_python(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    import tracekit

    mpl.use("agg")
    monkeypatch.chdir(clone)
    (example,) = [block for block in blocks("python") if "report.plot" in block]
    exec(example, {"report": tracekit.analyze("sample_traces/nemotron_h_small.json.gz")})
    plt.close("all")
    assert (clone / "blocks.pdf").read_bytes().startswith(b"%PDF")


def test_costs_of_an_operator_of_one_s_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tracekit.cli import main

    (example,) = [block for block in blocks("python") if "@register" in block]
    (tmp_path / "costs.py").write_text(example)
    builder = TraceBuilder().op("mylib::scaled_linear", 0, 10, [[5, 3], [7, 3], [7]], ["float"] * 3)
    trace = builder.launch(1, 1).kernel(1, 20, 30).write(tmp_path / "t.json")
    command = [
        str(trace),
        "-o",
        str(tmp_path / "out"),
        "--format",
        "json",
        "--costs",
        str(tmp_path / "costs.py"),
    ]
    assert main(["analyze", *command]) == 0
    (op,) = json.loads((tmp_path / "out" / "report.json").read_text())["ops"]
    assert (op["matrix_flops"], op["vector_flops"]) == (2 * 5 * 3 * 7, 5 * 7)
    assert op["bytes"] == 4 * (5 * 3 + 7 * 3 + 7 + 5 * 7)


def test_holistic_trace_analysis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for rank, end in enumerate((30, 35)):
        builder = TraceBuilder().launch(1, 1).kernel(1, 20, 30).launch(2, 2)
        builder.kernel(2, 25, end, name="ncclDevKernel_AllReduce", stream=20).write(
            tmp_path / f"rank{rank}.json.gz"
        )
    (example,) = [block for block in blocks("python") if "tracekit.hta" in block]
    names: dict[str, Any] = {}
    exec(example, names)
    assert names["overlap"]["comp_comm_overlap_pctg"].tolist() == [100, 50]
    assert names["idle"]["rank"].tolist() == [0, 0, 1, 1]


def test_links_and_pictures_exist() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_excerpt_is_of_the_real_report(clone: Path) -> None:
    """Names and FLOPs of the excerpt are those of the sample's report; times differ from run to run."""
    from tracekit import analyze

    directory = analyze(ROOT / "sample_traces" / "nemotron_h_small.json.gz").save(
        clone / "out", ["md", "png"]
    )
    report = (directory / "report.md").read_text().splitlines()
    excerpt = re.search(r"```text\n(.*?)```", README, re.DOTALL)
    assert excerpt
    for line in excerpt[1].splitlines():
        assert line in report or line in ("", "…"), line
