"""The least of zstd (RFC 8878): frames of uncompressed blocks, which every decoder reads."""

from __future__ import annotations

MAGIC = b"\x28\xb5\x2f\xfd"
_SINGLE_SEGMENT_8_BYTES = 0b1110_0000  # the length of the contents takes 8 bytes, and no window is given
_MOST_IN_BLOCK = 1 << 17


def pack(text: bytes) -> bytes:
    """A frame that holds `text`."""
    frame = MAGIC + bytes([_SINGLE_SEGMENT_8_BYTES]) + len(text).to_bytes(8, "little")
    starts = range(0, len(text), _MOST_IN_BLOCK) or [0]
    for start in starts:
        block = text[start : start + _MOST_IN_BLOCK]
        is_last = start + _MOST_IN_BLOCK >= len(text)
        frame += (len(block) << 3 | is_last).to_bytes(3, "little") + block
    return frame


def unpack(data: bytes) -> bytes:
    """The text in a frame that `pack` made; `ValueError` for any other."""
    if data[4:5] != bytes([_SINGLE_SEGMENT_8_BYTES]):
        raise ValueError("another kind of frame")
    length, position, text, is_last = int.from_bytes(data[5:13], "little"), 13, b"", False
    while not is_last:
        header = int.from_bytes(data[position : position + 3], "little")
        size, is_last = header >> 3, bool(header & 1)
        if len(data) < position + 3 + size or header & 0b110:
            raise ValueError("another kind of block, or none")
        text += data[position + 3 : position + 3 + size]
        position += 3 + size
    if len(text) != length or position != len(data):
        raise ValueError("another length")
    return text
