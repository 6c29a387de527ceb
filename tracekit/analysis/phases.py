"""Phases: the ways in which passes ran the model, such as the prefill and the decode of `generate`.

A pass of one phase and one of another have nothing in common but the model, so every median is of one phase.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from tracekit.analysis.block_parts import BlockParts
from tracekit.analysis.captured import MOST_PHASES, Captured
from tracekit.analysis.module_rows import type_label
from tracekit.analysis.module_totals import ModuleTotals, calls_of
from tracekit.analysis.per_pass import PerPass
from tracekit.analysis.schema import BlockPhase, ModulePhase, PartTime, Pass, TypePhase
from tracekit.attribution import NOBODY, Attribution, Block, Floats, Mask, Passes, is_within_same
from tracekit.trace import Ints, Trace


@dataclass(frozen=True)
class Phases:
    names: tuple[str, ...]
    of_pass: Ints  # into names, NOBODY where capture does not say

    def of(self, index: int) -> str | None:
        """The phase of a pass."""
        number = int(self.of_pass[index])
        return self.names[number] if number != NOBODY else None

    def passes_of(self, name: str) -> Mask:
        return np.equal(self.of_pass, self.names.index(name))

    @property
    def seen(self) -> list[str]:
        """The phases that the trace has passes of."""
        return [name for number, name in enumerate(self.names) if (self.of_pass == number).any()]

    @property
    def several(self) -> list[str]:
        """The phases that the trace has passes of, where these are not all of one."""
        return self.seen if len(self.seen) > 1 or (self.seen and (self.of_pass == NOBODY).any()) else []


def find_phases(trace: Trace, passes: Passes, captured: Captured) -> Phases:
    """The phase of each pass by the number in the name of its scope; capture's only phase, if it has one."""
    named = [phase.name for phase in captured.phases] + [name for name in captured.pass_phases if name]
    names = tuple(dict.fromkeys(named))[:MOST_PHASES]
    of_pass = np.full(len(passes), 0 if len(names) == 1 else NOBODY, np.int64)
    by_number = captured.pass_phases if passes.explicit else ()
    for index, code in enumerate(passes.scopes.name.tolist() if by_number else ()):
        number = trace.names[code].rpartition(":")[2]
        known = number.isdecimal() and len(number) < 10 and int(number) < len(by_number)
        name = by_number[int(number)] if known else None
        if name in names:
            of_pass[index] = names.index(name)
    return Phases(names, of_pass)


def main_phase(phases: Phases, passes: Sequence[Pass]) -> str | None:
    """The phase with most wall time in total; without passes the only one."""
    walls = {name: sum(one.wall_us for one in passes if one.phase == name) for name in phases.seen}
    if walls:
        return max(walls, key=lambda name: walls[name])
    return phases.names[0] if len(phases.names) == 1 else None


def of_phase(totals: ModuleTotals, attribution: Attribution, passes: Mask) -> ModuleTotals:
    """`totals` whose columns per pass, and of a call where there are calls, are those of some passes only."""
    per_pass = [field.name for field in fields(totals) if field.name.endswith("_per_pass")]
    calls, slowest, median = _calls_within(attribution, passes)
    return replace(
        totals,
        slowest_call=np.where(calls > 0, slowest, totals.slowest_call),
        median_call=np.where(calls > 0, median, totals.median_call),
        **{name: getattr(totals, name).of_passes(passes) for name in per_pass},
    )


def _calls_within(attribution: Attribution, passes: Mask) -> tuple[Ints, Ints, Floats]:
    """`calls_of` the modules within some of the passes."""
    tree, number = attribution.tree, attribution.scope_pass
    within = number != NOBODY
    within[within] = passes[number[within]]
    duration = tree.scopes.end - tree.scopes.start
    within_itself = is_within_same(tree.module, tree.nesting.parent)[within]
    return calls_of(tree.module[within], duration[within], len(tree.modules), within_itself)


@dataclass(frozen=True)
class PhaseRows:
    """What rows say of each phase: modules by index, blocks by the index of their module, types by name."""

    modules: Mapping[int, tuple[ModulePhase, ...]]
    blocks: Mapping[int, tuple[BlockPhase, ...]]
    types: Mapping[str, tuple[TypePhase, ...]]


def phase_rows_of(
    attribution: Attribution,
    totals: ModuleTotals,
    blocks: Sequence[Block],
    parts_of: BlockParts,
    phases: Phases,
    knows_flops: bool,
    on_cpu: bool,
) -> PhaseRows:
    """Rows for a trace with several phases, nothing for others; `on_cpu`: the model ran on the CPU."""
    count = len(attribution.tree.modules)
    labels = [type_label(module) for module in attribution.tree.modules]
    modules: dict[int, list[ModulePhase]] = {index: [] for index in range(count)}
    parts: dict[int, list[BlockPhase]] = {block.module: [] for block in blocks}
    types: dict[str, list[TypePhase]] = {label: [] for label in labels}
    for name in phases.several:
        mask = phases.passes_of(name)
        own = of_phase(totals, attribution, mask)
        rows = _module_phases(name, attribution, own, mask, knows_flops)
        for index, row in enumerate(rows):
            modules[index].append(row)
        own_parts = parts_of.of_passes(mask)
        cpu_times, matrices = own.cpu_time_per_pass.totals(), own.matrix_per_pass.totals()
        for number, block in enumerate(blocks):
            row = rows[block.module]
            of_parts = own_parts.groups_per_pass(number)
            cpu_time, matrix = cpu_times[block.module], matrices[block.module]
            parts[block.module].append(
                BlockPhase(
                    **{field: getattr(row, field) for field in ModulePhase.__struct_fields__},
                    attention_flops_per_pass=of_parts["attention"]
                    if knows_flops and block.knows_parts
                    else None,
                    ffn_flops_per_pass=of_parts["ffn"] if knows_flops and block.knows_parts else None,
                    mixer_flops_per_pass=of_parts["mixer"] if knows_flops and block.knows_parts else None,
                    cpu_gflops=float(matrix / cpu_time)
                    if on_cpu and knows_flops and matrix and cpu_time
                    else None,
                    parts=tuple(PartTime(*times) for times in own_parts.times_per_pass(number))
                    if block.knows_parts
                    else (),
                )
            )
        for label, row_of_type in _type_phases(name, labels, own).items():
            types[label].append(row_of_type)
    return PhaseRows(
        {index: tuple(of) for index, of in modules.items()},
        {index: tuple(of_block) for index, of_block in parts.items()},
        {label: tuple(of_type) for label, of_type in types.items()},
    )


def _module_phases(
    name: str, attribution: Attribution, own: ModuleTotals, passes: Mask, knows_flops: bool
) -> list[ModulePhase]:
    """A row per module; `own`: totals of the phase."""
    calls, slowest, median = _calls_within(attribution, passes)
    gpu, gpu_self, cpu, cpu_self = (
        column.medians_us()
        for column in (
            own.gpu_time_per_pass,
            own.gpu_self_time_per_pass,
            own.cpu_time_per_pass,
            own.cpu_self_time_per_pass,
        )
    )
    matrix = own.matrix_per_pass.medians()
    launched, time = own.launched_matrix_per_pass.totals(), own.gpu_time_per_pass.totals()
    return [
        ModulePhase(
            phase=name,
            calls=int(calls[i]),
            gpu_time_per_pass_us=gpu[i] or 0.0,
            gpu_self_time_per_pass_us=gpu_self[i] or 0.0,
            cpu_time_per_pass_us=cpu[i] or 0.0,
            cpu_self_time_per_pass_us=cpu_self[i] or 0.0,
            slowest_call_us=int(slowest[i]) / 1000 if calls[i] else None,
            median_call_us=float(median[i]) / 1000 if calls[i] else None,
            matrix_flops_per_pass=round(matrix[i] or 0) if knows_flops else None,
            tflops=float(launched[i] / time[i]) / 1000 if knows_flops and launched[i] and time[i] else None,
        )
        for i in range(len(attribution.tree.modules))
    ]


def _type_phases(name: str, labels: Sequence[str], own: ModuleTotals) -> dict[str, TypePhase]:
    """A row per type: the median over passes of the self time of all its modules."""
    distinct = list(dict.fromkeys(labels))
    number = {label: index for index, label in enumerate(distinct)}
    of_module = np.array([number[label] for label in labels], np.int64)

    def medians(per_pass: PerPass) -> list[float]:
        sums = per_pass.summed(np.arange(len(labels)), of_module, len(distinct))
        return [us or 0.0 for us in sums.medians_us()]

    gpu, cpu = medians(own.gpu_self_time_per_pass), medians(own.cpu_self_time_per_pass)
    return {label: TypePhase(name, gpu[i], cpu[i]) for i, label in enumerate(distinct)}
