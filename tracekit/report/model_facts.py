"""The model card in the Markdown report: the facts that its lists show beside those of the predecessor.

Each function returns finished Markdown; what is unknown, or what the model does not have, is left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from tracekit.analysis.schema import Model, Report, Tower
from tracekit.messages import N_, Message
from tracekit.report import reasons
from tracekit.report.escape import markdown_name
from tracekit.report.i18n import Locale

# Facts of the model that are always shown, with their labels; the others are shown where they are known.
LISTED = {
    "parameters": N_("Number of parameters"),
    "num_blocks": N_("Number of transformer blocks"),
    "hidden_size": N_("Hidden size"),
    "intermediate_size": N_("Inner size of the FFN"),
    "attention_type": N_("Attention type"),
    "num_attention_heads": N_("Number of attention heads"),
    "num_key_value_heads": N_("Number of K/V heads"),
    "head_dim": N_("Head size"),
    "sequence_length": N_("Input sequence length"),
}
_NAME_WIDTH = 40
_FFN_PARTS = {"mlp", "moe", "transformer"}
_TOWER_NAMES = {
    "vision": N_("vision"),
    "audio": N_("audio"),
    "encoder": N_("encoder"),
    "text encoder": N_("text encoder"),
}


def why_no_field(report: Report, field: str) -> Message:
    """Why a field of the card is unknown, or what the model has instead."""
    model = report.model
    if model.source == "configuration":
        if field in ("num_attention_heads", "num_key_value_heads", "head_dim"):
            if model.attention_type == "none":
                return N_("the model has no attention")
            if model.attention_type == "linear":
                return N_("the model has linear attention only")
            if model.towers and model.towers[0].name.startswith("stage "):
                return N_("differs from stage to stage")
        if field == "intermediate_size":
            if model.towers and model.towers[0].name.startswith("stage "):
                return N_("differs from stage to stage")
            if model.num_experts is not None:
                return N_("every FFN is made of experts")
            if report.blocks and not any(_FFN_PARTS & {*block.kind.split("+")} for block in report.blocks):
                return N_("the blocks have no FFN")
    return reasons.why_no_model_field(report)


def more_facts(model: Model, locale: Locale) -> Iterator[tuple[str, str]]:
    """Label and value of the facts that are known."""
    _, count = locale._, locale.count
    if model.max_position_embeddings is not None:
        yield _("Longest context"), count(model.max_position_embeddings)
    if model.sliding_window is not None:
        window = count(model.sliding_window)
        if model.sliding_window_layers is not None:
            layers = locale.ngettext("in {n} layer", "in {n} layers", model.sliding_window_layers)
            window += f" ({layers})"
        yield _("Sliding window of attention"), window
    pairs = [
        (_("Head size of the values"), model.value_head_dim),
        (_("Rank of the latent keys and values"), model.kv_lora_rank),
        (_("Rank of the latent queries"), model.q_lora_rank),
        (_("Experts"), model.num_experts),
        (_("Active experts per token"), model.num_active_experts),
        (_("Inner size of an expert"), model.expert_intermediate_size),
        (_("Shared experts"), model.num_shared_experts),
        (_("Inner size of the shared experts together"), model.shared_expert_intermediate_size),
    ]
    yield from ((label, count(value)) for label, value in pairs if value is not None)
    if scan := ", ".join(_scan(model, locale)):
        yield _("State-space or linear-attention mixer"), scan
    if model.active_parameters is not None and model.active_parameters != model.parameters:
        yield _("Active parameters per token"), count(model.active_parameters)
    if of_kinds := "; ".join(_parameters(model, locale)):
        yield _("Parameters by kind of block"), of_kinds
    for tower in model.towers:
        if sizes := ", ".join(_sizes(tower, locale)):
            yield _("Part of the model: {name}").format(name=_tower_name(tower, locale)), sizes


def _scan(model: Model, locale: Locale) -> Iterator[str]:
    _ = locale._
    for text, value in (
        (_("state size {n}"), model.ssm_state_size),
        (_("heads {n}"), model.ssm_num_heads),
        (_("head size {n}"), model.ssm_head_dim),
        (_("groups {n}"), model.ssm_groups),
        (_("inner size {n}"), model.ssm_inner_size),
        (_("expansion {n}"), model.ssm_expand),
        (_("convolution over {n}"), model.conv_kernel),
    ):
        if value is not None:
            yield text.format(n=locale.count(value))


def _parameters(model: Model, locale: Locale) -> Iterator[str]:
    several = len({row.stack for row in model.parameters_by_kind}) > 1
    for row in model.parameters_by_kind:
        kind = markdown_name(row.kind, _NAME_WIDTH)
        label = f"{markdown_name(row.stack, _NAME_WIDTH)} {kind}" if several else kind
        if row.parameters is not None:
            total = locale.count(row.parameters)
        else:
            total = locale._("shared among the blocks")
        if row.parameters_per_block is not None:
            per_block = locale.count(row.parameters_per_block)
            total += f" ({locale.count(row.blocks)} × {per_block})"
        yield f"{label} — {total}"


def _tower_name(tower: Tower, locale: Locale) -> str:
    stage, _space, number = tower.name.partition(" ")
    if stage == "stage":
        return locale._("stage {number}").format(number=markdown_name(number))
    known = _TOWER_NAMES.get(tower.name)
    return locale.message(known) if known is not None else markdown_name(tower.name)


def _sizes(tower: Tower, locale: Locale) -> Iterator[str]:
    _ = locale._
    for text, value in (
        (_("hidden size {n}"), tower.hidden_size),
        (_("FFN {n}"), tower.intermediate_size),
        (_("heads {n}"), tower.num_attention_heads),
        (_("head size {n}"), tower.head_dim),
        (_("layers {n}"), tower.num_layers),
        (_("context {n}"), tower.max_position_embeddings),
    ):
        if value is not None:
            yield text.format(n=locale.count(value))
