"""Tiny configurations of many families: two layers, hidden sizes up to 64, random weights in milliseconds.

`MODELS[name]` is the content of a `config.json`. `TEXT` names those whose sequence length is the caller's
choice; `SEQUENCE_LENGTH_MULTIPLE` holds what a length must be a multiple of, for those that ask for it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .tiny_decoders import DECODERS, GROUPED_SIZES, SIZES

_ENCODER = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "pad_token_id": 0,
}
_IMAGE = {"image_size": 32, "patch_size": 16, "num_channels": 3}
MODELS: dict[str, dict[str, Any]] = {
    **DECODERS,
    "bert": {"architectures": ["BertForMaskedLM"], "model_type": "bert", **_ENCODER, "vocab_size": 100},
    "roberta": {
        "architectures": ["RobertaForMaskedLM"],
        "model_type": "roberta",
        **_ENCODER,
        "vocab_size": 100,
        "pad_token_id": 1,
        "max_position_embeddings": 66,
    },
    "albert": {  # one layer, called twice
        "architectures": ["AlbertForMaskedLM"],
        "model_type": "albert",
        **_ENCODER,
        "embedding_size": 16,
        "vocab_size": 100,
    },
    "modernbert": {
        "architectures": ["ModernBertForMaskedLM"],
        "model_type": "modernbert",
        **SIZES,
        "cls_token_id": 1,
        "sep_token_id": 2,
        "local_attention": 8,
    },
    "deberta_v2": {
        "architectures": ["DebertaV2ForMaskedLM"],
        "model_type": "deberta-v2",
        **_ENCODER,
        "vocab_size": 100,
        "relative_attention": True,
        "position_buckets": 8,
        "pos_att_type": ["p2c", "c2p"],
    },
    "t5": {
        "architectures": ["T5ForConditionalGeneration"],
        "model_type": "t5",
        "d_model": 32,
        "d_kv": 8,
        "d_ff": 48,
        "num_layers": 2,
        "num_heads": 4,
        "vocab_size": 100,
    },
    "bart": {
        "architectures": ["BartForConditionalGeneration"],
        "model_type": "bart",
        "d_model": 32,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 48,
        "decoder_ffn_dim": 48,
        "vocab_size": 100,
        "max_position_embeddings": 64,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "decoder_start_token_id": 2,
    },
    "vit": {"architectures": ["ViTForImageClassification"], "model_type": "vit", **_ENCODER, **_IMAGE},
    "dinov2": {"architectures": ["Dinov2Model"], "model_type": "dinov2", **_ENCODER, **_IMAGE},
    "swin": {
        "architectures": ["SwinForImageClassification"],
        "model_type": "swin",
        "image_size": 32,
        "patch_size": 4,
        "embed_dim": 16,
        "depths": [1, 1],
        "num_heads": [2, 4],
        "window_size": 4,
    },
    "convnext": {
        "architectures": ["ConvNextForImageClassification"],
        "model_type": "convnext",
        "hidden_sizes": [8, 16],
        "depths": [1, 1],
        "num_stages": 2,
        "image_size": 32,
    },
    "siglip": {
        "architectures": ["SiglipModel"],
        "model_type": "siglip",
        "text_config": {**_ENCODER, "vocab_size": 100, "max_position_embeddings": 16, "projection_size": 32},
        "vision_config": {**_ENCODER, **_IMAGE},
    },
    "clip": {
        "architectures": ["CLIPModel"],
        "model_type": "clip",
        "projection_dim": 16,
        "text_config": {
            **_ENCODER,
            "vocab_size": 100,
            "max_position_embeddings": 16,
            "bos_token_id": 1,
            "eos_token_id": 2,
        },
        "vision_config": {**_ENCODER, **_IMAGE},
    },
    "whisper": {
        "architectures": ["WhisperForConditionalGeneration"],
        "model_type": "whisper",
        "d_model": 32,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 48,
        "decoder_ffn_dim": 48,
        "num_mel_bins": 8,
        "max_source_positions": 20,
        "max_target_positions": 64,
        "vocab_size": 100,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 3,
    },
    "wav2vec2": {
        "architectures": ["Wav2Vec2ForCTC"],
        "model_type": "wav2vec2",
        **_ENCODER,
        "vocab_size": 32,
        "conv_dim": [8, 8],
        "conv_stride": [5, 4],
        "conv_kernel": [10, 8],
        "num_feat_extract_layers": 2,
        "num_conv_pos_embeddings": 8,
        "num_conv_pos_embedding_groups": 2,
        "apply_spec_augment": False,  # in training it wants more positions than a short test has
    },
    "ast": {
        "architectures": ["ASTForAudioClassification"],
        "model_type": "audio-spectrogram-transformer",
        **_ENCODER,
        "patch_size": 8,
        "frequency_stride": 8,
        "time_stride": 8,
        "max_length": 32,
        "num_mel_bins": 16,
    },
    "videomae": {
        "architectures": ["VideoMAEForVideoClassification"],
        "model_type": "videomae",
        **_ENCODER,
        **_IMAGE,
        "num_frames": 4,
        "tubelet_size": 2,
    },
    "llava": {
        "architectures": ["LlavaForConditionalGeneration"],
        "model_type": "llava",
        "image_token_index": 99,
        "image_seq_length": 4,
        "vision_config": {"model_type": "clip_vision_model", **_ENCODER, **_IMAGE, "projection_dim": 16},
        "text_config": {"model_type": "llama", **GROUPED_SIZES},
    },
    "qwen2_5_vl": {
        "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        "model_type": "qwen2_5_vl",
        "image_token_id": 95,
        "video_token_id": 96,
        "vision_start_token_id": 97,
        "vision_end_token_id": 98,
        "vision_config": {
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_heads": 4,
            "out_hidden_size": 32,
            "patch_size": 4,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": 16,
            "image_size": 32,  # no field of this family, but one that says how large made-up images are
            "fullatt_block_indexes": [1],
        },
        "text_config": {
            "model_type": "qwen2_5_vl_text",
            **GROUPED_SIZES,
            "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0},
        },
    },
    "qwen3_vl": {
        "architectures": ["Qwen3VLForConditionalGeneration"],
        "model_type": "qwen3_vl",
        "image_token_id": 95,
        "video_token_id": 96,
        "vision_start_token_id": 97,
        "vision_end_token_id": 98,
        "vision_config": {
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_heads": 4,
            "out_hidden_size": 32,
            "patch_size": 4,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0],
            "image_size": 32,
        },
        "text_config": {
            "model_type": "qwen3_vl_text",
            **GROUPED_SIZES,
            "head_dim": 8,
            "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0},
        },
    },
    "gemma3": {
        "architectures": ["Gemma3ForConditionalGeneration"],
        "model_type": "gemma3",
        "image_token_index": 99,
        "boi_token_index": 98,
        "eoi_token_index": 97,
        "mm_tokens_per_image": 4,
        "vision_config": {
            "model_type": "siglip_vision_model",
            **_ENCODER,
            **_IMAGE,
            "vision_use_head": False,
        },
        "text_config": {
            "model_type": "gemma3_text",
            **GROUPED_SIZES,
            "head_dim": 8,
            "sliding_window": 8,
            "layer_types": ["sliding_attention", "full_attention"],
        },
    },
}

TEXT = (*DECODERS, "bert", "roberta", "albert", "modernbert", "deberta_v2", "t5", "bart")


def config_file(folder: Path, name: str, **changes: Any) -> Path:
    """`MODELS[name]` as `folder/<name>.json`, with `changes` to its top level."""
    path = folder / f"{name}.json"
    path.write_text(json.dumps({**MODELS[name], **changes}))
    return path
