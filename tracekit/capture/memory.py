"""Memory: what the allocator held at most, and how many bytes each module's calls allocate in a pass."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from tracekit.capture.passes import Recorder


@contextmanager
def allocator_peak(device: torch.device) -> Iterator[dict[str, int | None]]:
    """The CUDA allocator's bytes: held before, and at most held and reserved inside. None on a CPU."""
    found: dict[str, int | None] = dict.fromkeys(
        ("allocated_before_bytes", "peak_allocated_bytes", "peak_reserved_bytes")
    )
    if device.type != "cuda":
        yield found
        return
    devices = range(torch.cuda.device_count())
    used = [index for index in devices if index == device.index or torch.cuda.memory_reserved(index)]
    for index in used:
        torch.cuda.reset_peak_memory_stats(index)
    found["allocated_before_bytes"] = sum(torch.cuda.memory_allocated(index) for index in used)
    yield found
    found["peak_allocated_bytes"] = sum(torch.cuda.max_memory_allocated(index) for index in used)
    found["peak_reserved_bytes"] = sum(torch.cuda.max_memory_reserved(index) for index in used)


def allocations_by_module(run: Callable[[], object], on_gpu: bool) -> dict[int, dict[str, int]]:
    """Bytes that the calls of each module allocate while `run` runs with module scopes on.

    By module index: `allocated_bytes`, all that was allocated inside (children included), and `net_bytes`,
    less what was freed inside. Of the GPU's allocator if there is a GPU, else of the CPU's.
    """
    # Allocations on the GPU are told of on the CPU's side too, so its activities need no tracing.
    recorder = Recorder(on_gpu=False, memory=True)
    try:
        recorder.start()
        run()
    finally:
        recorder.stop()
    results: Any = recorder.profiler.profiler.kineto_results
    calls: list[tuple[int, int, int, int]] = []  # thread, start, end, module
    changes: list[tuple[int, int, int]] = []  # thread, time, bytes
    kind = torch.device("cuda" if on_gpu else "cpu").type.upper()
    for event in results.events():
        name = event.name()
        if name == "[memory]":
            if event.device_type().name == kind:
                changes.append((event.start_thread_id(), event.start_ns(), event.nbytes()))
        elif name.startswith("tracekit:"):
            index = name.split(":", 2)[1]
            if index.isdecimal():
                calls.append((event.start_thread_id(), event.start_ns(), event.end_ns(), int(index)))
    return _sums(calls, changes)


def _sums(
    calls: Iterable[tuple[int, int, int, int]], changes: Iterable[tuple[int, int, int]]
) -> dict[int, dict[str, int]]:
    """Sums the changes inside each module's calls; a call within itself counts once."""
    # At one moment an outer call opens before an inner one, and a change lies inside what has opened.
    moments: list[tuple[int, int, int, int, int, int]] = []
    for thread, start, end, module in calls:
        moments.append((thread, start, 0, -end, end, module))
    for thread, time, size in changes:
        moments.append((thread, time, 1, 0, size, -1))
    totals: dict[int, dict[str, int]] = defaultdict(lambda: {"allocated_bytes": 0, "net_bytes": 0})
    open_calls: list[tuple[int, int, int]] = []  # thread, end, module
    for thread, time, is_change, _, value, module in sorted(moments):
        while open_calls and (open_calls[-1][0] != thread or open_calls[-1][1] < time):
            open_calls.pop()
        if not is_change:
            open_calls.append((thread, value, module))
            continue
        for inside in {each for _, _, each in open_calls}:
            totals[inside]["net_bytes"] += value
            totals[inside]["allocated_bytes"] += max(value, 0)
    for _, _, _, module in calls:
        totals[module]  # a module that allocates nothing has allocated 0 bytes
    return dict(totals)
