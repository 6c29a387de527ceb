"""Passes: run one several times, to warm up, to time it, or under the profiler.

Knows devices and torch's profiler; knows neither what a pass runs nor where the trace goes.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity

from tracekit.capture.errors import CaptureError
from tracekit.capture.scopes import module_scopes, pass_scope

Step = Callable[[str], None]
"""Told of every pass that is about to run, with the name of its phase."""


@contextmanager
def steady(device: torch.device) -> Iterator[None]:
    """Inference on `device`, with the garbage collector held back.

    A full collection takes tens of milliseconds in a process with torch and transformers and falls into
    whichever module happens to allocate.
    """
    gc.collect()
    collects = gc.isenabled()
    gc.disable()
    try:
        with torch.inference_mode(), torch.cuda.device(device) if device.type == "cuda" else nullcontext():
            yield
    finally:
        if collects:
            gc.enable()


def warm_up(run: Callable[[], object], passes: int, device: torch.device, on_step: Step) -> None:
    for _ in range(passes):
        on_step("warm-up")
        run()
        synchronize(device)


def time_passes(run: Callable[[], object], passes: int, device: torch.device, on_step: Step) -> list[float]:
    """Latency of each pass in µs: between CUDA events on a GPU, by the wall clock on a CPU."""
    latencies_us = []
    new_event: Callable[..., Any] = torch.cuda.Event
    for _ in range(passes):
        on_step("latency")
        if device.type == "cuda":
            start, end = (new_event(enable_timing=True) for _ in range(2))
            start.record()
            run()
            end.record()
            end.synchronize()
            latencies_us.append(start.elapsed_time(end) * 1e3)
        else:
            start_ns = time.perf_counter_ns()
            run()
            latencies_us.append((time.perf_counter_ns() - start_ns) / 1e3)
    return latencies_us


def profile_passes(
    model: nn.Module,
    run: Callable[[], object],
    passes: int,
    device: torch.device,
    on_step: Step,
    *,
    settle: bool,
) -> torch.profiler.profile:
    """Run `passes` passes with scopes under the profiler; returns the stopped profiler.

    `settle` runs one more pass after the GPU's tracing is switched on and before anything is recorded:
    the first launches afterwards pay for that switch. The device is idle at every pass's start and end,
    and waiting for it lies outside the pass's scope.

    Raises:
        CaptureError: this torch cannot trace the GPU.
    """
    supported_activities: Callable[[], Any] = torch.profiler.supported_activities
    activities = [ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
        if ProfilerActivity.CUDA not in supported_activities():
            raise CaptureError("this build of torch cannot trace a GPU (no CUPTI or roctracer in it)")
    profiler = torch.profiler.profile(
        activities=activities, record_shapes=True, with_stack=False, profile_memory=False
    )
    with module_scopes(model):
        profiler.prepare_trace()
        try:
            if settle:
                warm_up(run, 1, device, on_step)
        except BaseException:
            # The only way out of a prepared trace leads through a started one.
            profiler.start_trace()
            profiler.stop_trace()
            raise
        profiler.start_trace()
        try:
            for number in range(passes):
                on_step("profile")
                with pass_scope(number):
                    run()
                synchronize(device)
        finally:
            profiler.stop_trace()
    return profiler


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
