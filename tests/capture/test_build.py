"""Models from configurations: which class, which dtype, which inputs, which name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from tracekit.capture.build import Workload, build_workload, resolve_device
from tracekit.capture.errors import CaptureError

from .traces import LLAMA

CPU = torch.device("cpu")


def build(source: Path, **changes: Any) -> Workload:
    settings: dict[str, Any] = {
        "is_config_file": source.suffix == ".json",
        "random_weights": True,
        "name": None,
        "batch_size": 2,
        "sequence_length": 5,
        "dtype": None,
        "device": CPU,
    }
    return build_workload(str(source), **settings | changes)


def config_file(folder: Path, **content: Any) -> Path:
    path = folder / "some_model.json"
    path.write_text(json.dumps(content))
    return path


BERT = {
    "model_type": "bert",
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "vocab_size": 50,
}
T5 = {
    "model_type": "t5",
    "d_model": 16,
    "d_kv": 8,
    "d_ff": 16,
    "num_layers": 1,
    "num_heads": 2,
    "vocab_size": 50,
}
VIT = {
    "model_type": "vit",
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "image_size": 32,
    "patch_size": 16,
}
WHISPER = {
    "model_type": "whisper",
    "architectures": ["WhisperModel"],
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "vocab_size": 50,
    "pad_token_id": 0,
}


@pytest.mark.parametrize(
    ("content", "class_name", "shapes"),
    [
        (LLAMA, "LlamaForCausalLM", {"input_ids": (2, 5)}),
        ({**LLAMA, "architectures": None}, "LlamaForCausalLM", {"input_ids": (2, 5)}),
        ({**LLAMA, "architectures": ["LlamaModel"]}, "LlamaModel", {"input_ids": (2, 5)}),
        ({**LLAMA, "architectures": ["HomeMade"]}, "LlamaForCausalLM", {"input_ids": (2, 5)}),
        ({**BERT, "architectures": ["BertForMaskedLM"]}, "BertForMaskedLM", {"input_ids": (2, 5)}),
        (T5, "T5ForConditionalGeneration", {"input_ids": (2, 5), "decoder_input_ids": (2, 5)}),
        (VIT, "ViTForImageClassification", {"pixel_values": (2, 3, 32, 32)}),
    ],
)
def test_class_and_inputs_follow_from_the_configuration(
    tmp_path: Path, content: dict[str, Any], class_name: str, shapes: dict[str, tuple[int, ...]]
) -> None:
    work = build(config_file(tmp_path, **content))
    assert type(work.model).__name__ == class_name
    assert {name: tuple(tensor.shape) for name, tensor in work.inputs.items()} == shapes
    assert not work.model.training
    with torch.inference_mode():
        work.run()


@pytest.mark.parametrize(
    ("configured", "asked", "expected"),
    [
        (None, None, torch.float32),
        ("bfloat16", None, torch.bfloat16),
        ("bfloat16", torch.float16, torch.float16),
    ],
)
def test_dtype_is_the_one_asked_for_else_the_configurations(
    configs: Path, tmp_path: Path, configured: str | None, asked: torch.dtype | None, expected: torch.dtype
) -> None:
    work = build(config_file(tmp_path, **LLAMA, dtype=configured), dtype=asked)
    assert work.dtype == expected
    assert {parameter.dtype for parameter in work.model.parameters()} == {expected}
    assert torch.get_default_dtype() == torch.float32


def test_nemotron_h_runs_in_bfloat16(configs: Path) -> None:
    work = build(configs / "nemotron_h.json", dtype=torch.bfloat16)
    with torch.inference_mode():
        output: Any = work.run()
    assert output.logits.shape == (2, 5, 100)  # every position
    assert output.past_key_values is None
    assert output.logits.isfinite().all()


def test_the_same_configuration_gives_the_same_numbers(configs: Path) -> None:
    first, second = (build(configs / "llama.json") for _ in range(2))
    assert torch.equal(first.inputs["input_ids"], second.inputs["input_ids"])
    with torch.inference_mode():
        outputs: list[Any] = [first.run(), second.run()]
    assert torch.equal(outputs[0].logits, outputs[1].logits)


def test_a_directory_with_weights_and_without(tmp_path: Path) -> None:
    folder = tmp_path / "Tiny-Llama-1.0"
    config = LlamaConfig(**{key: value for key, value in LLAMA.items() if key != "architectures"})
    original = LlamaForCausalLM(config)
    original.save_pretrained(folder)
    loaded = build(folder, random_weights=False)
    assert loaded.name == "Tiny-Llama-1.0"
    assert torch.equal(loaded.model.lm_head.weight, original.lm_head.weight)
    (folder / "model.safetensors").unlink()
    with pytest.raises(CaptureError, match=r"Tiny-Llama-1\.0.*--random-weights"):
        build(folder, random_weights=False)
    assert type(build(folder).model) is LlamaForCausalLM


@pytest.mark.parametrize(
    ("path", "name", "expected"),
    [
        ("some_model.json", None, "some_model"),
        ("Some-Model-7B/config.json", None, "Some-Model-7B"),
        ("config.json", "given", "given"),
    ],
)
def test_the_name_is_the_files_or_the_one_given(
    tmp_path: Path, path: str, name: str | None, expected: str
) -> None:
    file = tmp_path / path
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(LLAMA))
    assert build(file, name=name).name == expected


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"hidden_size": 3}, "no model_type"),
        ({"model_type": "no_such_type"}, "knows no model_type 'no_such_type'"),
        ({**LLAMA, "num_attention_heads": 5}, "not a multiple"),
        ({**LLAMA, "vocab_size": 10**12}, "out of memory while building LlamaForCausalLM"),
        (WHISPER, "takes 'input_features'"),
    ],
)
def test_configurations_that_make_no_model(tmp_path: Path, content: dict[str, Any], text: str) -> None:
    with pytest.raises(CaptureError, match=text):
        build(config_file(tmp_path, **content))


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_devices_without_a_gpu() -> None:
    assert resolve_device(None) == CPU
    with pytest.raises(CaptureError, match="finds no GPU"):
        resolve_device("cuda")


@pytest.mark.parametrize("text", ["tpu9", "xpu", "cuda:x"])
def test_devices_that_are_none(text: str) -> None:
    with pytest.raises(CaptureError, match="must be cpu, cuda or cuda:<number>"):
        resolve_device(text)
