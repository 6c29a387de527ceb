"""Miniature traces as capture writes them: `generate` with a prefill and decodes, and training steps."""

from __future__ import annotations

from typing import Any

from tests.builder import TraceBuilder

BF16 = "c10::BFloat16"
MODULES = [
    {"index": 0, "path": "", "type": "TinyForCausalLM", "parameters": 1000},
    {"index": 1, "path": "layers.0", "type": "TinyBlock", "parameters": 400},
    {"index": 2, "path": "layers.0.mlp", "type": "TinyMLP", "parameters": 390},
    {"index": 3, "path": "layers.1", "type": "TinyBlock", "parameters": 400},
    {"index": 4, "path": "layers.1.mlp", "type": "TinyMLP", "parameters": 390},
]
# 2 sequences of 8 tokens, then of 1; each MLP multiplies with one matrix of 64 × 128.
PREFILL_MLP_FLOPS = 2 * (2 * 8) * 64 * 128
DECODE_MLP_FLOPS = 2 * (2 * 1) * 64 * 128
PREFILL_KERNELS_US = (200.0, 300.0)  # of the two MLPs
DECODE_KERNELS_US = ((20.0, 10.0), (22.0, 10.0), (24.0, 10.0))


def generate(shapes: bool = True) -> TraceBuilder:
    """One prefill, three decodes; in each pass two blocks with an MLP and its kernel, one after the other.

    Wall times of the passes: 1010 + 200 + 300 = 510 µs after 1000 and so on, as the numbers below say.
    """
    builder = TraceBuilder()
    builder.metadata = {
        "deviceProperties": [{"id": 0, "name": "NVIDIA H100 80GB HBM3", "totalGlobalMem": 85018279936}],
        "tracekit": {
            "model": {"name": "tiny", "class": "TinyForCausalLM", "config": {"hidden_size": 64}},
            "modules": MODULES,
            "mode": "generate",
            "batch_size": 2,
            "sequence_length": 8,
            "latencies_us": [],
            "pass_phases": ["prefill", "decode", "decode", "decode"],
            "phases": [
                phase("prefill", 1, 8, 0, [500.0, 400.0, 450.0], PREFILL_MLP_FLOPS),
                phase("decode", 3, 1, 8, [25.0, 20.0], DECODE_MLP_FLOPS),
            ],
        },
    }
    correlation = 0
    kernels = (PREFILL_KERNELS_US, *DECODE_KERNELS_US)
    for number, durations in enumerate(kernels):
        at = 1000 * (number + 1)
        builder.scope("forward", str(number), at, at + 100).scope(0, "", at + 1, at + 99)
        start = at + 10.0
        for block, duration in enumerate(durations):
            begin = at + 10 + 40 * block
            builder.scope(1 + 2 * block, f"layers.{block}", begin, begin + 30)
            builder.scope(2 + 2 * block, f"layers.{block}.mlp", begin + 2, begin + 28)
            rows = 16 if number == 0 else 2
            dims = [[rows, 64], [64, 128]] if shapes else None
            builder.op("aten::mm", begin + 3, begin + 20, dims, [BF16] * 2 if shapes else None)
            correlation += 1
            builder.launch(correlation, begin + 4)
            builder.kernel(correlation, start, start + duration, "gemm")
            start += duration
    return builder


def phase(
    name: str, passes: int, tokens: int, cache: int | None, latencies: list[float], mlp_flops: int
) -> dict[str, Any]:
    """An entry of `phases` as capture writes it, counted in two MLPs."""
    return {
        "name": name,
        "passes": passes,
        "tokens": tokens,
        "cache_length": cache,
        "latencies_us": latencies,
        "matrix_flops": 2 * mlp_flops,
        "module_flops": {
            "0": 2 * mlp_flops,
            "1": mlp_flops,
            "2": mlp_flops,
            "3": mlp_flops,
            "4": mlp_flops,
        },
    }


def train() -> TraceBuilder:
    """Two training steps: a forward of one MLP, its backward on another thread, and an optimizer.

    The step takes 310 µs on the CPU, and its last kernel ends 20 and 40 µs later.
    """
    builder = TraceBuilder()
    builder.metadata = {
        "deviceProperties": [{"id": 0, "name": "NVIDIA H100 80GB HBM3", "totalGlobalMem": 85018279936}],
        "tracekit": {
            "model": {"name": "tiny", "class": "Tiny", "config": {"hidden_size": 64}},
            "modules": MODULES[:3],
            "mode": "train",
            "batch_size": 2,
            "sequence_length": 8,
            "latencies_us": [90.0, 80.0, 100.0],
            "step_latencies_us": [250.0, 240.0, 260.0],
            "phases": [phase("forward", 2, 8, None, [90.0, 80.0, 100.0], PREFILL_MLP_FLOPS // 2)],
            "pass_phases": ["forward", "forward"],
        },
    }
    for number in range(2):
        at, correlation = 1000 * (number + 1), 10 * number
        builder.range(f"ProfilerStep#{number}", at, at + 310)
        builder.scope("forward", str(number), at + 1, at + 100).scope(0, "", at + 2, at + 99)
        builder.scope(1, "layers.0", at + 5, at + 60).scope(2, "layers.0.mlp", at + 6, at + 50)
        builder.op("aten::mm", at + 7, at + 20, [[16, 64], [64, 128]], [BF16] * 2)
        builder.launch(correlation + 1, at + 8).kernel(correlation + 1, at + 20, at + 70, "gemm")
        for half, dims in enumerate(([[64, 16], [16, 128]], [[16, 128], [128, 64]])):
            begin = at + 120 + 40 * half
            builder.op("aten::mm", begin, begin + 20, dims, [BF16] * 2, tid=2)
            builder.launch(correlation + 2 + half, begin + 2, tid=2)
            builder.kernel(correlation + 2 + half, begin + 10, begin + 40, "gemm")
        builder.range("Optimizer.step", at + 250, at + 300).launch(correlation + 5, at + 260)
        builder.kernel(correlation + 5, at + 290, at + 330 + 20 * number, "adam")
    return builder
