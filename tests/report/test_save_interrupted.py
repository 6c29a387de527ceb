"""Signals at any moment, a killed process, a full disk: a report is whole, as it was, or not there."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from tests.builder import TraceBuilder
from tests.report import build
from tracekit import report as renderers
from tracekit.interruption import Interrupted, interruptible, undisturbed
from tracekit.messages import UserError
from tracekit.report import stage
from tracekit.report.files import replace_file
from tracekit.report.json import render_json

REPORT = build.hybrid()
JSON = render_json(REPORT)
OLDER = {".tracekit-report": b".tracekit-report\nold.txt\n", "old.txt": b"old", "notes.txt": b"mine"}
NEWER = {".tracekit-report": b".tracekit-report\nreport.json\n", "report.json": JSON}
WRITERS = ("save", "directory", "stage", "files")
TRACED = {str(Path(stage.__file__).with_name(f"{name}.py")) for name in WRITERS}


def tree(directory: Path) -> dict[str, bytes]:
    return {
        str(one.relative_to(directory)): one.read_bytes() for one in directory.rglob("*") if one.is_file()
    }


def fill(directory: Path, contents: dict[str, bytes]) -> None:
    directory.mkdir(parents=True)
    for name, data in contents.items():
        (directory / name).write_bytes(data)


def interrupted_at(line: int, work: Callable[[], Any]) -> bool:
    """Whether `work` came so far as its `line`-th line in the files that write; there comes a signal."""
    left = line

    def trace(frame: FrameType, event: str, _value: Any) -> Any:
        nonlocal left
        if frame.f_code.co_filename not in TRACED:
            return None
        if event == "line":
            left -= 1
            if not left:
                sys.settrace(None)
                signal.raise_signal(signal.SIGTERM)
        return trace

    with interruptible() as signals:
        sys.settrace(trace)
        try:
            work()
        except Interrupted:
            assert signals == [signal.SIGTERM]
        finally:
            sys.settrace(None)
    return bool(signals)


def test_a_report_is_whole_whenever_a_signal_comes(tmp_path: Path) -> None:
    line, comes = 0, True
    while comes:
        line += 1
        base = tmp_path / str(line)
        comes = interrupted_at(line, lambda base=base: renderers.save(REPORT, base / "a" / "out", ["json"]))
        assert tree(base) in ({}, {f"a/out/{name}": data for name, data in NEWER.items()})
        assert not base.exists() or os.listdir(base / "a") == ["out"]
    assert line > 50


def test_an_older_report_stays_or_is_replaced_whenever_a_signal_comes(tmp_path: Path) -> None:
    line, comes = 0, True
    while comes:
        line += 1
        base = tmp_path / str(line)
        fill(base / "out", OLDER)
        comes = interrupted_at(line, lambda base=base: renderers.save(REPORT, base / "out", ["json"]))
        assert os.listdir(base) == ["out"]
        assert tree(base / "out") in (OLDER, {**NEWER, "notes.txt": b"mine"})
    assert line > 50


def test_a_copy_is_whole_whenever_a_signal_comes(tmp_path: Path) -> None:
    line, comes = 0, True
    while comes:
        line += 1
        base = tmp_path / str(line)
        fill(base, {"copy.json": b"old"})
        comes = interrupted_at(line, lambda base=base: replace_file(base / "copy.json", [b"ne", b"w"]))
        assert tree(base) in ({"copy.json": b"old"}, {"copy.json": b"new"})
        assert os.listdir(base) == ["copy.json"]
    assert line > 20


def test_what_must_be_done_whole_is_done_before_a_signal_is_heard() -> None:
    done = []

    def work() -> None:
        with undisturbed():
            signal.raise_signal(signal.SIGINT)
            done.append("whole")
        done.append("not reached")

    with interruptible() as signals, pytest.raises(Interrupted):
        work()
    assert (done, signals) == (["whole"], [signal.SIGINT])


KILLED = """
import os, sys
from pathlib import Path
from tests.report import build
from tracekit import report
rename, left = os.rename, int(sys.argv[2])
def renaming(*names):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), 9)
    rename(*names)
os.rename = renaming
report.save(build.hybrid(), sys.argv[1], ["json"])
"""


@pytest.mark.parametrize("rename", [1, 2, 3])
def test_what_a_killed_process_leaves_is_tidied_up_by_the_next(tmp_path: Path, rename: int) -> None:
    """It is killed before the old report is taken away, between that and the new one, and after both."""
    out = tmp_path / "out"
    fill(out, OLDER)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(out), str(rename)], cwd=Path(__file__).parents[2]
    )
    assert done.returncode == -signal.SIGKILL
    assert len(os.listdir(tmp_path)) == 2 - (rename == 2)
    assert b"mine" in tree(tmp_path).values()
    renderers.save(REPORT, out, ["json"])
    assert os.listdir(tmp_path) == ["out"]
    assert tree(out) == {**NEWER, "notes.txt": b"mine"}


def test_what_another_process_works_in_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with stage.workspace(out) as space:
        (space / "half").write_text("written")
        renderers.save(REPORT, out, ["json"])
        assert (space / "half").read_text() == "written"
    assert os.listdir(tmp_path) == ["out"]


def test_a_link_with_the_name_of_a_workspace_is_not_followed(tmp_path: Path) -> None:
    with stage.workspace(tmp_path / "out") as space:
        name = space.name
    fill(tmp_path / "precious", OLDER)
    (tmp_path / name).symlink_to("precious")
    renderers.save(REPORT, tmp_path / "out", ["json"])
    assert tree(tmp_path / "precious") == OLDER


def test_a_full_disk_leaves_the_old_report(tmp_path: Path) -> None:
    out = tmp_path / "out"
    fill(out, OLDER)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(JSON) // 2, limits[1]))
    try:
        with pytest.raises(UserError, match="cannot be written"):
            renderers.save(REPORT, out, ["json"])
        with pytest.raises(UserError, match="cannot be written"):
            replace_file(out / "old.txt", [JSON])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (os.listdir(tmp_path), tree(out)) == (["out"], OLDER)


@pytest.mark.parametrize(("command", "target"), [("analyze", "out"), ("annotate", "copy.json")])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_command_ends_with_one_line(
    tmp_path: Path, command: str, target: str, number: signal.Signals, code: int
) -> None:
    """At two moments of a run: as soon as it is under way, and later."""
    program = "import sys; print(flush=True); from tracekit.__main__ import main; sys.exit(main())"
    place = tmp_path / "place"
    place.mkdir()
    trace = TraceBuilder().frame("Net_0", 0, 50).launch(1, 5).kernel(1, 20, 30).write(tmp_path / "t.json")
    arguments = [sys.executable, "-c", program, command, str(trace), "-o", target, "-q"]
    for seconds in (0.25, 0.5):
        process = subprocess.Popen(
            arguments, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(seconds)
        process.send_signal(number)
        errors = process.communicate(timeout=60)[1].decode()
        if process.returncode == 0:  # a fast machine: it had been done
            assert (errors, os.listdir(place)) == ("", [target])
        elif process.returncode != -number:  # a slow one: it had not begun
            assert (process.returncode, errors) == (
                code,
                "tracekit: interrupted; nothing is left half-written\n",
            )
        assert set(os.listdir(place)) <= {target}
        with pytest.raises(ProcessLookupError):
            os.killpg(process.pid, 0)
