"""Sizes of the FFNs: which of a configuration's numbers is that of a dense layer, and which an expert's."""

from __future__ import annotations

from tracekit.analysis.checked import as_count
from tracekit.analysis.model_card import names
from tracekit.analysis.model_card.configuration import Part


def ffns_of(part: Part, *, has_dense: bool | None, has_experts: bool | None) -> dict[str, int | None]:
    """FFN sizes and numbers of experts. `has_dense`, `has_experts`: as the blocks say, None without any.

    Architectures whose layers all have experts call an expert's size `intermediate_size`; so do those that
    give it to dense layers and experts alike (Jamba), and Llama 4, which names the dense layers' apart.
    """
    experts = None if has_experts is False else part.count("num_experts")
    found: dict[str, int | None] = dict.fromkeys(
        (
            "expert_intermediate_size",
            "shared_expert_intermediate_size",
            "num_experts",
            "num_active_experts",
            "num_shared_experts",
        )
    )
    size = part.ffn_size()
    if experts is None:
        # Granite's shared expert is all that is left of the FFN in its models without experts.
        size = _shared_alone(part) or size
        return {**found, "intermediate_size": None if has_dense is False else size}
    own = part.count("expert_intermediate_size")
    # Experts of several sizes (Ernie 4.5 VL) have no one size.
    expert = own if part.says("expert_intermediate_size") else size
    found |= {
        "num_experts": experts,
        "expert_intermediate_size": expert,
        "num_active_experts": part.count("num_active_experts")
        or names.ACTIVE_EXPERTS.get(part.model_type or ""),
        **_shared(part, expert),
    }
    dense = part.count("dense_intermediate_size") or size
    # Without blocks, a size that is not the experts' is kept for the layers that have it, if any has.
    knows_dense = own is not None or part.count("dense_intermediate_size") is not None
    shown = knows_dense if has_dense is None else has_dense
    return {**found, "intermediate_size": dense if shown else None}


def _shared(part: Part, expert: int | None) -> dict[str, int | None]:
    """How many experts every token goes through, and the inner size of all of them together."""
    count, size = part.count("num_shared_experts"), part.count("shared_expert_intermediate_size")
    if count is None and (size or part.model_type in names.ONE_SHARED_EXPERT):
        count = 1
    if size is None and count and expert:
        size = as_count(count * expert)
    return {"num_shared_experts": count, "shared_expert_intermediate_size": size}


def _shared_alone(part: Part) -> int | None:
    """The shared expert's size where the configuration says that there are no others."""
    without = as_count(part.values.get("num_local_experts")) == 0
    return part.count("shared_expert_intermediate_size") if without else None
