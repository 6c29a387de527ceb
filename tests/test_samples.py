"""The repository's own traces: their reports against sums worked out on paper from the configurations."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from tracekit.analysis import Report, analyze
from tracekit.report import save

SAMPLES = Path(__file__).parents[1] / "sample_traces"
TOKENS = 128

# The headings of the predecessor's report, in its order.
SKELETON = [
    "## Общие параметры",
    "## Графики",
    "## Transformer-блоки",
    "### Эффективность по блокам",
    "## Сводная таблица времени по типам модулей",
    "## Самые медленные модули (20)",
]


def config_of(name: str) -> dict[str, Any]:
    return json.loads((SAMPLES / "configs" / f"{name}.json").read_text())


@pytest.fixture(scope="module")
def nemotron() -> Report:
    return analyze(SAMPLES / "nemotron_h_small.json.gz")


@pytest.fixture(scope="module")
def llama() -> Report:
    return analyze(SAMPLES / "llama_small.json.gz")


def linear_flops_of_blocks(report: Report) -> dict[str, int]:
    """Matrix FLOPs per pass of the `Linear` modules in each block."""
    sums: dict[str, int] = defaultdict(int)
    for row in report.modules:
        if row.type == "Linear" and row.block:
            assert row.matrix_flops is not None
            sums[row.block] += row.matrix_flops // report.time.passes
    return dict(sums)


def nemotron_on_paper() -> tuple[int, dict[str, int], dict[str, int]]:
    """Parameters in all; parameters and weights of `Linear` by the letter of a block's kind."""
    c = config_of("nemotron_h_small")
    hidden = c["hidden_size"]
    inner = c["mamba_num_heads"] * c["mamba_head_dim"]
    convolved = inner + 2 * c["n_groups"] * c["ssm_state_size"]
    heads, kv_heads = (c[key] * c["head_dim"] for key in ("num_attention_heads", "num_key_value_heads"))
    linear = {
        "M": hidden * (inner + convolved + c["mamba_num_heads"]) + inner * hidden,
        "-": 2 * hidden * c["intermediate_size"],
        "*": hidden * (heads + 2 * kv_heads) + heads * hidden,
    }
    # Mamba: a convolution with bias; A, D and dt_bias per head; the gated norm. Every block: a norm.
    mamba = convolved * (c["conv_kernel"] + 1) + 3 * c["mamba_num_heads"] + inner
    block = {kind: weights + hidden + (mamba if kind == "M" else 0) for kind, weights in linear.items()}
    total = sum(block[kind] for kind in c["hybrid_override_pattern"]) + 2 * c["vocab_size"] * hidden + hidden
    return total, block, linear


def test_nemotron_parameters(nemotron: Report) -> None:
    total, block, _ = nemotron_on_paper()
    pattern = config_of("nemotron_h_small")["hybrid_override_pattern"]
    assert nemotron.model.parameters == total
    assert [row.parameters for row in nemotron.blocks] == [block[kind] for kind in pattern]


def test_nemotron_has_all_three_kinds_of_blocks(nemotron: Report) -> None:
    pattern = config_of("nemotron_h_small")["hybrid_override_pattern"]
    kinds = {"M": "mamba", "-": "mlp", "*": "attention"}
    assert [(row.index, row.kind) for row in nemotron.blocks] == [
        (index, kinds[letter]) for index, letter in enumerate(pattern)
    ]
    assert set(pattern) == set(kinds)


def test_nemotron_linear_flops_of_every_block(nemotron: Report) -> None:
    _, _, linear = nemotron_on_paper()
    pattern = config_of("nemotron_h_small")["hybrid_override_pattern"]
    assert linear_flops_of_blocks(nemotron) == {
        row.path: 2 * TOKENS * linear[kind] for row, kind in zip(nemotron.blocks, pattern, strict=True)
    }


def test_nemotron_attention_and_scan_come_on_top(nemotron: Report) -> None:
    c = config_of("nemotron_h_small")
    _, _, linear = nemotron_on_paper()
    core = 4 * TOKENS**2 * c["num_attention_heads"] * c["head_dim"]
    for row in nemotron.blocks:
        assert row.matrix_flops_per_pass is not None
        rest = (
            row.matrix_flops_per_pass
            - 2 * TOKENS * linear[{"mamba": "M", "mlp": "-", "attention": "*"}[row.kind]]
        )
        assert rest == core if row.kind == "attention" else rest == 0 if row.kind == "mlp" else rest > 0


def test_nemotron_card(nemotron: Report) -> None:
    c, model = config_of("nemotron_h_small"), nemotron.model
    assert model.class_ == "NemotronHForCausalLM"
    assert (model.hidden_size, model.intermediate_size) == (c["hidden_size"], c["intermediate_size"])
    assert (model.num_attention_heads, model.num_key_value_heads) == (10, 2)
    assert (model.head_dim, model.attention_type, model.sequence_length) == (64, "GQA", TOKENS)
    assert nemotron.time.passes >= 3
    assert nemotron.time.latency_us is not None


def test_llama_flops_of_a_pass(llama: Report) -> None:
    c = config_of("llama_small")
    hidden, heads, kv_heads = c["hidden_size"], c["num_attention_heads"] * 64, c["num_key_value_heads"] * 64
    layer = hidden * (2 * heads + 2 * kv_heads) + 3 * hidden * c["intermediate_size"]
    core = 4 * TOKENS**2 * heads
    layers = c["num_hidden_layers"]
    head = hidden * c["vocab_size"]
    assert llama.flops.matrix_per_pass == layers * (2 * TOKENS * layer + core) + 2 * TOKENS * head
    assert [row.kind for row in llama.blocks] == ["transformer"] * layers


@pytest.mark.parametrize("name", ["llama_small", "nemotron_h_small"])
def test_russian_report_has_the_known_skeleton(name: str, tmp_path: Path) -> None:
    save(analyze(SAMPLES / f"{name}.json.gz"), tmp_path / "out", ["md", "png"], "ru")
    text = (tmp_path / "out" / "report.md").read_text()
    headings = [line for line in text.splitlines() if line.startswith("##")]
    assert [heading for heading in headings if heading in SKELETON] == SKELETON
    assert headings[: len(SKELETON) - 2] == SKELETON[:-2]
    assert not re.search(r"\bNone\b|\bnan\b", text)
    assert not re.search(r"\| *0[.,]00 *\|", text)
    assert text.startswith(f"# {name}")
    for picture in ("layer_time.png", "type_time.png", "block_time.png"):
        assert f"({picture})" in text
        assert (tmp_path / "out" / picture).stat().st_size > 1000


def test_samples_are_small_and_described() -> None:
    described = (SAMPLES / "README.md").read_text()
    for path in SAMPLES.glob("*.json.gz"):
        assert path.stat().st_size < 4 << 20
        assert f"`{path.name}`" in described


def test_the_samples_of_generation_and_training_have_the_flops_of_their_shapes() -> None:
    c = config_of("llama_small")
    hidden, heads, kv_heads = c["hidden_size"], c["num_attention_heads"], c["num_key_value_heads"]
    kv = hidden // heads * kv_heads
    layers, head = c["num_hidden_layers"], hidden * c["vocab_size"]
    weights = layers * (2 * hidden * hidden + 2 * hidden * kv + 3 * hidden * c["intermediate_size"])

    def attention(queries: int, keys: int) -> int:
        return layers * 2 * 2 * queries * keys * hidden

    generation = analyze(SAMPLES / "llama_small_generate.json.gz")
    prefill, decode = generation.phases
    assert (prefill.name, prefill.passes, decode.name, decode.passes) == ("prefill", 2, "decode", 16)
    # a prompt wants the logits of its last token only; the median of 8 decodes lies between two of them
    assert prefill.matrix_flops == 2 * TOKENS * weights + attention(TOKENS, TOKENS) + 2 * head
    lengths = [TOKENS + 4, TOKENS + 5]
    assert decode.matrix_flops == 2 * weights + sum(attention(1, n) for n in lengths) // 2 + 2 * head
    training = analyze(SAMPLES / "llama_small_train.json.gz")
    forward = 2 * TOKENS * (weights + head) + attention(TOKENS, TOKENS)
    assert training.flops.matrix_per_pass == forward
    # the backward: two products for each, and of attention five halves, since it computes the scores again
    backward = 2 * 2 * TOKENS * (weights + head) + 5 * attention(TOKENS, TOKENS) // 2
    assert training.flops.matrix_per_step == forward + backward
