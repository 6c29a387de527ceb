"""What of a `Report` is shown, in which order, and why something is not: shared by the renderers.

So that the list in the Markdown report and the bars in a picture are the same modules. Selects and groups;
the numbers are those of the report.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath

from tracekit.analysis.schema import BlockRow, ModuleRow, Pass, Report, TypeRow
from tracekit.messages import N_, Message
from tracekit.report.i18n import Locale

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


def slowest_modules(report: Report, top: int) -> list[tuple[ModuleRow, float]]:
    """The `top` modules of most self time, with that time in µs (`is_per_pass`), without its children's."""
    timed = [(module, _self_time_us(report, module)) for module in report.modules]
    shown = [(module, us) for module, us in timed if us]
    return sorted(shown, key=lambda pair: (-pair[1], pair[0].path))[:top]


def _self_time_us(report: Report, module: ModuleRow) -> float:
    if has_gpu(report):
        own = module.gpu_self_time_per_pass_us if is_per_pass(report) else module.gpu_self_time_us
    else:
        own = module.cpu_self_time_per_pass_us if is_per_pass(report) else module.cpu_self_time_us
    return own or 0.0


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


def block_time_us(report: Report, block: BlockRow) -> float | None:
    """GPU time, or CPU time without a GPU, of a block (`is_per_pass`)."""
    if has_gpu(report):
        return block.gpu_time_per_pass_us if is_per_pass(report) else block.gpu_time_us
    return block.cpu_time_per_pass_us if is_per_pass(report) else block.cpu_time_us


def block_speed(report: Report, block: BlockRow) -> float | None:
    """TFLOP/s of a block on the GPU; of a model that ran on the CPU, GFLOP/s."""
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


def block_groups(report: Report) -> list[BlockGroup]:
    """The kinds of blocks, stack by stack, in the order of their first block."""
    groups: dict[tuple[str, str], list[BlockRow]] = defaultdict(list)
    for block in report.blocks:
        groups[block.stack, block.kind].append(block)
    return [
        BlockGroup(
            stack=stack,
            kind=kind,
            blocks=len(rows),
            parameters=_range(row.parameters for row in rows),
            matrix_flops=_range(
                row.matrix_flops_per_pass if is_per_pass(report) else row.matrix_flops for row in rows
            ),
            attention_flops=_range(
                row.attention_flops_per_pass if is_per_pass(report) else row.attention_flops for row in rows
            ),
            ffn_flops=_range(
                row.ffn_flops_per_pass if is_per_pass(report) else row.ffn_flops for row in rows
            ),
            mixer_flops=_range(
                row.mixer_flops_per_pass if is_per_pass(report) else row.mixer_flops for row in rows
            ),
            time_us=_range(block_time_us(report, row) for row in rows),
            speed=_range(block_speed(report, row) for row in rows),
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


def over_passes(report: Report, locale: Locale) -> str:
    """Over how many passes a per-pass figure is the median."""
    passes = report.time.passes
    return (
        locale._("one pass")
        if passes == 1
        else locale.ngettext("median of {n} pass", "median of {n} passes", passes)
    )


def self_time_basis(report: Report, locale: Locale) -> str:
    """What the times of `slowest_modules` are."""
    if has_gpu(report):
        text = locale._("GPU self time, without that of modules inside")
    else:
        text = locale._("CPU self time, without that of modules inside (no GPU in the trace)")
    return f"{text}, {per_pass_text(report, locale)}"


def per_pass_text(report: Report, locale: Locale) -> str:
    """What times of modules and blocks are over."""
    if is_per_pass(report):
        return f"{locale._('per pass')} ({over_passes(report, locale)})"
    return locale._("over the whole trace")


def sentence(text: str) -> str:
    """`text` with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def why_no_gpu() -> Message:
    return N_("the trace has no GPU events: times are CPU times")


def why_no_modules() -> Message:
    return N_("the trace has no modules: capture it with tracekit capture, or with with_stack=True")


def why_no_module_times(report: Report) -> Message:
    """Why no module can be listed as slow."""
    return N_("no module launched anything on the GPU") if report.modules else why_no_modules()


def why_no_blocks(report: Report) -> Message:
    return N_("no repeated blocks were found among the modules") if report.modules else why_no_modules()


def why_no_flops(report: Report) -> Message:
    """Why matrix FLOPs or what is made from them are unknown."""
    if report.flops.matrix is None:
        return N_("the trace has no shapes: capture it with record_shapes=True")
    return N_("no operator with known matrix FLOPs")


def why_no_speed(report: Report) -> Message:
    """Why FLOP/s of blocks and operators are unknown."""
    if report.flops.matrix is not None and not has_gpu(report):
        return N_("without GPU events it is not known what computed, and in which time")
    return why_no_flops(report)


def why_no_passes() -> Message:
    return N_("no pass was found in the trace")


def why_no_pass_flops(report: Report) -> Message:
    """Why matrix FLOPs of a pass, or its FLOP/s, are unknown."""
    if report.flops.matrix is not None and not report.time.passes:
        return why_no_passes()
    return why_no_speed(report) if report.flops.matrix_per_pass else why_no_flops(report)


def why_no_model_field(report: Report) -> Message:
    """Why a field of the model card is unknown."""
    if not knows_configuration(report):
        return N_("the trace does not say: capture it with tracekit capture")
    return N_("not in the model's configuration")


def knows_configuration(report: Report) -> bool:
    """Whether the trace carries the model's configuration; its class may be known without."""
    model = report.model
    return any(size is not None for size in (model.hidden_size, model.num_attention_heads, model.vocab_size))


def missing(report: Report) -> list[Message]:
    """What the trace lacks for a fuller report, and what to do about it."""
    lacks = [
        (not has_gpu(report), why_no_gpu()),
        (not report.modules, why_no_modules()),
        (report.flops.matrix is None, why_no_flops(report)),
        (not is_per_pass(report), N_("no pass was found: times are of the whole trace")),
        (
            not knows_configuration(report),
            N_("the trace does not carry the model's configuration: capture it with tracekit capture"),
        ),
        (
            report.time.latency_us is None,
            N_("no latency without the profiler: tracekit capture measures it; wall time includes overhead"),
        ),
    ]
    found = [message for is_missing, message in lacks if is_missing]
    return [*found, report.device.note] if report.device.note is not None else found
