"""Bytes of a trace file, decompressed piece by piece; knows nothing of JSON."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, cast

from isal import isal_zlib

from tracekit.messages import N_, Message, UserError

PIECE_BYTES = 1 << 19
GZIP_MAGIC = b"\x1f\x8b"
_OTHER_FORMATS = {b"\x28\xb5\x2f\xfd": "zstd", b"PK\x03\x04": "zip", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}

_DAMAGED: tuple[type[Exception], ...] = (cast(type[Exception], isal_zlib.error), zlib.error)

Progress: TypeAlias = Callable[[int], None]


@dataclass
class Source:
    """A trace file that can be read once; `problem` says after reading why it ended early, if it did."""

    path: Path
    size_bytes: int
    problem: Message | None = None

    def pieces(self, progress: Progress | None = None) -> Iterator[bytes]:
        """Decompressed pieces of at most `PIECE_BYTES`; `progress` is told of compressed bytes read."""
        with self.path.open("rb") as file:
            head = file.read(PIECE_BYTES)
            for magic, name in _OTHER_FORMATS.items():
                if head.startswith(magic):
                    raise UserError(
                        N_(
                            "{path}: is a {format} file; unpack it first (read are .json and .json.gz)",
                            path=self.path,
                            format=name,
                        )
                    )
            raw = _raw_pieces(head, file.read, progress)
            yield from self._inflate(raw) if head.startswith(GZIP_MAGIC) else raw

    def _inflate(self, raw: Iterator[bytes]) -> Iterator[bytes]:
        inflater = isal_zlib.decompressobj(wbits=31)
        try:
            for data in raw:
                while data:
                    if inflater.eof:
                        data = data.lstrip(b"\0")  # padding between or behind members
                        if not data.startswith(GZIP_MAGIC):
                            return  # what follows the last member is no part of the stream
                        inflater = isal_zlib.decompressobj(wbits=31)
                    piece = inflater.decompress(data, PIECE_BYTES)
                    if piece:
                        yield piece
                    data = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
        except _DAMAGED as error:
            self.problem = N_("the compressed stream is damaged ({error})", error=str(error))
            return
        if not inflater.eof:
            while piece := inflater.decompress(b"", PIECE_BYTES):
                yield piece
            if not inflater.eof:
                self.problem = N_("the compressed stream is cut off")


def open_source(path: str | Path) -> Source:
    """The file at `path`; raises `UserError` where there is none that can be read."""
    path = Path(path)
    try:
        if path.is_dir():
            raise UserError(N_("{path}: is a directory; name the trace file in it", path=path))
        size = path.stat().st_size
        with path.open("rb"):
            pass
    except FileNotFoundError:
        raise UserError(N_("{path}: no such file", path=path)) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(N_("{path}: cannot be read ({reason})", path=path, reason=reason)) from None
    if size == 0:
        raise UserError(N_("{path}: is empty; capture the trace again", path=path))
    return Source(path, size)


def _raw_pieces(head: bytes, read: Callable[[int], bytes], progress: Progress | None) -> Iterator[bytes]:
    piece = head
    while piece:
        if progress:
            progress(len(piece))
        yield piece
        piece = read(PIECE_BYTES)
