"""One entry of `traceEvents` as a typed struct: only the fields that somebody uses are decoded."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, TypeAlias

import msgspec

from tracekit.trace.categories import Category, Phase

Id: TypeAlias = int | str | None

NO_ID = -1

ABSENT = msgspec.Raw(b"")

LARGEST_NUMBER = 2**62


class Args(msgspec.Struct, gc=False, frozen=True, eq=False):
    """What only links events to each other may be of any form: a bad value loses a link, not the event."""

    correlation: int | None = NO_ID
    device: Id = None
    shapes: msgspec.Raw = msgspec.field(default=ABSENT, name="Input Dims")
    old_shapes: msgspec.Raw = msgspec.field(
        default=ABSENT, name="Input dims"
    )  # as the first profilers spelled it
    dtypes: msgspec.Raw = msgspec.field(default=ABSENT, name="Input type")
    concrete: msgspec.Raw = msgspec.field(default=ABSENT, name="Concrete Inputs")
    sequence: Any = msgspec.field(default=NO_ID, name="Sequence number")
    forward_thread: Any = msgspec.field(default=NO_ID, name="Fwd thread id")
    collective: msgspec.Raw = msgspec.field(default=ABSENT, name="Collective name")  # else: `collectives`


NO_ARGS = Args()


class Event(msgspec.Struct, gc=False):
    """`ts` and `dur` are µs; as floats they are exact to the nanosecond up to 2^43 µs."""

    ph: Phase | None = None
    cat: Category | None = None
    name: str | None = None
    pid: Id = None
    tid: Id = None
    ts: float | None = None
    dur: float | None = None
    args: Args | None = NO_ARGS
    id: Any = None  # of a flow


class ExactTime(msgspec.Struct, gc=False):
    """The times alone, for traces whose fractional times since 1970 a float cannot hold."""

    ts: Decimal | None = None
    dur: Decimal | None = None


DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding JSON raises where it is none, or nested too deeply."""

_decode_strictly = msgspec.json.Decoder(list[Event]).decode
_decode_leniently = msgspec.json.Decoder(list[Event], strict=False).decode
decode_times = msgspec.json.Decoder(list[ExactTime], strict=False).decode
decode_raw = msgspec.json.Decoder(list[msgspec.Raw]).decode

FLOAT_EXACT_BELOW_US = float(1 << 43)


def decode_events(text: bytes) -> list[Event]:
    """The events in a list, also those with numbers in quotes, or whole ones with a fraction, `1.0`.

    Ascend's profiler writes times as strings, which Perfetto and chrome://tracing read, and data frames make
    floats of ids. Raises one of `DECODE_ERRORS`.
    """
    try:
        return _decode_strictly(text)
    except msgspec.ValidationError:
        return _decode_leniently(text)


def number(value: Any) -> int:
    """A count as it is, `NO_ID` for whatever is none or none that 64 bits hold."""
    return value if type(value) is int and 0 <= value <= LARGEST_NUMBER else NO_ID
