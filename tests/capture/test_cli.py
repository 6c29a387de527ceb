"""The command line as a user meets it: exit codes, one line, no half file; and what it may import."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tracekit.capture.build import Workload
from tracekit.capture.cli import main

from .traces import LLAMA, read_trace

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--config", "nowhere.json"], "nowhere.json: No such file"),
        (["--config", "text.json"], "is no JSON"),
        (["--config", "llama.json", "-o", "gone/t.json.gz"], "no directory gone"),
        (["--config", "llama.json", "-o", "t.json"], "name it t.json.gz"),
        (["--config", "llama.json", "--device", "tpu"], "--device tpu: must be"),
        (["--model", "nobody/has-this", "--random-weights"], "nobody/has-this: no directory here"),
        (["--model", "."], "model_type"),
        (["--config", "deep.json"], "is no JSON"),
        (["--config", "list.json"], "has no model_type"),
        (["--config", "llama.json", "--mode", "decode", "--inputs", "flat.json"], "batch × tokens"),
        (["--config", "llama.json", "-o", "x" * 300 + ".gz"], "File name too long"),
        (["--config", "llama.json", "--inputs", "deep.json"], "deep.json"),
        (["--config", "a\nb"], "a b: No such file"),
    ],
)
def test_errors_are_one_line_and_exit_code_2(
    configs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: list[str],
    text: str,
) -> None:
    (tmp_path / "llama.json").write_text((configs / "llama.json").read_text())
    (tmp_path / "text.json").write_text("hello")
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    (tmp_path / "list.json").write_text('{"model_type": ["llama"]}')
    (tmp_path / "flat.json").write_text('{"input_ids": [1, 2, 3]}')
    before = sorted(tmp_path.iterdir())
    monkeypatch.chdir(tmp_path)
    assert main(["-o", "t.json.gz", *arguments]) == 2
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("tracekit capture: ")
    assert captured.err.count("\n") == 1
    assert text in captured.err
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["-o", "t.json.gz"], "--model --config"),
        (["--config", "a.json", "--model", "b", "-o", "t.json.gz"], "not allowed with"),
        (["--config", "a.json"], "-o/--output"),
        (["--config", "", "-o", "t.json.gz"], "--config is empty"),
        (["--config", "a.json", "--inputs", "", "-o", "t.json.gz"], "--inputs is empty"),
        (["--config", "a.json", "-o", "t.json.gz", "--dtype", "int3"], "int3"),
        (["--config", "a.json", "-o", "t.json.gz", "--passes", "0"], "must be at least 1"),
        (["--config", "a.json", "-o", "t.json.gz", "--seq-len", "many"], "many"),
    ],
)
def test_usage_errors_are_one_line_too(
    capsys: pytest.CaptureFixture[str], arguments: list[str], text: str
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert text in error


def test_interrupted_in_the_middle(
    configs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = 0
    run = Workload.run

    def run_until_interrupted(work: Workload) -> object:
        nonlocal runs
        runs += 1
        if runs == 13:  # 1 counted, 3 warm-up, 5 latencies, 1 settling, third profiled pass
            raise KeyboardInterrupt
        return run(work)

    monkeypatch.setattr(Workload, "run", run_until_interrupted)
    path = tmp_path / "t.json.gz"
    path.write_bytes(b"precious")
    assert main(["--config", str(configs / "llama.json"), "--device", "cpu", "-o", str(path)]) == 2
    assert "interrupted" in capsys.readouterr().err
    assert path.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [path]


def test_the_script_runs_from_a_clone_anywhere(configs: Path, tmp_path: Path) -> None:
    script = ROOT / "scripts" / "capture.py"
    arguments = ["--config", configs / "llama.json", "--name", "Tiny", "--device", "cpu", "-o", "t.json.gz"]
    done = subprocess.run(
        [sys.executable, script, *arguments, "--seq-len", "4", "--passes", "2"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout[:22]) == (0, "t.json.gz: 0.0 MiB, 2 ")
    assert os.listdir(tmp_path) == ["t.json.gz"]
    trace = read_trace(tmp_path / "t.json.gz")
    assert trace.metadata["model"]["name"] == "Tiny"
    assert trace.metadata["transformers"] is not None
    assert trace.metadata["model"]["config"]["hidden_size"] == LLAMA["hidden_size"]


WATCHED = """
import builtins, sys
allowed = set(sys.stdlib_module_names) | {"torch", "transformers", "tqdm"}
plain_import = builtins.__import__
def watched(name, globals=None, locals=None, fromlist=(), level=0):
    importer = (globals or {}).get("__name__", "")
    if importer.partition(".")[0] == "tracekit":
        version = (name, fromlist) == ("tracekit", ("__version__",))
        inside = version or (name + ".").startswith("tracekit.capture.")
        assert level == 0 and (inside or name.partition(".")[0] in allowed), f"{importer} imports {name}"
    return plain_import(name, globals, locals, fromlist, level)
builtins.__import__ = watched
from tracekit.capture.cli import main
assert "torch" not in sys.modules, "the command line imports torch before it has read its arguments"
assert main(sys.argv[1:]) == 0
strangers = {m for m in sys.modules if m.startswith("tracekit.") and not m.startswith("tracekit.capture")}
assert not strangers, strangers
"""


@pytest.mark.parametrize(
    "more", [["--mode", "generate", "--memory"], ["--mode", "train", "--redact"], ["--scopes", "blocks"]]
)
def test_capture_needs_nothing_but_torch_and_transformers(
    configs: Path, tmp_path: Path, more: list[str]
) -> None:
    arguments = ["--config", configs / "llama.json", "--device", "cpu", "--seq-len", "4", "--passes", "1"]
    arguments += more
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, *arguments, "-o", tmp_path / "t.json.gz"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


FAILING = """
import torch
from torch import nn

class Failing(nn.Linear):
    def forward(self, x):
        raise {error}

def make():
    return Failing(2, 2), torch.ones(1, 2)
"""


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ("torch.OutOfMemoryError('CUDA out of memory. Tried to allocate')", "out of memory while running"),
        ("MemoryError()", "out of memory while running"),
        ("SystemExit(0)", "failed while running Failing on the inputs it was given: SystemExit: 0"),
        ("RuntimeError('addmm not implemented for\\n Half')", "addmm not implemented for Half"),
    ],
)
def test_what_a_forward_raises_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    error: str,
    text: str,
) -> None:
    module = f"failing_{abs(hash(error))}"
    (tmp_path / f"{module}.py").write_text(FAILING.format(error=error))
    monkeypatch.chdir(tmp_path)
    assert main(["--factory", f"{module}:make", "--device", "cpu", "-o", "t.json.gz"]) == 2
    captured = capfd.readouterr()
    assert captured.out == ""
    lines = [line for line in captured.err.splitlines() if not line.startswith("USDT:")]
    assert len(lines) == 1
    assert text in lines[0]
    assert not (tmp_path / "t.json.gz").exists()


LIVELY = """
import os, signal, torch
from torch import nn

def lazy():
    return nn.Sequential(nn.LazyLinear(3)), torch.ones(2, 4)

def elsewhere():
    os.chdir("/")
    return nn.Linear(2, 2), torch.ones(1, 2)

class Ended(nn.Linear):
    def forward(self, x):
        if torch.autograd.profiler._is_profiler_enabled:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().forward(x)

def ended():
    return Ended(2, 2), torch.ones(1, 2)
"""


def run_script(folder: Path, *arguments: str, **how: Any) -> subprocess.CompletedProcess[str]:
    (folder / "lively.py").write_text(LIVELY)
    command = [sys.executable, ROOT / "scripts" / "capture.py", "--device", "cpu", *arguments]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    settings: dict[str, Any] = {"stdout": subprocess.PIPE, "env": environment, **how}
    return subprocess.run(command, cwd=folder, stderr=subprocess.PIPE, text=True, check=False, **settings)


@pytest.mark.parametrize("factory", ["lazy", "elsewhere"])
def test_factories_may_leave_weights_to_the_first_call_and_change_the_directory(
    tmp_path: Path, factory: str
) -> None:
    done = run_script(tmp_path, "--factory", f"lively:{factory}", "-o", "t.json.gz")
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(os.listdir(tmp_path)) == ["lively.py", "t.json.gz"]


def test_a_program_that_is_asked_to_end_leaves_nothing_behind(tmp_path: Path) -> None:
    done = run_script(tmp_path, "--factory", "lively:ended", "-o", "t.json.gz")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "tracekit capture: interrupted, nothing was written\n"
    assert sorted(os.listdir(tmp_path)) == ["lively.py"]


def test_the_trace_is_written_though_nobody_can_hear_of_it(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        done = run_script(tmp_path, "--factory", "lively:lazy", "-o", "t.json.gz", stdout=full)
    assert (done.returncode, done.stderr) == (0, "")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = run_script(tmp_path, "--factory", "lively:lazy", "-o", "отчёт.json.gz", env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert {path.name for path in tmp_path.glob("*.gz")} == {"t.json.gz", "отчёт.json.gz"}
