"""What an event says of the collective that it is, decoded apart: few events are one.

Fields of a struct cost time for every event, whether it has them or not; so an event's struct knows only the
name of its collective, and what else stands beside is looked up in the text around it.
"""

from __future__ import annotations

from math import prod
from typing import Any

import msgspec
import numpy as np

from tracekit.trace.columns import CollectiveArgs, RecordedCollective
from tracekit.trace.events import DECODE_ERRORS, NO_ID, Args, number

_MOST_BRACES = 8  # in texts beside
RANGES = ("gloo:", "mpi:", "ucc:")
"""How ranges begin that are a collective on the CPU; of NCCL they are only the call that launches one."""


class Fields(msgspec.Struct, gc=False, frozen=True, eq=False):
    """As torch/csrc/profiler/util.h names them; of any form, so that a bad value loses nothing else."""

    name: Any = msgspec.field(default=None, name="Collective name")
    in_elements: Any = msgspec.field(default=None, name="In msg nelems")
    out_elements: Any = msgspec.field(default=None, name="Out msg nelems")
    dtype: Any = None
    group_size: Any = msgspec.field(default=None, name="Group size")
    group_name: Any = msgspec.field(default=None, name="Process Group Name")
    group_description: Any = msgspec.field(default=None, name="Process Group Description")
    group_ranks: Any = msgspec.field(default=None, name="Process Group Ranks")
    sequence: Any = msgspec.field(default=None, name="Seq")


_decode = msgspec.json.Decoder(Fields).decode


def fields_of(name: msgspec.Raw, text: bytes) -> Fields:
    """What stands in `text` beside the name of a collective, which is a part of it; nothing if it is lost."""
    at = _address(name) - _address(text)
    begin = at
    for _ in range(_MOST_BRACES):
        begin = text.rfind(b"{", 0, begin)
        end = at
        for _ in range(_MOST_BRACES):
            end = text.find(b"}", end) + 1
            if begin < 0 or not end:
                break
            if (fields := _decoded(text[begin:end])) is not None:
                return fields
    return Fields()


def _decoded(text: bytes) -> Fields | None:
    """None where it is no object: a brace of it stands in a text, say."""
    try:
        return _decode(text)
    except DECODE_ERRORS:
        mended = text.decode(errors="replace").encode()  # nobody has looked at it while it was skipped
        return None if mended == text else _decoded(mended)


def _address(of: msgspec.Raw | bytes) -> int:
    return int(np.frombuffer(of, np.uint8).__array_interface__["data"][0])


def args_of(fields: Fields) -> CollectiveArgs | None:
    """What the cost of a collective depends on; None where it has no name."""
    if not isinstance(fields.name, str):
        return None
    return CollectiveArgs(
        name=fields.name,
        in_elements=_count(fields.in_elements),
        out_elements=_count(fields.out_elements),
        dtype=_text(fields.dtype),
        group_size=_count(fields.group_size),
    )


def recorded(fields: Fields) -> RecordedCollective | None:
    """All that is known of a collective; None where it has no name."""
    args = args_of(fields)
    if args is None:
        return None
    ranks = fields.group_ranks
    return RecordedCollective(
        args=args,
        group_name=_text(fields.group_name),
        group_description=_text(fields.group_description),
        group_ranks=_text(ranks) if isinstance(ranks, str) else _listed(ranks),
        sequence=_count(fields.sequence),
    )


def of_range(name: str, args: Args) -> RecordedCollective:
    """The collective that is a range of this name, by the shapes and types of its input beside."""
    try:
        dims, types = msgspec.json.decode(args.shapes), msgspec.json.decode(args.dtypes)
        sizes = [prod(one) for one in dims if isinstance(one, list)]
        known = _count(sum(sizes)) if sizes and isinstance(types[0], str) else None
        dtype = types[0] if known is not None else None
    except (*DECODE_ERRORS, TypeError, LookupError):
        known = dtype = None
    return RecordedCollective(CollectiveArgs(name, known, None, dtype, None), None, None, None, None)


def _listed(ranks: Any) -> str | None:
    """A list of ranks as the text that torch writes for one."""
    return f"[{', '.join(map(str, ranks))}]" if isinstance(ranks, list) else None


def _count(value: Any) -> int | None:
    return None if number(value) == NO_ID else int(value)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
