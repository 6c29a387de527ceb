"""Reports whose pages are tested: small, of real traces, very large, and with names that mean harm.

`synthetic` is made by arithmetic, so that a test can say what must be shown without having made it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.report import build
from tracekit.analysis.schema import (
    BlockPart,
    KernelRow,
    OpRow,
    Report,
    Roof,
    Timeline,
    TimelineEvents,
    TimelineGap,
    TimelineStream,
)
from tracekit.messages import N_
from tracekit.report.json import render_json

SAMPLES = Path(__file__).parents[3] / "sample_traces"
CORPUS = os.environ.get("TRACEKIT_CORPUS")


@cache
def report(name: str) -> Report:
    """A report of `ALL`; skips the test where its trace is not there."""
    return ALL[name]()


@cache
def document(name: str) -> dict[str, Any]:
    """Its report.json, read back."""
    return json.loads(render_json(report(name)))  # type: ignore[no-any-return]


def small() -> Report:
    """Eight modules in two blocks, with a roofline, a timeline of six events, and two findings about them.

    A block takes 1.2 ms of GPU time in each of two passes, of which 0.2 ms are its own; `fc` computes at
    a quarter of its bound.
    """
    block_time = {"gpu_time_us": 2400.0, "gpu_time_per_pass_us": 1200.0}
    modules = [
        build.module("", "Net", 0.5, depth=0, gpu_time_us=6001.0, gpu_time_per_pass_us=3000.5),
        build.module("head", "Linear", 600.0, parent="", depth=1, parameters=1_234_567),
    ]
    for path in ("layers.0", "layers.1"):
        modules += [
            build.module(path, "Block", 200.0, parent="", block=path, depth=1, **block_time),
            build.module(
                f"{path}.fc",
                "Linear",
                300.25,
                parent=path,
                block=path,
                depth=2,
                calls=4,
                parameters=4096,
                **roofline(600.5, 12_345_678_901, 2_000_000, 150.125, "memory"),
            ),
            build.module(
                f"{path}.attn",
                "Attention",
                699.75,
                parent=path,
                block=path,
                depth=2,
                **roofline(1399.5, 98_765_432_100, 1_000_000, 699.75, "compute"),
            ),
        ]
    base = build.hybrid()
    return build.changed(
        base,
        trace=build.changed(base.trace, path="/traces/small.json.gz"),
        model=build.changed(base.model, name="Small net"),
        flops=build.changed(base.flops, roofs=(Roof("bf16", 989.4, 3500.0), Roof("fp32", 66.9, 1500.0))),
        types=(
            build.changed(base.types[0], roofline_intensity=50.0, roofline_tflops=40.0),
            *base.types[1:],
        ),
        modules=tuple(modules),
        blocks=tuple(
            build.block(
                i,
                "transformer",
                1200.0,
                111_111_111,
                92.5,
                path=f"layers.{i}",
                stack="layers",
                type="Block",
                parts=(
                    BlockPart("attention", **build.part_figures(1399.5)),
                    BlockPart("mlp", **build.part_figures(600.5)),
                    BlockPart("residual", **build.part_figures(400.0)),
                ),
            )
            for i in range(2)
        ),
        findings=(
            build.changed(base.findings[0], module="layers.1.fc"),
            build.changed(base.findings[0], module=None, severity="high", gain_us=None),
        ),
        timeline=Timeline(
            pass_index=0,
            start_us=0.0,
            wall_us=6000.0,
            streams=(TimelineStream(0, 7), TimelineStream(0, 20)),
            kernels=("gemm", "softmax"),
            events=TimelineEvents(
                start_us=(0.0, 700.0, 1000.0, 1500.0, 2500.0, 3200.0),
                duration_us=(699.75, 300.25, 200.0, 699.75, 300.25, 600.0),
                stream=(0, 1, 0, 0, 1, 0),
                module=(4, 3, 2, 7, 6, None),
                kernel=(1, 0, 0, 1, 0, 0),
                count=(1, 1, 1, 3, 1, 1),
            ),
            gaps=(
                TimelineGap(1200.0, 300.0, 0, "launches", 7, None),
                TimelineGap(2200.0, 300.0, 0, "synchronisation", 6, "cudaStreamSynchronize"),
            ),
        ),
    )


def roofline(us: float, flops: int, traffic: int, bound_us: float, limit: str) -> dict[str, Any]:
    """Fields of a row that takes `us` over the trace, in two passes."""
    return {
        "matrix_flops": flops,
        "vector_flops": 0,
        "bytes": traffic,
        "tflops": flops / us / 1e6,
        "gbs": traffic / us / 1e3,
        "arithmetic_intensity": flops / traffic,
        "roofline_intensity": flops / traffic,
        "roofline_tflops": flops / us / 1e6,
        "bound_us": bound_us,
        "bounded_gpu_time_us": us,
        "bound_share": bound_us / us,
        "limited_by": limit,
        "headroom_us": us - bound_us,
        "headroom_per_pass_us": (us - bound_us) / 2,
    }


BLOCKS, EXPERTS, EVENTS, OPS, KERNELS = 100, 48, 20_000, 3_000, 500


def synthetic() -> Report:
    """20,001 modules: 100 blocks of 200, each with attention, a norm and 48 experts of three products.

    Per pass, an expert's product k takes 10 + k µs, a projection of the attention 20 µs, the norm of
    block b 5 + b µs, everything else nothing itself: an expert 33 µs, the attention 80 µs, a block
    1669 + b µs.
    """
    modules = [_timed("model", "Model", 0.0, 171_850.0, None, None)]
    for b in range(BLOCKS):
        at = f"model.layers.{b}"

        def add(name: str, kind: str, own: float, us: float, parent: str, at: str = at) -> None:
            modules.append(_timed(f"{parent}.{name}", kind, own, us, parent, at))

        modules.append(_timed(at, "Block", 0.0, 1669.0 + b, "model", at))
        add("attn", "Attention", 0.0, 80.0, at)
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            add(name, "Linear", 20.0, 20.0, f"{at}.attn")
        add("norm", "RMSNorm", 5.0 + b, 5.0 + b, at)
        add("moe", "MoE", 0.0, 1584.0, at)
        for e in range(EXPERTS):
            add(f"experts.{e}", "Expert", 0.0, 33.0, f"{at}.moe")
            for k, name in enumerate(("gate_proj", "up_proj", "down_proj")):
                add(name, "Linear", 10.0 + k, 10.0 + k, f"{at}.moe.experts.{e}")
    base = small()
    return build.changed(
        base,
        model=build.changed(base.model, name="Synthetic"),
        modules=tuple(modules),
        blocks=tuple(_synthetic_block(b) for b in range(BLOCKS)),
        kernels=tuple(
            KernelRow(f"kernel_{i}<{i % 7}>(float*)", "kernel", i + 1, 2.0 * (i + 1), 2.0, 1.0, 3.0)
            for i in range(KERNELS)
        ),
        ops=tuple(_op(i) for i in range(OPS)),
        findings=(build.changed(base.findings[0], module="model.layers.7.norm"),),
        timeline=Timeline(
            pass_index=0,
            start_us=0.0,
            wall_us=200_000.0,
            streams=tuple(TimelineStream(0, 7 + i) for i in range(4)),
            kernels=tuple(f"kernel_{i}" for i in range(KERNELS)),
            events=TimelineEvents(
                start_us=tuple(10.0 * i for i in range(EVENTS)),
                duration_us=tuple(8.0 for i in range(EVENTS)),
                stream=tuple(i % 4 for i in range(EVENTS)),
                module=tuple(None if i % 100 == 0 else i for i in range(EVENTS)),
                kernel=tuple(i % KERNELS for i in range(EVENTS)),
                count=tuple(1 for i in range(EVENTS)),
            ),
            gaps=tuple(TimelineGap(10.0 * i + 8, 2.0, 0, "launches", i, None) for i in range(1, EVENTS, 20)),
        ),
    )


def _timed(path: str, kind: str, own: float, us: float, parent: str | None, block: str | None) -> Any:
    return build.module(
        path,
        kind,
        own,
        parent=parent,
        block=block,
        depth=0 if parent is None else path.count(".") - 1,
        gpu_time_us=2 * us,
        gpu_time_per_pass_us=us,
        **(roofline(2 * own, int(own * 1e8), int(own * 1e5), own, "memory") if own else {}),
    )


def _synthetic_block(b: int) -> Any:
    return build.block(
        b,
        "moe",
        1669.0 + b,
        10**9,
        10**9 / (1669.0 + b) / 1e6,
        path=f"model.layers.{b}",
        stack="model.layers",
        type="Block",
        parts=(
            BlockPart("attention", **build.part_figures(160.0)),
            BlockPart("moe", **build.part_figures(3168.0)),
            BlockPart("norm", **build.part_figures(10.0 + 2 * b)),
        ),
    )


def _op(i: int) -> OpRow:
    us = float(OPS - i)
    return OpRow(
        name=f"aten::op_{i:04}",
        shapes=json.dumps([[i + 1, 64], [64, 128]]),
        dtypes='["c10::BFloat16", "c10::BFloat16"]',
        calls=2,
        kernels=2,
        gpu_time_us=us,
        gpu_self_time_us=us,
        cpu_time_us=1.0,
        cpu_gflops=None,
        **{
            name: value
            for name, value in roofline(us, 10**6 * (i + 1), 10**3 * (3 * i + 1), us / 2, "memory").items()
            if name != "headroom_per_pass_us"
        },
    )


# Each would do harm or harm the look in some place where a name stands.
HOSTILE = (
    "<script>window.hacked=1</script>",
    "\"'><img src=x onerror=window.hacked=1>",
    "</script><script>window.hacked=1</script>",
    "<!--<script>",
    "${window.hacked=1}`",
    "{a|b}{hacked|c}",
    "{{7*7}}{b}{c}{value}{@[0]}",
    "\u202eltr\u202c\u2066x\u200f",
    "line\nbreak\r\ttab\x00\x1b[31m",
    "x" * 5000,
    "\U0001f525" * 3000,
    "__proto__",
    "constructor",
    "toString",
    "hasOwnProperty",
    "\ud800lone\udfff",
    "&lt;b&gt;&amp;",
    "=HYPERLINK(0)",
    "@SUM(A1)",
    "javascript:window.hacked=1",
    "'+window.hacked=1+'",
    "*/window.hacked=1/*",
    "\u2028window.hacked=1\u2029",
    "",
    " ",
)


def hostile() -> Report:
    """The small net where every text from the trace is one of `HOSTILE`: paths, types, kernels, operators."""
    base = small()
    paths: dict[str, str] = {}
    for i, row in enumerate(base.modules):
        paths[row.path] = HOSTILE[i] if row.parent is None else f"{paths[row.parent]}.{HOSTILE[i]}"
    # A module whose path does not begin with that of the module around it.
    paths["layers.1.attn"] = "elsewhere<b>"
    modules = [
        build.changed(
            row,
            path=paths[row.path],
            name=HOSTILE[i],
            type=HOSTILE[-1 - i],
            parent=None if row.parent is None else paths[row.parent],
            block=None if row.block is None else paths[row.block],
        )
        for i, row in enumerate(base.modules)
    ]
    modules += [
        build.module(text, text, 5.0 + i, limited_by=text or None) for i, text in enumerate(HOSTILE) if text
    ]
    texts = range(len(HOSTILE))
    assert base.timeline is not None
    return build.changed(
        build.hostile(),
        modules=tuple(modules),
        types=tuple(build.type_row(text, 100.0) for text in HOSTILE),
        blocks=tuple(
            build.changed(
                row,
                path=paths[row.path],
                stack=HOSTILE[i],
                kind=HOSTILE[i + 1],
                type=HOSTILE[i + 2],
                parts=tuple(build.changed(part, part=HOSTILE[-1 - n]) for n, part in enumerate(row.parts)),
            )
            for i, row in enumerate(base.blocks)
        ),
        kernels=tuple(
            KernelRow(HOSTILE[i], HOSTILE[-1 - i], 1, 100.0 + i, 100.0, 90.0, 110.0) for i in texts
        ),
        ops=tuple(
            build.changed(_op(i), name=HOSTILE[i], shapes=HOSTILE[-1 - i], dtypes=HOSTILE[-1 - i])
            for i in texts
        ),
        findings=tuple(
            build.changed(
                base.findings[0],
                id=text,
                severity=text,
                module=modules[i % 8].path,
                evidence=N_("{name}: as it is", name=text),
                advice=N_("{name}", name=text),
            )
            for i, text in enumerate(HOSTILE)
        ),
        timeline=build.changed(
            base.timeline,
            kernels=tuple(HOSTILE[i % len(HOSTILE)] for i in range(2)),
            streams=(TimelineStream(0, HOSTILE[0]), TimelineStream(0, HOSTILE[5])),
            gaps=tuple(
                build.changed(gap, cause=HOSTILE[i], call=HOSTILE[i + 3])
                for i, gap in enumerate(base.timeline.gaps)
            ),
        ),
    )


def sample(name: str) -> Report:
    from tracekit.analysis import analyze

    return analyze(SAMPLES / f"{name}.json.gz")


def qwen() -> Report:
    """316 modules of a real model on a GPU."""
    if not CORPUS:
        pytest.skip("TRACEKIT_CORPUS names no folder of real traces")
    from tracekit.analysis import analyze

    return analyze(Path(CORPUS) / "h100_qwen1.5_0.5b.json.gz")


ALL: dict[str, Callable[[], Report]] = {
    "small": small,
    "sample": lambda: sample("nemotron_h_small"),
    "generate": lambda: sample("llama_small_generate"),
    "train": lambda: sample("llama_small_train"),
    "qwen": qwen,
    "synthetic": synthetic,
    "hostile": hostile,
}
# One after another in a browser: `train` differs from `generate` in what others than the page decide.
BROWSED = [name for name in ALL if name != "train"]
