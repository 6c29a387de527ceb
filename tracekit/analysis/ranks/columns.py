"""`RankSummary`: what one trace tells about its rank, small enough to travel, and as bytes.

A summary is a few texts and columns of integers, ns. Times count from `origin`, which is the time of the
trace's clock at which the rank begins.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, fields
from typing import Any

import msgspec
import numpy as np

from tracekit.analysis.ranks.rank_collectives import Group, RankCollectives
from tracekit.analysis.ranks.work_between import Work
from tracekit.messages import Message
from tracekit.trace import Ints

VERSION = 2  # of what a summary holds and of how it is worked out: what is cached is of one
_MAGIC = b"tracekit.rank"
_COMPRESSION = 6
_LARGEST_BYTES = 1 << 31  # of a summary that is believed


@dataclass(frozen=True)
class RankStepColumns:
    """A row per step and device."""

    device: Ints  # the number that the trace gives it
    number: Ints
    start: Ints
    wall: Ints
    compute: Ints
    exposed: Ints  # communication beside which nothing is computed
    overlapped: Ints
    copy: Ints
    idle: Ints

    def __len__(self) -> int:
        return len(self.number)


@dataclass(frozen=True)
class ModuleSteps:
    """Time of each module in each step, without its children, forward and backward; rows that have any."""

    step: Ints  # position among the steps
    module: Ints
    time: Ints


@dataclass(frozen=True)
class Bins:
    """What the rank did in each of as many equal parts of its time, mean over its devices; ns."""

    compute: Ints
    exposed: Ints
    copy: Ints
    idle: Ints


@dataclass(frozen=True)
class RankSummary:
    """One rank, or all that a trace holds if that is several processes'."""

    path: str
    rank: int | None
    world_size: int | None
    host: str | None
    device: str | None
    device_kind: str | None
    size_bytes: int
    events: int
    skipped_events: int
    warnings: tuple[Message, ...]
    module_source: str | None
    step_source: str  # one of STEP_SOURCES
    origin: int  # ns, of the trace's clock
    clock_base: int | None  # ns since 1970 at which that clock is 0; None where the trace does not say
    span: int  # ns, from the first event to the last
    devices: int
    groups_known: bool  # the process groups of its collectives are told
    module_paths: tuple[str, ...]
    module_types: tuple[str | None, ...]
    module_parent: Ints  # by the nesting of the first calls, -1 for an outermost one
    level: int  # the deepest modules that `work` tells apart
    steps: RankStepColumns
    collectives: RankCollectives
    module_steps: ModuleSteps
    work: Work
    bins: Bins


class _Encoded(msgspec.Struct, frozen=True):
    version: int
    facts: dict[str, Any]
    columns: dict[str, tuple[str, int, bytes]]  # type, how many, bytes of all lowest first and so on
    groups: list[tuple[str | None, str | None, str | None, int | None]]
    kinds: list[str]
    dtypes: list[str]
    warnings: list[Message]


_TABLES = {
    "steps": RankStepColumns,
    "collectives": RankCollectives,
    "module_steps": ModuleSteps,
    "work": Work,
    "bins": Bins,
}
_PACKED = (*_TABLES, "module_parent", "warnings")
_TYPES = ("<i1", "<i2", "<i4", "<i8")
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Encoded)


def encode(summary: RankSummary) -> bytes:
    """The bytes of a summary; `decode` gives it back."""
    columns = {"module_parent": _packed(summary.module_parent)}
    for table in _TABLES:
        for name, column in vars(getattr(summary, table)).items():
            if isinstance(column, np.ndarray):
                columns[f"{table}.{name}"] = _packed(column)
    collectives = summary.collectives
    encoded = _Encoded(
        version=VERSION,
        facts={
            one.name: getattr(summary, one.name) for one in fields(RankSummary) if one.name not in _PACKED
        },
        columns=columns,
        groups=[(one.name, one.description, one.ranks, one.size) for one in collectives.groups],
        kinds=list(collectives.kinds),
        dtypes=list(collectives.dtypes),
        warnings=list(summary.warnings),
    )
    return _MAGIC + zlib.compress(_encoder.encode(encoded), _COMPRESSION)


def decode(data: bytes) -> RankSummary:
    """The summary that was encoded, its columns in the smallest types that hold them.

    Raises `ValueError` for other bytes, and for those of another version.
    """
    if not data.startswith(_MAGIC):
        raise ValueError("no summary of a rank")
    try:
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(data[len(_MAGIC) :], _LARGEST_BYTES)
        if not unpacker.eof:
            raise ValueError("a summary of a rank that does not end")
        encoded = _decoder.decode(text)
        if encoded.version != VERSION:
            raise ValueError(f"a summary of version {encoded.version}")
        return _decoded(encoded)
    except (zlib.error, msgspec.DecodeError, KeyError, TypeError) as error:
        raise ValueError(f"a broken summary of a rank: {error}") from error


def _decoded(encoded: _Encoded) -> RankSummary:
    columns = {name: _unpacked(*packed) for name, packed in encoded.columns.items()}
    more: dict[str, dict[str, Any]] = {
        "collectives": {
            "kinds": encoded.kinds,
            "groups": [Group(*one) for one in encoded.groups],
            "dtypes": encoded.dtypes,
        }
    }
    tables: dict[str, Any] = {
        table: kind(
            **{
                one.name: columns[f"{table}.{one.name}"]
                for one in fields(kind)
                if f"{table}.{one.name}" in columns
            },
            **more.get(table, {}),
        )
        for table, kind in _TABLES.items()
    }
    facts: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in encoded.facts.items()
    }
    return RankSummary(
        **facts,
        **tables,
        module_parent=columns["module_parent"],
        warnings=tuple(encoded.warnings),
    )


def _packed(column: Ints) -> tuple[str, int, bytes]:
    """In the smallest type that holds it, the lowest bytes of all first, as they compress best."""
    low, high = int(column.min(initial=0)), int(column.max(initial=0))
    kind = next(one for one in _TYPES if np.iinfo(one).min <= low and high <= np.iinfo(one).max)
    values = np.ascontiguousarray(column, kind)
    return kind, len(values), values.view(np.uint8).reshape(-1, values.itemsize).T.tobytes()


def _unpacked(kind: str, count: int, data: bytes) -> Ints:
    if kind not in _TYPES or count * np.dtype(kind).itemsize != len(data):
        raise ValueError("a column of a wrong length")
    parts = np.frombuffer(data, np.uint8).reshape(np.dtype(kind).itemsize, count)
    return np.ascontiguousarray(parts.T).reshape(-1).view(kind)
