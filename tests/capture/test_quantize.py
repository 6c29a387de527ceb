"""Quantized models: a method of the test's own through transformers' machinery, torchao where it is."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers.quantizers import HfQuantizer, auto
from transformers.utils.quantization_config import QuantizationConfigMixin

from tracekit.capture.build import Workload, build_workload
from tracekit.capture.errors import CaptureError
from tracekit.capture.quantize import quantization_config

from . import tiny

pytest.importorskip("accelerate")


def build(path: Path, **changes: Any) -> Workload:
    settings: dict[str, Any] = {"is_config_file": True, "random_weights": True, **changes}
    return build_workload(
        str(path),
        name=None,
        batch_size=2,
        sequence_length=5,
        dtype=None,
        device=torch.device("cpu"),
        **settings,
    )


@dataclass
class StepsConfig(QuantizationConfigMixin):  # type: ignore[misc]
    """Rounds weights to multiples of 1 / steps."""

    steps: int = 8
    names: list[str] | None = None
    quant_method: str = "steps"


class StepsQuantizer(HfQuantizer):  # type: ignore[misc]
    requires_calibration = False
    is_trainable = False

    def is_serializable(self, *args: object, **kwargs: object) -> bool:
        return False

    def _process_model_before_weight_loading(self, model: nn.Module, **kwargs: object) -> None:
        pass

    def _process_model_after_weight_loading(self, model: nn.Module, **kwargs: object) -> None:
        for module in model.modules():
            if isinstance(module, nn.Linear):
                module.weight.data = (module.weight.data * self.quantization_config.steps).round()
                module.weight.data /= self.quantization_config.steps


@pytest.fixture
def _steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(auto.AUTO_QUANTIZATION_CONFIG_MAPPING, "steps", StepsConfig)
    monkeypatch.setitem(auto.AUTO_QUANTIZER_MAPPING, "steps", StepsQuantizer)


@pytest.mark.usefixtures("_steps")
def test_random_weights_are_quantized_as_they_would_have_been(tmp_path: Path) -> None:
    path = tiny.config_file(tmp_path, "llama")
    plain: Any = build(path).model
    work = build(path, quantization="steps:steps=64")
    model: Any = work.model
    weight = plain.model.layers[1].mlp.up_proj.weight
    assert torch.equal(model.model.layers[1].mlp.up_proj.weight, (weight * 64).round() / 64)
    assert not torch.equal(model.model.layers[1].mlp.up_proj.weight, weight)
    assert torch.equal(model.model.embed_tokens.weight, plain.model.embed_tokens.weight)
    assert not model.training
    with torch.inference_mode():
        work.run()


@pytest.mark.usefixtures("_steps")
def test_weights_on_disk_are_quantized_while_they_are_loaded(tmp_path: Path) -> None:
    plain: Any = build(tiny.config_file(tmp_path, "llama")).model
    plain.save_pretrained(tmp_path / "llama")
    work = build(
        tmp_path / "llama", is_config_file=False, random_weights=False, quantization="steps:steps=64"
    )
    model: Any = work.model
    assert torch.equal(model.lm_head.weight, (plain.lm_head.weight * 64).round() / 64)


def test_torchao(tmp_path: Path) -> None:
    torchao = pytest.importorskip("torchao.quantization")
    config = quantization_config(
        'torchao:quant_type=Int8WeightOnlyConfig,version=2,modules_to_not_convert=["lm_head"]'
    )
    assert isinstance(config.quant_type, torchao.Int8WeightOnlyConfig)
    assert (config.quant_type.version, config.modules_to_not_convert) == (2, ["lm_head"])
    work = build(tiny.config_file(tmp_path, "llama"), quantization="torchao:quant_type=Int8WeightOnlyConfig")
    model: Any = work.model
    assert type(model.model.layers[0].mlp.up_proj.weight).__module__.startswith("torchao")
    with torch.inference_mode():
        output: Any = work.run()
    assert output.logits.shape == (2, 5, 100)


@pytest.mark.usefixtures("_steps")
def test_settings_are_json_or_words() -> None:
    config = quantization_config('steps:steps=3,names=["a","b"]')
    assert (config.steps, config.names) == (3, ["a", "b"])
    config = quantization_config("bitsandbytes_4bit:bnb_4bit_quant_type=nf4,bnb_4bit_use_double_quant=True")
    assert (config.load_in_4bit, config.bnb_4bit_quant_type, config.bnb_4bit_use_double_quant) == (
        True,
        "nf4",
        True,
    )


@pytest.mark.usefixtures("_steps")
@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("nope", "--quantization nope: must be one of .*bitsandbytes_4bit.*torchao"),
        ("steps:steps", "'steps' must be KEY=VALUE"),
        ("steps:=3", "'=3' must be KEY=VALUE"),
        ("steps:stepps=3", "has no 'stepps', only .*steps"),
    ],
)
def test_what_is_no_quantization(text: str, error: str) -> None:
    with pytest.raises(CaptureError, match=error):
        quantization_config(text)


@pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is not None, reason="bitsandbytes is installed")
def test_a_package_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match=r"pip install .*bitsandbytes") as failure:
        build(tiny.config_file(tmp_path, "llama"), quantization="bitsandbytes_8bit")
    assert "\n" not in str(failure.value)


def test_random_weights_ignore_that_those_of_the_configuration_are_quantized(tmp_path: Path) -> None:
    path = tiny.config_file(tmp_path, "llama", quantization_config={"quant_method": "fp8"})
    work = build(path)
    assert work.notes == ("the configuration describes quantized weights; the random ones are not quantized",)
    assert {parameter.dtype for parameter in work.model.parameters()} == {torch.float32}
    assert not hasattr(work.model.config, "quantization_config")
