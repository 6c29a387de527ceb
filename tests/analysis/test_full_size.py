"""NVIDIA-Nemotron-Nano-9B-v2 at its full size, captured on the meta device, which computes no values.

Every figure is worked out from the configuration: hidden size 4480, MLP 15680, 40 heads and 8 of keys and
values of 128 each, Mamba-2 with 128 heads of 80, 8 groups, a state of 128 and a convolution over 4 tokens.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the model is run by torch")
transformers = pytest.importorskip("transformers", reason="the model is built by transformers")

from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from tracekit.analysis import Report, analyze  # noqa: E402
from tracekit.capture.modes import scenario  # noqa: E402
from tracekit.capture.record import Plan, capture_scenario  # noqa: E402
from tracekit.capture.workload import Workload  # noqa: E402

CONFIG = Path(__file__).parents[2] / "sample_traces" / "configs" / "nemotron_nano_9b_v2.json"
PATTERN = "M-M-M-MM-M-M-M*-M-M-M*-M-M-M-M*-M-M-M-M*-M-MM-M-M-M-M-M-"
KINDS = {"M": "mamba", "-": "mlp", "*": "attention"}
TOKENS = 61

HIDDEN, VOCABULARY = 4480, 131_072
INNER = 128 * 80
CONVOLVED = INNER + 2 * 8 * 128
LINEAR = {  # weights of the `Linear` modules in a block
    "mamba": HIDDEN * (INNER + CONVOLVED + 128) + INNER * HIDDEN,
    "mlp": 2 * HIDDEN * 15_680,
    "attention": HIDDEN * (40 + 2 * 8) * 128 + 40 * 128 * HIDDEN,
}
CORE = 4 * TOKENS**2 * 40 * 128  # Q Kᵀ and A V


@pytest.fixture(scope="module")
def work() -> Workload:
    device = torch.device("meta")
    with device:
        config = transformers.AutoConfig.from_pretrained(CONFIG)
        model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager")
        ids = torch.zeros(1, TOKENS, dtype=torch.int64)
    # Ready-made masks, because making them reads values.
    settings = {"use_cache": False, "attention_mask": {"full_attention": None, "linear_attention": None}}
    name = "NVIDIA-Nemotron-Nano-9B-v2"
    inputs: dict[str, object] = {"input_ids": ids}
    return Workload(model.eval(), name, (), inputs, settings, torch.bfloat16, device, 1, TOKENS)


@pytest.fixture(scope="module")
def report(work: Workload, tmp_path_factory: pytest.TempPathFactory) -> Report:
    path = tmp_path_factory.mktemp("full_size") / "t.json.gz"
    capture_scenario(scenario(work, "forward"), path, Plan(warmup=0, rounds=1, count_flops=False), options={})
    return analyze(path)


def linear_flops(report: Report, within: str | None = None) -> int:
    """Of all `Linear` modules, or of those in a block."""
    rows = (row for row in report.modules if row.type == "Linear" and within in (None, row.block))
    return sum(row.matrix_flops or 0 for row in rows)


def test_kinds_of_blocks(report: Report) -> None:
    assert [row.kind for row in report.blocks] == [KINDS[letter] for letter in PATTERN]
    assert Counter(row.kind for row in report.blocks) == {"mamba": 27, "mlp": 25, "attention": 4}


def test_parameters(report: Report) -> None:
    assert report.model.parameters == 8_888_227_328
    parameters = {"mamba": 147_450_624, "mlp": 140_497_280, "attention": 55_054_720}
    assert [row.parameters for row in report.blocks] == [parameters[row.kind] for row in report.blocks]


def test_each_module_counts_once(report: Report) -> None:
    modules = {row.type: row.modules for row in report.types}
    counts = [modules[kind] for kind in ("Linear", "NemotronHRMSNorm", "NemotronHMamba2Mixer")]
    assert counts == [121, 57, 27]
    counts = [modules[kind] for kind in ("NemotronHMLP", "NemotronHAttention", "Embedding")]
    assert counts == [25, 4, 1]
    assert all(row.calls == row.modules for row in report.types)


def test_flops_of_linear_modules(report: Report) -> None:
    by_kind = {kind: 2 * TOKENS * weights for kind, weights in LINEAR.items()}
    assert by_kind == {"mamba": 17_979_637_760, "mlp": 17_140_121_600, "attention": 6_716_129_280}
    for row in report.blocks:
        assert linear_flops(report, row.path) == by_kind[row.kind]
    head = next(row.matrix_flops for row in report.modules if row.path == "lm_head")
    assert head == 2 * TOKENS * HIDDEN * VOCABULARY == 71_638_712_320
    assert linear_flops(report) == 2 * TOKENS * 8_298_823_680 == 1_012_456_488_960


def test_flops_of_blocks(report: Report) -> None:
    for row in report.blocks:
        parts = (row.attention_flops, row.ffn_flops, row.mixer_flops)
        assert row.matrix_flops is not None
        if row.kind == "attention":
            assert row.matrix_flops == 6_716_129_280 + CORE == 6_792_335_360
            assert parts == (row.matrix_flops, 0, 0)
        elif row.kind == "mlp":
            assert row.matrix_flops == 17_140_121_600
            assert parts == (0, row.matrix_flops, 0)
        else:  # and its convolution and its scan
            assert row.matrix_flops > 17_979_637_760
            assert parts == (0, 0, row.matrix_flops)


def test_convolutions_of_mamba(report: Report) -> None:
    """Depthwise over 4 tokens, with 3 of padding at both ends."""
    (row,) = (row for row in report.ops if row.name == "aten::convolution")
    assert (row.calls, row.matrix_flops) == (27, 27 * 2 * (TOKENS + 3) * CONVOLVED * 4)


def test_scans_are_as_torch_counts_them(report: Report, work: Workload) -> None:
    """No paper says how transformers splits them into products: torch's counter is asked."""
    model = work.model.requires_grad_(False)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        work.run()
    root = type(model).__name__
    torchs = {name: sum(ops.values()) for name, ops in counter.get_flop_counts().items()}
    for row in report.modules:
        assert row.matrix_flops == torchs.get(f"{root}.{row.path}" if row.path else root, 0)


def test_head_and_attention_are_facts_about_the_model(report: Report) -> None:
    card = report.model
    assert (card.class_, card.hidden_size, card.intermediate_size) == ("NemotronHForCausalLM", 4480, 15_680)
    assert (card.num_attention_heads, card.num_key_value_heads, card.head_dim) == (40, 8, 128)
    assert (card.attention_type, card.vocab_size, card.num_blocks) == ("GQA", VOCABULARY, 56)
