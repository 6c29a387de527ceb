"""Unpacks what a trace comes packed in, layer by layer; each is recognised by its first bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

from tracekit.messages import N_, UserError
from tracekit.trace.streams import UTF16, Input, Report, Unpacking, as_utf8, decoder_of
from tracekit.trace.zips import ZIP, unzipped

MOST_LAYERS = 3
SUFFIXES = (".gz", ".zst", ".bz2", ".xz", ".zip")
"""What the names of files end in that are packed in a way that is unpacked here."""

_LONGEST_MAGIC = 6


def unpacked(
    pieces: Iterator[bytes], unpacking: Unpacking, file: BinaryIO | None = None, layers: int = 0
) -> Iterator[bytes]:
    """The text inside `pieces` in pieces of at most `unpacking.piece_bytes`, as UTF-8 where it is UTF-16.

    `file`: where `pieces` come from, if that can be read anywhere; `layers`: how many are unpacked already.
    Raises `UserError` where there are more than `MOST_LAYERS`, or a zip file has no trace that can be read.
    """
    source = Input(pieces)
    head = source.peek(_LONGEST_MAGIC)
    decoder = decoder_of(head)
    if head[:2] in UTF16:
        yield from as_utf8(source, unpacking)
    elif decoder is None and not head.startswith(ZIP):
        while piece := source.some(unpacking.piece_bytes):
            yield piece
    elif layers == MOST_LAYERS:
        raise UserError(
            N_(
                "{path}: is packed more than {count} times over; unpack it first",
                path=unpacking.path,
                count=MOST_LAYERS,
            )
        )
    elif decoder is not None:
        yield from unpacked(decoder(source, unpacking), unpacking, layers=layers + 1)
    else:

        def content(pieces: Iterator[bytes], report: Report) -> Iterator[bytes]:
            return unpacked(pieces, replace(unpacking, report=report), layers=layers + 1)

        yield from unzipped(source, pieces, unpacking, file, content)
