"""The command line as a user meets it: exit codes, one-line errors, the report directory."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.builder import TraceBuilder
from tracekit.cli import default_directory, default_language, main

SAMPLES = Path(__file__).parents[1] / "sample_traces"


def sound_trace(path: Path) -> Path:
    builder = TraceBuilder().frame("Net_0", 0, 50).op("aten::mm", 1, 9, [[2, 3], [3, 4]], ["float", "float"])
    return builder.launch(1, 5).kernel(1, 20, 30).write(path)


def run(arguments: list[str], cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tracekit", *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_analyze_writes_every_default_format(tmp_path: Path) -> None:
    trace = sound_trace(tmp_path / "run.1.json.gz")
    done = run(["analyze", str(trace)], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    directory = tmp_path / "run.1-report"
    names = {path.name for path in directory.iterdir()}
    pictures = {"layer_time.png", "type_time.png", "block_time.png"}
    assert {"report.md", "report.html", "report.json", "modules.csv", *pictures} <= names
    assert json.loads((directory / "report.json").read_text())["schema"] == "tracekit.report/1"
    assert "Net_0" in done.stdout


def test_formats_language_and_directory(tmp_path: Path) -> None:
    trace = sound_trace(tmp_path / "t.json")
    done = run(["analyze", str(trace), "-o", "out", "--format", "md", "--lang", "ru"], tmp_path)
    assert done.returncode == 0
    assert [path.name for path in (tmp_path / "out").glob("[!.]*")] == ["report.md"]
    assert "## Общие параметры" in (tmp_path / "out" / "report.md").read_text()


def test_annotate_writes_one_file_and_prints_one_line(tmp_path: Path) -> None:
    trace = sound_trace(tmp_path / "run.1.json.gz")
    done = run(["annotate", str(trace)], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    # The lanes of passes and modules: one slice each. No idle time.
    assert done.stdout == "run.1-annotated.json.gz: 2 lanes, 2 slices, 0 idle intervals\n"
    events = json.loads(gzip.decompress((tmp_path / "run.1-annotated.json.gz").read_bytes()))["traceEvents"]
    assert {"passes", "modules (stream 7)"} <= {event.get("args", {}).get("name") for event in events}
    done = run(["annotate", str(trace), "-o", "out.json", "--lang", "ru", "--quiet"], tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert "модули (поток 7)" in (tmp_path / "out.json").read_text()


def test_annotate_says_what_is_not_in_the_copy(tmp_path: Path) -> None:
    trace = sound_trace(tmp_path / "t.json")
    trace.write_text(trace.read_text()[:-2])
    done = run(["annotate", str(trace), "-q", "-o", "out.json"], tmp_path, LC_ALL="ru_RU.UTF-8")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines()[-1] == (
        "tracekit: копия обрывается там же, но закрыта, так что открывается"
    )
    json.loads((tmp_path / "out.json").read_text())


@pytest.mark.parametrize(
    "arguments",
    [
        ["annotate"],
        ["annotate", "missing.json"],
        ["annotate", "t.json", "-o", "t.json"],
        ["annotate", "t.json", "-o", "out.txt"],
        ["annotate", "t.json", "--peak-tflops", "nan"],
        ["annotate", "t.json", "--lang", "de"],
    ],
)
def test_usage_error_of_annotate_is_one_line_and_exit_2(tmp_path: Path, arguments: list[str]) -> None:
    sound_trace(tmp_path / "t.json")
    done = run(arguments, tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["t.json"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "no such file"),
        (b"", "is empty"),
        (b"hello\nworld\n", "is not JSON"),
        (gzip.compress(b'{"traceEvents": [' + b" " * 1000)[:30], "before its first event"),
        (b'{"name": "not a trace"}', "has no traceEvents"),
    ],
)
def test_unsuitable_file_is_one_line_and_exit_2(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "bad\nname.json"
    if content is not None:
        path.write_bytes(content)
    done = run(["analyze", str(path)], tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "name.json" in done.stderr
    assert says in done.stderr
    assert not list(tmp_path.glob("*-report"))


@pytest.mark.parametrize("command", ["analyze", "annotate"])
def test_path_that_cannot_be_looked_at_is_one_line_and_exit_2(tmp_path: Path, command: str) -> None:
    """As in a directory that only others may enter, which is no hindrance to an administrator's tests."""
    trace, long = sound_trace(tmp_path / "t.json"), "n" * 300
    for arguments in ([f"{long}.json"], [str(trace), "-o", f"{long}.json"]):
        done = run([command, *arguments], tmp_path)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert done.stderr.startswith(f"tracekit: {long}.json: cannot be ")


def test_directory_is_one_line_and_exit_2(tmp_path: Path) -> None:
    done = run(["analyze", "."], tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "is a directory" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["analyze"],
        ["analyze", "t.json", "--lang", "de"],
        ["analyze", "t.json", "--format", "md,pdf"],
        ["analyze", "t.json", "--gpu", "Voodoo 2"],
        ["analyze", "t.json", "--peak-tflops", "-1"],
        ["analyze", "t.json", "--top", "0"],
        ["analyse"],
        ["analyze", "t.json", "-o", "t.json"],
    ],
)
def test_usage_error_is_one_line_and_exit_2(tmp_path: Path, arguments: list[str]) -> None:
    sound_trace(tmp_path / "t.json")
    done = run(arguments, tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("tracekit: ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.json"]


def test_what_the_user_keeps_in_the_report_directory_stays(tmp_path: Path) -> None:
    trace = sound_trace(tmp_path / "t.json")
    for _ in range(2):
        assert run(["analyze", str(trace), "-o", "out", "--format", "json"], tmp_path).returncode == 0
        (tmp_path / "out" / "notes.txt").write_text("mine")
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"


def test_json_alone_imports_neither_pandas_nor_matplotlib_nor_torch(tmp_path: Path) -> None:
    trace = sound_trace(tmp_path / "t.json")
    program = (
        "import sys; from tracekit.cli import main; code = main(sys.argv[1:]);"
        "heavy = {'pandas', 'matplotlib', 'torch', 'jinja2'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else code)"
    )
    arguments = ["analyze", str(trace), "--format", "json", "-o", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; from tracekit.cli import main; main(['--help']);"
        "heavy = {'numpy', 'pandas', 'matplotlib', 'rich', 'babel', 'torch'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "analyze" in done.stdout


def test_capture_is_the_same_program_as_the_script(tmp_path: Path) -> None:
    done = run(["capture", "--help"], tmp_path)
    assert done.returncode == 0
    assert "--random-weights" in done.stdout


@pytest.mark.parametrize("command", ["analyze", "annotate"])
def test_what_is_wrong_is_said_in_the_language_of_the_report(tmp_path: Path, command: str) -> None:
    russian = "tracekit: no.json: нет такого файла\n"
    assert run([command, "no.json", "--lang", "ru"], tmp_path).stderr == russian
    assert run([command, "no.json"], tmp_path, LC_ALL="ru_RU.UTF-8").stderr == russian
    english = run([command, "no.json", "--lang", "en"], tmp_path, LC_ALL="ru_RU.UTF-8")
    assert english.stderr == "tracekit: no.json: no such file\n"


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({"LANG": "ru_RU.UTF-8"}, "ru"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LC_ALL": "C", "LANG": "ru_RU.UTF-8"}, "en"),
        ({}, "en"),
    ],
)
def test_language_follows_the_locale(environment: dict[str, str], language: str) -> None:
    assert default_language(environment) == language


@pytest.mark.parametrize(
    ("name", "directory"),
    [
        ("h100_qwen1.5_0.5b.json.gz", "h100_qwen1.5_0.5b-report"),
        *(
            (f"trace.json.{packed}", "trace-report")
            for packed in ("zst", "bz2", "xz", "zip", "gz.zip", "zst.xz")
        ),
        ("trace.zip", "trace-report"),
        ("host_1.2.pt.trace.json", "host_1.2.pt.trace-report"),
        ("a.gz.json", "a.gz-report"),
        (".json.gz", "trace-report"),
    ],
)
def test_default_directory_is_the_name_of_the_trace(name: str, directory: str) -> None:
    assert default_directory(Path("a", name)) == Path(directory)


def test_main_returns_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert main(["analyze", "nowhere.json"]) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--peak-tflops", "nan"],
        ["--peak-tflops", "inf"],
        ["--bandwidth", "1e308"],
        ["--peak-tflops", "1e-300"],
    ],
)
def test_absurd_figures_are_refused(tmp_path: Path, arguments: list[str]) -> None:
    trace = sound_trace(tmp_path / "t.json")
    done = run(["analyze", str(trace), *arguments], tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "internal error" not in done.stderr


def test_formats_may_be_written_with_spaces_and_capitals(tmp_path: Path) -> None:
    trace = sound_trace(tmp_path / "t.json")
    assert run(["analyze", str(trace), "--format", "MD, json", "-o", "out"], tmp_path).returncode == 0
    assert {path.name for path in (tmp_path / "out").glob("[!.]*")} == {"report.md", "report.json"}


def test_output_that_cannot_be_printed_is_one_line(tmp_path: Path) -> None:
    trace = sound_trace(tmp_path / "t.json")
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "tracekit", "analyze", str(trace), "--format", "json", "-o", "out"]
        done = subprocess.run(command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "could not be printed" in done.stderr
    assert (tmp_path / "out" / "report.json").is_file()


def test_gpu_other_than_the_trace_names_is_said(tmp_path: Path) -> None:
    builder = TraceBuilder().launch(1, 5).kernel(1, 20, 30)
    builder.metadata["deviceProperties"] = [{"id": 0, "name": "NVIDIA H100 80GB HBM3"}]
    trace = builder.write(tmp_path / "t.json")
    assert (
        run(["analyze", str(trace), "--gpu", "mi300x", "--format", "json", "-o", "out"], tmp_path).returncode
        == 0
    )
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["device"]["name"] == "NVIDIA H100 80GB HBM3"
    assert any("MI300X" in finding["evidence"] for finding in report["findings"])


def test_top_limits_the_list_of_modules(tmp_path: Path) -> None:
    builder = TraceBuilder().frame("Net_0", 0, 50).frame("Linear_0", 10, 20)
    builder.launch(1, 12).kernel(1, 60, 70).launch(2, 30).kernel(2, 70, 72)
    trace = builder.write(tmp_path / "t.json")
    assert run(["analyze", str(trace), "--format", "md", "--top", "1", "-o", "out"], tmp_path).returncode == 0
    report = (tmp_path / "out" / "report.md").read_text()
    listed = report.partition("## Slowest modules (1)\n")[2].partition("\n##")[0]
    assert [line for line in listed.splitlines() if line.startswith("- ")] == [
        "- 0.010 ms — `Net_0.Linear_0` (Linear)"
    ]
