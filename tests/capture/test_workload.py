"""Labels against the loss that the model itself computes; sizes, moving and the words for a workload."""

from __future__ import annotations

import json
import math
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tracekit.capture.build import build_workload
from tracekit.capture.workload import Workload, moved, sizes_of

from . import tiny

CPU = torch.device("cpu")


def build(path: Path) -> Workload:
    return build_workload(
        str(path),
        is_config_file=True,
        random_weights=True,
        name=None,
        batch_size=2,
        sequence_length=5,
        dtype=None,
        device=CPU,
    )


@pytest.mark.parametrize(
    ("name", "architecture", "expected"),
    [
        ("llama", "LlamaForCausalLM", {"labels": (2, 5)}),
        ("gpt2", "GPT2LMHeadModel", {"labels": (2, 5)}),
        ("bert", "BertForMaskedLM", {"labels": (2, 5)}),
        ("bert", "BertForSequenceClassification", {"labels": (2,)}),
        ("bert", "BertForTokenClassification", {"labels": (2, 5)}),
        ("bert", "BertForQuestionAnswering", {"start_positions": (2,), "end_positions": (2,)}),
        ("t5", "T5ForConditionalGeneration", {"labels": (2, 5)}),
        ("whisper", "WhisperForConditionalGeneration", {"labels": (2, 5)}),
        ("vit", "ViTForImageClassification", {"labels": (2,)}),
        ("ast", "ASTForAudioClassification", {"labels": (2,)}),
        ("videomae", "VideoMAEForVideoClassification", {"labels": (2,)}),
        ("wav2vec2", "Wav2Vec2ForCTC", {"labels": (2, 1)}),
        ("llava", "LlavaForConditionalGeneration", {"labels": (2, 9)}),
    ],
)
def test_with_its_labels_a_model_computes_a_loss_that_trains_it(
    tmp_path: Path, name: str, architecture: str, expected: dict[str, tuple[int, ...]]
) -> None:
    work = build(tiny.config_file(tmp_path, name, architectures=[architecture]))
    labels = work.labels()
    assert {key: tuple(value.shape) for key, value in labels.items()} == expected
    output: Any = work.model.train()(**work.inputs, **work.settings, **labels)
    assert math.isfinite(output.loss.item())
    output.loss.backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in work.model.parameters())


def test_a_language_models_loss_is_that_of_the_next_token(tmp_path: Path) -> None:
    work = build(tiny.config_file(tmp_path, "llama"))
    with torch.inference_mode():
        output: Any = work.model(**work.inputs, **work.labels())
    ids: Any = work.inputs["input_ids"]
    expected = nn.functional.cross_entropy(output.logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    assert output.loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_where_an_image_stands_nothing_is_to_be_learnt(tmp_path: Path) -> None:
    labels = build(tiny.config_file(tmp_path, "llava")).labels()["labels"]
    assert (labels == -100).sum(dim=1).tolist() == [4, 4]
    assert not (labels == 99).any()


@pytest.mark.parametrize("name", ["dinov2", "clip"])
def test_models_without_a_loss_have_no_labels(tmp_path: Path, name: str) -> None:
    assert build(tiny.config_file(tmp_path, name)).labels() == {}


def plain(model: nn.Module, *args: object, **inputs: object) -> Workload:
    batch_size, sequence_length = sizes_of(args, inputs)
    return Workload(model, "plain", args, inputs, {}, torch.float32, CPU, batch_size, sequence_length)


def test_plain_modules_have_no_labels_and_take_positional_inputs() -> None:
    work = plain(nn.Bilinear(3, 4, 5), torch.ones(2, 3), torch.ones(2, 4))
    assert work.labels() == {}
    output: Any = work.run()
    assert output.shape == (2, 5)


@pytest.mark.parametrize(
    ("args", "inputs", "expected"),
    [
        ((), {"input_ids": torch.zeros(3, 7, dtype=torch.int64), "pixel_values": torch.ones(9, 3)}, (3, 7)),
        ((), {"inputs_embeds": torch.zeros(3, 7, 8)}, (3, 7)),
        ((), {"pixel_values": torch.zeros(3, 1, 8, 8)}, (3, None)),
        ((), {"pixel_values": torch.zeros(64, 8), "image_grid_thw": torch.ones(1, 3)}, (None, None)),
        ((torch.zeros(3, 7, dtype=torch.int64),), {}, (3, 7)),
        ((torch.zeros(3, 7),), {}, (None, None)),  # may be features as well as a sequence
        ((), {}, (None, None)),
    ],
)
def test_sizes_are_read_where_they_are_clear(
    args: tuple[object, ...], inputs: dict[str, object], expected: tuple[int | None, int | None]
) -> None:
    assert sizes_of(args, inputs) == expected


def test_moving_reaches_into_nests_and_leaves_integers_alone() -> None:
    Pair = namedtuple("Pair", "first second")
    nest = {"a": [torch.ones(1), (torch.ones(1, dtype=torch.int32), "text")], "b": Pair(torch.ones(2), None)}
    result = moved(nest, CPU, torch.float16)
    assert result["a"][0].dtype == torch.float16
    assert result["a"][1][0].dtype == torch.int32
    assert result["a"][1][1] == "text"
    assert isinstance(result["b"], Pair)
    assert result["b"].first.dtype == torch.float16
    assert moved(nest, CPU, None)["a"][0].dtype == torch.float32


def test_the_words_for_a_workload(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_text(json.dumps({**tiny.MODELS["llama"], "max_position_embeddings": 4}))
    assert str(build(path)) == "LlamaForCausalLM on 2 × 5 tokens (made for 4 positions)"
    assert str(build(tiny.config_file(tmp_path, "vit"))) == "ViTForImageClassification on 2 × 5 positions"
    assert str(build(tiny.config_file(tmp_path, "swin"))) == "SwinForImageClassification on a batch of 2"
    assert str(plain(nn.Identity(), torch.ones(1))) == "Identity on the inputs it was given"
