"""Decoders of compressed streams: gzip, zstd, bzip2, xz, and UTF-16; they know nothing of what is inside.

What a decoder holds in memory depends on its format, never on how much comes out. A damaged stream ends after
everything sound before the damage, and the problem is reported.
"""

from __future__ import annotations

import bz2
import codecs
import lzma
import zlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, cast

from isal import isal_zlib

from tracekit.messages import N_, Message

GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"
ZSTD_FRAMES = (ZSTD, *(bytes([0x50 + number]) + b"\x2a\x4d\x18" for number in range(16)))  # or skippable
BZIP2 = b"BZh"
XZ = b"\xfd7zXZ\0"
UTF16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}

_XZ_MEMORY_BYTES = 256 << 20  # xz -9 takes 65 MiB
_SLICE_BYTES = 64
_LARGEST_SLICE_BYTES = 32 << 10
_GZIP_CHECKSUM, _GZIP_EXTRA, _GZIP_NAME, _GZIP_COMMENT = 2, 4, 8, 16  # flags: RFC 1952, 2.3.1
_DAMAGED = (cast(type[Exception], isal_zlib.error), zlib.error, lzma.LZMAError, OSError, ValueError)

CUT_OFF = N_("the compressed stream is cut off")
WRONG_CHECKSUM = N_("the checksum of the compressed stream is wrong")

Report: TypeAlias = Callable[[Message], None]
Member: TypeAlias = Generator[bytes, None, bool]  # returns whether it came to a sound end


@dataclass(frozen=True)
class Unpacking:
    """What the layers of one file have in common: how large pieces may be, and who is told of problems."""

    path: Path
    piece_bytes: int
    report: Report


class Input:
    """The bytes of a stream, taken so many at a time."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._data = b""
        self._at = 0

    def peek(self, count: int) -> bytes:
        """The next bytes, which stay; fewer only at the end."""
        while len(self._data) - self._at < count and (piece := next(self._pieces, b"")):
            self._data, self._at = self._data[self._at :] + piece, 0
        return self._data[self._at : self._at + count]

    def take(self, count: int) -> bytes:
        """The next bytes; fewer only at the end."""
        data = self.peek(count)
        self._at += len(data)
        return data

    def some(self, most: int) -> bytes:
        """One or more of the next bytes, as many as are there; none only at the end."""
        self.peek(1)
        return self.take(min(most, len(self._data) - self._at))

    def skip(self, count: int) -> bool:
        """Passes over so many bytes; whether there were as many."""
        while count > 0 and (data := self.some(count)):
            count -= len(data)
        return count <= 0

    def skip_zeros(self) -> None:
        while data := self.some(_LARGEST_SLICE_BYTES):
            if behind := len(data.lstrip(b"\0")):
                return self.give_back(behind)
        return None

    def give_back(self, count: int) -> None:
        """Takes back so many of the bytes that the last call took."""
        self._at -= count


class Checksum:
    """The CRC-32 and the size of the bytes that it was shown."""

    def __init__(self) -> None:
        self.crc = 0
        self.size = 0

    def add(self, piece: bytes) -> None:
        self.crc = isal_zlib.crc32(piece, self.crc)
        self.size += len(piece)


def decoder_of(head: bytes) -> Callable[[Input, Unpacking], Iterator[bytes]] | None:
    """What unpacks a stream that begins so; None where that is no compressed stream."""
    if head.startswith(GZIP):
        return lambda source, unpacking: _members(source, unpacking, _gzip_member, (GZIP,))
    if head.startswith(ZSTD_FRAMES):
        return lambda source, unpacking: _members(source, unpacking, _zstd_frame, ZSTD_FRAMES)
    if head.startswith(BZIP2):
        return lambda source, unpacking: _members(source, unpacking, _bzip2_stream, (BZIP2,))
    if head.startswith(XZ):
        return lambda source, unpacking: _members(source, unpacking, _xz_stream, (XZ,))
    return None


def _members(
    source: Input,
    unpacking: Unpacking,
    member: Callable[[Input, Unpacking], Member],
    magics: tuple[bytes, ...],
) -> Iterator[bytes]:
    """One member after another, with zeros as padding between and behind them."""
    while (yield from member(source, unpacking)):
        head = source.peek(len(magics[0]))
        if head.startswith(b"\0"):
            source.skip_zeros()
            head = source.peek(len(magics[0]))
        if not head:
            return
        if not head.startswith(magics):
            is_cut = any(magic.startswith(head) for magic in magics)
            unpacking.report(
                CUT_OFF if is_cut else N_("behind the compressed stream stand bytes that are no part of it")
            )
            return


def _gzip_member(source: Input, unpacking: Unpacking) -> Member:
    checksum = Checksum()
    if not _skip_gzip_header(source):
        unpacking.report(CUT_OFF)
        return False
    if not (yield from inflated(source, unpacking, checksum)):
        return False
    trailer = source.take(8)
    if len(trailer) < 8:
        unpacking.report(CUT_OFF)
    elif trailer != checksum.crc.to_bytes(4, "little") + (checksum.size % (1 << 32)).to_bytes(4, "little"):
        unpacking.report(WRONG_CHECKSUM)
    else:
        return True
    return False


def _skip_gzip_header(source: Input) -> bool:
    """Whether it was whole."""
    fixed = source.take(10)
    if len(fixed) < 10:
        return False
    flags = fixed[3]
    if flags & _GZIP_EXTRA and not source.skip(int.from_bytes(source.take(2), "little")):
        return False
    for flag in (_GZIP_NAME, _GZIP_COMMENT):
        if flags & flag:
            while (byte := source.take(1)) != b"\0":
                if not byte:
                    return False
    return not flags & _GZIP_CHECKSUM or source.skip(2)


def inflated(source: Input, unpacking: Unpacking, checksum: Checksum) -> Member:
    """A deflate stream without a header; what stands behind it stays in `source`."""
    decoder = isal_zlib.decompressobj(wbits=-15)
    return (yield from _decoded(decoder, source, unpacking, checksum, _LARGEST_SLICE_BYTES))


def _bzip2_stream(source: Input, unpacking: Unpacking) -> Member:
    return (yield from _decoded(bz2.BZ2Decompressor(), source, unpacking))


def _xz_stream(source: Input, unpacking: Unpacking) -> Member:
    decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_BYTES)
    return (yield from _decoded(decoder, source, unpacking))


def _decoded(
    decoder: Any,
    source: Input,
    unpacking: Unpacking,
    checksum: Checksum | None = None,
    largest_slice: int = _SLICE_BYTES,
) -> Member:
    """What a decoder of the standard library's kind makes of one stream.

    A decoder that finds damage keeps all that the call would have returned. So it is given slices, small ones
    or ones that grow with what has been read: damage costs little of what stands before it.
    """
    read = 0
    while data := source.take(max(_SLICE_BYTES, min(read >> 6, largest_slice))):
        read += len(data)
        is_drained = False
        while not is_drained:
            try:
                piece = decoder.decompress(data, unpacking.piece_bytes)
            except _DAMAGED as error:
                unpacking.report(_damage(error))
                return False
            if piece:
                if checksum:
                    checksum.add(piece)
                yield piece
            if decoder.eof:
                source.give_back(len(decoder.unused_data))
                return True
            data = getattr(decoder, "unconsumed_tail", b"")
            is_drained = not data and len(piece) < unpacking.piece_bytes
    unpacking.report(CUT_OFF)
    return False


def _damage(error: Exception) -> Message:
    if "memory" in str(error).lower():
        return N_("the compressed stream takes too much memory to unpack ({error})", error=str(error))
    return N_("the compressed stream is damaged ({error})", error=str(error))


def _zstd_frame(source: Input, unpacking: Unpacking) -> Member:
    """Fed block by block (RFC 8878, 3.1.1), of which none unpacks to more than 128 KiB."""
    import zstandard

    if source.peek(4) != ZSTD:
        size = source.take(8)[4:]
        if len(size) == 4 and source.skip(int.from_bytes(size, "little")):
            return True
        unpacking.report(CUT_OFF)
        return False
    decoder = zstandard.ZstdDecompressor().decompressobj()
    for part in _zstd_parts(source):
        try:
            unpacked = decoder.decompress(part)
        except zstandard.ZstdError as error:
            unpacking.report(_damage(error))
            return False
        for begin in range(0, len(unpacked), unpacking.piece_bytes):
            yield unpacked[begin : begin + unpacking.piece_bytes]
    if not decoder.eof:
        unpacking.report(CUT_OFF)
    return decoder.eof


def _zstd_parts(source: Input) -> Iterator[bytes]:
    """The header of a frame, each of its blocks, and its checksum; ends early where the stream does."""
    magic_and_descriptor = source.take(5)
    descriptor = magic_and_descriptor[-1]
    is_single_segment = descriptor >> 5 & 1
    dictionary_bytes = (0, 1, 2, 4)[descriptor & 3]
    size_bytes = (is_single_segment, 2, 4, 8)[descriptor >> 6]
    yield magic_and_descriptor + source.take(1 - is_single_segment + dictionary_bytes + size_bytes)
    is_last = 0
    while not is_last and len(head := source.take(3)) == 3:
        number = int.from_bytes(head, "little")
        is_last, kind, size = number & 1, number >> 1 & 3, number >> 3
        is_one_byte_repeated = kind == 1
        yield head + source.take(1 if is_one_byte_repeated else size)
    if is_last and descriptor >> 2 & 1:
        yield source.take(4)


def as_utf8(source: Input, unpacking: Unpacking) -> Iterator[bytes]:
    """UTF-16 behind its byte order mark; half a surrogate pair becomes invalid UTF-8, which readers mend."""
    decoder = codecs.getincrementaldecoder(UTF16[source.take(2)])("surrogatepass")
    slice_bytes = max(1, unpacking.piece_bytes // 2)  # two bytes become three at most
    while data := source.some(slice_bytes):
        if text := decoder.decode(data):
            yield text.encode("utf-8", "surrogatepass")
    if decoder.getstate()[0]:
        unpacking.report(N_("the file is cut off"))
