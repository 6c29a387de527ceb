"""Everything that a report says, from a trace whose events are attributed and whose ops have costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from tracekit.analysis import block_rows, findings, headline, module_rows, statistics, work_rows
from tracekit.analysis.block_parts import parts_of_blocks
from tracekit.analysis.captured import read_captured
from tracekit.analysis.device import ran_on_cpu
from tracekit.analysis.gaps import Idle, find_gaps, find_idle
from tracekit.analysis.headroom import headroom_rows
from tracekit.analysis.model_card import model_card, parameters_of
from tracekit.analysis.module_totals import total_by_module
from tracekit.analysis.op_costs import OpCosts
from tracekit.analysis.op_rows import op_rows
from tracekit.analysis.pass_flops import PassFlops, count_pass_flops
from tracekit.analysis.phases import find_phases, main_phase, of_phase, phase_rows_of
from tracekit.analysis.schema import Accounting, Device, Report, Share, TraceInfo
from tracekit.analysis.steps import find_steps
from tracekit.analysis.timeline import module_of_gpu_events, timeline_of
from tracekit.analysis.uncosted import uncosted_rows
from tracekit.analysis.work import work_of_modules, work_of_ops
from tracekit.attribution import NOBODY, Attribution, Mask, find_blocks, inverse
from tracekit.hardware import DeviceSpec
from tracekit.messages import Message
from tracekit.trace import Ints, Trace


@dataclass(frozen=True)
class Measurement:
    """A report, and of what it is made what a drawing of the trace needs too."""

    report: Report
    idle: Idle
    module_of_row: Ints  # the module of each row of the report's modules


def measure(
    trace: Trace,
    attribution: Attribution,
    costs: OpCosts,
    device: Device,
    spec: DeviceSpec | None,
    not_loaded: Sequence[Message] = (),
) -> Measurement:
    """`not_loaded`: why cost formulas of installed packages are missing."""
    captured = read_captured(trace.metadata)
    phases = find_phases(trace, attribution.passes, captured)
    pass_flops = count_pass_flops(attribution, costs, phases, captured)
    on_cpu = ran_on_cpu(trace)
    idle = find_idle(trace, attribution)
    gaps = find_gaps(trace, attribution, idle)
    work_of_op = work_of_ops(costs)

    info = _trace_info(trace, attribution)
    accounting = _accounting(trace, attribution)
    passes = work_rows.pass_rows(trace, attribution, phases, pass_flops.by_pass)
    timed = on_cpu or any(one.kernels for one in passes)
    phase_rows = headline.phase_rows(captured, phases, passes, pass_flops, timed)
    main = next((row for row in phase_rows if row.name == main_phase(phases, passes)), None)
    steps = find_steps(trace, attribution, costs, captured.whole_steps)
    time = headline.time_of(trace, captured, passes, main, steps)
    flops = headline.flops_of(
        costs, work_of_op, device, attribution.op_pass, pass_flops, passes, time, main, steps, timed
    )

    totals = total_by_module(trace, attribution, costs, pass_flops.by_scope)
    work = work_of_modules(attribution, work_of_op, gaps, totals.scope_gpu_self_time)
    tree = attribution.tree
    blocks = find_blocks(tree.modules, tree.source != "frames", tree.table)
    parts = parts_of_blocks(attribution, totals, work, blocks)
    knows_flops = pass_flops.knows_modules
    of_each_phase = phase_rows_of(attribution, totals, blocks, parts, phases, knows_flops, on_cpu)
    of_pass: Mask = np.ones(len(passes), np.bool_)
    if main is not None and phases.several:
        of_pass = phases.passes_of(main.name)
        totals = of_phase(totals, attribution, of_pass)
        work, parts = work.of_passes(of_pass), parts.of_passes(of_pass)
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
        of_pass=of_pass,
    )
    modules = module_rows.module_rows(measured, captured.module_memory, of_each_phase.modules)
    of_main = [one for one, is_main in zip(passes, of_pass.tolist(), strict=True) if is_main]
    module_of_row = module_rows.order_of_rows(totals)
    kernels, row_of_gpu_event = work_rows.kernel_rows(trace)
    ops, row_of_op = op_rows(trace, attribution, costs, work_of_op, on_cpu)
    rows = statistics.Rows(
        inverse(module_of_row), row_of_op, row_of_gpu_event, len(modules), len(ops), len(kernels)
    )
    flops_of_kind = _matrix_flops_of_kind(attribution, costs, pass_flops)
    report = Report(
        trace=info,
        device=msgspec.structs.replace(device, telemetry=captured.telemetry),
        model=model_card(trace, attribution, blocks),
        time=time,
        accounting=accounting,
        flops=flops,
        memory=captured.memory,
        capture=captured.facts,
        phases=phase_rows,
        passes=passes,
        modules=modules,
        types=module_rows.type_rows(measured, accounting, flops_of_kind, of_each_phase.types),
        blocks=block_rows.block_rows(measured, of_each_phase.blocks),
        block_kinds=block_rows.block_kind_rows(measured),
        headroom=headroom_rows(measured, gaps, work_of_op, [one.gpu_idle_us for one in passes]),
        kernels=kernels,
        ops=ops,
        uncosted=uncosted_rows(trace, attribution, costs),
        regions=work_rows.region_rows(trace, attribution),
        findings=(),
        timeline=timeline_of(trace, attribution, idle, of_main, module_of_row),
        statistics=statistics.pass_statistics(trace, attribution, phases, captured, passes, rows),
        module_kernels=statistics.module_kernels(trace, module_of_gpu_events(attribution), rows),
        op_kernels=statistics.op_kernels(trace, attribution, rows),
    )
    evidence = findings.Evidence(trace, attribution, costs, spec, gaps)
    report = msgspec.structs.replace(report, findings=findings.find(report, evidence, not_loaded))
    return Measurement(report, idle, module_of_row)


def _trace_info(trace: Trace, attribution: Attribution) -> TraceInfo:
    return TraceInfo(
        path=str(trace.path),
        bytes=trace.size_bytes,
        events=trace.event_count,
        skipped_events=trace.skipped_count,
        warnings=(*trace.warnings, *attribution.tree.warnings),
        module_source=attribution.tree.source,
    )


def _matrix_flops_of_kind(attribution: Attribution, costs: OpCosts, pass_flops: PassFlops) -> dict[str, int]:
    """Matrix FLOPs of ops in no module's scope, those of a module's backward apart."""
    if pass_flops.source != "shapes":
        return {}
    outside = attribution.op_scope[costs.op] == NOBODY
    backward = attribution.op_backward_scope[costs.op] != NOBODY
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
