"""What the card says of models whose configuration nobody stored: the shapes are made up, or real traces'."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.analysis.cards import basics
from tests.builder import TraceBuilder
from tracekit.analysis import analyze
from tracekit.report.i18n import Locale
from tracekit.report.markdown import render_markdown

BF16 = "c10::BFloat16"


def decoder(heads: int = 8, shared: int = 2, dim: int = 16, **ops: Any) -> TraceBuilder:
    """Two layers by frames: hidden size 64, FFN of 96, queries of `heads` × `dim`; 3 × 10 tokens."""
    builder = TraceBuilder().frame("TinyForCausalLM_0", 0, 1000)
    builder.frame("Embedding_0", 1, 9).op("aten::embedding", 2, 8, [[500, 64], [3, 10]], [BF16, "long int"])
    number = 0

    def linear(at: int, taken: int, given: int) -> None:
        nonlocal number
        builder.frame(f"Linear_{number}", at, at + 5)
        builder.op("aten::linear", at + 1, at + 4, [[3, 10, taken], [given, taken]], [BF16, BF16])
        number += 1

    for layer in range(2):
        at = 100 + 400 * layer
        builder.frame(f"TinyDecoderLayer_{layer}", at, at + 300)
        builder.frame(f"TinyRMSNorm_{layer}", at + 1, at + 9)
        builder.op("aten::pow", at + 2, at + 3, [[3, 10, 64], []], [BF16, "Scalar"])
        builder.frame(f"TinyAttention_{layer}", at + 10, at + 100)
        for place, width in enumerate((heads * dim, shared * dim, shared * dim)):
            linear(at + 12 + 10 * place, 64, width)
        operands = [[3, heads, 10, dim]] * 3  # the keys were repeated before
        builder.op("aten::scaled_dot_product_attention", at + 50, at + 60, operands, [BF16] * 3)
        if ops.get("all_reduce"):
            builder.op("c10d::allreduce_", at + 61, at + 62)
        linear(at + 70, heads * dim, 64)
        builder.frame(f"TinyMLP_{layer}", at + 110, at + 200)
        for place, (taken, given) in enumerate(((64, 96), (64, 96), (96, 64))):
            linear(at + 112 + 10 * place, taken, given)
    linear(950, 64, 500)
    return builder


def test_what_shapes_prove(tmp_path: Path) -> None:
    report = analyze(decoder().write(tmp_path / "t.json"))
    model = report.model
    assert basics(model) == (64, 96, 8, 2, 16, "GQA")
    assert (model.vocab_size, model.batch_size, model.sequence_length, model.dtype) == (
        500,
        3,
        10,
        "bfloat16",
    )
    assert model.source == "shapes"
    text = render_markdown(report, Locale("en"))
    assert "- Number of K/V heads: 2\n" in text
    assert "the trace does not carry the model's configuration" in text
    assert "None" not in text


def test_shards_prove_no_sizes_of_the_whole(tmp_path: Path) -> None:
    model = analyze(decoder(all_reduce=True).write(tmp_path / "t.json")).model
    assert basics(model) == (64, None, None, None, None, None)
    assert model.vocab_size is None


def test_ambiguous_shapes_prove_nothing(tmp_path: Path) -> None:
    builder = decoder()
    for event in builder.events:
        if (
            event["name"] == "aten::linear"
            and event["args"]["Input Dims"][1] == [96, 64]
            and event["ts"] > 500
        ):
            event["args"]["Input Dims"] = [[3, 10, 64], [80, 64]]  # the second layer gives less
    assert analyze(builder.write(tmp_path / "t.json")).model.intermediate_size is None
    builder = decoder(heads=8, shared=2)
    for event in builder.events:
        if event["name"] == "aten::embedding":
            event["args"]["Input Dims"] = [[500, 64], [30]]  # all tokens in a row
    model = analyze(builder.write(tmp_path / "t.json")).model
    assert (model.vocab_size, model.batch_size, model.sequence_length) == (500, None, None)


def test_a_trace_without_shapes_proves_nothing(tmp_path: Path) -> None:
    builder = decoder()
    for event in builder.events:
        event.get("args", {}).pop("Input Dims", None)
    model = analyze(builder.write(tmp_path / "t.json")).model
    assert basics(model) == (None,) * 6
    assert model.source is None


@pytest.mark.skipif("TRACEKIT_CORPUS" not in os.environ, reason="TRACEKIT_CORPUS names no folder of traces")
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # The configurations that these models were published with.
        ("h100_qwen1.5_0.5b", (1024, 2816, 16, 16, 64, "MHA", 151936, 16, 559)),
        ("mi300x_qwen1.5_0.5b", (1024, 2816, 16, 16, 64, "MHA", 151936, 16, 559)),
        ("mi300x_sglang_qwen3_8b_prefill", (4096, 12288, 32, 8, 128, "GQA", 151936, None, None)),
        ("h100_bert_small", (512, 2048, 8, 8, 64, "MHA", 30522, 1, 141)),
        ("h100_vit_base", (768, 3072, 12, 12, 64, "MHA", None, None, None)),
        ("mi300x_norm_layers_fwd_bwd", (None,) * 9),
    ],
)
def test_real_traces(name: str, expected: tuple[Any, ...]) -> None:
    model = analyze(Path(os.environ["TRACEKIT_CORPUS"]) / f"{name}.json.gz").model
    assert (*basics(model), model.vocab_size, model.batch_size, model.sequence_length) == expected
