"""Made-up inputs: every family runs on them; shapes and lengths against arithmetic and against the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tracekit.capture.build import Workload, build_workload
from tracekit.capture.errors import CaptureError

from . import tiny

CPU = torch.device("cpu")


def build(path: Path, **changes: Any) -> Workload:
    settings: dict[str, Any] = {"batch_size": 2, "sequence_length": 5, "dtype": None, "device": CPU}
    return build_workload(
        str(path), is_config_file=True, random_weights=True, name=None, **settings | changes
    )


def config(folder: Path, **content: Any) -> Path:
    path = folder / "model.json"
    path.write_text(json.dumps(content))
    return path


def shapes(work: Workload) -> dict[str, tuple[int, ...]]:
    return {
        name: tuple(value.shape) for name, value in work.inputs.items() if isinstance(value, torch.Tensor)
    }


def run(work: Workload) -> Any:
    with torch.inference_mode():
        return work.run()


@pytest.mark.parametrize("name", tiny.TEXT)
def test_text_models_run_and_answer_for_every_token(tmp_path: Path, name: str) -> None:
    work = build(tiny.config_file(tmp_path, name))
    output = run(work)
    assert output.logits.shape == (2, 5, tiny.MODELS[name]["vocab_size"])
    assert output.logits.isfinite().all()
    assert (work.batch_size, work.sequence_length, work.args, work.notes) == (2, 5, (), ())
    assert getattr(output, "past_key_values", None) is None
    decoder = {"decoder_input_ids": (2, 5)} if name in ("t5", "bart") else {}
    assert shapes(work) == {"input_ids": (2, 5), **decoder}


# Sizes by hand from tiny.MODELS; images are 32 pixels wide and high.
@pytest.mark.parametrize(
    ("name", "expected", "length"),
    [
        ("vit", {"pixel_values": (2, 3, 32, 32)}, 2 * 2 + 1),  # patches of 16 pixels and a class token
        ("dinov2", {"pixel_values": (2, 3, 32, 32)}, 2 * 2 + 1),
        ("swin", {"pixel_values": (2, 3, 32, 32)}, None),
        ("convnext", {"pixel_values": (2, 3, 32, 32)}, None),
        ("videomae", {"pixel_values": (2, 4, 3, 32, 32)}, 4 // 2 * 2 * 2),  # tubes of 2 of the 4 frames
        ("siglip", {"input_ids": (2, 5), "pixel_values": (2, 3, 32, 32)}, 5),
        ("clip", {"input_ids": (2, 5), "pixel_values": (2, 3, 32, 32)}, 5),
        ("whisper", {"input_features": (2, 8, 2 * 20), "decoder_input_ids": (2, 5)}, 5),
        # 5 positions, strides 5 and 4, kernels 10 and 8: (5 - 1) * 4 + 8 = 24; (24 - 1) * 5 + 10 = 125
        ("wav2vec2", {"input_values": (2, 125)}, 5),
        ("ast", {"input_values": (2, 32, 16)}, 32 // 8 * (16 // 8) + 2),  # two tokens before the patches
    ],
)
def test_images_videos_and_audio(
    tmp_path: Path, name: str, expected: dict[str, tuple[int, ...]], length: int | None
) -> None:
    work = build(tiny.config_file(tmp_path, name))
    assert shapes(work) == expected
    assert (work.batch_size, work.sequence_length) == (2, length)
    run(work)


@pytest.mark.parametrize("name", ["vit", "dinov2", "videomae", "wav2vec2", "ast"])
def test_positions_are_those_that_the_layers_see(tmp_path: Path, name: str) -> None:
    work = build(tiny.config_file(tmp_path, name))
    with torch.inference_mode():
        output: Any = work.model(**work.inputs, output_hidden_states=True)
    assert output.hidden_states[0].shape[:2] == (2, work.sequence_length)


PATCHES = {**tiny.MODELS["llava"]["vision_config"]}
LLAMA = tiny.MODELS["llava"]["text_config"]


@pytest.mark.parametrize(
    ("content", "image_tokens", "others"),
    [
        (tiny.MODELS["llava"], 4, 0),  # 2 × 2 patches, the class token is dropped
        # 8 × 8 patches of 4 pixels, merged 2 × 2, between the marks of start and end
        (tiny.MODELS["qwen2_5_vl"], 16, 2),
        (  # every image has one mean over 2 × 2 patches
            {
                "model_type": "mistral3",
                "architectures": ["Mistral3ForConditionalGeneration"],
                "image_token_index": 99,
                "spatial_merge_size": 2,
                "vision_config": {**PATCHES, "model_type": "pixtral", "head_dim": 8},
                "text_config": {**LLAMA, "model_type": "mistral"},
            },
            1,
            0,
        ),
        (  # an image for itself in a dimension of its own
            {
                "model_type": "idefics3",
                "architectures": ["Idefics3ForConditionalGeneration"],
                "image_token_id": 99,
                "scale_factor": 2,
                "vision_config": {k: v for k, v in PATCHES.items() if k != "model_type"},
                "text_config": LLAMA,
            },
            1,
            0,
        ),
        (  # whole image and two tiles, 4 patches each; a line end after each of the 2 rows of patches
            {
                **tiny.MODELS["llava"],
                "model_type": "llava_next",
                "architectures": ["LlavaNextForConditionalGeneration"],
                "image_grid_pinpoints": [[32, 64], [64, 32]],
            },
            4 + 2 * 4 + 2,
            0,
        ),
    ],
    ids=lambda value: value["model_type"] if isinstance(value, dict) else None,
)
def test_images_between_tokens_take_as_many_tokens_as_they_have_features(
    tmp_path: Path, content: dict[str, Any], image_tokens: int, others: int
) -> None:
    work = build(config(tmp_path, **content))
    token = content.get("image_token_id", content.get("image_token_index"))
    ids: Any = work.inputs["input_ids"]
    length = image_tokens + others + 5
    assert ids.shape == (2, length)
    assert (ids == token).sum(dim=1).tolist() == [image_tokens, image_tokens]
    assert work.sequence_length == length
    assert work.notes == (f"a sequence has {length} tokens, {image_tokens} of them for an image",)
    assert run(work).logits.shape[:2] == (2, length)  # transformers itself compares tokens and features


def test_a_vision_tower_that_takes_unknown_inputs_is_left_out_and_named(tmp_path: Path) -> None:
    content = {
        "model_type": "mllama",
        "architectures": ["MllamaForConditionalGeneration"],
        "image_token_index": 99,
        "vision_config": {
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_global_layers": 1,
            "attention_heads": 4,
            "intermediate_size": 48,
            "image_size": 32,
            "patch_size": 16,
            "vision_output_dim": 64,
            "intermediate_layers_indices": [0],
            "supported_aspect_ratios": [[1, 1]],
        },
        "text_config": {
            **{key: value for key, value in LLAMA.items() if key != "model_type"},
            "cross_attention_layers": [1],
        },
    }
    work = build(config(tmp_path, **content))
    assert shapes(work) == {"input_ids": (2, 5)}
    assert [note.startswith("the vision tower is not run") for note in work.notes] == [True]
    assert run(work).logits.shape[:2] == (2, 5)


def test_a_text_tower_gets_no_more_tokens_than_it_can_take(tmp_path: Path) -> None:
    work = build(tiny.config_file(tmp_path, "clip"), sequence_length=20)  # it is made for 16
    assert work.sequence_length == 16
    assert work.notes == ("the text has 16 tokens instead of 20: the text tower takes no more",)
    run(work)


def test_special_tokens_are_not_drawn_but_the_end_that_an_encoder_needs(tmp_path: Path) -> None:
    ids: Any = build(tiny.config_file(tmp_path, "llama"), sequence_length=2000).inputs["input_ids"]
    assert set(range(100)) - set(ids.unique().tolist()) == {0, 1, 2}
    bart = build(
        tiny.config_file(tmp_path, "bart", architectures=["BartForSequenceClassification"]),
        sequence_length=50,
    )
    ids = bart.inputs["input_ids"]
    assert ((ids == 2).sum(dim=1).tolist(), ids[:, -1].tolist()) == ([1, 1], [2, 2])
    assert run(bart).logits.shape == (2, 3)


def test_floating_point_inputs_have_the_dtype_of_the_model(tmp_path: Path) -> None:
    work = build(tiny.config_file(tmp_path, "llava"), dtype=torch.bfloat16)
    dtypes = {name: value.dtype for name, value in work.inputs.items() if isinstance(value, torch.Tensor)}
    assert dtypes == {"input_ids": torch.int64, "pixel_values": torch.bfloat16}
    run(work)


@pytest.mark.parametrize(
    ("content", "missing"),
    [
        ({**tiny.MODELS["videomae"], "architectures": ["VideoMAEForPreTraining"]}, "bool_masked_pos"),
        (
            {
                "model_type": "patchtst",
                "architectures": ["PatchTSTForPrediction"],
                "d_model": 16,
                "context_length": 16,
                "patch_length": 4,
                "patch_stride": 4,
            },
            "past_values",
        ),
    ],
)
def test_what_cannot_be_made_up_is_named(tmp_path: Path, content: dict[str, Any], missing: str) -> None:
    with pytest.raises(CaptureError, match=rf"takes '{missing}', which cannot be made up.*--inputs"):
        build(config(tmp_path, **content))
