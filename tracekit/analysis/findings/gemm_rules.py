"""Rules about matrix products: types, shapes and sizes with which the matrix units do less than they can."""

from __future__ import annotations

import re
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from tracekit.analysis.findings.evidence import Evidence
from tracekit.analysis.findings.figures import ms, number, percent
from tracekit.analysis.findings.operands import short_name, tensors_of
from tracekit.analysis.op_costs import TF32_KERNEL, gpu_events_named, launched_any
from tracekit.analysis.places import is_expert
from tracekit.analysis.schema import Finding
from tracekit.attribution import NOBODY, Floats, Mask
from tracekit.costs.registry import DTYPE_BYTES
from tracekit.hardware import dtype_key
from tracekit.messages import N_
from tracekit.trace import Ints, Signature

# Products that take less than this share of a pass's GPU time are not worth a word.
LEAST_TIME_SHARE = 0.01
# Tensor cores need operands whose rows begin at multiples of 16 bytes (NVIDIA, Deep Learning Performance:
# Matrix Multiplication Background, "Requirements to Use Tensor Cores"); since cuBLAS 11 others run too, but
# slower.
ALIGNMENT_BYTES = 16
# Products with less in one dimension are vectors' business, where alignment is not what counts.
LEAST_DIMENSION = 16
# Rates are compared with those of products whose FLOPs differ by no more than this factor.
SIMILAR_SIZE = 4.0
# A product is small where its kernel is this short, mostly launch and drain of a GPU, and far from its bound.
TINY_NS = 10_000
TINY_BOUND_SHARE = 0.2
LEAST_TINY_CALLS = 8  # of a pass

_ALIGNED_TO = re.compile(r"align(\d+)")
_FIRST_OPERAND = {
    "mm": 0,
    "bmm": 0,
    "_int_mm": 0,
    "_scaled_mm": 0,
    "addmm": 1,
    "baddbmm": 1,
    "_addmm_activation": 1,
}


class Gemm(NamedTuple):
    """[batch, m, k] × [batch, k, n]."""

    batch: int
    m: int
    n: int
    k: int
    dtype: str

    @property
    def flops(self) -> int:
        return 2 * self.batch * self.m * self.n * self.k


def gemm_of(signature: Signature) -> Gemm | None:
    """None for what is no product of two matrices, or has no shapes."""
    first = _FIRST_OPERAND.get(short_name(signature.name))
    if first is None or len(inputs := tensors_of(signature)) < first + 2:
        return None
    a, b = inputs[first], inputs[first + 1]
    if (
        a is None
        or b is None
        or a.dtype is None
        or len(a.shape) != len(b.shape)
        or len(a.shape) not in (2, 3)
    ):
        return None
    batch = a.shape[0] if len(a.shape) == 3 else 1
    return Gemm(batch, a.shape[-2], b.shape[-1], a.shape[-1], a.dtype)


@dataclass(frozen=True)
class Gemms:
    """The products in passes that launched GPU events, in the order of threads and time."""

    evidence: Evidence

    @cached_property
    def by_signature(self) -> Sequence[Gemm | None]:
        signatures = self.evidence.trace.signatures
        used = set(np.unique(self.evidence.attribution.ops.signature).tolist())
        return [gemm_of(one) if code in used else None for code, one in enumerate(signatures)]

    @cached_property
    def op(self) -> Ints:
        costs, ops = self.evidence.costs, self.evidence.attribution.ops
        is_gemm = np.array([one is not None for one in self.by_signature], np.bool_)
        at = costs.op[costs.launched]
        at = at[is_gemm[ops.signature[at]] & self.evidence.op_in_pass[at]]
        return np.asarray(at[np.lexsort((ops.start[at], ops.thread[at]))], np.int64)

    @cached_property
    def row(self) -> Ints:
        """Of each among the ops that have costs."""
        return np.searchsorted(self.evidence.costs.op, self.op)

    @cached_property
    def signature(self) -> Ints:
        return self.evidence.attribution.ops.signature[self.op]

    @cached_property
    def gemm(self) -> Sequence[Gemm]:
        known = (self.by_signature[code] for code in self.signature.tolist())
        return [one for one in known if one is not None]

    def each(self, of: Callable[[Gemm], Any], dtype: type) -> Any:
        """A column of what `of` gives for each product, asked of each distinct one once."""
        return np.array([of(one) if one else 0 for one in self.by_signature], dtype)[self.signature]

    @cached_property
    def time(self) -> Ints:
        return np.asarray(self.evidence.costs.gpu_time[self.op], np.int64)

    def launched_kernel(self, pattern: re.Pattern[str]) -> Mask:
        """Whether one of a product's kernels has a name in which `pattern` is found."""
        named = gpu_events_named(pattern, self.evidence.trace)
        return np.asarray(launched_any(named, self.evidence.attribution)[self.op], np.bool_)

    @cached_property
    def scope(self) -> Ints:
        return np.asarray(self.evidence.attribution.op_scope[self.op], np.int64)

    @cached_property
    def label(self) -> Ints:
        return self.evidence.label_of_scope(self.scope)


def fp32_gemms(evidence: Evidence, gemms: Gemms) -> Iterator[Finding]:
    """Products of fp32 operands whose kernels do not round to TF32, where the device could.

    The names of NVIDIA's kernels tell; those of AMD's do not, so of their devices nothing is said.
    """
    peaks = evidence.device.peaks if evidence.device and evidence.trace.device_kind == "cuda" else {}
    full, rounded = peaks.get("fp32"), peaks.get("tf32")
    if not full or not rounded or rounded <= full:
        return
    is_fp32 = gemms.each(lambda one: dtype_key(one.dtype) == "fp32", np.bool_)
    at = np.flatnonzero(is_fp32 & ~gemms.launched_kernel(TF32_KERNEL))
    time = int(gemms.time[at].sum())
    whole = evidence.gpu_time_us
    if not time or not whole or evidence.per_pass_us(time) < LEAST_TIME_SHARE * whole:
        return
    bandwidth = evidence.device.bandwidth_gbs if evidence.device else None
    traffic = evidence.costs.bytes[gemms.row[at]]
    flops = gemms.each(lambda one: one.flops, np.float64)[at]
    bound = np.maximum(flops / (rounded * 1e3), traffic / bandwidth if bandwidth else 0.0)
    gain = np.minimum(gemms.time[at] * (1 - full / rounded), gemms.time[at] - bound)
    gain_us = evidence.per_pass_us(float(np.maximum(gain, 0).sum()))
    if not evidence.matters(gain_us):
        return
    groups = np.unique(gemms.label[at]).tolist()
    yield Finding(
        id="gemm.fp32",
        severity=evidence.severity(gain_us),
        module=evidence.module_of(groups[0], gemms.scope[at].tolist()) if len(groups) == 1 else None,
        evidence=N_(
            "matrix products of fp32 operands ({count} a pass) take {time} ms, {share}% of the GPU time, "
            "and run without tensor cores: none of their kernels is a TF32 one",
            count=number(len(at) / evidence.passes),
            time=ms(evidence.per_pass_us(time)),
            share=percent(evidence.per_pass_us(time) / evidence.gpu_time_us),
        ),
        gain_us=gain_us,
        advice=N_("torch.set_float32_matmul_precision('high') allows TF32; bfloat16 is faster still"),
    )


def misaligned_gemms(evidence: Evidence, gemms: Gemms) -> Iterator[Finding]:
    """Products whose rows do not begin at multiples of 16 bytes.

    Of [m, k] × [k, n] with a weight stored as [n, k], as `nn.Linear` stores it, k is the leading dimension of
    both operands and n that of the result. The gain compares their rate with that of aligned ones of the same
    type and size in this trace; where these are no faster nothing is said.
    """
    groups: dict[tuple[int, str, int, int], list[int]] = defaultdict(list)
    takes_time = gemms.time > 0
    misaligned = gemms.each(lambda one: _is_aligned(one) is False, np.bool_) & takes_time
    aligned = np.flatnonzero(gemms.each(_is_aligned, np.bool_) & takes_time)
    size_of_aligned = gemms.each(lambda one: one.flops, np.float64)[aligned]
    rate_of_aligned = size_of_aligned / gemms.time[aligned]
    for position in np.flatnonzero(misaligned).tolist():
        one = gemms.gemm[position]
        groups[int(gemms.label[position]), one.dtype, one.n, one.k].append(position)
    kernel = gemms.launched_kernel(_ALIGNED_TO)
    rates: dict[tuple[str, int], float | None] = {}
    for (group, dtype, n, k), positions in groups.items():
        time = int(gemms.time[positions].sum())
        if evidence.per_pass_us(time) < LEAST_TIME_SHARE * evidence.gpu_time_us:
            continue
        gain, compared = 0.0, True
        for position in positions:
            flops, own = gemms.gemm[position].flops, float(gemms.time[position])
            if (dtype, flops) not in rates:
                alike = gemms.each(_has_type(dtype), np.bool_)[aligned]
                rates[dtype, flops] = _rate_of_similar(flops, size_of_aligned[alike], rate_of_aligned[alike])
            rate = rates[dtype, flops]
            compared &= rate is not None
            gain += max(0.0, own - flops / rate) if rate else 0.0
        gain_us = evidence.per_pass_us(gain)
        if compared and not evidence.matters(gain_us):
            continue
        figures = {
            "m": gemms.gemm[positions[0]].m,
            "n": n,
            "k": k,
            "dtype": dtype.removeprefix("c10::"),
            "count": number(len(positions) / evidence.passes),
            "time": ms(evidence.per_pass_us(time)),
            "multiple": ALIGNMENT_BYTES // DTYPE_BYTES.get(dtype, 1),
        }
        name = _kernel_name(evidence, int(gemms.op[positions[0]])) if kernel[positions[0]] else None
        yield Finding(
            id="gemm.misaligned",
            severity=evidence.severity(gain_us) if compared else "low",
            module=evidence.module_of(group, gemms.scope[positions].tolist()),
            evidence=N_(
                "{dtype} matrix products of m × n × k = {m} × {n} × {k} ({count} a pass, {time} ms): "
                "n or k is no multiple of {multiple}, as their kernel's name says too ({kernel})",
                kernel=name,
                **figures,
            )
            if name
            else N_(
                "{dtype} matrix products of m × n × k = {m} × {n} × {k} ({count} a pass, {time} ms): "
                "n or k is no multiple of {multiple}",
                **figures,
            ),
            gain_us=gain_us if compared else None,
            advice=N_(
                "rows that begin at multiples of 16 bytes let the fastest kernels run: "
                "pad that dimension to a multiple of {multiple}",
                multiple=figures["multiple"],
            ),
        )


def _kernel_name(evidence: Evidence, op: int) -> str | None:
    """The part of a kernel's name that says to how many elements its operands are aligned."""
    trace = evidence.trace
    for code in trace.gpu_events.name[evidence.attribution.gpu_op == op].tolist():
        found = _ALIGNED_TO.search(trace.names[code])
        if found:
            return found[0]
    return None


def _has_type(dtype: str) -> Callable[[Gemm], bool]:
    return lambda one: one.dtype == dtype


def _is_aligned(one: Gemm) -> bool | None:
    """Whether all rows of a product begin where tensor cores want them; None where that does not count."""
    size = DTYPE_BYTES.get(one.dtype, 8)
    if size > 2 or min(one.m, one.n, one.k) < LEAST_DIMENSION:
        return None
    return not ((one.n * size) % ALIGNMENT_BYTES or (one.k * size) % ALIGNMENT_BYTES)


def _rate_of_similar(flops: int, sizes: Floats, rates: Floats) -> float | None:
    """Median FLOPs per ns of the aligned products of a like size, None without any."""
    alike = rates[(flops / SIMILAR_SIZE <= sizes) & (sizes <= flops * SIMILAR_SIZE)]
    return float(np.median(alike)) if len(alike) else None


def tiny_gemms(evidence: Evidence, gemms: Gemms) -> Iterator[Finding]:
    """Small products that do not depend on each other: one after the other on one input, or of experts.

    Products that a call of a module, or its children, launch with nothing between and the same m and k have
    one input (`q_proj`, `k_proj`, `v_proj`; `gate_proj`, `up_proj`): they are one with weights side by side.
    Experts do not depend on each other whatever they launch. One product in place of theirs takes as long as
    all bounds together, and no less than the slowest of them takes now.
    """
    position_in_work = np.full(len(evidence.attribution.ops), NOBODY, np.int64)
    own = evidence.work.op != NOBODY
    position_in_work[evidence.work.op[own]] = np.flatnonzero(own)
    bound = evidence.costs.bound[gemms.row]
    small = (gemms.time < TINY_NS) & (bound < TINY_BOUND_SHARE * gemms.time)
    by_family: dict[tuple[int, str], list[list[int]]] = defaultdict(list)
    of_experts = _of_experts(evidence, gemms, small)
    others = small.copy()
    others[[at for family in of_experts for at in family]] = False
    for family in [*of_experts, *_on_one_input(evidence, gemms, others, position_in_work)]:
        scope = _around(gemms, family)
        by_family[int(evidence.label_of_scope(np.array([scope]))[0]), _shape(gemms.gemm[family[0]])].append(
            family
        )
    for (group, shape), families in by_family.items():
        count = sum(map(len, families)) / evidence.passes
        gain = sum(
            max(
                0.0, float(gemms.time[one].sum()) - max(float(bound[one].sum()), float(gemms.time[one].max()))
            )
            for one in families
        )
        gain_us = evidence.per_pass_us(gain)
        if count < LEAST_TINY_CALLS or not evidence.matters(gain_us):
            continue
        time = sum(int(gemms.time[one].sum()) for one in families)
        yield Finding(
            id="gemm.tiny",
            severity=evidence.severity(gain_us),
            module=evidence.module_of(group, (_around(gemms, one) for one in families)),
            evidence=N_(
                "{count} small matrix products a pass (m × n × k = {shape}) that do not depend on "
                "each other, {together} at a time, take {time} µs each and need {bound} µs",
                count=number(count),
                shape=shape,
                together=number(statistics.median(map(len, families))),
                time=number(round(time / sum(map(len, families)) / 1000, 2)),
                bound=number(round(float(np.mean([bound[one].mean() for one in families])) / 1000, 2)),
            ),
            gain_us=gain_us,
            advice=N_("make one product of them: weights side by side, a batched or a grouped product"),
        )


def _shape(one: Gemm) -> str:
    return f"{one.m} × {one.n} × {one.k}"


def _on_one_input(
    evidence: Evidence, gemms: Gemms, small: Mask, position_in_work: Ints
) -> Iterator[list[int]]:
    """Runs of small products of one m and k, launched one straight after the other below one call."""
    place = position_in_work[gemms.op]
    thread = evidence.work.thread[place] if len(evidence.work) else place
    scope = evidence.attribution.op_scope[gemms.op]
    parent = np.append(evidence.attribution.tree.nesting.parent, NOBODY)[scope]
    follows = (place[1:] == place[:-1] + 1) & (place[:-1] != NOBODY) & (thread[1:] == thread[:-1])
    siblings = (scope[1:] == scope[:-1]) | ((parent[1:] == parent[:-1]) & (parent[1:] != NOBODY))
    run: list[int] = []
    for at in np.flatnonzero(small[1:] & small[:-1] & follows & siblings).tolist():
        one, other = gemms.gemm[at], gemms.gemm[at + 1]
        if (one.m, one.k, one.dtype, one.batch, 1) != (other.m, other.k, other.dtype, 1, other.batch):
            continue
        if run and run[-1] != at:
            yield run
            run = []
        run = run or [at]
        run.append(at + 1)
    if run:
        yield run


def _of_experts(evidence: Evidence, gemms: Gemms, small: Mask) -> list[list[int]]:
    """Small products with weights of one shape of the experts that one call of a module calls."""
    tree, scope = evidence.attribution.tree, evidence.attribution.op_scope
    expert = np.array([is_expert(module.path) for module in tree.modules], np.bool_)
    if not expert.any():
        return []
    families: dict[tuple[int, int, int, int], list[int]] = defaultdict(list)
    for at in np.flatnonzero(small).tolist():
        place = inner = int(scope[gemms.op[at]])
        while place != NOBODY and not expert[tree.module[place]]:
            place = int(tree.nesting.parent[place])
        if place != NOBODY and tree.nesting.parent[place] != NOBODY:
            part = int(evidence.groups.of_module[tree.module[inner]])
            one = gemms.gemm[at]
            families[int(tree.nesting.parent[place]), part, one.n, one.k].append(at)
    return [family for family in families.values() if len(family) > 1]


def _around(gemms: Gemms, family: Sequence[int]) -> int:
    """The innermost scope around all products of a family, `NOBODY` where there is none."""
    nesting = gemms.evidence.attribution.tree.nesting
    around = int(gemms.scope[family[0]])
    for other in gemms.scope[family[1:]].tolist():
        while around != other and NOBODY not in (around, other):
            if nesting.depth[around] >= nesting.depth[other]:
                around = int(nesting.parent[around])
            else:
                other = int(nesting.parent[other])
        if around != other:
            return NOBODY
    return around
