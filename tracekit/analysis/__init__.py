"""From a trace to a `Report`: read → attribute → cost → measure, in one visible function."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tracekit.analysis import findings, module_rows, work_rows
from tracekit.analysis.busy import occupancy
from tracekit.analysis.device import find_device, ran_on_cpu
from tracekit.analysis.model_card import latency_us, model_card, parameters_of
from tracekit.analysis.module_totals import total_by_module
from tracekit.analysis.op_costs import OpCosts, cost_ops
from tracekit.analysis.schema import Accounting, Flops, Pass, Report, Share, Time, TraceInfo
from tracekit.attribution import NOBODY, Attribution, Mask, attribute, find_blocks
from tracekit.trace import Trace, read

__all__ = ["Report", "analyze"]


def analyze(
    path: str | Path,
    *,
    gpu: str | None = None,
    peak_tflops: float | None = None,
    bandwidth_gbs: float | None = None,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """The report of the trace at `path`.

    `gpu` names a device where the trace does not; `peak_tflops` (dense TFLOP/s) and `bandwidth_gbs` (GB/s)
    override the device table; `progress` is told the number of bytes read. Raises `UserError`.
    """
    trace = read(path, progress)
    attribution = attribute(trace)
    device, spec = find_device(trace, gpu, peak_tflops, bandwidth_gbs)
    costs = cost_ops(trace, attribution, spec)
    totals = total_by_module(trace, attribution, costs)
    tree = attribution.tree
    blocks = find_blocks(tree.modules, numbered=tree.source != "frames")
    parameters = parameters_of(trace.metadata)
    info = TraceInfo(
        path=str(trace.path),
        bytes=trace.size_bytes,
        events=trace.event_count,
        skipped_events=trace.skipped_count,
        warnings=trace.warnings,
        module_source=tree.source,
    )
    accounting = _accounting(trace, attribution)
    passes = work_rows.pass_rows(trace, attribution, costs)
    time = _time(trace, passes)
    on_cpu = ran_on_cpu(trace)
    flops = _flops(costs, passes, time, timed=on_cpu or any(one.kernels for one in passes))
    modules = module_rows.module_rows(attribution, totals, blocks, parameters, costs.has_shapes)
    return Report(
        trace=info,
        device=device,
        model=model_card(trace.metadata, tree, blocks),
        time=time,
        accounting=accounting,
        flops=flops,
        passes=passes,
        modules=modules,
        types=module_rows.type_rows(
            attribution, totals, accounting, _matrix_flops_of_kind(attribution, costs), costs.has_shapes
        ),
        blocks=module_rows.block_rows(attribution, totals, blocks, parameters, costs.has_shapes, on_cpu),
        kernels=work_rows.kernel_rows(trace),
        ops=work_rows.op_rows(trace, attribution, costs, on_cpu),
        regions=work_rows.region_rows(trace, attribution),
        findings=findings.find(info, device, accounting, flops, passes, modules),
    )


def _matrix_flops_of_kind(attribution: Attribution, costs: OpCosts) -> dict[str, int]:
    """Matrix FLOPs of ops in no module's scope, those of a module's backward apart."""
    outside, backward = attribution.op_scope == NOBODY, attribution.op_backward_scope != NOBODY
    return {
        "modules_backward": int(costs.matrix[backward].sum()),
        "outside_modules": int(costs.matrix[outside & ~backward].sum()),
    }


def _accounting(trace: Trace, attribution: Attribution) -> Accounting:
    """Every GPU event once: in a module's forward or backward, outside modules, or of an unknown launch."""
    duration = trace.gpu_events.end - trace.gpu_events.start

    def share(of: Mask) -> Share:
        return Share(events=int(of.sum()), us=int(duration[of].sum()) / 1000)

    before, forward = attribution.launched_before_trace, attribution.in_module
    backward = attribution.in_backward
    return Accounting(
        gpu_events=len(duration),
        gpu_time_us=int(duration.sum()) / 1000,
        modules_forward=share(forward),
        modules_backward=share(backward),
        outside_modules=share(~forward & ~backward & ~before),
        launched_before_trace=share(before),
    )


def _time(trace: Trace, passes: tuple[Pass, ...]) -> Time:
    events = trace.gpu_events
    gpu = occupancy(events.start, events.end, events.device)
    walls = [one.wall_us for one in passes]
    return Time(
        passes=len(passes),
        pass_wall_us=statistics.median(walls) if walls else None,
        pass_wall_min_us=min(walls, default=None),
        pass_wall_max_us=max(walls, default=None),
        gpu_time_us=int((events.end - events.start).sum()) / 1000,
        gpu_time_per_pass_us=statistics.median(one.gpu_time_us for one in passes) if passes else None,
        gpu_busy_us=gpu.busy / 1000,
        gpu_idle_us=gpu.idle / 1000,
        gpu_span_us=gpu.span / 1000,
        latency_us=latency_us(trace.metadata),
    )


def _flops(costs: OpCosts, passes: tuple[Pass, ...], time: Time, timed: bool) -> Flops:
    """`timed`: the times of passes are those of the device that computed."""
    if not costs.has_shapes:
        return Flops(
            matrix=None,
            vector=None,
            bytes=None,
            matrix_per_pass=None,
            covered_gpu_time_share=None,
            achieved_tflops=None,
            matrix_gpu_time_us=0.0,
            peak_share=None,
            headline_tflops=None,
            headline_basis=None,
        )
    launched = costs.launched
    launched_time = int(costs.gpu_time[launched].sum())
    at_peak = float(costs.matrix_bound[launched].sum())
    per_pass = [one.matrix_flops for one in passes if one.matrix_flops is not None]
    matrix_per_pass = round(statistics.median(per_pass)) if per_pass else None
    basis = "latency" if time.latency_us else "pass_wall" if time.pass_wall_us else None
    duration = (time.latency_us or time.pass_wall_us) if timed else None
    return Flops(
        matrix=int(costs.matrix.sum()),
        vector=None,
        bytes=None,
        matrix_per_pass=matrix_per_pass,
        covered_gpu_time_share=costs.covered_gpu_time / costs.coverable_gpu_time
        if costs.coverable_gpu_time
        else None,
        achieved_tflops=int(costs.matrix[launched].sum()) / launched_time / 1000 if launched_time else None,
        matrix_gpu_time_us=launched_time / 1000,
        peak_share=at_peak / launched_time if launched_time and np.isfinite(at_peak) else None,
        headline_tflops=matrix_per_pass / duration / 1e6 if matrix_per_pass and duration else None,
        headline_basis=basis if matrix_per_pass and duration else None,
    )
