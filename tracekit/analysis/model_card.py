"""Facts about the model, from what capture stored and from the modules that the trace shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracekit.analysis.checked import as_count, as_object, as_objects, as_text
from tracekit.analysis.schema import Model
from tracekit.attribution import NOBODY, Block, ModuleTree

# The names that architectures of transformers use for the same thing, the usual one first.
_ALIASES = {
    "hidden_size": (
        "hidden_size",
        "d_model",
        "n_embd",
        "dim",
        "hidden_dim",
        "embed_dim",
        "word_embed_proj_dim",
    ),
    "intermediate_size": (
        "intermediate_size",
        "ffn_dim",
        "d_ff",
        "n_inner",
        "ffn_hidden_size",
        "encoder_ffn_dim",
        "mlp_dim",
    ),
    "num_attention_heads": (
        "num_attention_heads",
        "n_head",
        "n_heads",
        "num_heads",
        "encoder_attention_heads",
    ),
    "num_key_value_heads": ("num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num"),
    "head_dim": ("head_dim", "attention_head_dim", "d_kv", "kv_channels"),
    "vocab_size": ("vocab_size", "n_vocab"),
}
_NESTED = ("text_config", "llm_config", "language_config", "decoder", "thinker_config", "vision_config")


def model_card(metadata: dict[str, Any], tree: ModuleTree, blocks: Sequence[Block]) -> Model:
    """The card; what nothing proves is None."""
    stored = as_object(metadata.get("tracekit"))
    model = as_object(stored.get("model"))
    config = as_object(model.get("config"))
    numbers = {key: _number(config, names) for key, names in _ALIASES.items()}
    if blocks and not any(block.kind == "transformer" or "attention" in block.kind for block in blocks):
        # What such a model calls heads are those of its scan.
        numbers |= dict.fromkeys(("num_attention_heads", "num_key_value_heads", "head_dim"))
    heads = numbers["num_attention_heads"]
    if heads and numbers["num_key_value_heads"] is None:
        numbers["num_key_value_heads"] = 1 if config.get("multi_query") is True else heads
    if heads and numbers["head_dim"] is None and numbers["hidden_size"]:
        numbers["head_dim"] = numbers["hidden_size"] // heads
    root = next((module for module in tree.modules if module.parent == NOBODY), None)
    return Model(
        name=as_text(model.get("name")),
        class_=as_text(model.get("class")) or (root.type if root else None),
        parameters=parameters_of(metadata).get(0),
        attention_type=_attention_type(config, heads, numbers["num_key_value_heads"]),
        num_blocks=len(blocks) or None,
        sequence_length=as_count(stored.get("sequence_length")),
        batch_size=as_count(stored.get("batch_size")),
        dtype=as_text(stored.get("dtype")),
        mode=as_text(stored.get("mode")),
        **numbers,
    )


def parameters_of(metadata: dict[str, Any]) -> dict[int, int]:
    """Parameters, its children's included, by index in capture's module table."""
    rows = as_objects(as_object(metadata.get("tracekit")).get("modules"))
    known = {as_count(row.get("index")): as_count(row.get("parameters")) for row in rows}
    return {
        index: parameters
        for index, parameters in known.items()
        if index is not None and parameters is not None
    }


def _attention_type(config: dict[str, Any], heads: int | None, key_value_heads: int | None) -> str | None:
    if _number(config, ("kv_lora_rank",)):
        return "MLA"
    if not heads or not key_value_heads:
        return None
    if key_value_heads == heads:
        return "MHA"
    return "MQA" if key_value_heads == 1 else "GQA"


def _number(config: dict[str, Any], names: tuple[str, ...]) -> int | None:
    for part in (config, *(as_object(config.get(name)) for name in _NESTED)):
        for name in names:
            value = as_count(part.get(name))
            if value is not None:
                return value
    return None
