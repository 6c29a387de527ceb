"""The model card: expected numbers are read off the configurations, and checked against modules of torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from torch import nn

from tests.analysis.cards import basics, built, card, default_config, tiny_config
from tracekit.analysis import analyze
from tracekit.analysis.schema import Model
from tracekit.report.i18n import Locale
from tracekit.report.markdown import render_markdown

# Hidden size, FFN, heads, K/V heads, head size, type of attention; None where the model has no such thing.
DENSE: dict[str, tuple[Any, ...]] = {
    "llama": (4096, 11008, 32, 32, 128, "MHA"),
    "qwen2": (4096, 22016, 32, 32, 128, "MHA"),
    "qwen3": (4096, 22016, 32, 32, 128, "MHA"),
    "mistral": (4096, 14336, 32, 8, 128, "GQA"),
    "gemma2": (2304, 9216, 8, 4, 256, "GQA"),
    "gemma3_text": (2304, 9216, 8, 4, 256, "GQA"),
    "phi3": (3072, 8192, 32, 32, 96, "MHA"),
    "olmo2": (4096, 11008, 32, 32, 128, "MHA"),
    "gpt2": (768, 4 * 768, 12, 12, 64, "MHA"),
    "gpt_bigcode": (768, 4 * 768, 12, 1, 64, "MQA"),
    "gpt_neo": (2048, 4 * 2048, 16, 16, 128, "MHA"),
    "gpt_neox": (6144, 24576, 64, 64, 96, "MHA"),
    "opt": (768, 3072, 12, 12, 64, "MHA"),
    "bloom": (64, 4 * 64, 8, 8, 8, "MHA"),
    "falcon": (4544, 4 * 4544, 71, 1, 64, "MQA"),
    "mpt": (2048, 4 * 2048, 16, 16, 128, "MHA"),
    "stablelm": (2560, 6912, 32, 32, 80, "MHA"),
    "lfm2": (2560, 8192, 32, 8, 80, "GQA"),  # 12288 × 2 ÷ 3
    "bert": (768, 3072, 12, 12, 64, "MHA"),
    "distilbert": (768, 3072, 12, 12, 64, "MHA"),
    "modernbert": (768, 1152, 12, 12, 64, "MHA"),
    "t5": (512, 2048, 8, 8, 64, "MHA"),
    "bart": (1024, 4096, 16, 16, 64, "MHA"),
    "whisper": (384, 1536, 6, 6, 64, "MHA"),
    "vit": (768, 3072, 12, 12, 64, "MHA"),
    "dinov2": (768, 4 * 768, 12, 12, 64, "MHA"),
    "wav2vec2": (768, 3072, 12, 12, 64, "MHA"),
    "rwkv": (4096, 4 * 4096, None, None, None, "linear"),
    "mamba": (768, None, None, None, None, "none"),
    "falcon_mamba": (768, None, None, None, None, "none"),
    "mamba2": (4096, None, None, None, None, "none"),
    "zamba2": (2560, 10240, 32, 32, 5120 // 32, "MHA"),
    "convnext": (768, None, None, None, None, "none"),
    "swin": (96 * 8, None, None, None, 96 // 3, "MHA"),
}


def said(model: Model, names: Any) -> dict[str, Any]:
    return {name: getattr(model, name) for name in names}


@pytest.mark.parametrize("model_type", DENSE)
def test_names_of_every_architecture(model_type: str, tmp_path: Path) -> None:
    config = default_config(model_type)
    model = built(config)
    found = card(config, model, tmp_path)
    assert basics(found) == DENSE[model_type]
    assert found.source == "configuration"
    assert found.num_experts is found.expert_intermediate_size is found.num_active_experts is None
    assert found.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert found.active_parameters == found.parameters


EXPERTS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "mixtral": (
        (4096, None, 32, 8, 128, "GQA"),
        {"num_experts": 8, "num_active_experts": 2, "expert_intermediate_size": 14336},
    ),
    "qwen3_moe": (
        (2048, None, 32, 4, 64, "GQA"),
        {"num_experts": 128, "num_active_experts": 8, "expert_intermediate_size": 768},
    ),
    "deepseek_v3": (
        (7168, 18432, 128, 128, 128 + 64, "MLA"),
        {
            "num_experts": 256,
            "num_active_experts": 8,
            "expert_intermediate_size": 2048,
            "num_shared_experts": 1,
            "shared_expert_intermediate_size": 2048,
            "value_head_dim": 128,
            "kv_lora_rank": 512,
            "q_lora_rank": 1536,
        },
    ),
    "gpt_oss": (
        (2880, None, 64, 8, 64, "GQA"),
        {
            "num_experts": 128,
            "num_active_experts": 4,
            "expert_intermediate_size": 2880,
            "sliding_window": 128,
            "sliding_window_layers": 18,
        },
    ),
    "llama4_text": (
        (5120, None, 40, 8, 128, "GQA"),
        {
            "num_experts": 16,
            "num_active_experts": 1,
            "expert_intermediate_size": 8192,
            "num_shared_experts": 1,
            "shared_expert_intermediate_size": 8192,
        },
    ),
    "granitemoehybrid": (
        (4096, None, None, None, None, "none"),
        {
            "num_experts": 8,
            "num_active_experts": 2,
            "expert_intermediate_size": 11008,
            "num_shared_experts": 1,
            "shared_expert_intermediate_size": 1024,
            "ssm_state_size": 256,
            "ssm_num_heads": 128,
            "ssm_head_dim": 2 * 4096 // 128,
            "ssm_groups": 1,
            "ssm_inner_size": 2 * 4096,
            "conv_kernel": 4,
        },
    ),
    "nemotron_h": (
        (4096, 21504, 32, 8, 128, "GQA"),
        {
            "num_experts": 8,
            "num_active_experts": 2,
            "expert_intermediate_size": 7688,
            "ssm_state_size": 128,
            "ssm_num_heads": 128,
            "ssm_head_dim": 64,
            "ssm_groups": 8,
            "ssm_inner_size": 128 * 64,
            "conv_kernel": 4,
        },
    ),
    "jamba": (
        (4096, 14336, 32, 8, 128, "GQA"),
        {
            "num_experts": 16,
            "num_active_experts": 2,
            "expert_intermediate_size": 14336,
            "ssm_state_size": 16,
            "ssm_num_heads": None,
            "ssm_inner_size": 2 * 4096,
            "conv_kernel": 4,
        },
    ),
    "qwen3_next": (
        (2048, None, 16, 2, 256, "GQA + linear"),
        {
            "num_experts": 512,
            "num_active_experts": 10,
            "expert_intermediate_size": 512,
            "num_shared_experts": 1,
            "shared_expert_intermediate_size": 512,
            "ssm_state_size": 128,
            "ssm_num_heads": 32,
            "ssm_head_dim": 128,
            "ssm_groups": 16,
            "ssm_inner_size": 32 * 128,
            "conv_kernel": 4,
        },
    ),
}


@pytest.mark.parametrize("model_type", EXPERTS)
def test_experts(model_type: str, tmp_path: Path) -> None:
    config = default_config(model_type)
    model = built(config)
    found = card(config, model, tmp_path)
    expected, more = EXPERTS[model_type]
    assert basics(found) == expected
    assert said(found, more) == more
    assert found.parameters == sum(parameter.numel() for parameter in model.parameters())
    # A token goes through so many of the experts, whose weights lie along the first dimension.
    idle = sum(
        parameter[more["num_active_experts"] :].numel()
        for name, parameter in model.named_parameters()
        if ".experts." in name
    )
    assert found.active_parameters == found.parameters - idle


def test_active_parameters_of_a_published_model(tmp_path: Path) -> None:
    """Qwen3-30B-A3B: its card says 30.5B parameters, 3.3B activated."""
    config = default_config(
        "qwen3_moe", num_hidden_layers=48, head_dim=128, architectures=["Qwen3MoeForCausalLM"]
    )
    model = card(config, built(config), tmp_path)
    assert model.parameters is not None
    assert model.active_parameters is not None
    assert round(model.parameters / 1e9, 1) == 30.5
    assert model.active_parameters == pytest.approx(3.3e9, rel=0.02)


SCANS = {
    "mamba": {"ssm_state_size": 16, "ssm_num_heads": None, "ssm_inner_size": 1536, "ssm_expand": 2},
    "falcon_mamba": {"ssm_state_size": 16, "ssm_inner_size": 1536, "conv_kernel": 4},
    "mamba2": {"ssm_state_size": 128, "ssm_num_heads": 128, "ssm_head_dim": 64, "ssm_inner_size": 8192},
    "bamba": {"ssm_state_size": 256, "ssm_num_heads": 128, "ssm_head_dim": 64, "ssm_groups": 1},
    "zamba2": {"ssm_state_size": 64, "ssm_num_heads": 8, "ssm_head_dim": 640, "ssm_inner_size": 5120},
    "llama": {"ssm_state_size": None, "ssm_expand": None, "conv_kernel": None},
    "wav2vec2": {"conv_kernel": None},  # a list of those of its feature encoder
}


@pytest.mark.parametrize("model_type", SCANS)
def test_scans(model_type: str, tmp_path: Path) -> None:
    config = default_config(model_type)
    expected = SCANS[model_type]
    assert said(card(config, built(config), tmp_path), expected) == expected


def weights(model: nn.Module, *names: str) -> set[tuple[int, ...]]:
    """Shapes of the weights of the layers of these names."""
    return {
        tuple(module.weight.shape)
        for path, module in model.named_modules()
        if path.rpartition(".")[2] in names and "shared_expert" not in path and "vision" not in path
    }


@pytest.mark.parametrize(
    "name",
    ["llama", "mistral", "qwen3", "qwen3_moe", "mixtral", "gpt_oss", "gemma3_text", "jamba", "bamba",
     "nemotron_h", "bert", "t5", "bart", "vit", "dinov2", "whisper", "wav2vec2", "llava", "gpt2"],
)  # fmt: skip
def test_sizes_are_those_of_the_modules(name: str, tmp_path: Path) -> None:
    config = tiny_config(name)
    model = built(config)
    found = card(config, model, tmp_path)
    hidden, ffn, heads, key_value_heads, dim, _kind = basics(found)
    queries = weights(model, "q_proj", "query", "q")
    keys = weights(model, "k_proj", "key", "k")
    if name == "gpt2":
        queries, keys = {(heads * dim, hidden)}, {(key_value_heads * dim, hidden)}
        assert weights(model, "c_attn") == {(hidden, 3 * heads * dim)}
    assert queries == {(heads * dim, hidden)}
    assert keys == {(key_value_heads * dim, hidden)}
    if ffn is not None:
        into = weights(model, "gate_proj", "up_proj", "fc1", "wi", "c_fc", "intermediate_dense", "dense")
        assert {(ffn, hidden), (hidden, ffn)} & into
    experts = [p for path, p in model.named_parameters() if path.endswith("experts.gate_up_proj")]
    for weight in experts:
        assert weight.shape[0] == found.num_experts
        assert 2 * found.expert_intermediate_size in weight.shape
    assert bool(experts) == (found.num_experts is not None)
    if found.ssm_inner_size is not None:
        outputs = weights(model, "out_proj")
        assert (hidden, found.ssm_inner_size) in outputs


def test_a_layer_without_experts_has_the_size_of_dense_layers(tmp_path: Path) -> None:
    config = default_config("qwen3_moe", num_hidden_layers=4, mlp_only_layers=[0])
    found = card(config, built(config), tmp_path)
    assert (found.intermediate_size, found.expert_intermediate_size) == (6144, 768)
    config = default_config("llama4_text", num_hidden_layers=4, interleave_moe_layer_step=2)
    found = card(config, built(config), tmp_path)
    assert (found.intermediate_size, found.expert_intermediate_size) == (16384, 8192)


def test_experts_that_no_layer_has(tmp_path: Path) -> None:
    config = tiny_config("nemotron_h")  # its pattern has none, its configuration their numbers
    found = card(config, built(config), tmp_path)
    assert (found.num_experts, found.expert_intermediate_size, found.num_shared_experts) == (None, None, None)
    config = default_config("granitemoehybrid", num_hidden_layers=2, num_local_experts=0)
    found = card(config, built(config), tmp_path)
    assert (found.intermediate_size, found.num_experts) == (1024, None)


def test_groups_of_falcon(tmp_path: Path) -> None:
    config = default_config(
        "falcon", new_decoder_architecture=True, hidden_size=512, num_attention_heads=8, num_kv_heads=2
    )
    found = card(config, built(config), tmp_path)
    assert (found.num_key_value_heads, found.attention_type) == (2, "GQA")
    config = default_config("falcon", multi_query=False, hidden_size=512, num_attention_heads=8)
    found = card(config, built(config), tmp_path)
    assert (found.num_key_value_heads, found.attention_type) == (8, "MHA")


def test_windows(tmp_path: Path) -> None:
    def window(model_type: str, **changes: Any) -> tuple[int | None, int | None]:
        config = default_config(model_type, num_hidden_layers=6, **changes)
        found = card(config, built(config), tmp_path)
        return found.sliding_window, found.sliding_window_layers

    assert window("mistral") == (4096, 6)
    assert window("gemma2") == (4096, 3)  # every second layer
    assert window("gemma3_text") == (4096, 5)  # all but every sixth
    assert window("qwen2") == (None, None)
    assert window("qwen2", use_sliding_window=True, max_window_layers=4) == (4096, 2)
    assert window("llama") == (None, None)


CONTEXTS = {
    "llama": 2048, "gpt2": 1024, "whisper": 448, "bart": 1024, "mpt": 2048, "rwkv": 1024, "t5": None,
    "bloom": None, "mamba": None, "vit": None, "deepseek_v3": 4096,
}  # fmt: skip


@pytest.mark.parametrize("model_type", CONTEXTS)
def test_context(model_type: str, tmp_path: Path) -> None:
    config = default_config(model_type)
    assert card(config, built(config), tmp_path).max_position_embeddings == CONTEXTS[model_type]


def towers(model: Model) -> list[tuple[Any, ...]]:
    return [
        (
            tower.name,
            tower.hidden_size,
            tower.intermediate_size,
            tower.num_attention_heads,
            tower.head_dim,
            tower.num_layers,
        )
        for tower in model.towers
    ]


TOWERS: dict[str, tuple[tuple[Any, ...], list[tuple[Any, ...]]]] = {
    "gemma3": ((2304, 9216, 8, 4, 256, "GQA"), [("vision", 768, 3072, 12, 64, 12)]),
    "llava": ((4096, 11008, 32, 32, 128, "MHA"), [("vision", 1024, 4096, 16, 64, 24)]),
    "qwen2_vl": ((8192, 29568, 64, 8, 128, "GQA"), [("vision", 1280, 5120, 16, 80, 32)]),
    "qwen2_5_vl": ((8192, 29568, 64, 8, 128, "GQA"), [("vision", 3584, 3420, 16, 224, 32)]),
    "qwen3_vl": ((4096, 22016, 32, 32, 128, "MHA"), [("vision", 1152, 4304, 16, 72, 27)]),
    "llama4": ((5120, None, 40, 8, 128, "GQA"), [("vision", 768, 5632, 16, 48, 34)]),
    "siglip": ((768, 3072, 12, 12, 64, "MHA"), [("vision", 768, 3072, 12, 64, 12)]),
    "clip": ((512, 2048, 8, 8, 64, "MHA"), [("vision", 768, 3072, 12, 64, 12)]),
    "qwen2_audio": (
        (4096, 22016, 32, 32, 128, "MHA"),
        [("audio", 1280, 5120, 20, 64, 32)],
    ),
    "t5": ((512, 2048, 8, 8, 64, "MHA"), [("encoder", 512, 2048, 8, 64, 6)]),
    "whisper": ((384, 1536, 6, 6, 64, "MHA"), [("encoder", 384, 1536, 6, 64, 4)]),
    "convnext": (
        (768, None, None, None, None, "none"),
        [
            ("stage 1", 96, 384, None, None, 3),
            ("stage 2", 192, 768, None, None, 3),
            ("stage 3", 384, 1536, None, None, 9),
            ("stage 4", 768, 3072, None, None, 3),
        ],
    ),
    "swin": (
        (768, None, None, None, 32, "MHA"),
        [
            ("stage 1", 96, 384, 3, 32, 2),
            ("stage 2", 192, 768, 6, 32, 2),
            ("stage 3", 384, 1536, 12, 32, 6),
            ("stage 4", 768, 3072, 24, 32, 2),
        ],
    ),
    "bert": ((768, 3072, 12, 12, 64, "MHA"), []),
}


@pytest.mark.parametrize("model_type", TOWERS)
def test_towers(model_type: str, tmp_path: Path) -> None:
    config = default_config(model_type)
    found = card(config, built(config), tmp_path)
    assert (basics(found), towers(found)) == TOWERS[model_type]


def test_an_encoder_alone(tmp_path: Path) -> None:
    config = default_config("whisper", architectures=["WhisperForAudioClassification"], encoder_ffn_dim=1000)
    found = card(config, built(config), tmp_path)
    assert (found.intermediate_size, found.max_position_embeddings, found.towers) == (1000, 1500, ())


def test_sides_of_different_sizes(tmp_path: Path) -> None:
    config = default_config("bart", encoder_ffn_dim=256, decoder_ffn_dim=512, decoder_attention_heads=8)
    found = card(config, built(config), tmp_path)
    assert basics(found) == (1024, 512, 8, 8, 128, "MHA")
    assert towers(found) == [("encoder", 1024, 256, 16, 64, 12)]


def test_parameters_by_kind(tmp_path: Path) -> None:
    config = tiny_config("deepseek_v3")
    model: Any = built(config)
    dense, sparse = (sum(p.numel() for p in layer.parameters()) for layer in model.model.layers)
    rows = card(config, model, tmp_path).parameters_by_kind
    assert [(row.kind, row.blocks, row.parameters, row.parameters_per_block) for row in rows] == [
        ("transformer", 1, dense, dense),
        ("attention+moe", 1, sparse, sparse),
    ]


def test_parameters_that_blocks_share_are_counted_once(tmp_path: Path) -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(Layer() for _ in range(3))
            for layer in list(self.layers)[1:]:
                layer.mlp.weight = self.layers[0].mlp.weight

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mlp = nn.Linear(8, 8, bias=False)
            self.norm = nn.LayerNorm(8)

    class Nothing:
        def to_dict(self) -> dict[str, Any]:
            return {}

    (row,) = card(Nothing(), Network(), tmp_path).parameters_by_kind
    # One matrix of 8 × 8 and three norms with weight and bias.
    assert (row.blocks, row.parameters, row.parameters_per_block) == (3, 64 + 3 * 16, 64 + 16)


def test_experts_whose_weights_are_not_in_the_table_leave_active_parameters_unknown(tmp_path: Path) -> None:
    config = tiny_config("mixtral")
    model = built(config)
    rows = [{"index": 0, "path": "", "type": "MixtralForCausalLM", "parameters": 1000}]
    assert card(config, model, tmp_path, modules=rows).active_parameters is None


@pytest.mark.parametrize("lang", ["en", "ru"])
@pytest.mark.parametrize(
    "name", ["deepseek_v3", "qwen3_next", "mamba", "llava", "swin", "bart", "nemotron_h"]
)
def test_the_report_shows_what_is_known(name: str, lang: str, tmp_path: Path) -> None:
    config = tiny_config(name)
    card(config, built(config), tmp_path)
    text = render_markdown(analyze(tmp_path / "t.json"), Locale(lang))
    assert "None" not in text
    known = {
        "deepseek_v3": {"en": "- Inner size of an expert: 16\n", "ru": "- Внутренний размер эксперта: 16\n"},
        "qwen3_next": {"en": "- Attention type: GQA + linear\n", "ru": "- Тип внимания: GQA + linear\n"},
        "mamba": {"en": "— (the model has no attention)", "ru": "— (в модели нет внимания)"},
        "llava": {
            "en": "- Part of the model: vision: hidden size 32",
            "ru": "- Часть модели: зрение: скрытый",
        },
        "swin": {"en": "— (differs from stage to stage)", "ru": "— (на каждой стадии своё)"},
        "bart": {"en": "- Part of the model: encoder:", "ru": "- Часть модели: энкодер:"},
        "nemotron_h": {"en": "state size 16, heads 4, head size 8, groups 2, inner size 32", "ru": "групп 2"},
    }
    assert known[name][lang] in text
