"""What of a `Report` is shown, in which order, and why something is not: shared by the renderers.

So that the list in the Markdown report and the bars in a picture are the same modules. Selects and groups;
the numbers are those of the report.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from heapq import nlargest
from itertools import chain
from pathlib import PurePath

from tracekit.analysis.schema import BlockRow, GpuState, ModuleRow, Pass, Report, Telemetry, TypeRow
from tracekit.messages import N_, Message
from tracekit.report.i18n import Locale
from tracekit.report.kernel_names import short_names
from tracekit.report.phase_view import passes_of, plain_name, row_of, side_by_side

GPUS = 8
# Of kernels, operators and the like, which a trace may have a million of, outputs for people show the first.
TABLE_ROWS = 10_000
# And of what a page holds with many figures each; a model of 256 experts a layer has some 60,000 modules.
PAGE_MODULES = 30_000
PAGE_BLOCKS = 2_000
NAME_WIDTH = 60

Range = tuple[float, float] | None  # the least and the greatest of a group's known values


def has_gpu(report: Report) -> bool:
    """Whether times are GPU times. Without a GPU event they are CPU times, and everything says so."""
    return report.accounting.gpu_events > 0


def is_per_pass(report: Report) -> bool:
    """Whether times of modules and blocks are per pass; without a pass they are of the whole trace."""
    return report.time.passes > 0


def title(report: Report) -> str:
    """The model's name or class, else the name of the trace file."""
    return report.model.name or report.model.class_ or PurePath(report.trace.path).name


def slowest_modules(report: Report, top: int, phase: str | None = None) -> list[tuple[ModuleRow, float]]:
    """The `top` modules of most self time, with that time in µs (`is_per_pass`), without its children's.

    In passes of `phase`; without one, as everywhere here, in those of the main phase.
    """
    timed = [(module, _self_time_us(report, module, phase)) for module in report.modules]
    shown = [(module, us) for module, us in timed if us]
    return sorted(shown, key=lambda pair: (-pair[1], pair[0].path))[:top]


def _self_time_us(report: Report, module: ModuleRow, phase: str | None) -> float:
    if phase is not None:
        row = row_of(module.phases, phase)
        if row is None:
            return 0.0
        return row.gpu_self_time_per_pass_us if has_gpu(report) else row.cpu_self_time_per_pass_us
    if has_gpu(report):
        own = module.gpu_self_time_per_pass_us if is_per_pass(report) else module.gpu_self_time_us
    else:
        own = module.cpu_self_time_per_pass_us if is_per_pass(report) else module.cpu_self_time_us
    return own or 0.0


def shown_modules(report: Report) -> Sequence[ModuleRow]:
    """Those of `PAGE_MODULES` that come first, with all that they are in; in the order of the report."""
    rows = report.modules
    if len(rows) <= PAGE_MODULES:
        return rows
    by_path = {row.path: row for row in rows}
    shown: set[str] = set()
    for row in rows[:PAGE_MODULES]:
        around: ModuleRow | None = row
        while around is not None and around.path not in shown:
            shown.add(around.path)
            around = None if around.parent is None else by_path.get(around.parent)
    return [row for row in rows if row.path in shown]


def shown_passes(report: Report) -> Sequence[Pass]:
    """At most about `TABLE_ROWS` of them: the first, the last, the slowest, and that of the timeline."""
    rows = report.passes
    if len(rows) <= TABLE_ROWS:
        return rows
    share = TABLE_ROWS // 3
    shown = {*range(share), *range(len(rows) - share, len(rows))}
    shown.update(nlargest(share, range(len(rows)), key=lambda at: rows[at].wall_us))
    if report.timeline is not None and report.timeline.pass_index is not None:
        shown.add(report.timeline.pass_index)
    return [rows[at] for at in sorted(shown)]


@dataclass(frozen=True)
class Spread:
    """How much the wall times (µs) of passes differ, those of outliers apart where there are others."""

    passes: int
    outliers: int
    least: float
    greatest: float


def spread(passes: Sequence[Pass]) -> Spread | None:
    """None without passes."""
    usual = [row.wall_us for row in passes if not row.outlier]
    walls = usual or [row.wall_us for row in passes]
    return Spread(len(passes), len(passes) - len(usual), min(walls), max(walls)) if walls else None


def types_by_time(report: Report) -> list[tuple[TypeRow, float]]:
    """Types with their self time over the whole trace in µs, modules first; empty other rows left out."""
    on_gpu = has_gpu(report)
    timed = [(row, row.gpu_self_time_us if on_gpu else row.cpu_self_time_us) for row in report.types]
    shown = [(row, us) for row, us in timed if row.kind == "modules" or us > 0]
    return sorted(shown, key=lambda pair: (pair[0].kind != "modules", -pair[1], pair[0].type))


def has_backward(report: Report) -> bool:
    """Whether GPU time of a backward pass is known by module."""
    return any(row.gpu_backward_self_time_us for row in report.types)


def backward_time_us(report: Report, module: ModuleRow) -> float:
    """GPU time in µs of the backward of the module's own code (`is_per_pass`)."""
    own = (
        module.gpu_backward_self_time_per_pass_us if is_per_pass(report) else module.gpu_backward_self_time_us
    )
    return own or 0.0


def type_time_us(report: Report, row: TypeRow, phase: str) -> float | None:
    """Self time per pass of a type in one phase; None for what is no module's."""
    own = row_of(row.phases, phase)
    if own is None:
        return None
    return own.gpu_self_time_per_pass_us if has_gpu(report) else own.cpu_self_time_per_pass_us


def type_label(row: TypeRow) -> str | Message:
    """The type's name from the trace, or what stands for GPU time that is in no module's forward."""
    return KIND_LABELS.get(row.kind, row.type)


KIND_LABELS = {
    "modules_forward": N_("modules, forward"),
    "modules_backward": N_("modules, backward"),
    "outside_modules": N_("outside modules"),
    "launched_before_trace": N_("launched before the trace began"),
}


def stacks(report: Report) -> list[str]:
    """The stacks of blocks in the order of the report."""
    return list(dict.fromkeys(block.stack for block in report.blocks))


def block_time_us(report: Report, block: BlockRow, phase: str | None = None) -> float | None:
    """GPU time, or CPU time without a GPU, of a block (`is_per_pass`)."""
    if phase is not None:
        row = row_of(block.phases, phase)
        if row is None:
            return None
        return row.gpu_time_per_pass_us if has_gpu(report) else row.cpu_time_per_pass_us
    if has_gpu(report):
        return block.gpu_time_per_pass_us if is_per_pass(report) else block.gpu_time_us
    return block.cpu_time_per_pass_us if is_per_pass(report) else block.cpu_time_us


def block_part_times_us(report: Report, block: BlockRow, phase: str | None = None) -> dict[str, float]:
    """GPU time, or CPU time without a GPU, of each part of a block (`is_per_pass`).

    A block whose parts are not known is one part: that of its kind, else its residual.
    """
    on_gpu, per_pass = has_gpu(report), is_per_pass(report)
    if phase is not None:
        row = row_of(block.phases, phase)
        own = row.parts if row is not None else ()
        times = {
            part.part: part.gpu_time_per_pass_us if on_gpu else part.cpu_time_per_pass_us for part in own
        }
    elif per_pass:
        times = {
            part.part: (part.gpu_time_per_pass_us if on_gpu else part.cpu_time_per_pass_us) or 0.0
            for part in block.parts
        }
    else:
        times = {part.part: part.gpu_time_us if on_gpu else part.cpu_time_us for part in block.parts}
    kind = block.kind if block.kind in PARTS else "residual"
    return times or {kind: block_time_us(report, block, phase) or 0.0}


def block_speed(report: Report, block: BlockRow, phase: str | None = None) -> float | None:
    """TFLOP/s of a block on the GPU; of a model that ran on the CPU, GFLOP/s."""
    if phase is not None:
        row = row_of(block.phases, phase)
        if row is None:
            return None
        return row.tflops if has_gpu(report) else row.cpu_gflops
    return block.tflops if has_gpu(report) else block.cpu_gflops


@dataclass(frozen=True)
class BlockGroup:
    """The blocks of one kind in one stack; FLOPs and times as `is_per_pass` says."""

    stack: str
    kind: str
    blocks: int
    parameters: Range
    matrix_flops: Range
    attention_flops: Range
    ffn_flops: Range
    mixer_flops: Range
    time_us: Range
    speed: Range


def block_groups(report: Report, phase: str | None = None) -> list[BlockGroup]:
    """The kinds of blocks, stack by stack, in the order of their first block."""

    def flops_of(rows: list[BlockRow], field: str) -> Range:
        if phase is not None:
            found = [row_of(row.phases, phase) for row in rows]
            return _range(getattr(row, f"{field}_per_pass") for row in found if row is not None)
        return _range(getattr(row, f"{field}_per_pass" if is_per_pass(report) else field) for row in rows)

    groups: dict[tuple[str, str], list[BlockRow]] = defaultdict(list)
    for block in report.blocks:
        groups[block.stack, block.kind].append(block)
    return [
        BlockGroup(
            stack=stack,
            kind=kind,
            blocks=len(rows),
            parameters=_range(row.parameters for row in rows),
            matrix_flops=flops_of(rows, "matrix_flops"),
            attention_flops=flops_of(rows, "attention_flops"),
            ffn_flops=flops_of(rows, "ffn_flops"),
            mixer_flops=flops_of(rows, "mixer_flops"),
            time_us=_range(block_time_us(report, row, phase) for row in rows),
            speed=_range(block_speed(report, row, phase) for row in rows),
        )
        for (stack, kind), rows in groups.items()
    ]


def range_of(group: BlockGroup, field: str) -> Range:
    """One of the ranges of a group by its name."""
    values: Range = getattr(group, field)
    return values


def _range(values: Iterable[float | None]) -> Range:
    known = [value for value in values if value is not None]
    return (min(known), max(known)) if known else None


def folded_passes(passes: tuple[Pass, ...], limit: int) -> list[Pass | int]:
    """At most about `limit` passes: first, last and outliers; an int stands for so many left out."""
    if len(passes) <= limit:
        return list(passes)
    outliers = [position for position, row in enumerate(passes) if row.outlier][: limit // 2]
    edge = max(1, (limit - len(outliers)) // 2)
    kept = sorted({*range(edge), *outliers, *range(len(passes) - edge, len(passes))})
    shown: list[Pass | int] = []
    previous = -1
    for position in kept:
        if position - previous > 1:
            shown.append(position - previous - 1)
        shown.append(passes[position])
        previous = position
    return shown


def percentages(parts: list[float], digits: int = 1) -> list[float]:
    """`parts` in percent of their sum, rounded so that what is shown adds up to 100 (largest remainders)."""
    total = sum(parts)
    if total <= 0:
        return [0.0] * len(parts)
    unit = 10**digits
    exact = [part / total * 100 * unit for part in parts]
    rounded = [int(share) for share in exact]
    missing = 100 * unit - sum(rounded)
    for position in sorted(range(len(parts)), key=lambda i: rounded[i] - exact[i])[:missing]:
        rounded[position] += 1
    return [share / unit for share in rounded]


SEVERITIES = {
    "high": N_("high"),
    "medium": N_("medium"),
    "low": N_("low"),
    "note": N_("note"),
}


def over_passes(report: Report, locale: Locale, phase: str | None = None) -> str:
    """Over how many passes a per-pass figure is the median."""
    return median_of(passes_of(report, phase), locale)


def median_of(passes: int, locale: Locale) -> str:
    return (
        locale._("one pass")
        if passes == 1
        else locale.ngettext("median of {n} pass", "median of {n} passes", passes)
    )


def self_time_basis(
    report: Report, locale: Locale, phase: str | None = None, name: Callable[[str], str] = plain_name
) -> str:
    """What the times of `slowest_modules` are; `name` makes a phase's name harmless."""
    if has_gpu(report):
        text = locale._("GPU self time, without that of modules inside")
    else:
        text = locale._("CPU self time, without that of modules inside (no GPU in the trace)")
    return f"{text}, {per_pass_text(report, locale, phase, name)}"


def per_pass_text(
    report: Report, locale: Locale, phase: str | None = None, name: Callable[[str], str] = plain_name
) -> str:
    """What times of modules and blocks are over; `name` makes a phase's name harmless."""
    if is_per_pass(report):
        if phase is None and side_by_side(report) != [None]:
            phase = report.time.phase
        per_pass = locale._("per pass of {phase}").format(phase=name(phase)) if phase else ""
        return f"{per_pass or locale._('per pass')} ({over_passes(report, locale, phase)})"
    return locale._("over the whole trace")


def kernel_names(report: Report) -> dict[str, str]:
    """A short text for the name of every kernel that is shown, the same in all tables and no two alike.

    Those of the first `TABLE_ROWS` rows, and those on the timeline.
    """
    on_timeline = report.timeline.kernels if report.timeline is not None else ()
    kernels, uncosted = report.kernels[:TABLE_ROWS], report.uncosted[:TABLE_ROWS]
    names = [row.name for row in kernels], [row.kernel for row in uncosted], on_timeline
    return short_names(chain(*names))


def sentence(text: str) -> str:
    """`text` with its first letter in upper case, unless that begins a name in code, as `torch.compile`."""
    first, *_ = text.split(maxsplit=1) or [""]
    is_code = any(mark in first.rstrip(".") for mark in "._(")
    return text if is_code else text[:1].upper() + text[1:]


LIMITS = {
    "compute": N_("compute"),
    "memory": N_("memory"),
    "latency": N_("latency (device not filled)"),
    "host": N_("host (GPU waits)"),
    "network": N_("network"),
    "transfer": N_("copies to or from the host"),
}

BASES = {
    "latency": N_("matrix FLOPs of a pass ÷ latency"),
    "pass_wall": N_("matrix FLOPs of a pass ÷ its wall time under the profiler"),
}
STEP_BASES = {
    "latency": N_("matrix FLOPs of a step ÷ its time without the profiler"),
    "step_wall": N_("matrix FLOPs of a step ÷ its wall time under the profiler"),
}


PARTS = {
    "attention": N_("attention"),
    "linear_attention": N_("linear attention"),
    "mamba": N_("Mamba"),
    "convolution": N_("convolution"),
    "mlp": N_("FFN"),
    "moe": N_("MoE"),
    "norm": N_("norms"),
    "residual": N_("the rest of the block"),
}


def gpu_states(telemetry: Telemetry) -> list[tuple[GpuState | None, GpuState | None]]:
    """Each GPU before and after the passes, the first few of them."""
    before = {one.index: one for one in telemetry.before[:GPUS]}
    after = {one.index: one for one in telemetry.after[:GPUS]}
    return [(before.get(index), after.get(index)) for index in dict.fromkeys([*before, *after])]
