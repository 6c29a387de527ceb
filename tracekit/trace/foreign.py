"""Recognises what people have in place of a trace, by how it begins: to say what to do about it."""

from __future__ import annotations

import re
from pathlib import Path

from tracekit.messages import N_, Message

_PAGE = re.compile(rb"<(?:!doctype\s+html|html)\b", re.IGNORECASE)
_ARCHIVES = {
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!\x1a\x07": "rar",
    b"\x04\x22\x4d\x18": "lz4",
    b"LZIP": "lzip",
    b"\x1f\x9d": "compress",
}
_TAR_MAGIC_AT, _TAR_MAGIC = 257, b"ustar"


def what_it_is(path: Path, beginning: bytes) -> Message | None:
    """What the file at `path` is and what to do, if its `beginning` says so."""
    start = beginning.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not start:
        return N_("{path}: is empty; capture the trace again", path=path)
    if start.startswith(b"version https://git-lfs."):
        return N_("{path}: is a pointer of Git LFS, not the file itself; run git lfs pull", path=path)
    if _PAGE.match(start):
        return N_("{path}: is a web page; download the file that it shows", path=path)
    if start.startswith(b"<?xml"):
        return N_("{path}: is XML, perhaps what a server said instead of sending the file", path=path)
    if beginning.startswith(b"SQLite format 3\0"):
        return N_("{path}: is a database; tracekit reads traces of the PyTorch profiler", path=path)
    if beginning[_TAR_MAGIC_AT:].startswith(_TAR_MAGIC):
        return N_("{path}: is a tar archive; unpack it and name the trace in it", path=path)
    for magic, name in _ARCHIVES.items():
        if beginning.startswith(magic):
            return N_("{path}: is packed as {name}, which is not read; unpack it first", path=path, name=name)
    return None
