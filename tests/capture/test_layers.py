"""Shortened configurations against the modules of the models that are built from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, LlamaConfig, LlamaForCausalLM

from tracekit.capture.build import Workload, build_workload
from tracekit.capture.errors import CaptureError
from tracekit.capture.layers import shortened

from . import tiny


def build(path: Path, num_layers: int, **changes: Any) -> Workload:
    settings: dict[str, Any] = {"is_config_file": True, "random_weights": True, **changes}
    return build_workload(
        str(path),
        name=None,
        batch_size=1,
        sequence_length=5,
        dtype=None,
        device=torch.device("cpu"),
        num_layers=num_layers,
        **settings,
    )


STACKS = {
    "gpt2": ["transformer.h"],
    "mamba": ["backbone.layers"],
    "bert": ["bert.encoder.layer"],
    "t5": ["encoder.block", "decoder.block"],
    "bart": ["model.encoder.layers", "model.decoder.layers"],
    "whisper": ["model.encoder.layers", "model.decoder.layers"],
    "clip": ["text_model.encoder.layers", "vision_model.encoder.layers"],
    "llava": ["model.vision_tower.encoder.layers", "model.language_model.layers"],
    "qwen2_5_vl": ["model.visual.blocks", "model.language_model.layers"],
    "wav2vec2": ["wav2vec2.encoder.layers"],
    **{
        name: ["model.layers"]
        for name in ("llama", "deepseek_v3", "gpt_oss", "nemotron_h", "bamba", "jamba", "qwen3_next")
    },
}


@pytest.mark.parametrize("name", STACKS)
def test_every_stack_keeps_its_first_layer_and_the_model_runs(tmp_path: Path, name: str) -> None:
    work = build(tiny.config_file(tmp_path, name), 1)
    assert [len(work.model.get_submodule(path)) for path in STACKS[name]] == [1] * len(STACKS[name])  # type: ignore[arg-type]
    assert work.notes[0] == "every stack keeps at most 1 of its layers"
    with torch.inference_mode():
        work.run()


def test_the_kinds_of_the_first_layers_stay(tmp_path: Path) -> None:
    pattern = {"hybrid_override_pattern": "M-M*M-"}  # Mamba, MLP, Mamba, attention, …
    config = shortened(AutoConfig.from_pretrained(tiny.config_file(tmp_path, "nemotron_h", **pattern)), 4)
    assert config.layers_block_type == ["linear_attention", "mlp", "linear_attention", "full_attention"]
    assert config.num_hidden_layers == 4
    kinds = ["sliding_attention", "full_attention"] * 3
    path = tiny.config_file(tmp_path, "gpt_oss", num_hidden_layers=6, layer_types=kinds)
    assert shortened(AutoConfig.from_pretrained(path), 3).layer_types == kinds[:3]


def test_lists_of_layer_numbers_lose_those_of_the_layers_that_go(tmp_path: Path) -> None:
    path = tiny.config_file(tmp_path, "qwen3_moe", num_hidden_layers=6, mlp_only_layers=[1, 4])
    config = shortened(AutoConfig.from_pretrained(path), 3)
    assert (config.num_hidden_layers, config.mlp_only_layers) == (3, [1])
    path = tiny.config_file(tmp_path, "bamba", num_hidden_layers=6, attn_layer_indices=[1, 2, 5])
    assert shortened(AutoConfig.from_pretrained(path), 3).attn_layer_indices == [1, 2]


def test_a_stack_that_is_shorter_already_stays(tmp_path: Path) -> None:
    work = build(tiny.config_file(tmp_path, "bart", decoder_layers=1), 2)
    stacks = [work.model.get_submodule(f"model.{part}.layers") for part in ("encoder", "decoder")]
    assert [len(list(stack.children())) for stack in stacks] == [2, 1]


@pytest.mark.parametrize(
    ("name", "num_layers", "text"),
    [
        ("llama", 3, "--num-layers 3: LlamaConfig has 2 layers"),
        ("clip", 3, "--num-layers 3: CLIPConfig has 2 layers"),
        ("convnext", 1, "--num-layers 1: ConvNextConfig has no number of layers"),
        ("swin", 1, "--num-layers 1: SwinConfig has no number of layers"),
    ],
)
def test_what_cannot_be_shortened(tmp_path: Path, name: str, num_layers: int, text: str) -> None:
    with pytest.raises(CaptureError, match=text):
        build(tiny.config_file(tmp_path, name), num_layers)


def test_the_first_layers_of_weights_on_disk_are_loaded_quietly(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = {key: value for key, value in tiny.MODELS["llama"].items() if key != "architectures"}
    original = LlamaForCausalLM(LlamaConfig(**content))
    original.save_pretrained(tmp_path / "llama")
    work = build(tmp_path / "llama", 1, is_config_file=False, random_weights=False)
    first = {key: value for key, value in original.state_dict().items() if "layers.1." not in key}
    loaded = work.model.state_dict()
    assert loaded.keys() == first.keys()
    assert all(torch.equal(loaded[key], value) for key, value in first.items())
    assert caplog.text == ""
