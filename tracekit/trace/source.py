"""Bytes of a trace file, unpacked piece by piece; knows nothing of JSON."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO, TypeAlias

from tracekit.messages import N_, Message, UserError
from tracekit.trace.containers import unpacked
from tracekit.trace.streams import Unpacking

PIECE_BYTES = 1 << 19

Progress: TypeAlias = Callable[[int], None]


@dataclass
class Source:
    """A trace file that can be read once; `problem` says after reading why it ended early, if it did.

    `size_bytes` is 0 where it is no regular file: a pipe, which cannot be opened again either.
    """

    path: Path
    size_bytes: int
    is_regular: bool = True
    problem: Message | None = None

    def pieces(self, progress: Progress | None = None) -> Iterator[bytes]:
        """Unpacked pieces of at most `PIECE_BYTES`; `progress` is told of packed bytes, `size_bytes` in all.

        Raises `UserError` where the file cannot be read or unpacked at all.
        """
        read = _Told(progress, self.size_bytes if self.is_regular else None)
        with _opened(self.path) as file:
            raw = _raw_pieces(file, read)
            if not (first := next(raw, b"")):
                raise _empty(self.path)
            unpacking = Unpacking(self.path, PIECE_BYTES, self._note)
            yield from unpacked(chain([first], raw), unpacking, file if self.is_regular else None)
        read.rest()

    def _note(self, problem: Message) -> None:
        """The first is the cause of all that follow it."""
        self.problem = self.problem or problem


def open_source(path: str | Path) -> Source:
    """The file at `path`, a pipe not opened yet; raises `UserError` where there is none that can be read."""
    path = Path(path)
    try:
        if path.is_dir():
            raise UserError(N_("{path}: is a directory; name the trace file in it", path=path))
        status = path.stat()
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    if not stat.S_ISREG(status.st_mode):
        return Source(path, 0, is_regular=False)
    with _opened(path):
        pass
    if status.st_size == 0:
        raise _empty(path)
    return Source(path, status.st_size)


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError | ValueError) -> UserError:
    if isinstance(error, FileNotFoundError):
        return UserError(N_("{path}: no such file", path=path))
    reason = getattr(error, "strerror", None) or str(error)
    return UserError(N_("{path}: cannot be read ({reason})", path=path, reason=reason))


def _empty(path: Path) -> UserError:
    return UserError(N_("{path}: is empty; capture the trace again", path=path))


class _Told:
    """Tells `progress` of bytes, of no more than `size_bytes` where that is known."""

    def __init__(self, progress: Progress | None, size_bytes: int | None) -> None:
        self._progress = progress
        self._left = size_bytes

    def tell(self, count: int) -> None:
        if self._left is not None:
            count = min(count, self._left)
            self._left -= count
        if self._progress and count:
            self._progress(count)

    def rest(self) -> None:
        self.tell(self._left or 0)


def _raw_pieces(file: BinaryIO, read: _Told) -> Iterator[bytes]:
    while piece := file.read(PIECE_BYTES):
        read.tell(len(piece))
        yield piece
