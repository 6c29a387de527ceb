"""What mixes a model's tokens, from its configuration: attention and its windows, scans.

Which of these its blocks have, the caller knows.
"""

from __future__ import annotations

from tracekit.analysis.checked import as_count
from tracekit.analysis.model_card import names
from tracekit.analysis.model_card.configuration import Part

_SSM_FACTS = ("ssm_state_size", "ssm_num_heads", "ssm_head_dim", "ssm_groups", "ssm_expand", "ssm_inner_size")


def heads_of(part: Part) -> dict[str, int | None]:
    """Heads and head sizes of softmax attention; all None for a model without."""
    hidden, heads = part.hidden_size(), part.count("num_attention_heads")
    found: dict[str, int | None] = dict.fromkeys(
        ("num_attention_heads", "num_key_value_heads", "head_dim", "value_head_dim")
    )
    if heads is None:
        found["head_dim"] = _head_dim_of_stages(part)
        return found
    found["num_attention_heads"] = heads
    found["num_key_value_heads"] = _key_value_heads(part, heads)
    found["head_dim"] = _head_dim(part, hidden, heads)
    value_head_dim = part.count("v_head_dim")
    if value_head_dim != found["head_dim"]:
        found["value_head_dim"] = value_head_dim
    return found


def _key_value_heads(part: Part, heads: int) -> int:
    # Falcon's newer architecture has groups and ignores `multi_query`; its older one ignores `num_kv_heads`.
    grouped = part.is_true("new_decoder_architecture")
    if part.is_true("multi_query") and not grouped:
        return 1
    if part.is_false("multi_query") and part.is_false("new_decoder_architecture"):
        return heads
    return part.count("num_key_value_heads") or heads


def _head_dim(part: Part, hidden: int | None, heads: int) -> int | None:
    """Size of a head of the queries."""
    nope, rope = part.count("qk_nope_head_dim"), part.count("qk_rope_head_dim")
    if nope and rope:  # multi-head latent attention: a part without position and a part with it
        return nope + rope
    if (stated := part.count("head_dim")) is not None:
        return stated
    if len(set(part.stage_sizes())) > 1:
        return None
    size = part.count("attention_size") or hidden
    return size // heads if size and size >= heads else None


def _head_dim_of_stages(part: Part) -> int | None:
    """Stages have more heads as they are wider, of one size."""
    sizes, heads = part.stage_sizes(), part.per_stage("num_heads")
    dims = {size // count for size, count in zip(sizes, heads, strict=False)}
    return dims.pop() if len(dims) == 1 else None


def attention_type(
    part: Part, heads: dict[str, int | None], *, has_softmax: bool, has_linear: bool, knows_blocks: bool
) -> str | None:
    """See `Model.attention_type` for what the words mean."""
    softmax = None
    if has_softmax:
        softmax = softmax_type(heads["num_attention_heads"], heads["num_key_value_heads"])
        if softmax is None and (part.per_stage("num_heads") or part.per_stage("num_attention_heads")):
            softmax = "MHA"  # the number of heads differs from stage to stage (Swin, SegFormer)
        softmax = "MLA" if part.count("kv_lora_rank") else softmax
    found = [kind for kind in (softmax, "linear" if has_linear else None) if kind]
    if found:
        return " + ".join(found)
    return "none" if knows_blocks and not has_softmax else None


def softmax_type(heads: int | None, key_value_heads: int | None) -> str | None:
    """By how many heads of queries share one of keys and values."""
    if not heads or not key_value_heads:
        return None
    if key_value_heads == heads:
        return "MHA"
    return "MQA" if key_value_heads == 1 else "GQA"


def windows_of(part: Part) -> dict[str, int | None]:
    """The sliding window, in tokens, and in how many layers attention is limited to it."""
    window = None if part.is_false("use_sliding_window") else part.count("sliding_window")
    kinds, layers = part.layer_types(), None
    if window and kinds:
        layers = kinds.count("sliding_attention")
        window = window if layers else None
    elif window and part.model_type in names.ALL_LAYERS_SLIDE:
        layers = part.count("num_layers")
    return {"sliding_window": window, "sliding_window_layers": layers if window else None}


def scans_of(part: Part) -> dict[str, int | None]:
    """Sizes of the state-space or linear-attention mixers (`Model` says how the words map on both)."""
    found = {fact: part.count(fact) for fact in _SSM_FACTS}
    found["conv_kernel"] = part.count("conv_kernel")
    heads, head_dim = part.count("linear_num_value_heads"), part.count("linear_value_head_dim")
    if found["ssm_state_size"] is None and head_dim:
        found |= {
            "ssm_state_size": part.count("linear_key_head_dim"),
            "ssm_num_heads": heads,
            "ssm_head_dim": head_dim,
            "ssm_groups": part.count("linear_num_key_heads"),
            "conv_kernel": part.count("linear_conv_kernel"),
        }
    state_heads, state_head_dim = found["ssm_num_heads"], found["ssm_head_dim"]
    expand, hidden = found["ssm_expand"], part.hidden_size()
    if found["ssm_inner_size"] is None:
        if state_heads and state_head_dim:
            found["ssm_inner_size"] = as_count(state_heads * state_head_dim)
        elif found["ssm_state_size"] and expand and hidden:
            found["ssm_inner_size"] = as_count(expand * hidden)
    if found["ssm_state_size"] is None:
        found = dict.fromkeys(found)
    return found
