"""What the blocks of the tiny models of `tests.capture.tiny` are made of, from their configurations.

By stack, a block a line or a product: its kind, and the norms in it that are in no other part. A stack is
called after its role where the path says it and tells it apart, else by its path.
"""

from __future__ import annotations

from typing import TypeAlias

Blocks: TypeAlias = dict[str, list[tuple[str, int]]]

BATCH, LENGTH = 2, 12
TOKENS = BATCH * LENGTH

# Two layers of attention and MLP, a norm before (or after) each.
_LAYERS: Blocks = {"model.layers": 2 * [("transformer", 2)]}
_MOE_LAYERS: Blocks = {"model.layers": 2 * [("attention+moe", 2)]}
_DENSE_THEN_MOE: Blocks = {"model.layers": [("transformer", 2), ("attention+moe", 2)]}
_NORMED_TWICE: Blocks = {"model.layers": 2 * [("transformer", 4)]}  # before and after attention and MLP
_MAMBA_LAYERS: Blocks = {"backbone.layers": 2 * [("mamba", 1)]}
_ENCODER: Blocks = {"encoder": 2 * [("transformer", 2)]}
_BERT: Blocks = {"encoder": 2 * [("transformer", 0)]}  # its norms are within BertSelfOutput and BertOutput
_VISION: Blocks = {"vision": 2 * [("transformer", 2)]}
_TWO_TOWERS: Blocks = {**_VISION, **_ENCODER}
_IMAGES_IN_TEXT: Blocks = {**_VISION, "model.language_model.layers": 2 * [("transformer", 2)]}
# A decoder with cross-attention has a norm more.
_ENCODER_DECODER: Blocks = {**_ENCODER, "decoder": 2 * [("transformer", 3)]}

BLOCKS: dict[str, Blocks] = {
    # Dense decoders.
    **dict.fromkeys(("llama", "mistral", "qwen2", "qwen3", "phi3", "olmo2", "stablelm"), _LAYERS),
    **dict.fromkeys(("gemma2", "gemma3_text"), _NORMED_TWICE),
    "gpt2": {"transformer.h": 2 * [("transformer", 2)]},
    "bloom": {"transformer.h": 2 * [("transformer", 2)]},
    "falcon": {"transformer.h": 2 * [("transformer", 1)]},  # one norm for attention and MLP side by side
    "gpt_neox": {"gpt_neox.layers": 2 * [("transformer", 2)]},
    "opt": {"decoder": 2 * [("transformer", 2)]},
    # Mixtures of experts; some have a dense layer first.
    **dict.fromkeys(("mixtral", "qwen3_moe", "gpt_oss"), _MOE_LAYERS),
    **dict.fromkeys(("deepseek_v3", "llama4_text"), _DENSE_THEN_MOE),
    # State spaces, recurrences and hybrids.
    **dict.fromkeys(("mamba", "mamba2", "falcon_mamba"), _MAMBA_LAYERS),
    "nemotron_h": {"model.layers": [("mamba", 1), ("mlp", 1), ("attention", 1), ("mamba", 1)]},
    "jamba": {"model.layers": [("mamba+mlp", 2), ("attention+moe", 2)]},
    "bamba": {"model.layers": [("mamba+mlp", 2), ("transformer", 2)]},
    "zamba2": {"model.layers": 2 * [("mamba", 1), ("attention+mamba+mlp", 3)]},
    "granitemoehybrid": {"model.layers": [("mamba+moe", 2), ("attention+moe", 2)]},
    "qwen3_next": {"model.layers": [("linear_attention+moe", 2), ("attention+moe", 2)]},
    "lfm2": {"model.layers": [("convolution+mlp", 2), ("transformer", 2)]},
    "rwkv": {"rwkv.blocks": [("linear_attention+mlp", 3), ("linear_attention+mlp", 2)]},
    # Encoders of text, and encoder-decoders.
    **dict.fromkeys(("bert", "roberta", "deberta_v2"), _BERT),
    "albert": {"encoder": [("transformer", 1)]},
    "modernbert": {"model.layers": [("transformer", 1), ("transformer", 2)]},  # the embeddings are normed
    **dict.fromkeys(("t5", "bart", "whisper"), _ENCODER_DECODER),
    # Images, videos and sound.
    "vit": _VISION,
    **dict.fromkeys(("dinov2", "videomae"), _ENCODER),
    "ast": {"audio": 2 * [("transformer", 2)]},
    "swin": {f"swin.encoder.layers.{stage}.blocks": [("transformer", 2)] for stage in (0, 1)},
    "convnext": {f"convnext.encoder.stages.{stage}.layers": [("convolution", 1)] for stage in (0, 1)},
    "wav2vec2": {
        "wav2vec2.feature_extractor.conv_layers": [("convolution", 1), ("convolution", 0)],
        **_ENCODER,
    },
    # Images and text.
    **dict.fromkeys(("siglip", "clip"), _TWO_TOWERS),
    **dict.fromkeys(("llava", "qwen2_5_vl", "qwen3_vl"), _IMAGES_IN_TEXT),
    "gemma3": {**_VISION, "model.language_model.layers": 2 * [("transformer", 4)]},
}

_HIDDEN, _EXPERTS, _CHOSEN = 32, 4, 2


def _experts(per_token: int, intermediate: int) -> int:
    """Three projections (gate, up, down) of `per_token` experts for every token."""
    return 2 * TOKENS * per_token * 3 * _HIDDEN * intermediate


# Matrix FLOPs of the experts of one layer on paper: as grouped GEMMs, which `flop_counter` does not know,
# only the chosen ones; Llama 4 runs all of them on all tokens, as one batched product.
EXPERTS: dict[str, tuple[str, int]] = {
    "mixtral": ("model.layers.1.mlp.experts", _experts(_CHOSEN, 48)),
    "gpt_oss": ("model.layers.1.mlp.experts", _experts(_CHOSEN, 48)),
    "qwen3_moe": ("model.layers.1.mlp.experts", _experts(_CHOSEN, 16)),
    "deepseek_v3": ("model.layers.1.mlp.experts", _experts(_CHOSEN, 16)),
    "qwen3_next": ("model.layers.1.mlp.experts", _experts(_CHOSEN, 16)),
    "jamba": ("model.layers.1.feed_forward.experts", _experts(_CHOSEN, 48)),
    "granitemoehybrid": ("model.layers.1.block_sparse_moe.experts", _experts(_CHOSEN, 48)),
    "llama4_text": ("model.layers.1.feed_forward.experts", _experts(_EXPERTS, 48)),
}
GROUPED = EXPERTS.keys() - {"llama4_text"}

# Matrix FLOPs of a block that are in none of its parts: the projection between Zamba's two layers.
GLUE = {("zamba2", index): 2 * TOKENS * _HIDDEN * _HIDDEN for index in (1, 3)}
