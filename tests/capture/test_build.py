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

from . import tiny
from .traces import LLAMA

CPU = torch.device("cpu")
IMAGES = {"pixel_values": (2, 3, 32, 32)}


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


@pytest.mark.parametrize(
    ("content", "class_name", "shapes"),
    [
        (LLAMA, "LlamaForCausalLM", {"input_ids": (2, 5)}),
        ({**LLAMA, "architectures": None}, "LlamaForCausalLM", {"input_ids": (2, 5)}),
        ({**LLAMA, "architectures": ["LlamaModel"]}, "LlamaModel", {"input_ids": (2, 5)}),
        ({**LLAMA, "architectures": ["HomeMade"]}, "LlamaForCausalLM", {"input_ids": (2, 5)}),
        ({**tiny.MODELS["bert"], "architectures": ["BertModel"]}, "BertModel", {"input_ids": (2, 5)}),
        ({**tiny.MODELS["vit"], "architectures": None}, "ViTForImageClassification", IMAGES),
    ],
)
def test_class_and_inputs_follow_from_the_configuration(
    tmp_path: Path, content: dict[str, Any], class_name: str, shapes: dict[str, tuple[int, ...]]
) -> None:
    work = build(config_file(tmp_path, **content))
    assert type(work.model).__name__ == class_name
    inputs: dict[str, Any] = work.inputs
    assert {name: tuple(tensor.shape) for name, tensor in inputs.items()} == shapes
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
    inputs: list[Any] = [first.inputs["input_ids"], second.inputs["input_ids"]]
    assert torch.equal(*inputs)
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
    assert torch.equal(loaded.model.get_parameter("lm_head.weight"), original.lm_head.weight)
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
    ],
)
def test_configurations_that_make_no_model(tmp_path: Path, content: dict[str, Any], text: str) -> None:
    with pytest.raises(CaptureError, match=text):
        build(config_file(tmp_path, **content))


def test_inputs_of_a_file_take_the_place_of_made_up_ones(configs: Path, tmp_path: Path) -> None:
    path = tmp_path / "inputs.json"
    path.write_text('{"input_ids": [[7, 8, 9]], "logits_to_keep": 1}')
    work = build(configs / "llama.json", inputs_file=path)
    ids: Any = work.inputs["input_ids"]
    assert ids.tolist() == [[7, 8, 9]]
    assert work.settings == {"use_cache": False, "logits_to_keep": 1}
    assert (work.batch_size, work.sequence_length) == (1, 3)
    with torch.inference_mode():
        output: Any = work.run()
    assert output.logits.shape == (1, 1, 100)


@pytest.mark.parametrize("asked", ["eager", "sdpa", "flex_attention"])
@pytest.mark.parametrize("random_weights", [True, False])
def test_the_attention_is_the_one_asked_for(tmp_path: Path, asked: str, random_weights: bool) -> None:
    folder = tmp_path / "llama"
    build(tiny.config_file(tmp_path, "llama")).model.save_pretrained(folder)  # type: ignore[operator]
    work = build(folder, attn_implementation=asked, random_weights=random_weights)
    config: Any = work.model.config
    assert config._attn_implementation == asked


@pytest.mark.parametrize(
    ("name", "asked", "text"),
    [
        ("llama", "quick", "--attn-implementation quick: not known; LlamaForCausalLM can use eager, sdpa"),
        ("mamba", "flash_attention_2", r"MambaForCausalLM can use eager\)$"),
    ],
)
def test_an_attention_that_is_not_to_be_had(tmp_path: Path, name: str, asked: str, text: str) -> None:
    with pytest.raises(CaptureError, match=text) as failure:
        build(tiny.config_file(tmp_path, name), attn_implementation=asked)
    assert str(failure.value).startswith(f"--attn-implementation {asked}: ")
    assert "\n" not in str(failure.value)


def test_a_dtype_that_the_device_does_not_compute_in(configs: Path) -> None:
    with pytest.raises(CaptureError, match="--dtype float8_e4m3fn: cpu does not compute in it"):
        build(configs / "llama.json", dtype=torch.float8_e4m3fn)


def test_without_a_network_a_models_name_fails_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracekit.capture.build.hub_is_reachable", lambda: False)
    monkeypatch.setattr("socket.socket.connect", lambda *args: pytest.fail("asks the network"))
    with pytest.raises(CaptureError, match="nobody/has-this: no directory here"):
        build(Path("nobody/has-this"), random_weights=False)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_devices_without_a_gpu() -> None:
    assert resolve_device(None) == CPU
    with pytest.raises(CaptureError, match="finds no GPU"):
        resolve_device("cuda")


@pytest.mark.parametrize("text", ["tpu9", "xpu", "cuda:x"])
def test_devices_that_are_none(text: str) -> None:
    with pytest.raises(CaptureError, match="must be cpu, cuda or cuda:<number>"):
        resolve_device(text)
