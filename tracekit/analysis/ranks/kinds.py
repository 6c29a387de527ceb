"""What the names of events say about communication, and how large a collective is."""

from __future__ import annotations

import re

from tracekit.analysis.findings.network_rules import COLLECTIVE_KERNEL
from tracekit.costs.formulas.collectives import DTYPES, collective_kind
from tracekit.costs.registry import DTYPE_BYTES, UnknownCostError
from tracekit.trace import CollectiveArgs

OTHER = "other"
_LARGEST_BYTES = 1 << 60  # that are believed

MEETINGS = frozenset(("allreduce", "allgather", "reducescatter", "alltoall", "barrier"))
"""In these nobody is done before everybody has come, so that durations tell who came last.

In a broadcast or a reduce one rank may have left when another comes, and a send knows two ranks only.
"""

_SAME_SIZE = frozenset(("allreduce", "reducescatter"))
"""In these every rank has as much, so that different sizes are different collectives."""

_COMMUNICATES = re.compile(
    r"record_param_comms|(c10d|_c10d_functional|c10d_functional|gloo|mpi|ucc|nccl)::?.*", re.DOTALL
)


def is_communication_op(name: str) -> bool:
    """Whether an op or a range is the call of a collective, or waits for one."""
    return _COMMUNICATES.fullmatch(name) is not None


def is_communication_kernel(name: str) -> bool:
    return COLLECTIVE_KERNEL.search(name) is not None


def kind_of(*names: str) -> str:
    """ "allreduce", "allgather", …: by the first of the names that says so; else `OTHER`."""
    for name in names:
        if "cross_device_reduce" in name:  # vLLM's and SGLang's own all-reduce
            return "allreduce"
        try:
            return collective_kind(name)
        except UnknownCostError:
            continue
    return OTHER


def sizes_of(args: CollectiveArgs | None) -> tuple[int | None, int | None]:
    """Bytes of the input and of the output on one rank."""
    if args is None:
        return None, None
    element = DTYPES[args.dtype][1] if args.dtype in DTYPES else DTYPE_BYTES.get(args.dtype or "")
    if element is None:
        return None, None
    size_in, size_out = _times(args.in_elements, element), _times(args.out_elements, element)
    return size_in, size_out


def dtype_of(args: CollectiveArgs | None) -> str | None:
    """As Kineto spells types elsewhere."""
    if args is None or args.dtype is None:
        return None
    return DTYPES[args.dtype][0] if args.dtype in DTYPES else args.dtype


def is_sized(kind: str) -> bool:
    return kind in _SAME_SIZE


def message_bytes(kind: str, size_in: int | None, size_out: int | None, n: int | None) -> int | None:
    """The size S that nccl-tests divide by the time (doc/PERFORMANCE.md): the gathered side, else the input.

    `n`: how many ranks the group has; where only a share of the gathered side is known, S is `n` of them.
    """
    if kind == "allgather":
        return size_out if size_out is not None else _times(size_in, n)
    if kind == "reducescatter":
        return size_in if size_in is not None else _times(size_out, n)
    return size_in if size_in is not None else size_out


def _times(size: int | None, n: int | None) -> int | None:
    return None if size is None or n is None or size * n > _LARGEST_BYTES else size * n


def bus_factor(kind: str, n: int) -> float | None:
    """Bus bandwidth ÷ algorithm bandwidth of `n` ranks, by doc/PERFORMANCE.md of NVIDIA's nccl-tests.

    That is what each link carries in the best algorithm, comparable with its speed whatever `n` is. None for
    what has no such figure there.
    """
    if n < 1:
        return None
    if kind == "allreduce":
        return 2 * (n - 1) / n
    if kind in ("allgather", "reducescatter", "alltoall", "scatter", "gather"):
        return (n - 1) / n
    return 1.0 if kind in ("broadcast", "reduce", "send", "recv") else None
