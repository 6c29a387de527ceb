"""`Report`: the value that analysis makes and that every renderer reads; its fields are `report.json`'s.

Durations are µs (`_us`), totals over the whole trace unless the name ends in `_per_pass_us`; FLOPs and
bytes are integers. What is unknown is None, never 0. Nothing here computes.
"""

from __future__ import annotations

from tracekit.analysis.schema.base import Row
from tracekit.analysis.schema.facts import (
    Accounting,
    Capture,
    Device,
    Flops,
    GpuState,
    KindParameters,
    Memory,
    Model,
    Roof,
    Share,
    Telemetry,
    Time,
    Tower,
    TraceInfo,
    UsedWithoutCall,
)
from tracekit.analysis.schema.hta import Hta, HtaIdle, HtaRank
from tracekit.analysis.schema.rows import (
    BlockKindRow,
    BlockPart,
    BlockPhase,
    BlockRow,
    Finding,
    HeadroomRow,
    KernelRow,
    ModulePhase,
    ModuleRow,
    OpRow,
    PartFigures,
    PartTime,
    Pass,
    PhaseRow,
    RegionRow,
    Roofline,
    Timeline,
    TimelineEvents,
    TimelineGap,
    TimelineStream,
    TypePhase,
    TypeRow,
    UncostedRow,
)
from tracekit.analysis.schema.statistics import KernelUse, PassStatistics

SCHEMA = "tracekit.report/1"

__all__ = [
    "SCHEMA",
    "Accounting",
    "BlockKindRow",
    "BlockPart",
    "BlockPhase",
    "BlockRow",
    "Capture",
    "Device",
    "Finding",
    "Flops",
    "GpuState",
    "HeadroomRow",
    "Hta",
    "HtaIdle",
    "HtaRank",
    "KernelRow",
    "KernelUse",
    "KindParameters",
    "Memory",
    "Model",
    "ModulePhase",
    "ModuleRow",
    "OpRow",
    "PartFigures",
    "PartTime",
    "Pass",
    "PassStatistics",
    "PhaseRow",
    "RegionRow",
    "Report",
    "Roof",
    "Roofline",
    "Row",
    "Share",
    "Telemetry",
    "Time",
    "Timeline",
    "TimelineEvents",
    "TimelineGap",
    "TimelineStream",
    "Tower",
    "TraceInfo",
    "TypePhase",
    "TypeRow",
    "UncostedRow",
    "UsedWithoutCall",
]


class Report(Row, frozen=True, kw_only=True):
    schema: str = SCHEMA
    trace: TraceInfo
    device: Device
    model: Model
    time: Time
    accounting: Accounting
    flops: Flops
    memory: Memory = Memory()
    capture: Capture = Capture()
    phases: tuple[PhaseRow, ...] = ()
    passes: tuple[Pass, ...]
    modules: tuple[ModuleRow, ...]
    types: tuple[TypeRow, ...]
    blocks: tuple[BlockRow, ...]
    kernels: tuple[KernelRow, ...]
    ops: tuple[OpRow, ...]
    regions: tuple[RegionRow, ...]
    block_kinds: tuple[BlockKindRow, ...] = ()
    headroom: tuple[HeadroomRow, ...] = ()
    uncosted: tuple[UncostedRow, ...] = ()
    findings: tuple[Finding, ...]
    timeline: Timeline | None = None
    statistics: tuple[PassStatistics, ...] = ()
    module_kernels: KernelUse = KernelUse()
    op_kernels: KernelUse = KernelUse()
    hta: Hta | None = None  # of Holistic Trace Analysis, where that was asked for
