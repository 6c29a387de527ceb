"""Facts about the model: from what capture stored, else what the shapes in the trace prove.

`names` is the data, `configuration` reads it; `mixers`, `experts` and `parameters` say what it means;
`shapes` does without. A fact that nothing proves is None.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from tracekit.analysis.checked import as_count, as_object, as_objects, as_text
from tracekit.analysis.model_card.configuration import Part, main_part, tower_parts
from tracekit.analysis.model_card.experts import ffns_of
from tracekit.analysis.model_card.mixers import attention_type, heads_of, scans_of, windows_of
from tracekit.analysis.model_card.parameters import (
    active_parameters,
    parameters_by_kind,
    parameters_by_path,
    parameters_of,
)
from tracekit.analysis.model_card.shapes import facts_from_shapes
from tracekit.analysis.schema import Model, Tower
from tracekit.attribution import NOBODY, Attribution, Block, Module
from tracekit.trace import Trace

__all__ = ["model_card", "parameters_of"]

_OF_TOWER = re.compile(r"(^|[._])(vision|visual|image|audio|speech|qformer)", re.IGNORECASE)
_FFN = re.compile(r"\.(mlp|ffn|feed_?forward)(\.|$)", re.IGNORECASE)


def model_card(trace: Trace, attribution: Attribution, blocks: Sequence[Block]) -> Model:
    """The card of the model that ran in `trace`, whose repeated layers are `blocks`."""
    metadata, modules = trace.metadata, attribution.tree.modules
    stored = as_object(metadata.get("tracekit"))
    model = as_object(stored.get("model"))
    config = as_object(model.get("config"))
    table_paths = [
        path for row in as_objects(stored.get("modules")) if (path := as_text(row.get("path"))) is not None
    ]
    facts: dict[str, Any] = {
        "batch_size": as_count(stored.get("batch_size")),
        "sequence_length": as_count(stored.get("sequence_length")),
        "dtype": as_text(stored.get("dtype")),
    }
    if config:
        facts |= _from_configuration(config, modules, blocks, table_paths)
    else:
        known = {name: value for name, value in facts.items() if value is not None}
        proven = facts_from_shapes(trace, attribution, blocks, was_captured=bool(stored))
        facts = {**proven, **known, "source": "shapes" if proven else None}
    root = next((module for module in modules if module.parent == NOBODY), None)
    by_index, by_path = parameters_of(metadata), parameters_by_path(metadata)
    total = by_index.get(0)
    return Model(
        name=as_text(model.get("name")),
        class_=as_text(model.get("class")) or (root.type if root else None),
        parameters=total,
        num_blocks=len(blocks) or None,
        mode=as_text(stored.get("mode")),
        active_parameters=active_parameters(
            total, by_path, facts.get("num_experts"), facts.get("num_active_experts")
        ),
        parameters_by_kind=parameters_by_kind(modules, blocks, by_index, by_path),
        **facts,
    )


def _from_configuration(
    config: dict[str, Any], modules: Sequence[Module], blocks: Sequence[Block], table_paths: Sequence[str]
) -> dict[str, Any]:
    main = main_part(config, table_paths)
    towers = tower_parts(config, main, table_paths)
    kinds = _kinds([name for name, _part in towers], modules, blocks)
    has = _Has(kinds, table_paths)
    heads = heads_of(main)
    if not has.softmax:  # what such a model calls heads are those of its scan
        heads = dict.fromkeys(heads)
    scans = scans_of(main)
    if kinds and not (has.scan or has.linear):
        scans = dict.fromkeys(scans)
    if has.convolution and scans["conv_kernel"] is None:
        scans["conv_kernel"] = main.count("short_conv_kernel")
    ffns = ffns_of(main, has_dense=has.dense, has_experts=has.experts)
    latent = heads["head_dim"] is not None
    facts: dict[str, Any] = {
        "hidden_size": main.hidden_size(),
        "vocab_size": main.count("vocab_size"),
        "max_position_embeddings": main.count("max_position_embeddings"),
        "attention_type": attention_type(
            main, heads, has_softmax=has.softmax, has_linear=has.linear, knows_blocks=bool(kinds)
        ),
        "kv_lora_rank": main.count("kv_lora_rank") if latent else None,
        "q_lora_rank": main.count("q_lora_rank") if latent and main.count("kv_lora_rank") else None,
        **heads,
        **ffns,
        **scans,
        **(windows_of(main) if has.softmax else {}),
        "towers": (*_stages(main), *(_tower(name, part) for name, part in towers)),
    }
    facts["source"] = "configuration" if any(facts.values()) else None
    return facts


class _Has:
    """What the blocks are made of; None, and True for softmax attention, where no blocks are known."""

    def __init__(self, kinds: set[str], table_paths: Sequence[str]) -> None:
        parts = {part for kind in kinds for part in kind.split("+")}
        known = bool(kinds)
        self.softmax = not known or bool(parts & {"attention", "transformer"})
        self.linear = "linear_attention" in parts
        self.scan = "mamba" in parts
        self.convolution = "convolution" in parts
        self.experts = "moe" in parts if known else None
        self.dense = bool(parts & {"mlp", "transformer"}) if known else None
        # Of a block that is named after its mixer throughout (RWKV) the kind does not tell its FFN.
        if self.dense is False and not self.experts and any(map(_FFN.search, table_paths)):
            self.dense = True


def _kinds(towers: Sequence[str], modules: Sequence[Module], blocks: Sequence[Block]) -> set[str]:
    """Kinds of the blocks of the main part: those of towers go by their paths."""

    def is_of_tower(path: str) -> bool:
        parts = path.split(".")
        if "encoder" in towers and "encoder" in parts and "decoder" not in parts:
            return True
        return bool(towers) and _OF_TOWER.search(path) is not None

    own = {block.kind for block in blocks if not is_of_tower(modules[block.module].path)}
    return own - {"other"}


def _tower(name: str, part: Part) -> Tower:
    heads = heads_of(part)
    return Tower(
        name=name,
        hidden_size=part.hidden_size(),
        intermediate_size=part.ffn_size(),
        num_attention_heads=heads["num_attention_heads"],
        num_key_value_heads=heads["num_key_value_heads"],
        head_dim=heads["head_dim"],
        num_layers=part.count("num_layers"),
        max_position_embeddings=part.count("max_position_embeddings"),
    )


def _stages(part: Part) -> list[Tower]:
    """The stages of a model that is in stages, from the first."""
    sizes, depths = part.stage_sizes(), part.per_stage("depths")
    heads = part.per_stage("num_heads") or part.per_stage("num_attention_heads")
    return [
        Tower(
            name=f"stage {number + 1}",
            hidden_size=size,
            intermediate_size=part.ffn_of(size),
            num_attention_heads=heads[number] if number < len(heads) else None,
            num_key_value_heads=heads[number] if number < len(heads) else None,
            head_dim=size // heads[number] if number < len(heads) and size >= heads[number] else None,
            num_layers=depths[number] if number < len(depths) else None,
        )
        for number, size in enumerate(sizes)
    ]
