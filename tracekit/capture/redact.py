"""Redact: names that tell nothing about whose model it is, and metadata without any other text.

What an analysis needs stays: the numbers in paths, torch's own types, and in every other name one word for
the role that it plays, so that the same stacks, blocks and kinds of blocks are found. Nothing here knows
what a trace looks like inside.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What a name says about the part of a block that it is, most telling first, and the word that says so in
# its place. A word has to match the pattern that it stands for also with a number after it.
_PARTS = (
    (
        "SparseMoe",
        re.compile(r"MoeBlock|SparseMoe|FusedMoE|[Mm]o[Ee]$|MOE$|Experts$|^experts$|TopK?Router|MixtureOf"),
    ),
    ("mamba", re.compile(r"mamba|bamba_?mixer|(^|_)ssm(_|$)", re.IGNORECASE)),
    (
        "linear_attention",
        re.compile(
            r"linear_?att|deltanet|delta_?att|lightning_?att|retention|mlstm|time_?mix"
            r"|rwkv(?!\w*(feed_?forward|channel|_c_?mix))",
            re.IGNORECASE,
        ),
    ),
    ("attention", re.compile(r"attention|attn", re.IGNORECASE)),
    (
        "mlp",
        re.compile(
            r"mlp|ffn|feed_?forward|channel_?mix|(^|_)c_?mix|LayerFF|Dense(Gated)?Act|intermediate"
            r"|Output(_\d+)?$|(^|_)(fc|linear)\d$",
            re.IGNORECASE,
        ),
    ),
    ("conv", re.compile(r"conv(_?layer)?(\dd?)?(_\d+)?$|(?-i:SELayer$)", re.IGNORECASE)),
)
_NORM = re.compile(r"norm|(^|_)ln(_|\d|$)", re.IGNORECASE)
_TYPE_WORDS = {
    "mamba": "Mamba",
    "linear_attention": "LinearAttention",
    "attention": "Attention",
    "mlp": "MLP",
    "conv": "Conv",
}
_STACK_WORDS = (
    ("vision", re.compile(r"vision|visual|image|patch|\bvit|siglip|clip", re.IGNORECASE)),
    ("audio", re.compile(r"audio|speech", re.IGNORECASE)),
    ("encoder", re.compile(r"encoder", re.IGNORECASE)),
    ("decoder", re.compile(r"decoder", re.IGNORECASE)),
)
_TYPE_ENDING = re.compile(r"(Layer|Block|Experts?|Wrapper|Parallel|Stack|Encoder|Decoder|Model|Tower)$")

# Names of no part: for the reader of a report only.
_OTHER_PATH_WORDS = (
    ("rotary", re.compile(r"rotary|rope", re.IGNORECASE)),
    ("embedding", re.compile(r"emb|wte$|wpe$", re.IGNORECASE)),
    ("router", re.compile(r"router|^gate$", re.IGNORECASE)),
    ("dropout", re.compile(r"drop", re.IGNORECASE)),
    ("activation", re.compile(r"act(ivation)?(_fn)?$", re.IGNORECASE)),
    ("projection", re.compile(r"proj|linear|dense|^w[io]?_?\d?$|^[qkvo]$", re.IGNORECASE)),
    ("head", re.compile(r"head|classifier|score", re.IGNORECASE)),
    ("stack", re.compile(r"layers?$|blocks?$|^h$|stages?$", re.IGNORECASE)),
    ("model", re.compile(r"model|backbone|transformer", re.IGNORECASE)),
)
_OTHER_TYPE_WORDS = (
    ("RotaryEmbedding", re.compile(r"Rotary|RoPE", re.IGNORECASE)),
    ("Embeddings", re.compile(r"emb", re.IGNORECASE)),
    ("Router", re.compile(r"Router|Gate$")),
    ("Activation", re.compile(r"Activation|[GS]iLU|GELU|ReLU", re.IGNORECASE)),
    ("Network", re.compile(r"For[A-Z]\w*$")),
)
_KEPT_PARTS = {"expert", "experts"}

# Configuration values that describe a shape; whatever else a configuration holds is left out.
_SHAPE_KEYS = _words(
    """
    attention_head_dim attention_head_size attention_heads attention_hidden_size block_auto_adjust_ff_dim
    block_ffn_dim_multiplier block_multiple_of chunk_size context_length conv_L_cache conv_kernel d_conv d_ff
    d_head d_inner d_kv d_model d_state decoder_attention_heads decoder_ffn_dim decoder_layers
    decoder_num_attention_heads decoder_num_hidden_layers decoder_num_key_value_heads dense_intermediate_size
    depth depths dff dim dim_ff dim_head emb_dim embed_dim embed_dims encoder_attention_heads encoder_ffn_dim
    encoder_layers encoder_num_attention_heads encoder_num_hidden_layers encoder_num_key_value_heads expand
    expert_ffn_hidden_size feed_forward_size ffn_dim ffn_hidden_size head_dim hidden_dim hidden_size
    hidden_sizes image_size initializer_range intermediate_dim intermediate_size intermediate_size_mlp
    is_encoder_decoder kv_channels kv_lora_rank kv_n_heads layer_norm_eps layer_norm_epsilon
    linear_conv_kernel_dim linear_head_dim linear_key_head_dim linear_num_key_heads linear_num_value_heads
    linear_value_head_dim local_attention mamba_d_conv mamba_d_head mamba_d_ssm mamba_d_state mamba_expand
    mamba_head_dim mamba_headdim mamba_n_groups mamba_n_heads mamba_ngroups mamba_num_heads
    max_decoder_position_embeddings max_encoder_position_embeddings max_position_embeddings max_seq_len
    max_sequence_length max_source_positions max_target_positions mlp_dim mlp_ratio moe_intermediate_size
    moe_k moe_num_experts moe_num_shared_experts moe_shared_expert_intermediate_size moe_top_k moe_topk
    multi_query multi_query_group_num n_ctx n_embd n_group n_groups n_head n_head_kv n_heads n_inner n_layer
    n_layers n_mamba_heads n_positions n_routed_experts n_shared_experts n_vocab new_decoder_architecture
    num_attention_heads num_channels num_decoder_attention_heads num_decoder_layers
    num_encoder_attention_heads num_encoder_layers num_experts num_experts_per_tok num_experts_per_token
    num_heads num_hidden_layers num_key_value_heads num_kv_heads num_layers num_local_experts
    num_shared_experts out_hidden_size patch_size q_lora_rank qk_nope_head_dim qk_rope_head_dim rms_norm_eps
    share_expert_dim shared_expert_intermediate_size shared_experts_intermediate_size
    shared_intermediate_size short_conv_kernel_size sliding_window sliding_window_size ssm_state_size
    state_size tie_word_embeddings top_k_experts topk_group true_hidden_size use_cache use_sliding_window
    use_swiglu_ffn v_head_dim vocab_size word_embed_proj_dim
    """
)


def _is_dtype(value: object) -> bool:
    name = value.removeprefix("torch.") if isinstance(value, str) else ""
    return isinstance(getattr(torch, name, None), torch.dtype)


def _is_version(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"\d+(\.\w{1,8}){0,4}", value) is not None


_CONFIG_TEXTS = {"dtype": _is_dtype, "torch_dtype": _is_dtype, "transformers_version": _is_version}
_CONFIG_PARTS = (
    "text_config",
    "llm_config",
    "language_config",
    "thinker_config",
    "decoder",
    "decoder_config",
    "vision_config",
    "vision_encoder_config",
    "audio_config",
    "audio_encoder",
    "speech_config",
    "encoder",
    "encoder_config",
    "text_encoder",
    "qformer_config",
    "attn_config",
    "ffn_config",
)

# Text of the metadata that is the capture's own or a version.
_TEXT_KEYS = _words(
    """
    schema tracekit torch transformers python mode dtype device cuda hip pass_phases performance_state
    throttle_reasons source
    """
)
_PLAIN = re.compile(r"[\w.+: -]*(/\d+)?")  # no path
_USUAL_INPUTS = _words(
    """
    attention_mask cache_position decoder_input_ids encoder_hidden_states hidden_states inputs_embeds input
    input_features input_ids labels pixel_values position_ids token_type_ids x
    """
)
_PHASES = {"forward", "prefill", "decode"}
_ERROR = "its text was left out"


class Pseudonyms:
    """Names for names: the same for the same one, another for another, numbered as they come.

    Asked for the rows of one model in the order of its module table, two objects give the same answers.
    """

    def __init__(self) -> None:
        self._torch_types = frozenset(_torch_types(nn.Module))
        self._types: dict[str, str] = {}
        self._parts: dict[str, str] = {}
        self._type_counts: Counter[str] = Counter()
        self._part_counts: Counter[str] = Counter()

    def type(self, name: str) -> str:
        """`Custom1Attention` for `LlamaAttention`; torch's own types are kept."""
        if name in self._torch_types:
            return name
        if name not in self._types:
            word = _type_word(name)
            self._type_counts[word] += 1
            self._types[name] = f"Custom{self._type_counts[word]}{word}"
        return self._types[name]

    def path(self, path: str) -> str:
        """`model_1.stack_1.0.attention_1` for `model.layers.0.self_attn`."""
        return ".".join(map(self._part, path.split("."))) if path else path

    def _part(self, part: str) -> str:
        if part in _KEPT_PARTS or (part.isascii() and part.isdecimal()):
            return part
        if part not in self._parts:
            word = _path_word(part)
            self._part_counts[word] += 1
            self._parts[part] = f"{word}_{self._part_counts[word]}"
        return self._parts[part]


def redact_modules(
    rows: Sequence[Mapping[str, Any]], names: Pseudonyms | None = None
) -> list[dict[str, Any]]:
    """The rows of `metadata.module_table` with neutral paths and types."""
    names = names or Pseudonyms()
    return [
        {**row, "path": names.path(str(row["path"])), "type": names.type(str(row["type"]))} for row in rows
    ]


def redacted_metadata(metadata: Mapping[str, Any], names: Pseudonyms | None = None) -> dict[str, Any]:
    """`metadata` without what may tell whose model on whose machine this is, and `redacted` set.

    Numbers stay, and so do texts that only tracekit or torch can have written. Left out are the model's
    name and class, every textual value of its configuration and every key that describes no shape, names
    of modules, names of unusual inputs, options that are texts, all of the platform but the operating
    system, and the texts of notes and errors. The device's name stays: without it there are no peaks.
    """
    names = names or Pseudonyms()
    rows = metadata.get("modules")
    model = metadata.get("model")
    model = model if isinstance(model, Mapping) else {}
    special = {
        "modules": redact_modules(rows, names) if isinstance(rows, list) else None,
        "model": {
            "name": "model",
            "class": names.type(str(model["class"])) if model.get("class") else None,
            "config": _redacted_config(model.get("config")),
        },
        "inputs": _redacted_inputs(metadata.get("inputs")),
        "device": _redacted_device(metadata.get("device")),
        "phases": _redacted_phases(metadata.get("phases")),
        "platform": re.split(r"[-_ ]", str(metadata.get("platform")))[0],
        "error": _ERROR if metadata.get("error") else None,
        "notes": [],
    }
    plain: dict[str, Any] = _without_text({key: metadata[key] for key in metadata if key not in special})
    redacted = {key: special[key] if key in special else plain.get(key) for key in metadata}
    return {**{key: redacted[key] for key in redacted if key in special or key in plain}, "redacted": True}


def _redacted_config(config: object) -> dict[str, Any] | None:
    if not isinstance(config, Mapping):
        return None
    shapes = {key: value for key, value in config.items() if key in _SHAPE_KEYS and _is_numeric(value)}
    texts = {key: config[key] for key, says in _CONFIG_TEXTS.items() if says(config.get(key))}
    parts = {key: _redacted_config(config[key]) for key in _CONFIG_PARTS if isinstance(config.get(key), dict)}
    return {**shapes, **texts, **parts}


def _is_numeric(value: object) -> bool:
    if isinstance(value, list):
        return all(map(_is_numeric, value))
    return isinstance(value, bool | int | float)


def _redacted_inputs(inputs: object) -> list[dict[str, Any]]:
    rows = [row for row in inputs if isinstance(row, Mapping)] if isinstance(inputs, list) else []
    return [
        {**_without_text(row), "name": row["name"] if row.get("name") in _USUAL_INPUTS else f"input {number}"}
        for number, row in enumerate(rows, 1)
    ]


def _redacted_device(device: object) -> object:
    if not isinstance(device, Mapping):
        return None
    kept = {key: device[key] for key in ("type", "name") if key in device}
    return {**kept, **{key: value for key, value in _without_text(device).items() if key not in kept}}


def _redacted_phases(phases: object) -> list[dict[str, Any]]:
    rows = [row for row in phases if isinstance(row, Mapping)] if isinstance(phases, list) else []
    return [
        {"name": row.get("name") if row.get("name") in _PHASES else "forward", **_without_text(row)}
        for row in rows
    ]


def _without_text(value: Any, is_safe: bool = False) -> Any:
    """`value` without its texts, but for those under keys of `_TEXT_KEYS`."""
    if isinstance(value, Mapping):
        return {
            key: _without_text(inner, key in _TEXT_KEYS)
            for key, inner in value.items()
            if not isinstance(inner, str) or (key in _TEXT_KEYS and _PLAIN.fullmatch(inner))
        }
    if isinstance(value, list):
        return [_without_text(inner, is_safe) for inner in value if is_safe or not isinstance(inner, str)]
    return value


def _torch_types(module: type) -> Iterator[str]:
    """The names of the module classes that torch defines; not of those that it derives from a user's."""
    kind: type
    for kind in module.__subclasses__():
        if kind.__module__.partition(".")[0] == "torch":
            if getattr(sys.modules.get(kind.__module__), kind.__name__, None) is kind:
                yield kind.__name__
            yield from _torch_types(kind)


def _part_word(name: str) -> str | None:
    if _NORM.search(name):
        return None
    return next((word for word, pattern in _PARTS if pattern.search(name)), None)


def _type_word(name: str) -> str:
    match = _TYPE_ENDING.search(name)
    ending = ("Stage" if "Stage" in name else "") + (match[1] if match else "")
    part = _part_word(name)
    if part == "SparseMoe":
        if ending == "Experts":
            return ending
        return "TopKRouter" if "Router" in name else part + ending
    if part:
        return _TYPE_WORDS[part] + ending
    if _NORM.search(name):
        return "Norm" + ending
    if ending in ("Layer", "Block"):
        side = re.search("Encoder|Decoder", name)
        return (side[0] if side else "") + ending
    return ending or next((word for word, pattern in _OTHER_TYPE_WORDS if pattern.search(name)), "Module")


def _path_word(part: str) -> str:
    stacks = [word for word, pattern in _STACK_WORDS if pattern.search(part)]
    own = "norm" if _NORM.search(part) else _part_word(part)
    if own is None:
        own = next((word for word, pattern in _OTHER_PATH_WORDS if pattern.search(part)), None)
    if own in (None, "model", "stack") and stacks:
        return "_".join(stacks)
    return "_".join([*stacks, own or "module"])
