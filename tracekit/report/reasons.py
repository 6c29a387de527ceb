"""Why something of a `Report` is not known, and what its reader must know: sentences for all renderers."""

from __future__ import annotations

from collections.abc import Sequence

from tracekit.analysis.schema import Report
from tracekit.messages import N_, Message
from tracekit.report import view
from tracekit.report.escape import clean, elide

FEW = 3  # names in a sentence
NOTES = 20
NAME_WIDTH = 60


def why_no_bounds(report: Report) -> Message | None:
    """Why nothing can be said of bounds; None where something can."""
    if not view.has_gpu(report):
        return why_no_gpu()
    if report.device.bandwidth_gbs is None or not report.device.peaks:
        return report.device.note or N_("peak and bandwidth of the device are not known")
    return why_no_flops(report) if report.flops.source != "shapes" else None


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
    if report.flops.source == "flop_counter":
        return N_("FLOPs were counted at capture, for whole modules: the trace has none of its operators")
    return N_("no operator with known matrix FLOPs")


def why_no_block_flops(report: Report) -> Message:
    """Why the matrix FLOPs of blocks are unknown."""
    if report.flops.matrix is not None:
        return N_("FLOPs were counted at capture, for whole passes only")
    return why_no_flops(report)


def why_no_speed(report: Report) -> Message:
    """Why FLOP/s of blocks and operators are unknown."""
    if report.flops.matrix is not None and not view.has_gpu(report):
        return N_("without GPU events it is not known what computed, and in which time")
    return why_no_flops(report)


def why_no_passes() -> Message:
    return N_("no pass was found in the trace")


def was_captured(report: Report) -> bool:
    """Whether tracekit's capture wrote the trace."""
    return report.model.mode is not None


def why_no_latency(report: Report) -> Message:
    if was_captured(report):
        return N_(
            "no latency without the profiler: for that a loop warms up for three steps or more, "
            "and calls the model once in each; wall time includes overhead"
        )
    return N_("no latency without the profiler: tracekit capture measures it; wall time includes overhead")


def why_no_pass_flops(report: Report) -> Message:
    """Why matrix FLOPs of a pass, or its FLOP/s, are unknown."""
    if report.flops.matrix is not None and not report.time.passes:
        return why_no_passes()
    return why_no_speed(report) if report.flops.matrix_per_pass else why_no_flops(report)


def why_no_model_field(report: Report) -> Message:
    """Why a field of the model card is unknown."""
    if not knows_configuration(report):
        if was_captured(report):
            return N_("the model has no configuration of transformers that says it")
        return N_("the trace does not say: capture it with tracekit capture")
    return N_("not in the model's configuration")


def knows_configuration(report: Report) -> bool:
    """Whether the trace carries the model's configuration; its class may be known without."""
    model = report.model
    if model.source == "shapes":
        return False
    return any(size is not None for size in (model.hidden_size, model.num_attention_heads, model.vocab_size))


def missing(report: Report) -> list[Message]:
    """What the trace lacks for a fuller report, and what to do about it."""
    lacks = [
        (not view.has_gpu(report), why_no_gpu()),
        (not report.modules, why_no_modules()),
        (report.flops.source != "shapes", why_no_flops(report)),
        (not view.is_per_pass(report), N_("no pass was found: times are of the whole trace")),
        (
            not knows_configuration(report) and not was_captured(report),
            N_("the trace does not carry the model's configuration: capture it with tracekit capture"),
        ),
        (report.time.latency_us is None, why_no_latency(report)),
    ]
    found = [message for is_missing, message in lacks if is_missing]
    if report.device.note is not None and view.has_gpu(report):
        found.append(report.device.note)
    return [*found, *noticed(report)]


def noticed(report: Report) -> list[Message]:
    """What capture noticed that a reader of the figures must know."""
    capture, messages = report.capture, []
    if capture.error is not None:
        messages.append(N_("the capture ended early: {error}", error=capture.error))
    if capture.not_called:
        messages.append(
            N_(
                "modules that were never called: {count} ({names}); "
                "that is ordinary for experts to which nothing was routed",
                count=len(capture.not_called),
                names=_few(capture.not_called),
            )
        )
    if used := capture.used_without_call:
        messages.append(
            N_(
                "modules whose parameters were used although they were not called: {count} ({names}); "
                "their time counts for the module whose code used them",
                count=len(used),
                names=_few([one.module for one in used]),
            )
        )
    if capture.compiled:
        messages.append(
            N_(
                "compiled regions: {count} ({names}); each is one module here, whatever is inside",
                count=len(capture.compiled),
                names=_few(capture.compiled),
            )
        )
    if capture.cuda_graph:
        messages.append(
            N_("the passes replay a CUDA graph: its kernels belong to the module whose code launched it")
        )
    if capture.redacted:
        messages.append(N_("the capture was redacted: names and configuration may be missing on purpose"))
    messages += [N_("note of the capture: {note}", note=note) for note in capture.notes[:NOTES]]
    return messages


def _few(names: Sequence[str]) -> list[str]:
    """The first few, and a sign that there are more."""
    shown = [elide(clean(name), NAME_WIDTH) for name in names[:FEW]]
    return [*shown, "…"] if len(names) > FEW else shown
