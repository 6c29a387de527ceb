"""The writer: one valid gzipped JSON object, or what was there before."""

from __future__ import annotations

import errno
import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from tracekit.capture import writer
from tracekit.capture.errors import CaptureError
from tracekit.capture.writer import check_destination, write_trace

TORCH_LIKE = """{
  "schemaVersion": 1,
  "traceEvents": [
  {
    "ph": "X",
    "cat": "user_annotation",
    "name": "%s",
    "pid": 1
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
  ],"traceName": "/tmp/elsewhere.json" }"""


def exporter(text: str) -> Callable[[str], object]:
    return lambda path: Path(path).write_text(text, encoding="utf-8")


def written(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()))
    return content


@pytest.mark.parametrize("piece_bytes", [1, 7, 64, 1 << 20])
@pytest.mark.parametrize(
    "name", ["plain", 'a "quoted" one', '"', '""', 'ends with"', '", "x"', r"half-escaped \" \\"]
)
def test_names_with_quotes_wherever_the_pieces_are_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, piece_bytes: int
) -> None:
    monkeypatch.setattr(writer, "_PIECE_BYTES", piece_bytes)
    path = tmp_path / "t.json.gz"
    write_trace(exporter(TORCH_LIKE % (name, name)), {"schema": "s"}, path)
    content = written(path)
    assert list(content) == ["tracekit", "schemaVersion", "traceEvents", "traceName"]
    plain = name.replace('\\"', '"').replace("\\\\", "\\")
    assert content["traceEvents"][0]["name"] == plain
    assert content["traceEvents"][0]["pid"] == 1
    assert content["traceEvents"][1]["args"]["name"] == f"thread 1 ({plain})"
    assert content["traceEvents"][2] == {"ph": "s", "id": 1, "name": "ac2g", "bp": "e"}
    assert content["traceName"] == "t.json.gz"


def test_what_torch_wrote_is_kept_to_the_letter(tmp_path: Path) -> None:
    path = tmp_path / "t.json.gz"
    text = TORCH_LIKE % ("a", "b")
    write_trace(exporter(text), {"schema": "s"}, path)
    after_key = gzip.decompress(path.read_bytes()).decode().removeprefix('{"tracekit": {"schema": "s"},')
    assert after_key == text[1:].replace("/tmp/elsewhere.json", "t.json.gz")


@pytest.mark.parametrize("piece_bytes", [1, 7, 64, 1 << 20])
def test_blank_lines_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece_bytes: int) -> None:
    monkeypatch.setattr(writer, "_PIECE_BYTES", piece_bytes)
    path = tmp_path / "t.json.gz"
    write_trace(exporter(TORCH_LIKE % ("a", "b") + "\n  \n\n"), {}, path)
    assert list(written(path)) == ["tracekit", "schemaVersion", "traceEvents", "traceName"]


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
        (lambda path: None, CaptureError, "cannot be written"),
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
