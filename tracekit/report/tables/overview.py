"""The facts on the first sheet of the workbook: what the report says once, as numbers with their fields."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import reduce
from pathlib import PurePath
from typing import Any

from tracekit.analysis.schema import Report
from tracekit.messages import N_, Message
from tracekit.report import reasons, shared_facts, view
from tracekit.report.escape import clean
from tracekit.report.i18n import Locale
from tracekit.report.phase_view import plain_name, side_by_side
from tracekit.report.tables.labels import LABELS


@dataclass(frozen=True)
class Fact:
    label: str
    value: str | int | float
    field: str  # in report.json
    remark: str = ""


@dataclass(frozen=True)
class Section:
    title: str
    facts: list[Fact] = field(default_factory=list)


# The field of a pass where all are alike, and that of each phase where they are not.
_OF_A_PASS = {
    "time.latency_us": "latency_us",
    "time.pass_wall_us": "pass_wall_us",
    "time.gpu_time_per_pass_us": "gpu_time_us",
    "flops.matrix_per_pass": "matrix_flops",
    "flops.headline_tflops": "headline_tflops",
}
_ONLY_OF_PHASES = ("passes", "tokens", "cache_length", "tokens_per_second")

_OF_THE_TRACE = {
    "device.name": N_("Device"),
    "device.bandwidth_gbs": N_("Memory bandwidth of the device"),
    "time.passes": N_("Passes"),
    "time.gpu_time_us": N_("GPU time"),
    "time.gpu_busy_us": N_("GPU busy"),
    "time.gpu_idle_us": N_("GPU idle"),
    "time.gpu_span_us": N_("From the first GPU event to the last"),
    "flops.matrix": N_("Matrix FLOPs"),
    "flops.vector": N_("Vector FLOPs"),
    "flops.bytes": N_("Least memory traffic"),
    "flops.achieved_tflops": N_("Achieved by matrix operators while they run on the GPU"),
    "flops.peak_share": N_("Share of the device's peak"),
    "flops.covered_gpu_time_share": N_("Share of the GPU time of operators whose cost is known"),
    "flops.costed_gpu_time_share": N_("Share of all GPU time whose cost is known"),
    "flops.bound_per_pass_us": N_("Bound of a pass"),
    "flops.bound_us": N_("Bound of the whole trace"),
    "flops.bound_share": N_("Bound reached"),
    "flops.bound_share_per_pass": N_("Bound reached by a pass"),
    "time.step_latency_us": N_("Step without the profiler"),
    "time.step_wall_us": N_("Step under the profiler"),
    "flops.matrix_per_step": N_("FLOPs / step"),
    "flops.step_tflops": N_("Achieved performance of a step"),
    "memory.peak_allocated_bytes": N_("Peak of the device memory, allocated"),
    "memory.peak_reserved_bytes": N_("Peak of the device memory, reserved"),
    "memory.allocated_before_bytes": N_("Device memory allocated before the passes"),
    "trace.path": N_("Trace"),
    "trace.bytes": N_("Size of the trace"),
    "trace.events": N_("Events in the trace"),
    "trace.skipped_events": N_("Events that could not be read"),
}

_OF_THE_MODEL = {
    "model.class_": N_("Model class"),
    "model.mode": N_("Mode"),
    "model.dtype": N_("Data type"),
    "model.batch_size": N_("Batch size"),
    "model.sequence_length": N_("Input sequence length"),
    "model.parameters": N_("Number of parameters"),
    "model.active_parameters": N_("Active parameters per token"),
    "model.num_blocks": N_("Number of transformer blocks"),
    "model.hidden_size": N_("Hidden size"),
    "model.intermediate_size": N_("Inner size of the FFN"),
    "model.attention_type": N_("Attention type"),
    "model.num_attention_heads": N_("Number of attention heads"),
    "model.num_key_value_heads": N_("Number of K/V heads"),
    "model.head_dim": N_("Head size"),
    "model.value_head_dim": N_("Head size of the values"),
    "model.sliding_window": N_("Sliding window of attention"),
    "model.max_position_embeddings": N_("Longest context"),
    "model.vocab_size": N_("Vocabulary size"),
    "model.num_experts": N_("Experts"),
    "model.num_active_experts": N_("Experts of one token"),
    "model.expert_intermediate_size": N_("Inner size of an expert"),
    "model.ssm_state_size": N_("State size of the mixer"),
    "model.ssm_num_heads": N_("Heads of the mixer"),
    "model.ssm_inner_size": N_("Inner size of the mixer"),
}


def overview(report: Report, locale: Locale) -> list[Section]:
    """What is known, in sections; why something is not known is told last."""
    _ = locale._
    sections = [
        Section(_("Median of a pass"), list(_passes(report, locale))),
        Section(_("The whole trace"), list(_facts(report, locale, _OF_THE_TRACE))),
        Section(_("Where the GPU time went"), list(_accounting(report, locale))),
        Section(_("The model"), list(_facts(report, locale, _OF_THE_MODEL))),
    ]
    return [section for section in sections if section.facts]


def lacks(report: Report, locale: Locale) -> list[str]:
    """What the trace lacks, and what was wrong with it."""
    messages = [*reasons.missing(report), *report.trace.warnings]
    return list(dict.fromkeys(locale.message(message) for message in messages))


def _passes(report: Report, locale: Locale) -> Iterator[Fact]:
    if side_by_side(report) == [None]:
        labels = {name: LABELS[own] for name, own in _OF_A_PASS.items()}
        yield from _facts(report, locale, labels)
        return
    for position, row in enumerate(report.phases):
        for own in (*_ONLY_OF_PHASES, *_OF_A_PASS.values()):
            if (value := getattr(row, own)) is not None and _holds(report, own):
                label = f"{plain_name(row.name)}: {locale.message(LABELS[own])}"
                remark = _basis(row.headline_basis, locale) if own == "headline_tflops" else ""
                yield Fact(label, value, f"phases.{position}.{own}", remark)


def _holds(report: Report, name: str) -> bool:
    """Whether a field says something: without a GPU, its times are all 0."""
    return view.has_gpu(report) or "gpu_" not in name


def _basis(basis: str | None, locale: Locale) -> str:
    return locale.message(view.BASES[basis]) if basis in view.BASES else ""


def _facts(report: Report, locale: Locale, facts: dict[str, Message]) -> Iterator[Fact]:
    for name, label in facts.items():
        value: Any = reduce(getattr, name.split("."), report)
        if value is None or not _holds(report, name):
            continue
        if isinstance(value, str):
            value = clean(PurePath(value).name if name == "trace.path" else value)
        remark = _basis(report.flops.headline_basis, locale) if name == "flops.headline_tflops" else ""
        yield Fact(locale.message(label), value, name.rstrip("_"), remark)


def _accounting(report: Report, locale: Locale) -> Iterator[Fact]:
    if not view.has_gpu(report):
        return
    for share in shared_facts.accounted(report, locale):
        events = locale.ngettext("{n} event", "{n} events", share.events)
        remark = f"{share.percentage_text}, {events}"
        yield Fact(share.label, share.us, f"accounting.{share.kind}.us", remark)
    yield Fact(locale._("Total"), report.accounting.gpu_time_us, "accounting.gpu_time_us")
