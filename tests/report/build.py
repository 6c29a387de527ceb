"""Reports by hand: small values with numbers that are easy to work out on paper, for the renderers."""

from __future__ import annotations

from typing import Any

import msgspec

from tracekit.analysis.schema import (
    Accounting,
    BlockKindRow,
    BlockPart,
    BlockPhase,
    BlockRow,
    Capture,
    Device,
    Finding,
    Flops,
    GpuState,
    HeadroomRow,
    KernelRow,
    Memory,
    Model,
    ModulePhase,
    ModuleRow,
    OpRow,
    Pass,
    PhaseRow,
    RegionRow,
    Report,
    Roof,
    Share,
    Telemetry,
    Time,
    TraceInfo,
    TypePhase,
    TypeRow,
    UncostedRow,
    UsedWithoutCall,
)
from tracekit.messages import N_

HOSTILE = "a|b`c\n<script>alert(1)</script>\x1b[31m$x^2$ [bold]\u202e*_ \ud800"


def module(
    path: str, kind: str | None, us: float = 0.0, *, parent: str | None = None, **more: Any
) -> ModuleRow:
    """A module of `us` GPU self time in each of two passes; `gpu_time_us` adds that of its children."""
    fields: dict[str, Any] = {
        "path": path,
        "name": path.rpartition(".")[2],
        "type": kind,
        "parent": parent,
        "block": None,
        "depth": path.count("."),
        "calls": 2,
        "kernels": 2,
        "gpu_time_us": 2 * us,
        "gpu_self_time_us": 2 * us,
        "gpu_backward_time_us": None,
        "gpu_backward_self_time_us": None,
        "backward_kernels": None,
        "gpu_time_per_pass_us": us,
        "gpu_self_time_per_pass_us": us,
        "gpu_backward_time_per_pass_us": None,
        "gpu_backward_self_time_per_pass_us": None,
        "cpu_time_us": 2 * us,
        "cpu_self_time_us": 2 * us,
        "cpu_time_per_pass_us": us,
        "cpu_self_time_per_pass_us": us,
        "slowest_call_us": us,
        "median_call_us": us,
        "parameters": None,
        "matrix_flops": None,
        "backward_matrix_flops": None,
        "vector_flops": None,
        "bytes": None,
        "tflops": None,
        "bound_us": None,
    }
    return ModuleRow(**{**fields, **more})


def block(index: int, kind: str, us: float, flops: int | None, tflops: float | None, **more: Any) -> BlockRow:
    """A block that takes `us` and `flops` in each of two passes, all of them in the part of its kind."""
    part = {"attention": "attention_flops", "mlp": "ffn_flops", "mamba": "mixer_flops"}.get(kind)
    total = None if flops is None else 2 * flops
    fields: dict[str, Any] = {
        "stack": "backbone.layers",
        "index": index,
        "path": f"backbone.layers.{index}",
        "type": "NemotronHBlock",
        "kind": kind,
        "calls": 2,
        "parameters": None,
        "gpu_time_us": 2 * us,
        "gpu_backward_time_us": None,
        "gpu_time_per_pass_us": us,
        "cpu_time_us": 2 * us,
        "cpu_time_per_pass_us": us,
        "matrix_flops": total,
        "attention_flops": None if total is None else 0,
        "ffn_flops": None if total is None else 0,
        "mixer_flops": None if total is None else 0,
        "matrix_flops_per_pass": flops,
        "attention_flops_per_pass": None if total is None else 0,
        "ffn_flops_per_pass": None if total is None else 0,
        "mixer_flops_per_pass": None if total is None else 0,
        "tflops": tflops,
        "cpu_gflops": None,
    }
    if part:
        fields[part] = total
        fields[f"{part}_per_pass"] = flops
    return BlockRow(**{**fields, **more})


def type_row(
    name: str,
    us: float,
    *,
    kind: str = "modules",
    modules: int = 1,
    calls: int = 2,
    backward_us: float | None = None,
) -> TypeRow:
    return TypeRow(
        type=name,
        kind=kind,
        modules=modules if kind == "modules" else 0,
        calls=calls if kind == "modules" else 0,
        kernels=1,
        gpu_time_us=us,
        gpu_self_time_us=us,
        gpu_backward_time_us=backward_us,
        gpu_backward_self_time_us=backward_us,
        backward_kernels=None,
        cpu_time_us=us,
        cpu_self_time_us=us,
        matrix_flops=None,
        backward_matrix_flops=None,
    )


def part_figures(us: float, **more: Any) -> dict[str, Any]:
    """Figures of a part that takes `us` over the trace, in two passes, half of it above its bound."""
    fields: dict[str, Any] = {
        "gpu_time_us": us,
        "gpu_time_per_pass_us": us / 2,
        "cpu_time_us": us,
        "matrix_flops": 2_000_000,
        "matrix_flops_per_pass": 1_000_000,
        "tflops": 2.0 / us,
        "headroom_per_pass_us": us / 4,
        "bytes": 4_000_000,
        "gbs": 4000.0 / us,
        "arithmetic_intensity": 0.5,
        "bound_us": us / 2,
        "bounded_gpu_time_us": us,
        "bound_share": 0.5,
        "limited_by": "memory",
        "headroom_us": us / 2,
    }
    return {**fields, **more}


def one_pass(index: int, wall_us: float = 6000.0, *, outlier: bool = False) -> Pass:
    return Pass(
        index=index,
        start_us=index * 10_000.0,
        wall_us=wall_us,
        cpu_time_us=4000.0,
        kernels=5,
        gpu_time_us=5000.0,
        gpu_busy_us=4900.0,
        gpu_idle_us=100.0,
        matrix_flops=1_012_456_488_960,
        outlier=outlier,
    )


def hybrid() -> Report:
    """Two passes of a hybrid of Mamba, MLP and attention blocks on a GPU (see seed_report_checked.md).

    GPU time 12 ms: 10 in modules, 0.5 backward, 1 outside modules, 0.5 launched before the trace.
    """
    return Report(
        trace=TraceInfo("/traces/nano.json.gz", 1_234_567, 18_221, 0, (), "scopes"),
        device=Device("NVIDIA H100 80GB HBM3", "cuda", {"bf16": 989.4}, 3352.0, "datasheet", None),
        model=Model(
            name="NVIDIA-Nemotron-Nano-9B-v2",
            class_="NemotronHForCausalLM",
            parameters=8_888_227_328,
            hidden_size=4480,
            intermediate_size=15680,
            num_attention_heads=40,
            num_key_value_heads=8,
            head_dim=128,
            attention_type="GQA",
            num_blocks=3,
            vocab_size=131_072,
            sequence_length=61,
            batch_size=1,
            dtype="bf16",
            mode="forward",
        ),
        time=Time(
            passes=2,
            pass_wall_us=6000.0,
            pass_wall_min_us=5900.0,
            pass_wall_max_us=6100.0,
            gpu_time_us=12_000.0,
            gpu_time_per_pass_us=5500.0,
            gpu_busy_us=11_000.0,
            gpu_idle_us=1000.0,
            gpu_span_us=12_000.0,
            latency_us=5000.0,
            latency_min_us=4900.0,
            latency_max_us=5300.0,
            latency_passes=3,
        ),
        accounting=Accounting(
            gpu_events=100,
            gpu_time_us=12_000.0,
            modules_forward=Share(80, 10_000.0),
            modules_backward=Share(4, 500.0),
            outside_modules=Share(10, 1000.0),
            launched_before_trace=Share(6, 500.0),
        ),
        flops=Flops(
            matrix=2_024_912_977_920,
            vector=None,
            bytes=None,
            matrix_per_pass=1_012_456_488_960,
            covered_gpu_time_share=0.95,
            achieved_tflops=202.5,
            matrix_gpu_time_us=10_000.0,
            peak_share=0.2047,
            headline_tflops=202.49,
            headline_basis="latency",
            source="shapes",
        ),
        passes=(one_pass(0, 6100.0), one_pass(1, 5900.0)),
        modules=(
            module("backbone", "NemotronHModel", 0.0, gpu_time_us=9000.0, gpu_time_per_pass_us=4500.0),
            module("backbone.layers.0.mixer.in_proj", "Linear", 2000.0, parameters=1000),
            module("backbone.layers.0.mixer.norm", "MambaRMSNormGated", 1500.0),
            module("backbone.layers.1.mixer.up_proj", "Linear", 1000.0),
            # 0.5 ms of its own in each pass, the other 1.5 ms in its children.
            module(
                "lm_head",
                "Head",
                2000.0,
                gpu_self_time_us=1000.0,
                gpu_self_time_per_pass_us=500.0,
            ),
        ),
        types=(
            changed(
                type_row("Linear", 6000.0, modules=2, calls=4),
                gbs=1000.0,
                arithmetic_intensity=50.0,
                bound_us=1500.0,
                bounded_gpu_time_us=6000.0,
                bound_share=0.25,
                limited_by="memory",
            ),
            type_row("MambaRMSNormGated", 3000.0),
            type_row("Head", 1000.0),
            type_row("modules_backward", 500.0, kind="modules_backward"),
            type_row("outside_modules", 1000.0, kind="outside_modules"),
            type_row("launched_before_trace", 500.0, kind="launched_before_trace"),
        ),
        blocks=(
            block(
                0,
                "mamba",
                3500.0,
                17_979_637_760,
                5.137,
                parameters=147_450_624,
                parts=(BlockPart("mamba", **part_figures(6000.0)),),
            ),
            block(1, "mlp", 1000.0, 17_140_121_600, 17.14, parameters=140_497_280),
            block(2, "attention", 500.0, 6_792_335_360, 0.0213, parameters=55_054_720),
        ),
        kernels=(
            KernelRow("void at::native::elementwise<128>(int)", "kernel", 60, 8000.0, 133.3333, 100.0, 200.0),
            KernelRow("Memcpy HtoD", "memcpy", 40, 4000.0, 100.0, 90.0, 110.0),
        ),
        ops=(
            OpRow(
                name="aten::mm",
                shapes="[[61, 4480], [4480, 131072]]",
                dtypes='["c10::BFloat16", "c10::BFloat16"]',
                calls=2,
                kernels=2,
                gpu_time_us=1000.0,
                gpu_self_time_us=1000.0,
                cpu_time_us=50.0,
                matrix_flops=143_277_424_640,
                vector_flops=None,
                bytes=2_000_000,
                tflops=143.277,
                cpu_gflops=None,
                bound_us=700.0,
            ),
        ),
        regions=(RegionRow("ProfilerStep#6", 1, 6000.0, 5000.0),),
        block_kinds=(
            BlockKindRow("layers", "mamba", "mamba", 1, 0.6, **part_figures(6000.0)),
            BlockKindRow("layers", "mamba", "norm", 1, 0.1, **part_figures(1000.0, limited_by="latency")),
            BlockKindRow("layers", "mamba", None, 1, 0.7, **part_figures(7000.0)),
            BlockKindRow(
                None, None, None, 3, 1.0, **part_figures(10_000.0, beats_bound=True, bound_share=1.25)
            ),
        ),
        headroom=(
            HeadroomRow(
                "modules", "layers.*.mixer.in_proj", "Linear", 2, 2000.0, 500.0, 1500.0, 0.25, "memory"
            ),
            HeadroomRow("launches", "", None, 0, 0.0, None, 600.0, 0.1, "host"),
        ),
        uncosted=(UncostedRow("void mystery<float>(int)", "mylib::scan", 3, 600.0, "no_formula"),),
        findings=(
            Finding(
                id="module.slow_call",
                severity="medium",
                module="backbone.layers.0.mixer.norm",
                evidence=N_(
                    "one of its {calls} calls takes {slowest} ms of CPU time, the median one {median} ms",
                    calls=20,
                    slowest="404.2",
                    median="0.8",
                ),
                gain_us=2500.0,
                advice=N_("usual for a first call (JIT compilation, autotuning): warm up before profiling"),
            ),
        ),
    )


def changed(value: Any, **fields: Any) -> Any:
    """A copy of a row or report with some fields changed."""
    return msgspec.structs.replace(value, **fields)


def empty() -> Report:
    """A trace with GPU events and nothing else: no modules, shapes, passes, ops or model."""
    report = hybrid()
    return changed(
        report,
        trace=changed(report.trace, module_source=None),
        device=Device(None, "hip", None, None, None, N_("the trace does not say")),
        model=Model(),
        time=changed(
            report.time,
            passes=0,
            pass_wall_us=None,
            pass_wall_min_us=None,
            pass_wall_max_us=None,
            gpu_time_per_pass_us=None,
            latency_us=None,
        ),
        accounting=Accounting(
            100, 12_000.0, Share(0, 0.0), Share(0, 0.0), Share(0, 0.0), Share(100, 12_000.0)
        ),
        flops=Flops(None, None, None, None, None, None, 0.0, None, None, None),
        passes=(),
        modules=(),
        types=(type_row("launched_before_trace", 12_000.0, kind="launched_before_trace"),),
        blocks=(),
        block_kinds=(),
        headroom=(),
        ops=(),
        regions=(),
        findings=(),
    )


def cpu_only() -> Report:
    """The hybrid without a GPU: 0.25 GFLOP/s in block 0, from 1 000 000 FLOPs in 4 ms of CPU time."""
    report = hybrid()
    nothing = Share(0, 0.0)
    cpu_module = module(
        "layers.0",
        "Block",
        0.0,
        cpu_time_us=4000.0,
        cpu_self_time_us=1000.0,
        cpu_time_per_pass_us=2000.0,
        cpu_self_time_per_pass_us=500.0,
        kernels=0,
    )
    child = changed(
        cpu_module,
        path="layers.0.fc",
        type="Linear",
        parent="layers.0",
        cpu_time_us=3000.0,
        cpu_self_time_us=3000.0,
        cpu_time_per_pass_us=1500.0,
        cpu_self_time_per_pass_us=1500.0,
    )
    one = changed(
        block(0, "mlp", 0.0, 500_000, None, path="layers.0", stack="layers"),
        cpu_time_us=4000.0,
        cpu_time_per_pass_us=2000.0,
        cpu_gflops=0.25,
    )
    cpu_pass = changed(one_pass(0), kernels=0, gpu_time_us=0.0, gpu_busy_us=0.0, gpu_idle_us=0.0)
    return changed(
        report,
        device=Device(None, "cpu", None, None, None, N_("there is no GPU")),
        time=Time(2, 6000.0, 5900.0, 6100.0, 0.0, 0.0, 0.0, 0.0, 0.0, None),
        accounting=Accounting(0, 0.0, nothing, nothing, nothing, nothing),
        flops=Flops(
            1_000_000, None, None, 500_000, None, None, 0.0, None, 0.00025, "pass_wall", source="shapes"
        ),
        passes=(cpu_pass, changed(cpu_pass, index=1)),
        modules=(cpu_module, child),
        types=(
            changed(type_row("Linear", 0.0), cpu_self_time_us=3000.0),
            changed(type_row("Block", 0.0), cpu_self_time_us=1000.0),
        ),
        blocks=(one,),
        headroom=(),
        uncosted=(),
        kernels=(),
        ops=(),
        findings=(),
    )


def no_shapes() -> Report:
    """The hybrid, captured without record_shapes: matrix FLOPs are unknown everywhere."""
    report = hybrid()
    return changed(
        report,
        flops=Flops(None, None, None, None, None, None, 0.0, None, None, None),
        blocks=tuple(
            block(row.index, row.kind, row.gpu_time_per_pass_us or 0.0, None, None) for row in report.blocks
        ),
        ops=tuple(changed(row, matrix_flops=None, tflops=None) for row in report.ops),
    )


def phase_row(name: str, us: float, passes: int, tokens: int, cache: int, flops: int) -> PhaseRow:
    """Passes of `us` GPU time; latency is as long, wall time twice to three times that."""
    return PhaseRow(
        name=name,
        passes=passes,
        tokens=tokens,
        cache_length=cache,
        latency_us=us,
        latency_min_us=us,
        latency_max_us=us,
        latency_passes=1,
        pass_wall_us=2 * us,
        pass_wall_min_us=2 * us,
        pass_wall_max_us=(2 if passes == 1 else 3) * us,
        gpu_time_us=us,
        gpu_busy_us=us,
        matrix_flops=flops,
        counted_flops=None,
        headline_tflops=flops / us / 1e6,
        headline_basis="latency",
        tokens_per_second=2 * tokens / us * 1e6,
    )


def _in_phases(row: Any, prefill: str, decode: str) -> tuple[Any, ...]:
    """A module's or a block's figures: those of the report in the prefill, a tenth of them in the decode."""
    is_block = isinstance(row, BlockRow)
    kind = BlockPhase if is_block else ModulePhase
    made = []
    for name, share in ((prefill, 1.0), (decode, 0.1)):
        of_block: dict[str, Any] = {}
        if is_block:
            of_block = {
                f"{part}_flops_per_pass": getattr(row, f"{part}_flops_per_pass")
                for part in ("attention", "ffn", "mixer")
            } | {"cpu_gflops": None}
        own = row.gpu_time_per_pass_us if is_block else row.gpu_self_time_per_pass_us
        made.append(
            kind(
                phase=name,
                calls=2,
                gpu_time_per_pass_us=(row.gpu_time_per_pass_us or 0.0) * share,
                gpu_self_time_per_pass_us=(own or 0.0) * share,
                cpu_time_per_pass_us=100.0,
                cpu_self_time_per_pass_us=100.0,
                slowest_call_us=100.0,
                median_call_us=100.0,
                matrix_flops_per_pass=row.matrix_flops_per_pass if is_block else row.matrix_flops,
                tflops=None if row.tflops is None else row.tflops * share,
                **of_block,
            )
        )
    return tuple(made)


def phases(prefill: str = "prefill", decode: str = "decode") -> Report:
    """The hybrid as a `generate` of 2 sequences: a prefill of 61 tokens in 5 ms, two decodes in 0.5 ms."""
    report = hybrid()
    rows = (
        phase_row(prefill, 5000.0, 1, 61, 0, 1_000_000_000_000),
        phase_row(decode, 500.0, 2, 1, 61, 20_000_000_000),
    )
    return changed(
        report,
        model=changed(report.model, mode="generate", batch_size=2),
        time=changed(report.time, passes=3, phase=prefill),
        phases=rows,
        passes=(
            changed(one_pass(0), phase=prefill),
            changed(one_pass(1, 1000.0), phase=decode),
            changed(one_pass(2, 1100.0), phase=decode),
        ),
        modules=tuple(changed(m, phases=_in_phases(m, prefill, decode)) for m in report.modules),
        blocks=tuple(changed(b, phases=_in_phases(b, prefill, decode)) for b in report.blocks),
        types=tuple(
            changed(t, phases=(TypePhase(prefill, t.gpu_self_time_us / 2, 9.0), TypePhase(decode, 7.0, 9.0)))
            if t.kind == "modules"
            else t
            for t in report.types
        ),
    )


def gpu_state(**fields: Any) -> GpuState:
    known: dict[str, Any] = {
        "index": 0,
        "sm_clock_mhz": 1980.0,
        "max_sm_clock_mhz": 1980.0,
        "memory_clock_mhz": 2619.0,
        "power_w": 120.5,
        "power_limit_w": 700.0,
        "performance_state": "P0",
        "temperature_c": 41.0,
        "throttle_reasons": (),
        "source": "nvml",
    }
    return GpuState(**{**known, **fields})


def training() -> Report:
    """The hybrid as training on a GPU that is watched, with all that capture may notice."""
    report = hybrid()
    return changed(
        report,
        device=changed(
            report.device,
            telemetry=Telemetry(
                (gpu_state(),), (gpu_state(sm_clock_mhz=1500.0, power_w=699.2, temperature_c=78.0),)
            ),
        ),
        model=changed(report.model, mode="train"),
        time=changed(report.time, step_latency_us=20_000.0, step_wall_us=25_000.0, steps=5),
        flops=changed(
            report.flops, matrix_per_step=3_000_000_000_000, step_tflops=150.0, step_basis="latency"
        ),
        memory=Memory(17_800_000_000, 20_000_000_000, 16_000_000_000),
        capture=Capture(
            error="out of memory",
            not_called=tuple(f"backbone.experts.{i}" for i in range(7)),
            used_without_call=(UsedWithoutCall("lm_head", None),),
            compiled=("backbone.layers.1",),
            cuda_graph=True,
            redacted=True,
            notes=("the sequence was shortened",),
        ),
        modules=tuple(
            changed(m, allocated_bytes=2000 - i, allocated_self_bytes=100 * i, net_bytes=i)
            for i, m in enumerate(report.modules)
        ),
    )


def hostile_capture(name: str = HOSTILE) -> Report:
    """Names of phases, states of the GPU and what capture noticed, as malicious as it gets."""
    report = phases(name, name + "2")
    state = gpu_state(performance_state=name, throttle_reasons=(name,))
    return changed(
        report,
        device=changed(report.device, telemetry=Telemetry((state,), (state,))),
        capture=Capture(
            error=name,
            not_called=(name,),
            used_without_call=(UsedWithoutCall(name, name),),
            compiled=(name,),
            notes=(name,),
        ),
        modules=tuple(
            changed(m, path=name, type=name, allocated_bytes=1, allocated_self_bytes=1)
            for m in report.modules
        ),
    )


def hostile(name: str = HOSTILE) -> Report:
    """The hybrid with every text from the trace as malicious as it gets."""
    report = hybrid()
    return changed(
        report,
        trace=changed(report.trace, path=f"/traces/{name}"),
        device=changed(report.device, name=name),
        model=changed(report.model, name=name, class_=name, attention_type=name),
        modules=tuple(changed(m, path=f"{name}{i}", type=name) for i, m in enumerate(report.modules)),
        types=tuple(changed(t, type=name) if t.kind == "modules" else t for t in report.types),
        blocks=tuple(changed(b, stack=f"{name}{b.index}", kind=name) for b in report.blocks),
        kernels=tuple(changed(k, name=name) for k in report.kernels),
        ops=tuple(changed(o, name=name, shapes=name) for o in report.ops),
        regions=tuple(changed(r, name=name) for r in report.regions),
        block_kinds=tuple(changed(b, stack=name, kind=name) for b in report.block_kinds),
        headroom=tuple(changed(h, place=name, type=name) for h in report.headroom),
        uncosted=tuple(changed(u, kernel=name, op=name) for u in report.uncosted),
        findings=tuple(
            changed(f, module=name, evidence=N_("{name}: as it is", name=name)) for f in report.findings
        ),
    )


def large() -> Report:
    """126 blocks in two stacks, 400 modules with long names, 50 passes of which the 31st is an outlier."""
    report = hybrid()
    kinds = ("mamba", "mlp", "attention")
    blocks = [
        block(i, kinds[i % 3], 100.0 + i % 7, 10**9, 5.0 + i % 5, stack="model.decoder.layers")
        for i in range(94)
    ]
    blocks += [
        block(i, "transformer", 60.0, 10**9, None, stack="model.vision_tower.encoder.layers")
        for i in range(32)
    ]
    return changed(
        report,
        time=changed(report.time, passes=50),
        passes=tuple(one_pass(i, 60_000.0 if i == 31 else 6000.0, outlier=i == 31) for i in range(50)),
        modules=tuple(
            module(f"model.{'very_long_name_' * 12}.layers.{i}.proj", f"Type{i % 14}", 400.0 - i)
            for i in range(400)
        ),
        types=tuple(type_row(f"Type{i}", 100.0 * (20 - i)) for i in range(20)),
        blocks=tuple(blocks),
    )


def op(name: str, us: float, intensity: float | None, tflops: float | None, **more: Any) -> OpRow:
    """An operator of `us` GPU time, all of it bounded, at a place in the roofline."""
    fields: dict[str, Any] = {
        "name": name,
        "shapes": "[[61, 4480]]",
        "dtypes": '["c10::BFloat16"]',
        "calls": 2,
        "kernels": 2,
        "gpu_time_us": us,
        "gpu_self_time_us": us,
        "cpu_time_us": 50.0,
        "matrix_flops": None,
        "tflops": None,
        "cpu_gflops": None,
        "bounded_gpu_time_us": us,
        "roofline_intensity": intensity,
        "roofline_tflops": tflops,
        "limited_by": "memory",
        "launched_by": "modules",
    }
    return OpRow(**{**fields, **more})


def costed() -> Report:
    """The hybrid with rooflines: 5 ms of operators with a place, 1 ms of a copy without, 0.004 ms too small.

    And with headroom in 30 places, 100 µs in the first, 99 in the second …, each above a bound of 50 µs, with
    0.6 ms of waiting between kernels.
    """
    report = hybrid()
    place = "backbone.layers.*.mixer"
    return changed(
        report,
        flops=changed(
            report.flops, roofs=(Roof("bf16", 989.4, 3500.0), Roof("fp32", 66.9, 1500.0)), bound_us=6000.0
        ),
        ops=(
            op("aten::mm", 2000.0, 500.0, 600.0, place=f"{place}.in_proj", limited_by="compute"),
            op("aten::addmm", 1000.0, 90.0, 30.0, place=f"{place}.out_proj", limited_by="latency"),
            op("aten::mul", 1000.0, 0.25, 0.4, place=f"{place}.norm"),
            op(
                "aten::mm_for_gradients",
                *(500.0, 400.0, 500.0),
                place=f"{place}.in_proj",
                launched_by="modules_backward",
                limited_by="compute",
            ),
            op("mylib::update", 490.0, 0.2, 0.3, place=None, launched_by="outside_modules"),
            op("aten::eq", 10.0, 0.1, 1e-7, place="", limited_by="latency"),
            op("aten::copy_", 1000.0, None, None, place=f"{place}.norm"),
            op("aten::neg", 4.0, 0.1, 0.2, place=f"{place}.norm"),
        ),
        headroom=(
            HeadroomRow("queued", "", None, 0, 0.0, None, 600.0, 0.1, "latency"),
            *(
                HeadroomRow(
                    "modules",
                    f"layers.*.part_{i}",
                    "Linear",
                    *(2, 150.0 - i, 50.0, 100.0 - i, (100.0 - i) / 6000),
                    "compute" if i % 2 else None,
                )
                for i in range(30)
            ),
        ),
    )


def hostile_costed() -> Report:
    """Rooflines and headroom with every text from the trace as malicious as it gets."""
    report = costed()
    return changed(
        report,
        device=changed(report.device, name=HOSTILE),
        model=changed(report.model, name=HOSTILE),
        flops=changed(report.flops, roofs=(Roof(HOSTILE, 989.4, 3500.0),)),
        ops=tuple(changed(o, name=f"{HOSTILE}{i}", place=f"{HOSTILE}.{i}") for i, o in enumerate(report.ops)),
        headroom=tuple(changed(h, place=f"{HOSTILE}{i}") for i, h in enumerate(report.headroom)),
    )


def many_types() -> Report:
    """300 types of 1 to 300 µs, the first ten with names that are hard to draw."""
    odd = (
        "$x_{1}^2$",
        "模型层" * 4,
        "😀🦙",
        "שלום_עולם",
        "a" * 5000,
        "W" * 300,
        "\u202eevil",
        "tab\tend",
        " ",
        "é́",
    )
    names = [odd[i] if i < len(odd) else f"Type{i}" for i in range(300)]
    return changed(
        hybrid(),
        types=tuple(type_row(name, 300.0 - i, modules=i + 1) for i, name in enumerate(names)),
        modules=tuple(module(name, name, 300.0 - i) for i, name in enumerate(names)),
    )


ALL = {
    "hybrid": hybrid,
    "empty": empty,
    "cpu_only": cpu_only,
    "no_shapes": no_shapes,
    "hostile": hostile,
    "large": large,
    "phases": phases,
    "training": training,
    "hostile_capture": hostile_capture,
    "costed": costed,
    "hostile_costed": hostile_costed,
    "many_types": many_types,
}
