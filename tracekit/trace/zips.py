"""The one trace in a zip file, chosen by what its files begin with.

The directory at the end of a zip file is believed. Where there is none, or the zip file comes through a
pipe, it is read from its beginning, file by file.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import BinaryIO, TypeAlias

from tracekit.messages import N_, Message, UserError
from tracekit.trace.streams import CUT_OFF, WRONG_CHECKSUM, Checksum, Input, Report, Unpacking, inflated

FILE, DIRECTORY, END, DESCRIPTOR = b"PK\3\4", b"PK\1\2", b"PK\5\6", b"PK\7\x08"
ZIP = (FILE, END)

_STORED, _DEFLATED = 0, 8
_ENCRYPTED, _HAS_DESCRIPTOR, _UTF8_NAME = 1, 8, 0x800  # flags: APPNOTE.TXT, 4.4.4
_FILE_HEADER = struct.Struct("<4s5H3L2H")
_IN_EXTRA = 0xFFFFFFFF  # a size that is in the extra field, as 64 bits
_END_BYTES = 22  # before its comment
_LONGEST_COMMENT_BYTES = 0xFFFF
_SHOWN_NAME = 100
_HEAD_BYTES = 64 << 10
_UNREADABLE_DIRECTORY = (
    zipfile.BadZipFile,
    struct.error,
    EOFError,
    NotImplementedError,
    ValueError,
    OverflowError,
)

ZIP_CUT_OFF = N_("the zip file is cut off")
ZIP_DAMAGED = N_("the zip file is damaged")

Content: TypeAlias = Callable[[Iterator[bytes], Report], Iterator[bytes]]


@dataclass(frozen=True)
class _Entry:
    """A file in the zip file; `packed_bytes` is None, and the CRC wrong, where they only stand behind it."""

    name: str
    flags: int
    method: int
    crc: int
    packed_bytes: int | None

    @property
    def is_ignored(self) -> bool:
        return self.name.endswith("/") or self.name.startswith("__MACOSX/")

    @property
    def has_descriptor(self) -> bool:
        return bool(self.flags & _HAS_DESCRIPTOR)


def unzipped(
    source: Input, pieces: Iterator[bytes], unpacking: Unpacking, file: BinaryIO | None, content: Content
) -> Iterator[bytes]:
    """The trace in the zip file at whose beginning `source` is; `content` unpacks what a file in it has.

    `pieces` are what is read from `file`, wherever that stands. Raises `UserError` where there is no trace in
    it, more than one, or one that is encrypted or packed in an uncommon way.
    """
    infos = _directory(file) if file else None
    if file is None or infos is None:
        yield from _streamed(source, unpacking, content, has_directory=file is None)
        return
    chosen = _chosen(file, infos, unpacking, content)
    yield from content(_filed(file, chosen, pieces, unpacking), unpacking.report)


def _directory(file: BinaryIO) -> list[zipfile.ZipInfo] | None:
    """What it lists; `file` stands where it did. None where there is none that can be believed."""
    position = file.tell()
    try:
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
        return infos if all(_is_file_at(file, info.header_offset) for info in infos) else None
    except _UNREADABLE_DIRECTORY:
        return None
    finally:
        file.seek(position)


def _is_file_at(file: BinaryIO, offset: int) -> bool:
    if offset < 0:
        return False
    file.seek(offset)
    return file.read(4) == FILE


def _chosen(
    file: BinaryIO, infos: list[zipfile.ZipInfo], unpacking: Unpacking, content: Content
) -> zipfile.ZipInfo:
    possible: list[tuple[zipfile.ZipInfo, bytes]] = []
    errors: list[UserError] = []
    for info in infos:
        if _entry(info).is_ignored:
            continue
        pieces = iter(partial(file.read, _HEAD_BYTES), b"")
        problems: list[Message] = []
        quiet = replace(unpacking, report=problems.append)
        try:
            head = b"".join(_head(content(_filed(file, info, pieces, quiet), quiet.report)))
        except UserError as error:
            errors.append(error)
            continue
        if _may_be_trace(head):
            possible.append((info, head))
        elif problems and not head:
            text = N_("{path}: {problem}; copy or capture it again", path=unpacking.path, problem=problems[0])
            errors.append(UserError(text))
    if len(possible) > 1:  # such as a trace and what was written down about it
        possible = [one for one in possible if _has_events(one[1])] or possible
    if len(possible) == 1:
        return possible[0][0]
    if possible:
        raise _several(unpacking, [info.filename for info, _ in possible])
    raise errors[0] if errors else _without_trace(unpacking)


def _entry(info: zipfile.ZipInfo) -> _Entry:
    return _Entry(
        info.filename, info.flag_bits & ~_HAS_DESCRIPTOR, info.compress_type, info.CRC, info.compress_size
    )


def _filed(
    file: BinaryIO, info: zipfile.ZipInfo, pieces: Iterator[bytes], unpacking: Unpacking
) -> Iterator[bytes]:
    """The file that the directory says this of; `pieces` are what is read from the zip file."""
    file.seek(info.header_offset)
    source = Input(pieces)
    header = source.take(_FILE_HEADER.size)
    if len(header) < _FILE_HEADER.size:
        unpacking.report(ZIP_DAMAGED)
        return
    source.skip(sum(_FILE_HEADER.unpack(header)[-2:]))
    yield from _unpacked(source, _entry(info), unpacking)


def _streamed(source: Input, unpacking: Unpacking, content: Content, has_directory: bool) -> Iterator[bytes]:
    """`has_directory`: False where the one at its end is known to be missing or damaged."""
    names: list[str] = []
    damage: list[Message] = []
    zip_level = replace(unpacking, report=damage.append)
    while not damage and source.peek(4) == FILE:
        entry = _next_entry(source)
        if entry is None:
            damage.append(ZIP_CUT_OFF)
            break
        packed = _unpacked(source, entry, zip_level)
        problems: list[Message] = []
        if not entry.is_ignored:
            text = content(packed, problems.append)
            head = _head(text)
            start = b"".join(head)
            is_all = len(start) < _HEAD_BYTES and not damage
            if _may_be_trace(start) and (_has_events(start) or not is_all):
                names.append(entry.name)
                if len(names) > 1:
                    raise _several(unpacking, names)
                yield from chain(head, text)
        for _ in packed:
            pass
        if entry.name in names:
            for problem in (*damage, *problems):
                unpacking.report(problem)
    if not damage and not _ends(source):
        damage.append(ZIP_CUT_OFF)
    elif not damage and not has_directory:
        damage.append(ZIP_DAMAGED)
    for problem in damage:
        unpacking.report(problem)
    if not names and not damage:
        raise _without_trace(unpacking)


def _next_entry(source: Input) -> _Entry | None:
    """What the header of the next file says; None where it is cut off."""
    header = source.take(_FILE_HEADER.size)
    if len(header) < _FILE_HEADER.size:
        return None
    _, _, flags, method, _, _, crc, packed, size, name_bytes, extra_bytes = _FILE_HEADER.unpack(header)
    name, extra = source.take(name_bytes), source.take(extra_bytes)
    if len(name) + len(extra) < name_bytes + extra_bytes:
        return None
    if packed == _IN_EXTRA:
        packed = _long_size(extra, 8 if size == _IN_EXTRA else 0)
    return _Entry(
        name.decode("utf-8" if flags & _UTF8_NAME else "cp437", "replace"),
        flags,
        method,
        crc,
        None if flags & _HAS_DESCRIPTOR and not packed else packed,
    )


def _long_size(extra: bytes, offset: int) -> int:
    """The size at `offset` of the ZIP64 field; 0 where there is none."""
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<2H", extra)
        if kind == 1:
            return int.from_bytes(extra[4 + offset : 12 + offset], "little")
        extra = extra[4 + size :]
    return 0


def _unpacked(source: Input, entry: _Entry, unpacking: Unpacking) -> Iterator[bytes]:
    """The content of the file whose header has just been read."""
    if entry.flags & _ENCRYPTED:
        text = N_(
            "{path}: {name} in it is encrypted; unpack it first", path=unpacking.path, name=_shown(entry.name)
        )
        raise UserError(text)
    checksum = Checksum()
    if entry.method == _DEFLATED:
        is_sound = yield from inflated(source, unpacking, checksum)
    elif entry.method != _STORED:
        raise UserError(
            N_(
                "{path}: {name} in it is packed by method {method}, which is not read; unpack it first",
                path=unpacking.path,
                name=_shown(entry.name),
                method=entry.method,
            )
        )
    elif entry.packed_bytes is None:
        while piece := source.some(unpacking.piece_bytes):
            yield piece
        unpacking.report(N_("the zip file does not say where the trace in it ends"))
        return
    else:
        left = entry.packed_bytes
        while left and (piece := source.some(min(left, unpacking.piece_bytes))):
            left -= len(piece)
            checksum.add(piece)
            yield piece
        is_sound = left == 0
        if left:
            unpacking.report(CUT_OFF)
    if is_sound and checksum.crc != (_described_crc(source) if entry.has_descriptor else entry.crc):
        unpacking.report(WRONG_CHECKSUM if source.peek(1) else ZIP_CUT_OFF)


def _described_crc(source: Input) -> int:
    """The CRC behind the file; the sizes there, of 4 or of 8 bytes each, are passed over."""
    if source.peek(4) == DESCRIPTOR:
        source.skip(4)
    crc = int.from_bytes(source.take(4), "little")
    source.skip(16 if source.peek(18)[16:] == FILE[:2] and source.peek(10)[8:] != FILE[:2] else 8)
    return crc


def _ends(source: Input) -> bool:
    """Whether what is left is a directory with its end."""
    if source.peek(4) not in (DIRECTORY, END):
        return False
    tail = b""
    while data := source.some(_LONGEST_COMMENT_BYTES):
        tail = (tail + data)[-_LONGEST_COMMENT_BYTES - _END_BYTES :]
    end = tail.rfind(END)
    comment_bytes = int.from_bytes(tail[end + 20 : end + 22], "little")
    return end >= 0 and len(tail) - end >= _END_BYTES + comment_bytes


def _head(text: Iterator[bytes]) -> list[bytes]:
    """So many of the pieces that they say what it is."""
    pieces: list[bytes] = []
    size = 0
    while size < _HEAD_BYTES and (piece := next(text, b"")):
        pieces.append(piece)
        size += len(piece)
    return pieces


def _may_be_trace(head: bytes) -> bool:
    return head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"["))


def _shown(name: str) -> str:
    """On one line, whatever is in it."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in name[:_SHOWN_NAME])


def _has_events(head: bytes) -> bool:
    return b'"traceEvents"' in head or b'"ph"' in head


def _several(unpacking: Unpacking, names: list[str]) -> UserError:
    return UserError(
        N_(
            "{path}: several files in it may be the trace ({names}); unpack the one to read",
            path=unpacking.path,
            names=[_shown(name) for name in names],
        )
    )


def _without_trace(unpacking: Unpacking) -> UserError:
    return UserError(N_("{path}: is a zip file without a trace in it", path=unpacking.path))
