"""From a trace to a `Report`: read → attribute → cost → measure, in one visible function."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from tracekit.analysis import block_rows, findings, headline, module_rows, work_rows
from tracekit.analysis.block_parts import parts_of_blocks
from tracekit.analysis.captured import read_captured
from tracekit.analysis.device import find_device, ran_on_cpu
from tracekit.analysis.headroom import headroom_rows
from tracekit.analysis.idle import host_gaps
from tracekit.analysis.model_card import model_card, parameters_of
from tracekit.analysis.module_totals import total_by_module
from tracekit.analysis.op_costs import OpCosts, cost_ops
from tracekit.analysis.op_rows import op_rows
from tracekit.analysis.pass_flops import count_pass_flops
from tracekit.analysis.phases import find_phases, main_phase, of_phase, phase_rows_of
from tracekit.analysis.schema import Accounting, Report, Share, TraceInfo
from tracekit.analysis.steps import find_steps
from tracekit.analysis.uncosted import uncosted_rows
from tracekit.analysis.work import work_of_modules, work_of_ops
from tracekit.attribution import NOBODY, Attribution, Mask, attribute, find_blocks
from tracekit.costs import load_file, load_packages
from tracekit.trace import Trace, read

__all__ = ["Report", "analyze"]


def analyze(
    path: str | Path,
    *,
    gpu: str | None = None,
    peak_tflops: float | None = None,
    bandwidth_gbs: float | None = None,
    costs_file: str | Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """The report of the trace at `path`.

    `gpu` names a device where the trace does not; `peak_tflops` (dense TFLOP/s) and `bandwidth_gbs` (GB/s)
    override the device table; `costs_file` is a Python file that registers cost formulas; `progress` is told
    the number of bytes read. Raises `UserError`.
    """
    unloaded = load_packages()
    if costs_file is not None:
        load_file(costs_file)
    trace = read(path, progress)
    attribution = attribute(trace)
    device, spec = find_device(trace, gpu, peak_tflops, bandwidth_gbs)
    costs = cost_ops(trace, attribution, spec)
    captured = read_captured(trace.metadata)
    phases = find_phases(trace, attribution.passes, captured)
    pass_flops = count_pass_flops(attribution, costs, phases, captured)
    totals = total_by_module(trace, attribution, costs, pass_flops.by_scope)
    gaps = host_gaps(trace, attribution)
    work_of_op = work_of_ops(costs)
    work = work_of_modules(attribution, work_of_op, gaps, totals.scope_gpu_self_time)
    tree = attribution.tree
    blocks = find_blocks(tree.modules, tree.source != "frames", tree.table)
    parts = parts_of_blocks(attribution, totals, work, blocks)
    info = TraceInfo(
        path=str(trace.path),
        bytes=trace.size_bytes,
        events=trace.event_count,
        skipped_events=trace.skipped_count,
        warnings=(*trace.warnings, *unloaded),
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
    flops = headline.flops_of(
        costs, work_of_op, attribution.op_pass, pass_flops, passes, time, main, steps, timed
    )
    knows_flops = pass_flops.knows_modules
    of_each_phase = phase_rows_of(attribution, totals, blocks, parts, phases, knows_flops, on_cpu)
    if main is not None and phases.several:
        mask = phases.passes_of(main.name)
        totals, work, parts = (
            of_phase(totals, attribution, mask),
            work.of_passes(mask),
            parts.of_passes(mask),
        )
    measured = module_rows.Measured(
        attribution=attribution,
        totals=totals,
        work=work,
        blocks=blocks,
        parts=parts,
        parameters=parameters_of(trace.metadata),
        knows_flops=knows_flops,
        on_cpu=on_cpu,
        wall_us=time.pass_wall_us,
    )
    modules = module_rows.module_rows(measured, captured.module_memory, of_each_phase.modules)
    return Report(
        trace=info,
        device=device,
        model=model_card(trace, attribution, blocks),
        time=time,
        accounting=accounting,
        flops=flops,
        memory=captured.memory,
        capture=captured.facts,
        phases=phase_rows,
        passes=passes,
        modules=modules,
        types=module_rows.type_rows(
            measured,
            accounting,
            _matrix_flops_of_kind(attribution, costs) if pass_flops.source == "shapes" else {},
            of_each_phase.types,
        ),
        blocks=block_rows.block_rows(measured, of_each_phase.blocks),
        block_kinds=block_rows.block_kind_rows(measured),
        headroom=headroom_rows(measured, gaps),
        kernels=work_rows.kernel_rows(trace),
        ops=op_rows(trace, attribution, costs, work_of_op, on_cpu),
        uncosted=uncosted_rows(trace, attribution, costs),
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
