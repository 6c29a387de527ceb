"""What a reader of the report must know or could change: rules that fire on evidence only."""

from __future__ import annotations

from collections.abc import Sequence

from tracekit.analysis.findings import device_rules, pass_rules, trace_rules
from tracekit.analysis.schema import (
    Accounting,
    Capture,
    Device,
    Finding,
    Flops,
    ModuleRow,
    Pass,
    PhaseRow,
    TraceInfo,
)
from tracekit.analysis.work_rows import are_of_several_kinds

_SEVERITIES = ("high", "medium", "low", "note")


def find(
    trace: TraceInfo,
    device: Device,
    accounting: Accounting,
    flops: Flops,
    passes: Sequence[Pass],
    modules: Sequence[ModuleRow],
    phases: Sequence[PhaseRow] = (),
    capture: Capture | None = None,
) -> tuple[Finding, ...]:
    """The findings, worst first."""
    known_flops = [one.matrix_flops for one in passes if one.matrix_flops is not None]
    mixed = are_of_several_kinds((one.phase for one in passes), known_flops)
    found = [
        *trace_rules.early_end(capture),
        *(pass_rules.several_kinds(known_flops) if mixed else ()),
        *pass_rules.outlier_passes(passes),
        *(() if mixed else pass_rules.slow_calls(modules)),
        *pass_rules.gpu_waits(passes),
        *trace_rules.damage(trace),
        *trace_rules.what_the_trace_lacks(trace, accounting, flops),
        *device_rules.doubtful_figures(device, accounting, flops),
        *(() if mixed else device_rules.uncounted(flops, phases)),
        *device_rules.throttled(device.telemetry),
    ]
    return tuple(sorted(found, key=lambda one: (_SEVERITIES.index(one.severity), -(one.gain_us or 0))))
