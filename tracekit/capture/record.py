"""One capture from beginning to end: warm up, time, profile, describe, write."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tracekit.capture.build import Workload
from tracekit.capture.errors import failures_named
from tracekit.capture.metadata import forward_metadata
from tracekit.capture.passes import Step, profile_passes, steady, time_passes, warm_up
from tracekit.capture.writer import write_trace


def capture_forward(
    work: Workload,
    path: Path,
    *,
    warmup: int,
    passes: int,
    options: Mapping[str, object],
    on_step: Step = lambda phase: None,
) -> dict[str, Any]:
    """Capture `passes` forward passes into `path`; returns the metadata that went into the file.

    The passes are timed first, without profiler and scopes, and then run again under both.

    Raises:
        CaptureError: the forward fails, or the file cannot be written. No file is left then.
    """
    with failures_named(f"running {work}"), steady(work.device):
        warm_up(work.run, warmup, work.device, on_step)
        latencies_us = time_passes(work.run, passes, work.device, on_step)
        profiler = profile_passes(work.model, work.run, passes, work.device, on_step, settle=warmup > 0)
    metadata = forward_metadata(
        work.model,
        name=work.name,
        inputs=work.inputs,
        dtype=work.dtype,
        device=work.device,
        batch_size=work.batch_size,
        sequence_length=work.sequence_length,
        latencies_us=latencies_us,
        warmup=warmup,
        passes=passes,
        options=options,
    )
    on_step("write")
    write_trace(profiler.export_chrome_trace, metadata, path)
    return metadata
