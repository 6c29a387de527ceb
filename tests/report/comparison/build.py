"""Comparisons by hand, with numbers that add up on paper: rows of a phase sum to its totals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tests.report.build import HOSTILE
from tracekit.analysis.compare.schema import Change as ChangeRow
from tracekit.analysis.compare.schema import (
    Comparison,
    Difference,
    KernelChange,
    LeftOut,
    Method,
    ModuleChange,
    OpChange,
    PhaseChange,
    PlaceChange,
    Side,
    TypeChange,
)
from tracekit.messages import N_

METHOD = Method(
    test="Welch's t-test",
    function="scipy.stats.ttest_ind_from_stats",
    correction="Benjamini–Hochberg",
    correction_function="scipy.stats.false_discovery_control",
    level=0.05,
    margin=0.05,
    least_us=1.0,
)


def change(
    before: float | None, after: float | None, whole: float = 0.0, verdict: str | None = None
) -> dict[str, Any]:
    """The fields of a `Change`; `whole`: the difference of the totals. Beyond noise where 10 % apart."""
    difference = (after or 0.0) - (before or 0.0)
    if verdict is None:
        if before is None or after is None:
            verdict = "appeared" if before is None else "vanished"
        elif abs(difference) < 0.1 * before or not before:
            verdict = "same"
        else:
            verdict = "slower" if difference > 0 else "faster"
    return {
        "before_us": before,
        "after_us": after,
        "difference_us": difference,
        "relative": difference / before if before else None,
        "share": difference / whole if whole else None,
        "p_value": 0.001 if verdict in ("slower", "faster") else 0.8 if verdict == "same" else None,
        "verdict": verdict,
    }


def module(
    key: str, type_name: str | None, before: float | None, after: float | None, whole: float, **more: Any
) -> ModuleChange:
    fields: dict[str, Any] = {
        "phase": None,
        "kind": "modules",
        "key": key,
        "path_before": key if before is not None else None,
        "path_after": key if after is not None else None,
        "type_before": type_name if before is not None else None,
        "type_after": type_name if after is not None else None,
        "place": ".".join("*" if part.isdigit() else part for part in key.split(".")),
        "inclusive_before_us": before,
        "inclusive_after_us": after,
        "inclusive_difference_us": (after or 0.0) - (before or 0.0),
        **change(before, after, whole),
    }
    return ModuleChange(**{**fields, **more})


def place(
    name: str, type_name: str | None, before: float | None, after: float | None, whole: float, **more: Any
) -> PlaceChange:
    count = more.pop("modules", 1)
    fields: dict[str, Any] = {
        "phase": None,
        "kind": "modules",
        "place": name,
        "type": type_name,
        "modules_before": count if before is not None else 0,
        "modules_after": count if after is not None else 0,
        **change(before, after, whole),
    }
    return PlaceChange(**{**fields, **more})


def type_change(
    name: str, before: float | None, after: float | None, whole: float, **more: Any
) -> TypeChange:
    fields: dict[str, Any] = {
        "phase": None,
        "kind": "modules",
        "type": name,
        "modules_before": 2 if before is not None else 0,
        "modules_after": 2 if after is not None else 0,
        **change(before, after, whole),
    }
    return TypeChange(**{**fields, **more})


def op(
    name: str | None, shapes: str | None, before: float | None, after: float | None, whole: float, **more: Any
) -> OpChange:
    fields: dict[str, Any] = {
        "phase": None,
        "name": name,
        "shapes": shapes,
        "dtypes": None,
        **change(before, after, whole),
    }
    return OpChange(**{**fields, **more})


def kernel(name: str, before: float | None, after: float | None, whole: float, **more: Any) -> KernelChange:
    fields: dict[str, Any] = {"phase": None, "name": name, "kind": "kernel", **change(before, after, whole)}
    return KernelChange(**{**fields, **more})


def llama() -> Comparison:
    """Two layers; a pass takes 10 ms before and 12 ms after: +2 ms.

    down_proj of both layers +1.2 ms (1.0 and 0.2), gate_proj of both +1.0, attention of both within noise
    (+0.02 and −0.02), norms −0.7, a new adapter +0.6, a rotary embedding that is gone −0.2, and outside of
    modules +0.1.
    """
    whole = 2000.0
    gemm_before = "void cutlass::Kernel2<cutlass_80_tensorop_bf16_s16816gemm_256x128_32x3_tn_align8>(Params)"
    gemm_after = "void gemv2T_kernel_val<int, __nv_bfloat16, float, 128, 16>(Params)"
    changed = {"kernels_before": (gemm_before,), "kernels_after": (gemm_after,), "kernels_changed": True}
    modules = (
        module("layers.0.mlp.down_proj", "Linear", 2000.0, 3000.0, whole, **changed),
        module("adapter", "Adapter", None, 600.0, whole),
        module("layers.0.mlp.gate_proj", "Linear", 1000.0, 1500.0, whole),
        module("layers.1.mlp.gate_proj", "Linear", 1000.0, 1500.0, whole),
        module("layers.0.norm", "RMSNorm", 500.0, 100.0, whole),
        module("layers.1.norm", "RMSNorm", 500.0, 200.0, whole),
        module("layers.1.mlp.down_proj", "Linear", 2000.0, 2200.0, whole, **changed),
        module("rotary", "RotaryEmbedding", 200.0, None, whole),
        module("", None, 300.0, 400.0, whole, kind="outside_modules", place=""),
        module("layers.0.attention", "Attention", 1250.0, 1270.0, whole),
        module("layers.1.attention", "Attention", 1250.0, 1230.0, whole),
    )
    places = (
        place("layers.*.mlp.down_proj", "Linear", 4000.0, 5200.0, whole, modules=2, kernels_changed=True),
        place("layers.*.mlp.gate_proj", "Linear", 2000.0, 3000.0, whole, modules=2),
        place("layers.*.norm", "RMSNorm", 1000.0, 300.0, whole, modules=2),
        place("adapter", "Adapter", None, 600.0, whole),
        place("rotary", "RotaryEmbedding", 200.0, None, whole),
        place("", None, 300.0, 400.0, whole, kind="outside_modules", modules=0),
        place("layers.*.attention", "Attention", 2500.0, 2500.0, whole, modules=2),
    )
    types = (
        type_change("Linear", 6000.0, 8200.0, whole),
        type_change("RMSNorm", 1000.0, 300.0, whole),
        type_change("Adapter", None, 600.0, whole),
        type_change("RotaryEmbedding", 200.0, None, whole),
        type_change("outside_modules", 300.0, 400.0, whole, kind="outside_modules"),
        type_change("Attention", 2500.0, 2500.0, whole),
    )
    ops = (
        op("aten::mm", "[[1, 4096], [4096, 11008]]", 6000.0, 8200.0, whole, **changed),
        op("aten::mul", "[[1, 4096], [4096], [], []]", 1200.0, 300.0, whole),
        op(None, None, 300.0, 1000.0, whole),
        op("aten::sdpa", "[[1, 32, 1, 128]]", 2500.0, 2500.0, whole),
    )
    kernels = (
        kernel(gemm_after, None, 8200.0, whole),
        kernel(gemm_before, 6000.0, None, whole),
        kernel("fused_norm", 1500.0, 1300.0, whole),
        kernel("flash_fwd", 2500.0, 2500.0, whole),
    )
    phase = PhaseChange(
        phase=None,
        before_phase="decode",
        after_phase="decode",
        passes_before=8,
        passes_after=5,
        total=ChangeRow(**change(10_000.0, 12_000.0, whole)),
        wall=ChangeRow(**change(11_000.0, 12_500.0)),
        latency=ChangeRow(**change(10_500.0, 12_100.0)),
        gpu_idle=ChangeRow(**change(1000.0, 500.0)),
        explained_by=(0, 1),
        explained_share=1.1,
    )
    return Comparison(
        before=Side("runs/before.json.gz", "NVIDIA H100 80GB HBM3", "Llama", 8, "scopes"),
        after=Side("runs/after.json.gz", "NVIDIA H100 80GB HBM3", "Llama", 5, "scopes"),
        quantity="gpu_time",
        method=METHOD,
        summary=(
            N_("a pass takes {difference} ms more", difference="2.0"),
            N_("most of it is in `{place}`", place="layers.*.mlp.down_proj"),
        ),
        notes=(N_("the second trace has fewer passes"),),
        differences=(
            Difference("model.dtype", "bfloat16", "float16"),
            Difference("model.batch_size", None, "2"),
        ),
        phases=(phase,),
        places=places,
        modules=modules,
        types=types,
        ops=ops,
        kernels=kernels,
        left_out=(LeftOut("launched_before_trace", 120.0, 0.0), LeftOut("before_first_pass", 30.0, 45.0)),
    )


def phased(names: Sequence[str] = ("prefill", "decode")) -> Comparison:
    """The rows of `llama` in each of several phases."""
    one = llama()

    def of_all(rows: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(msgspec.structs.replace(row, phase=name) for name in names for row in rows)

    phases = tuple(
        msgspec.structs.replace(
            one.phases[0], phase=name, explained_by=(at * len(one.places), at * len(one.places) + 1)
        )
        for at, name in enumerate(names)
    )
    return msgspec.structs.replace(
        one,
        phases=phases,
        places=of_all(one.places),
        modules=of_all(one.modules),
        types=of_all(one.types),
        ops=of_all(one.ops),
        kernels=of_all(one.kernels),
    )


def single() -> Comparison:
    """One pass each, on the CPU: nothing is known of noise, and there is nothing but two modules."""
    whole = -300.0
    unknown = {"verdict": "unknown", "p_value": None}
    rows = (
        module("fc1", "Linear", 1000.0, 600.0, whole, **unknown),
        module("fc2", "Linear", 1000.0, 1100.0, whole, folded=True, **unknown),
    )
    return Comparison(
        before=Side("a.json", None, None, 1, "frames"),
        after=Side("b.json", None, None, 1, "frames"),
        quantity="cpu_time",
        method=METHOD,
        summary=(N_("a pass takes {difference} ms less", difference="0.3"),),
        notes=(),
        differences=(),
        phases=(
            PhaseChange(
                phase=None,
                before_phase=None,
                after_phase=None,
                passes_before=1,
                passes_after=1,
                total=ChangeRow(**{**change(2000.0, 1700.0, whole), **unknown}),
            ),
        ),
        places=(
            place("fc1", "Linear", 1000.0, 600.0, whole, **unknown),
            place("fc2", "Linear", 1000.0, 1100.0, whole, **unknown),
        ),
        modules=rows,
        types=(type_change("Linear", 2000.0, 1700.0, whole, **unknown),),
        ops=(op(None, None, 2000.0, 1700.0, whole, **unknown),),
        kernels=(),
        left_out=(),
    )


def equal() -> Comparison:
    """A trace and itself: no difference anywhere, so no shares either."""
    one = single()
    same: dict[str, Any] = {
        "before_us": 1000.0,
        "after_us": 1000.0,
        "difference_us": 0.0,
        "relative": 0.0,
        "share": None,
        "p_value": 1.0,
        "verdict": "same",
    }

    def of_all(rows: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(msgspec.structs.replace(row, **same) for row in rows)

    total = msgspec.structs.replace(one.phases[0].total, **{**same, "before_us": 2000.0, "after_us": 2000.0})
    return msgspec.structs.replace(
        one,
        summary=(N_("nothing differs beyond noise"),),
        phases=(msgspec.structs.replace(one.phases[0], total=total),),
        places=of_all(one.places),
        modules=of_all(one.modules),
        types=(),
        ops=(),
    )


def nothing() -> Comparison:
    """Two traces that have nothing to compare."""
    return msgspec.structs.replace(single(), phases=(), places=(), modules=(), types=(), ops=(), summary=())


def hostile() -> Comparison:
    """Every text of a trace is written to break out of where it stands."""
    whole, bad = 100.0, HOSTILE
    one = llama()
    kernels = {"kernels_before": (bad,), "kernels_after": (bad + "2",), "kernels_changed": True}
    return msgspec.structs.replace(
        one,
        before=Side(bad, bad, bad, 2, bad),
        after=Side(bad, bad, bad, 2, bad),
        summary=(N_("most of it is in `{place}`", place=bad),),
        notes=(N_("most of it is in `{place}`", place=bad),),
        differences=(Difference(bad, bad, bad),),
        phases=(
            msgspec.structs.replace(
                one.phases[0],
                phase=bad,
                before_phase=bad,
                after_phase=bad,
                total=ChangeRow(**change(100.0, 200.0, whole)),
                explained_by=(0,),
            ),
        ),
        places=(place(bad, bad, 100.0, 200.0, whole, phase=bad),),
        modules=(module(bad, bad, 100.0, 200.0, whole, phase=bad, **kernels),),
        types=(type_change(bad, 100.0, 200.0, whole, phase=bad),),
        ops=(op(bad, bad, 100.0, 200.0, whole, phase=bad, dtypes=bad, **kernels),),
        kernels=(kernel(bad, 100.0, 200.0, whole, phase=bad),),
        left_out=(LeftOut(bad, 1.0, 2.0),),
    )


def replaced(comparison: Comparison, **fields: Any) -> Comparison:
    return msgspec.structs.replace(comparison, **fields)


ALL = {
    "llama": llama,
    "phased": phased,
    "single": single,
    "equal": equal,
    "nothing": nothing,
    "hostile": hostile,
}
