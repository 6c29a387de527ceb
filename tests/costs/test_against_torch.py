"""Matrix FLOPs of real profiles equal what `torch.utils.flop_counter` counts for the same calls."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tracekit.analysis import analyze

torch = pytest.importorskip("torch")
functional = torch.nn.functional


def attention(**options: bool) -> Callable[[], object]:
    q, kv = torch.randn(2, 8, 16, 32), torch.randn(2, 8, 24, 32)
    return lambda: functional.scaled_dot_product_attention(q, kv, kv, **options)


def attention_of_nothing_fused() -> object:
    """The composite, which is made of products that count themselves."""
    q = torch.randn(2, 4, 16, 32)
    return torch.ops.aten._scaled_dot_product_attention_math(q, q, q)


def training_step() -> None:
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, stride=2), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(392, 10)
    )
    model(torch.randn(4, 3, 16, 16)).square().sum().backward()


CASES: dict[str, Callable[[], object]] = {
    "mm": lambda: torch.randn(3, 4) @ torch.randn(4, 5),
    "linear": lambda: torch.nn.Linear(16, 8)(torch.randn(2, 3, 16)),
    "linear without bias": lambda: torch.nn.Linear(16, 8, bias=False)(torch.randn(2, 3, 16)),
    "linear bf16": lambda: torch.nn.Linear(64, 32).bfloat16()(torch.randn(5, 64).bfloat16()),
    "broadcast matmul": lambda: torch.randn(2, 1, 3, 4) @ torch.randn(5, 4, 6),
    "einsum": lambda: torch.einsum("bhqd,bkhd->bhqk", torch.randn(2, 4, 8, 16), torch.randn(2, 9, 4, 16)),
    "baddbmm": lambda: torch.baddbmm(torch.randn(2, 3, 5), torch.randn(2, 3, 4), torch.randn(2, 4, 5)),
    "attention by products": attention_of_nothing_fused,
    "conv1d": lambda: torch.nn.Conv1d(4, 8, 3, padding=2, groups=2)(torch.randn(2, 4, 20)),
    "conv1d same": lambda: torch.nn.Conv1d(4, 8, 3, padding="same")(torch.randn(2, 4, 20)),
    "conv2d": lambda: torch.nn.Conv2d(3, 8, 5, stride=2, dilation=2)(torch.randn(2, 3, 32, 32)),
    "conv2d unbatched": lambda: torch.nn.Conv2d(3, 8, 5)(torch.randn(3, 32, 32)),
    "conv3d": lambda: torch.nn.Conv3d(2, 4, 3)(torch.randn(1, 2, 8, 8, 8)),
    "transposed": lambda: torch.nn.ConvTranspose2d(6, 4, 3, stride=2)(torch.randn(2, 6, 7, 7)),
    "transposed, grouped": lambda: torch.nn.ConvTranspose1d(6, 4, 3, groups=2)(torch.randn(2, 6, 7)),
    "depthwise": lambda: torch.nn.Conv2d(4, 4, 3, groups=4)(torch.randn(2, 4, 9, 9)),
    "vector times matrix": lambda: torch.randn(4) @ torch.randn(4, 5),
    "vector times matrices": lambda: torch.randn(4) @ torch.randn(2, 4, 5),
    "matrix times vector": lambda: (
        torch.randn(3, 4) @ torch.randn(4),
        torch.randn(3, 4) @ torch.randn(4, 5),
    ),
    "transposed, backward": lambda: (
        torch.nn.ConvTranspose2d(6, 4, 3, stride=2)(torch.randn(2, 6, 7, 7, requires_grad=True))
        .sum()
        .backward()
    ),
    "training step": training_step,
}


def profiled_flops(call: Callable[[], object], path: Path) -> int | None:
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], record_shapes=True
    ) as profiler:
        call()
    profiler.export_chrome_trace(str(path))
    return analyze(path).flops.matrix


@pytest.mark.parametrize("name", CASES)
def test_equals_flop_counter(name: str, tmp_path: Path) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        CASES[name]()
    assert counter.get_total_flops() > 0
    assert profiled_flops(CASES[name], tmp_path / "t.json") == counter.get_total_flops()


def test_cpu_attention_that_flop_counter_does_not_know(tmp_path: Path) -> None:
    # QKᵀ and AV: 2 · 2 batches · 8 heads · 16 queries · 24 keys · (32 + 32)
    assert profiled_flops(attention(), tmp_path / "t.json") == 2 * 2 * 8 * 16 * 24 * 64
    # no discount for a causal mask
    assert profiled_flops(attention(is_causal=True), tmp_path / "u.json") == 2 * 2 * 8 * 16 * 24 * 64
