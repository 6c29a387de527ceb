"""From a trace to a `Report`: read → attribute → cost → measure, in one visible function."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from tracekit.analysis import findings, headline, module_rows, work_rows
from tracekit.analysis.captured import read_captured
from tracekit.analysis.device import find_device, ran_on_cpu
from tracekit.analysis.model_card import model_card, parameters_of
from tracekit.analysis.module_totals import total_by_module
from tracekit.analysis.op_costs import OpCosts, cost_ops
from tracekit.analysis.pass_flops import count_pass_flops
from tracekit.analysis.phases import find_phases, main_phase, of_phase, phase_rows_of
from tracekit.analysis.schema import Accounting, Report, Share, TraceInfo
from tracekit.analysis.steps import find_steps
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
    captured = read_captured(trace.metadata)
    phases = find_phases(trace, attribution.passes, captured)
    pass_flops = count_pass_flops(attribution, costs, phases, captured)
    totals = total_by_module(trace, attribution, costs, pass_flops.by_scope)
    tree = attribution.tree
    blocks = find_blocks(tree.modules, tree.source != "frames", tree.table)
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
    device = msgspec.structs.replace(device, telemetry=captured.telemetry)
    passes = work_rows.pass_rows(trace, attribution, phases, pass_flops.by_pass)
    on_cpu = ran_on_cpu(trace)
    timed = on_cpu or any(one.kernels for one in passes)
    phase_rows = headline.phase_rows(captured, phases, passes, pass_flops, timed)
    main = next((row for row in phase_rows if row.name == main_phase(phases, passes)), None)
    steps = find_steps(trace, attribution, costs, captured.whole_steps)
    time = headline.time_of(trace, captured, passes, main, steps)
    flops = headline.flops_of(costs, pass_flops, passes, time, main, steps, timed)
    knows_flops = pass_flops.knows_modules
    of_each_phase = phase_rows_of(attribution, totals, blocks, phases, knows_flops, on_cpu)
    if main is not None and phases.several:
        totals = of_phase(totals, attribution, phases.passes_of(main.name))
    modules = module_rows.module_rows(
        attribution, totals, blocks, parameters, knows_flops, captured.module_memory, of_each_phase.modules
    )
    return Report(
        trace=info,
        device=device,
        model=model_card(trace.metadata, tree, blocks),
        time=time,
        accounting=accounting,
        flops=flops,
        memory=captured.memory,
        capture=captured.facts,
        phases=phase_rows,
        passes=passes,
        modules=modules,
        types=module_rows.type_rows(
            attribution,
            totals,
            accounting,
            _matrix_flops_of_kind(attribution, costs) if pass_flops.source == "shapes" else {},
            knows_flops,
            of_each_phase.types,
        ),
        blocks=module_rows.block_rows(
            attribution, totals, blocks, parameters, knows_flops, on_cpu, of_each_phase.blocks
        ),
        kernels=work_rows.kernel_rows(trace),
        ops=work_rows.op_rows(trace, attribution, costs, on_cpu),
        regions=work_rows.region_rows(trace, attribution),
        findings=findings.find(
            *(info, device, accounting, flops, passes, modules, phase_rows, captured.facts),
            findings.Evidence(trace, attribution, costs, spec),
            time,
        ),
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
