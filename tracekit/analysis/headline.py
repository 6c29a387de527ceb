"""Time and FLOP/s of a pass, of the passes of each phase, and of a training step."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tracekit.analysis.busy import occupancy
from tracekit.analysis.captured import Captured, CapturedPhase
from tracekit.analysis.op_costs import OpCosts
from tracekit.analysis.pass_flops import PassFlops
from tracekit.analysis.phases import Phases
from tracekit.analysis.schema import Device, Flops, Pass, PhaseRow, Roof, Time
from tracekit.analysis.steps import Steps
from tracekit.analysis.work import OpWork
from tracekit.analysis.work_rows import are_of_several_kinds
from tracekit.attribution import NOBODY, sum_by
from tracekit.trace import Ints, Trace


class Rate(NamedTuple):
    tflops: float | None
    basis: str | None


def _rate(flops: int | None, latency_us: float | None, wall_us: float | None, wall: str, timed: bool) -> Rate:
    """`flops` ÷ latency, or ÷ the time that is called `wall` where there is no latency."""
    duration = latency_us or wall_us
    if not timed or not flops or not duration:
        return Rate(None, None)
    return Rate(flops / duration / 1e6, "latency" if latency_us else wall)


def phase_rows(
    captured: Captured, phases: Phases, passes: Sequence[Pass], flops: PassFlops, timed: bool
) -> tuple[PhaseRow, ...]:
    """One row per phase; `timed`: the times of passes are those of the device that computed."""
    stored = {phase.name: phase for phase in captured.phases}
    rows = []
    for name in phases.names:
        phase = stored.get(name, CapturedPhase(name))
        latencies = phase.latencies_us or (captured.latencies_us if len(phases.names) == 1 else ())
        own = [one for one in passes if one.phase == name]
        walls = [one.wall_us for one in own]
        latency, wall = _median(latencies), _median(walls)
        matrix = _of_pass(own)
        if matrix is None and flops.source != "shapes":
            matrix = phase.matrix_flops
        # What a training makes of its tokens takes a whole step, not the forward alone.
        duration = _median(captured.step_latencies_us) or latency or wall
        tokens = captured.batch_size * phase.tokens if captured.batch_size and phase.tokens else None
        tflops, basis = _rate(matrix, None if _may_be_others(passes) else latency, wall, "pass_wall", timed)
        rows.append(
            PhaseRow(
                name=name,
                passes=len(own),
                tokens=phase.tokens,
                cache_length=phase.cache_length,
                latency_us=latency,
                latency_min_us=min(latencies, default=None),
                latency_max_us=max(latencies, default=None),
                latency_passes=len(latencies),
                pass_wall_us=wall,
                pass_wall_min_us=min(walls, default=None),
                pass_wall_max_us=max(walls, default=None),
                gpu_time_us=_median([one.gpu_time_us for one in own]),
                gpu_busy_us=_median([one.gpu_busy_us for one in own]),
                matrix_flops=matrix,
                counted_flops=phase.matrix_flops,
                headline_tflops=tflops,
                headline_basis=basis,
                tokens_per_second=tokens / duration * 1e6 if tokens and duration else None,
            )
        )
    return tuple(rows)


def time_of(
    trace: Trace, captured: Captured, passes: Sequence[Pass], main: PhaseRow | None, steps: Steps
) -> Time:
    """`main`: the phase that is meant where "a pass" is said of one of several."""
    events = trace.gpu_events
    gpu = occupancy(events.start, events.end, events.device)
    own = [one for one in passes if main is None or one.phase == main.name]
    walls = [one.wall_us for one in own]
    latencies = captured.latencies_us if main is None and not captured.phases else ()
    return Time(
        passes=len(passes),
        pass_wall_us=_median(walls),
        pass_wall_min_us=min(walls, default=None),
        pass_wall_max_us=max(walls, default=None),
        gpu_time_us=int((events.end - events.start).sum()) / 1000,
        gpu_time_per_pass_us=_median([one.gpu_time_us for one in own]),
        gpu_busy_us=gpu.busy / 1000,
        gpu_idle_us=gpu.idle / 1000,
        gpu_span_us=gpu.span / 1000,
        latency_us=main.latency_us if main else _median(latencies),
        phase=main.name if main else None,
        latency_min_us=main.latency_min_us if main else min(latencies, default=None),
        latency_max_us=main.latency_max_us if main else max(latencies, default=None),
        latency_passes=main.latency_passes if main else len(latencies),
        step_latency_us=_median(captured.step_latencies_us),
        step_wall_us=steps.wall_us,
        steps=steps.count,
    )


def flops_of(
    costs: OpCosts,
    work: OpWork,
    device: Device,
    op_pass: Ints,
    flops: PassFlops,
    passes: Sequence[Pass],
    time: Time,
    main: PhaseRow | None,
    steps: Steps,
    timed: bool,
) -> Flops:
    """`op_pass` is per op; `timed`: times of passes are those of the device that computed."""
    launched = costs.multiplies
    launched_time = int(costs.time[launched].sum())
    at_peak = float(costs.matrix_bound[launched].sum())
    per_pass = _of_pass([one for one in passes if main is None or one.phase == main.name])
    latency = None if _may_be_others(passes) else time.latency_us
    headline = _rate(per_pass, latency, time.pass_wall_us, "pass_wall", timed)
    rows, causal = work.rows, int(costs.causal.sum())
    bound, bounded = float(rows.bound.sum()), float(rows.bounded_time.sum())
    number = op_pass[work.op]
    in_pass = number != NOBODY
    bound_of_pass = sum_by(number[in_pass], rows.bound[in_pass], len(passes))
    bounded_of_pass = sum_by(number[in_pass], rows.bounded_time[in_pass], len(passes))
    own = [one.index for one in passes if main is None or one.phase == main.name]
    reached = [bound_of_pass[index] / bounded_of_pass[index] for index in own if bounded_of_pass[index]]
    step = _rate(steps.matrix_flops, time.step_latency_us, time.step_wall_us, "step_wall", timed)
    return Flops(
        matrix=flops.total,
        vector=int(costs.vector.sum()) if flops.source == "shapes" else None,
        bytes=int(rows.bytes.sum()) if flops.source == "shapes" else None,
        matrix_per_pass=per_pass,
        covered_gpu_time_share=costs.covered_gpu_time / costs.coverable_gpu_time
        if costs.coverable_gpu_time
        else None,
        achieved_tflops=int(costs.matrix[launched].sum()) / launched_time / 1000 if launched_time else None,
        matrix_gpu_time_us=launched_time / 1000,
        peak_share=at_peak / launched_time if launched_time and np.isfinite(at_peak) else None,
        headline_tflops=headline.tflops,
        headline_basis=headline.basis,
        source=flops.source,
        counted_per_pass=main.counted_flops if main else None,
        matrix_per_step=steps.matrix_flops,
        step_tflops=step.tflops,
        step_basis=step.basis,
        costed_gpu_time_share=costs.covered_gpu_time / 1000 / time.gpu_time_us if time.gpu_time_us else None,
        causal_matrix=causal if causal != int(costs.matrix.sum()) else None,
        bound_us=bound / 1000 if bounded else None,
        bounded_gpu_time_us=bounded / 1000 if bounded else None,
        bound_share=bound / bounded if bounded else None,
        bound_per_pass_us=_median((bound_of_pass[own] / 1000).tolist()) if bounded else None,
        bound_share_per_pass=_median([float(share) for share in reached]),
        roofs=_roofs(costs, work, device),
    )


def _roofs(costs: OpCosts, work: OpWork, device: Device) -> tuple[Roof, ...]:
    peak = costs.compute_peak
    held = peak != NOBODY
    time = sum_by(peak[held], work.rows.bounded_time[held], len(costs.peaks))
    peaks = device.peaks or {}
    roofs = [
        Roof(dtype=dtype, tflops=peaks[dtype], gpu_time_us=ns / 1000)
        for dtype, ns in zip(costs.peaks, time.tolist(), strict=True)
        if ns
    ]
    return tuple(sorted(roofs, key=lambda roof: -roof.gpu_time_us))


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


def _may_be_others(passes: Sequence[Pass]) -> bool:
    """Whether the passes that were timed may have been of another kind than these, in a loop of several."""
    return are_of_several_kinds((one.phase for one in passes), [one.matrix_flops for one in passes])


def _of_pass(passes: Sequence[Pass]) -> int | None:
    known = [one.matrix_flops for one in passes if one.matrix_flops is not None]
    return round(statistics.median(known)) if known else None
