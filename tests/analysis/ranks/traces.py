"""A miniature job whose ranks all-reduce at the end of each step; times in µs."""

from __future__ import annotations

from typing import Any

from tests.builder import TraceBuilder

STEP = 1000.0
KERNELS_AT = 100.0  # after the start of a step
TRANSFER = 40.0  # of the all-reduce, from when the last rank has come
ELEMENTS = 5_000_000  # floats: 20 MB


def facts(world: int, sequence: int | None = None, **other: Any) -> dict[str, Any]:
    """What Kineto writes of an all-reduce of all ranks."""
    known = {
        "Collective name": "allreduce",
        "In msg nelems": ELEMENTS,
        "Out msg nelems": ELEMENTS,
        "Group size": world,
        "dtype": "Float",
        "Process Group Name": "0",
        "Process Group Description": "default_pg",
        "Process Group Ranks": list(range(world)),
    }
    return known | ({} if sequence is None else {"Seq": sequence}) | other


def rank_trace(
    rank: int,
    works: list[list[tuple[float, float]]],
    *,
    clock_ahead: float = 0.0,
    has_sequence: bool = True,
    host: str | None = None,
    steps: int | None = None,
) -> TraceBuilder:
    """`works[step][rank]`: how long the kernels of `Block_0` and `Block_1` take.

    In each step the kernels follow each other from `KERNELS_AT` on, and then the rank waits in an all-reduce,
    which ends on all ranks `TRANSFER` after the last one has come; 5 µs later a copy takes 10 µs.
    """
    world = len(works[0])
    builder = TraceBuilder(pid=100 + rank)
    builder.metadata = {
        "distributedInfo": {"backend": "nccl", "rank": rank, "world_size": world},
        "baseTimeNanoseconds": 1_700_000_000_000_000_000,
        "deviceProperties": [{"id": 0, "name": "NVIDIA H100 80GB HBM3"}],
    }
    if host is not None:
        builder.metadata["host_name"] = host
    for step, work in enumerate(works[:steps]):
        at, number = clock_ahead + STEP * step, 10 * (step + 1)
        first, second = work[rank]
        builder.range(f"ProfilerStep#{5 + step}", at, at + STEP)
        builder.frame("Model_0", at + 10, at + 90)
        builder.frame("Block_0", at + 20, at + 40).launch(number, at + 25)
        builder.frame("Block_1", at + 50, at + 80).launch(number + 1, at + 55)
        builder.launch(number + 2, at + 92).launch(number + 3, at + 95)
        start = at + KERNELS_AT
        builder.kernel(number, start, start + first)
        builder.kernel(number + 1, start + first, start + first + second)
        end = at + KERNELS_AT + max(map(sum, work)) + TRANSFER
        builder.event(
            "kernel",
            "ncclDevKernel_AllReduce_Sum_f32_RING_LL",
            start + first + second,
            end,
            pid=0,
            tid=20,
            args={
                **facts(world, step if has_sequence else None),
                "correlation": number + 2,
                "device": 0,
                "stream": 20,
            },
        )
        copy = {"correlation": number + 3, "device": 0, "stream": 7}
        builder.event("gpu_memcpy", "Memcpy DtoH", end + 5, end + 15, pid=0, tid=7, args=copy)
    return builder
