"""Writes one file: whole or not at all, whatever stood there before."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from isal import isal_zlib

from tracekit.messages import N_, UserError
from tracekit.report.stage import workspace

_LEVEL = 2  # of 0 to 3: the last one takes a third longer and wins two per cent
_PIECE_BYTES = 1 << 20


def replace_file(path: Path, pieces: Iterable[bytes]) -> None:
    """Makes `path` a file of these bytes, compressed where its name ends in `.gz`.

    Until it is complete, what stood there stays; a pipe or a device such as `/dev/null` is written to, and
    stays. Raises `UserError` where it cannot be written.
    """
    target = Path(os.path.realpath(path))
    try:
        if _is_special(path):
            with path.open("wb") as file:
                file.writelines(_gathered(pieces))
            return
        with workspace(target) as space:
            stage = space / "copy"
            with stage.open("wb") as file:
                file.writelines(_compressed(pieces) if target.suffix == ".gz" else _gathered(pieces))
            stage.chmod(mode_of(target, 0o666))
            os.replace(stage, target)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(N_("{path}: cannot be written ({reason})", path=str(path), reason=reason)) from None


def _is_special(path: Path) -> bool:
    """Whether it is neither a file nor a directory, but there."""
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def _gathered(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces that are worth a call."""
    buffer = bytearray()
    for piece in pieces:
        buffer += piece
        if len(buffer) >= _PIECE_BYTES:
            yield bytes(buffer)
            buffer.clear()
    yield bytes(buffer)


def _compressed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    compressor = isal_zlib.compressobj(_LEVEL, wbits=31)
    for piece in _gathered(pieces):
        yield compressor.compress(piece)
    yield compressor.flush()


def mode_of(target: Path, new: int) -> int:
    """The permissions of what is replaced, else those of any new file or directory, without a mask `new`."""
    with suppress(FileNotFoundError):
        return target.stat().st_mode & 0o777
    # The only way to read the mask is to set it, which other threads see: to a strict one, briefly.
    mask = os.umask(0o077)
    os.umask(mask)
    return new & ~mask
