"""The columns that a trace becomes: int64 nanoseconds, dictionary-encoded strings, one table per kind.

They know events, not what these mean to a model. Codes are int32, flags int8, times and ids int64.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from tracekit.messages import Message
from tracekit.trace.events import Id
from tracekit.trace.salvage import Stretch

Ints: TypeAlias = npt.NDArray[np.signedinteger[Any]]

FRAME_PREFIX = "nn.Module: "
GPU_KINDS = ("kernel", "memcpy", "memset")


@dataclass(frozen=True)
class Intervals:
    """Named intervals on threads, in the order of the file; all columns have the same length."""

    name: Ints  # index into Trace.names
    thread: Ints  # index into Trace.threads
    start: Ints  # ns
    end: Ints  # ns

    def __len__(self) -> int:
        return len(self.name)


@dataclass(frozen=True)
class Ops(Intervals):
    """`sequence` and `forward_thread` are autograd's, `NO_ID` where the trace has none.

    An op of a forward carries the number of the autograd node that is created next on its thread; one of a
    backward that of the node that it runs, and in `forward_thread` torch's own number (from 1, no thread id
    of the trace) of the thread that created the node.
    """

    signature: Ints  # index into Trace.signatures
    sequence: Ints
    forward_thread: Ints


@dataclass(frozen=True)
class Launches(Intervals):
    correlation: Ints


@dataclass(frozen=True)
class GpuEvents(Intervals):
    """`thread` is here the (pid, tid) that the trace gives a GPU event: device and stream."""

    correlation: Ints
    device: Ints  # index into Trace.devices
    kind: Ints  # index into GPU_KINDS


@dataclass(frozen=True)
class Flows:
    """The ends of the arrows from forward ops to the backward ops that differentiate them."""

    arrow: Ints  # the two ends of an arrow have the same number, which other arrows may have later
    thread: Ints
    time: Ints  # ns
    is_end: Ints  # 0 in the forward, 1 in the backward

    def __len__(self) -> int:
        return len(self.arrow)


class CollectiveArgs(NamedTuple):
    """What torch records of a collective beside its inputs; None where it does not."""

    name: str
    in_elements: int | None
    out_elements: int | None
    dtype: str | None
    group_size: int | None


class RecordedCollective(NamedTuple):
    """A collective and who takes part in it; None where the trace does not say."""

    args: CollectiveArgs
    group_name: str | None
    group_description: str | None
    group_ranks: str | None  # as torch writes it, "[0, 1, ...]", long lists cut
    sequence: int | None  # in its group


@dataclass(frozen=True)
class Collectives(Intervals):
    """The ops, GPU events and ranges on the CPU that are a collective by what the trace says, once more.

    `correlation` is that of a GPU event, else `NO_ID`.
    """

    recorded: Ints  # index into Trace.recorded
    correlation: Ints


@dataclass(frozen=True)
class Signature:
    """What an op was called with, as raw JSON; empty where the trace does not say."""

    name: str
    shapes: bytes
    dtypes: bytes
    concrete: bytes
    collective: CollectiveArgs | None = None


@dataclass(frozen=True)
class Layout:
    """Where events stand in the decompressed bytes of a trace: what a copy with more of them has to know."""

    is_list: bool = False  # the file is a list of events, with nothing around it
    events_start: int = 0  # behind the `[` that opens it
    events_end: int = 0  # behind the last whole event
    closing: int | None = None  # of the `]` behind it; None where the file ends before
    sound_head: bool = True  # what stands before the events is JSON, …
    sound_tail: bool = True  # … and what is behind the `]`
    head: Mapping[str, Any] = field(
        default_factory=dict
    )  # what was read before the events if it is no JSON, …
    tail: Mapping[str, Any] = field(default_factory=dict)  # … and what behind them
    damaged: tuple[Stretch, ...] = ()  # where something was skipped or mended
    lost: tuple[tuple[int, int], ...] = ()  # from and to, where a stretch was too long to keep


@dataclass(frozen=True)
class Trace:
    path: Path
    size_bytes: int
    event_count: int
    skipped_count: int
    warnings: tuple[Message, ...]
    metadata: dict[str, Any]
    names: Sequence[str]
    threads: Sequence[tuple[Id, Id]]
    processes: Ints  # of each thread
    devices: Sequence[tuple[Id, Id]]  # (pid, device)
    signatures: Sequence[Signature]
    ops: Ops
    launches: Launches
    gpu_events: GpuEvents
    frames: Intervals  # nn.Module frames
    annotations: Intervals  # user ranges on the CPU
    flows: Flows  # from forward to backward
    recorded: Sequence[RecordedCollective]
    collectives: Collectives
    layout: Layout = Layout()

    @property
    def device_kind(self) -> str | None:
        """ "hip" or "cuda" by the names of the launches, else None."""
        for code in np.unique(self.launches.name):
            name = self.names[code]
            if name.startswith("hip"):
                return "hip"
            if name.startswith("cu"):
                return "cuda"
        return None
