"""The writer: one valid gzipped JSON object, or what was there before."""

from __future__ import annotations

import errno
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from tracekit.capture import writer
from tracekit.capture.errors import CaptureError
from tracekit.capture.writer import check_destination, write_trace

# How torch 2.13, 2.11 and 2.4 write a trace: which fields share a line, and what follows the events.
LAYOUTS = {
    "2.13": """{
  "schemaVersion": 1,
  "traceEvents": [
  {
    "ph": "X",
    "cat": "user_annotation",
    "name": "%s",
    "pid": 1,
    "tid": 2
  },
  {
    "ph": "M",
    "args": {
      "name": "thread 1 (%s)"
    }
  },
  {
    "ph": "s", "id": 1, "name": "ac2g", "bp": "e"
  }
  ],"traceName": "/tmp/elsewhere.json" }""",
}
SEVERAL_FIELDS_A_LINE = """
{
  "schemaVersion": 1,
  "traceEvents": [
  {
    "ph": "X", "cat": "user_annotation", "name": "%%s", "pid": 1, "tid": 2,
    "ts": 4669920914852.507, "dur": 919.150
  },
  {
    "name": "thread_name", "ph": "M", "ts": 4669920914852.507, "pid": 1, "tid": 2,
    "args": {
      "name": "thread 1 (%%s)"
    }
  },
  {
    "ph": "s", "id": 1, "pid": 1, "tid": 2, "ts": 4669920914852.507,
    "cat": "ac2g", "name": "ac2g", "bp": "e"
  },
  {
    "name": "Record Window End", "ph": "i", "s": "g",
    "pid": "", "tid": "", "ts": 4669920915973.550
  }
  ],
  "traceName": "/tmp/elsewhere.json"%s
}"""
LAYOUTS["2.11"] = SEVERAL_FIELDS_A_LINE % ""
LAYOUTS["2.4"] = (
    SEVERAL_FIELDS_A_LINE % ',\n  "displayTimeUnit": "ms",\n  "baseTimeNanoseconds": 1790857026000000000'
)
TORCH_LIKE = LAYOUTS["2.13"]
in_every_layout = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)


def exporter(text: str) -> Callable[[str], object]:
    return lambda path: Path(path).write_text(text, encoding="utf-8")


def written(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()))
    return content


@in_every_layout
@pytest.mark.parametrize("piece_bytes", [1, 7, 64, 1 << 20])
@pytest.mark.parametrize(
    "name",
    [
        *("plain", 'a "quoted" one', '"', '""', 'ends with"', '", "x"', r"half-escaped \" \\"),
        *('", "pid": 5, "tid": 6,', '", "pid": 5, "tid": 6', 'x", "ph": "X"', '"traceName": "/home/ada"'),
        *('a", "key": "enigma', 'a", "cat": "enigma'),
    ],
)
def test_names_with_quotes_wherever_the_pieces_are_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str, name: str, piece_bytes: int
) -> None:
    monkeypatch.setattr(writer, "_PIECE_BYTES", piece_bytes)
    path = tmp_path / "t.json.gz"
    write_trace(exporter(layout % (name, name)), {"schema": "s"}, path)
    content = written(path)
    assert list(content)[:4] == ["tracekit", "schemaVersion", "traceEvents", "traceName"]
    plain = name.replace('\\"', '"').replace("\\\\", "\\")
    events = content["traceEvents"]
    assert (events[0]["name"], events[0]["pid"], events[0]["tid"]) == (plain, 1, 2)
    assert events[1]["args"]["name"] == f"thread 1 ({plain})"
    assert (events[2]["ph"], events[2]["id"], events[2]["name"], events[2]["bp"]) == ("s", 1, "ac2g", "e")
    assert [(event["name"], event["s"]) for event in events[3:]] in ([], [("Record Window End", "g")])
    assert content["traceName"] == "t.json.gz"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real = tmp_path / "elsewhere" / "real.json.gz"
    real.parent.mkdir()
    link = tmp_path / "t.json.gz"
    link.symlink_to(real)
    check_destination(link)
    write_trace(exporter(TORCH_LIKE % ("a", "b")), {}, link)
    assert link.is_symlink()
    assert written(real)["traceName"] == "t.json.gz"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "t.json.gz"]


@in_every_layout
def test_control_characters_become_blanks(tmp_path: Path, layout: str) -> None:
    path = tmp_path / "t.json.gz"
    write_trace(exporter(layout % ("tab\there", "a\x01b")), {}, path)
    events = written(path)["traceEvents"]
    assert (events[0]["name"], events[1]["args"]["name"]) == ("tab here", "thread 1 (a b)")


@in_every_layout
def test_what_torch_wrote_is_kept_to_the_letter(tmp_path: Path, layout: str) -> None:
    path = tmp_path / "t.json.gz"
    text = layout % ("a", "b")
    write_trace(exporter(text), {"schema": "s"}, path)
    after_key = gzip.decompress(path.read_bytes()).decode().removeprefix('{"tracekit": {"schema": "s"},')
    assert after_key == text.lstrip()[1:].replace("/tmp/elsewhere.json", "t.json.gz")


@in_every_layout
@pytest.mark.parametrize("piece_bytes", [1, 7, 64, 1 << 20])
def test_blank_lines_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str, piece_bytes: int
) -> None:
    monkeypatch.setattr(writer, "_PIECE_BYTES", piece_bytes)
    path = tmp_path / "t.json.gz"
    write_trace(exporter(layout % ("a", "b") + "\n  \n\n"), {}, path)
    content = written(path)
    assert list(content)[:4] == ["tracekit", "schemaVersion", "traceEvents", "traceName"]
    assert content["traceName"] == "t.json.gz"


@pytest.mark.parametrize("folder", ["plain", 'quo"te', "back\\slash", "größe"])
def test_any_directory_will_do(tmp_path: Path, folder: str) -> None:
    # torch writes the path into the trace as it is, and takes a backslash for a slash
    parent = tmp_path / folder
    parent.mkdir()
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        torch.ones(1)
    path = parent / 'my "trace".json.gz'
    write_trace(profiler.export_chrome_trace, {}, path)
    assert written(path)["traceName"] == 'my "trace".json.gz'
    assert list(parent.iterdir()) == [path]


def test_same_trace_same_bytes_and_usual_permissions(tmp_path: Path) -> None:
    paths = [tmp_path / folder / "t.json.gz" for folder in ("a", "b")]
    mask = os.umask(0o027)
    try:
        for path in paths:
            path.parent.mkdir()
            write_trace(exporter(TORCH_LIKE % ("a", "b")), {}, path)
    finally:
        os.umask(mask)
    first, second = (path.read_bytes() for path in paths)
    assert first == second
    assert first[4:8] == b"\0\0\0\0"  # modification time in the gzip header
    assert paths[0].stat().st_mode & 0o777 == 0o640


def no_space(path: str) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def no_profile(path: str) -> None:
    raise RuntimeError("nothing was\nprofiled")


def interrupted(path: str) -> None:
    Path(path).write_text("{")
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("export", "error", "text"),
    [
        (no_space, CaptureError, "No space left on device"),
        (interrupted, KeyboardInterrupt, None),
        (exporter('{\n "traceEvents": [\n'), CaptureError, "half a trace"),
        (exporter(""), CaptureError, "no trace"),
        (lambda path: None, CaptureError, "cannot be written.*exported nothing.*disk full"),
        (no_profile, CaptureError, "t.json.gz: cannot be written: nothing was profiled"),
    ],
)
@pytest.mark.parametrize("existing", [True, False])
def test_failure_leaves_what_was_there(
    tmp_path: Path,
    export: Callable[[str], object],
    error: type[BaseException],
    text: str | None,
    existing: bool,
) -> None:
    path = tmp_path / "t.json.gz"
    if existing:
        path.write_bytes(b"precious")
    with pytest.raises(error, match=text):
        write_trace(export, {}, path)
    assert [p.name for p in tmp_path.iterdir()] == (["t.json.gz"] if existing else [])
    assert not existing or path.read_bytes() == b"precious"


CHILD = """
import os, resource, shutil, signal, sys, time
from pathlib import Path
from tracekit.capture import writer
from tracekit.capture.errors import CaptureError

signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs lack
event = '  {"ph": "X", "cat": "cpu_op", "name": "aten::mm", "args": {"noise": "%s"}\\n  },\\n'

def export(path):
    events = (event % os.urandom(500).hex() for _ in range(5000))
    text = '{\\n "traceEvents": [\\n' + "".join(events) + '  {"ph": "i"}\\n  ],"traceName": "x" }'
    Path(path).write_text(text)

def paused():
    print("now", flush=True)
    time.sleep(60)

__SETUP__
try:
    writer.write_trace(export, {}, Path(sys.argv[1]))
except CaptureError as error:
    print(error, file=sys.stderr)
    sys.exit(2)
except KeyboardInterrupt:
    sys.exit(130)
"""
SMALL_FILES = """
resource.setrlimit(resource.RLIMIT_FSIZE, (__LIMIT__, __LIMIT__))
"""
PAUSED_EXPORT = """
whole = export
def export(path):
    whole(path)
    paused()
"""
PAUSED_COMPRESSION = """
pieces = writer._pieces
def half(*args, **kwargs):
    for number, piece in enumerate(pieces(*args, **kwargs)):
        yield piece
        if number == 2:
            paused()
writer._pieces = half
"""
PAUSED_CLEANING = """
rmtree = shutil.rmtree
def once(*args, **kwargs):
    shutil.rmtree = rmtree
    paused()
shutil.rmtree = once
"""


def child(path: Path, setup: str, **environment: str) -> subprocess.Popen[str]:
    """A process of its own that writes a trace of 5.4 MB, which compresses to half of that."""
    path.write_bytes(b"precious")
    return subprocess.Popen(
        [sys.executable, "-c", CHILD.replace("__SETUP__", setup), str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def assert_untouched(path: Path) -> None:
    assert path.read_bytes() == b"precious"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX limits")
@pytest.mark.parametrize("limit_bytes", [100_000, 4_000_000, 6_000_000])
def test_a_limit_on_the_size_of_files(tmp_path: Path, limit_bytes: int) -> None:
    path = tmp_path / "t.json.gz"
    process = child(path, SMALL_FILES.replace("__LIMIT__", str(limit_bytes)))
    _, errors = process.communicate(timeout=60)
    if limit_bytes > 5_400_000:  # room for the export, and so for the smaller result
        assert (process.returncode, errors) == (0, "")
        assert len(written(path)["traceEvents"]) == 5001
    else:
        assert process.returncode == 2
        assert errors == f"{path}: cannot be written: File too large\n"
        assert_untouched(path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for 8 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    size = ["-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if mount is None or subprocess.run([mount, *size], capture_output=True).returncode:
        pytest.skip("may not mount a small disk")
    yield folder
    # Lazily: Kineto forgets to close a file that it could not write.
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("free_bytes", [100_000, 6_000_000])  # too little for the export; for its result
def test_a_full_disk(small_disk: Path, free_bytes: int) -> None:
    filler = small_disk.parent / "disk" / "filler"
    filler.write_bytes(bytes((8 << 20) - free_bytes))
    path = small_disk / "t.json.gz"
    process = child(path, "")
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (2, f"{path}: cannot be written: No space left on device\n")
    filler.unlink()
    assert_untouched(path)


def test_a_disk_too_full_for_kineto_which_says_nothing(small_disk: Path) -> None:
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(100):
            torch.ones(1)
    filler = small_disk / "filler"
    filler.write_bytes(bytes((8 << 20) - 20_000))
    with pytest.raises(CaptureError, match="is the disk full"):
        write_trace(profiler.export_chrome_trace, {}, small_disk / "t.json.gz")
    assert list(small_disk.iterdir()) == [filler]


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
@pytest.mark.parametrize("setup", [PAUSED_EXPORT, PAUSED_COMPRESSION])
def test_ctrl_c(tmp_path: Path, setup: str) -> None:
    path = tmp_path / "t.json.gz"
    process = child(path, setup)
    assert process.stdout is not None
    assert process.stdout.readline() == "now\n"
    assert len(list(tmp_path.iterdir())) > 1  # there is something to clean up
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 130
    assert_untouched(path)


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_ctrl_c_while_cleaning_up(tmp_path: Path) -> None:
    path = tmp_path / "t.json.gz"
    process = child(path, PAUSED_CLEANING)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert list(tmp_path.iterdir()) == [path]
    assert len(written(path)["traceEvents"]) == 5001  # it was finished before


def test_a_destination_on_another_file_system(small_disk: Path) -> None:
    path = small_disk / "größe.json.gz"  # a name in which torch cannot write
    assert os.stat(small_disk).st_dev != os.stat(tempfile.gettempdir()).st_dev
    write_trace(exporter(TORCH_LIKE % ("a", "b")), {}, path)
    assert written(path)["traceName"] == "größe.json.gz"
    assert list(small_disk.iterdir()) == [path]


def test_without_a_temporary_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    path = tmp_path / "t.json.gz"
    write_trace(exporter(TORCH_LIKE % ("a", "b")), {}, path)  # beside the destination
    assert written(path)["traceName"] == "t.json.gz"
    folder = tmp_path / "größe"  # torch cannot write there
    folder.mkdir()
    with pytest.raises(CaptureError, match="No usable temporary directory"):
        write_trace(exporter(TORCH_LIKE % ("a", "b")), {}, folder / "t.json.gz")
    assert list(folder.iterdir()) == []


def test_a_directory_that_lost_its_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(tempfile, "mkdtemp", denied)
    with pytest.raises(CaptureError, match=r"t\.json\.gz: cannot be written: Permission denied"):
        write_trace(exporter(TORCH_LIKE % ("a", "b")), {}, tmp_path / "t.json.gz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [("t.json", "gzipped"), ("nowhere/t.json.gz", "no directory"), ("folder.gz", "no ordinary file")],
)
def test_destinations_that_cannot_be(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "folder.gz").mkdir()
    with pytest.raises(CaptureError, match=text):
        check_destination(tmp_path / name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(CaptureError, match="not writable"):
        check_destination(tmp_path / "t.json.gz")
