"""The names that architectures give to the same facts in their configurations, as data.

`ALIASES` and the tables of parts hold for every architecture. The tables by `model_type` hold what the
modelling code of one architecture makes of its configuration and no name tells. All are those of the
configuration and modelling files of transformers (`models/<architecture>/`). Nothing here reads anything.
"""

from __future__ import annotations

# The usual name first. Where a configuration has several of them, the first is the one that its code uses.
ALIASES: dict[str, tuple[str, ...]] = {
    "hidden_size": ("hidden_size", "d_model", "n_embd", "dim", "emb_dim", "embed_dim", "hidden_dim"),
    "intermediate_size": (
        "intermediate_size",
        "ffn_dim",
        "d_ff",
        "n_inner",
        "ffn_hidden_size",
        "mlp_dim",
        "dim_ff",
        "dff",
        "d_inner",
        "feed_forward_size",
        "intermediate_dim",
    ),
    "num_attention_heads": ("num_attention_heads", "n_head", "n_heads", "num_heads", "attention_heads"),
    "num_key_value_heads": (
        "num_key_value_heads",
        "num_kv_heads",
        "n_head_kv",
        "kv_n_heads",
        "multi_query_group_num",
    ),
    "head_dim": (
        "head_dim",
        "attention_head_dim",
        "d_kv",
        "kv_channels",
        "dim_head",
        "d_head",
        "attention_head_size",
    ),
    "attention_size": ("attention_hidden_size",),
    "num_layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "depth"),
    "vocab_size": ("vocab_size", "n_vocab"),
    "max_position_embeddings": (
        "max_position_embeddings",
        "n_positions",
        "max_seq_len",
        "max_sequence_length",
        "n_ctx",
        "context_length",
    ),
    "sliding_window": ("sliding_window", "sliding_window_size"),
    "kv_lora_rank": ("kv_lora_rank",),
    "q_lora_rank": ("q_lora_rank",),
    "qk_nope_head_dim": ("qk_nope_head_dim",),
    "qk_rope_head_dim": ("qk_rope_head_dim",),
    "v_head_dim": ("v_head_dim",),
    "num_experts": ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"),
    "num_active_experts": (
        "num_experts_per_tok",
        "num_experts_per_token",
        "moe_topk",
        "moe_top_k",
        "moe_k",
        "top_k_experts",
    ),
    "num_shared_experts": ("n_shared_experts", "num_shared_experts", "moe_num_shared_experts"),
    "expert_intermediate_size": ("moe_intermediate_size", "expert_ffn_hidden_size"),
    "shared_expert_intermediate_size": (  # of all shared experts, which the code makes one MLP
        "shared_expert_intermediate_size",
        "moe_shared_expert_intermediate_size",
        "shared_experts_intermediate_size",
        "shared_intermediate_size",
        "share_expert_dim",
    ),
    "dense_intermediate_size": ("intermediate_size_mlp", "dense_intermediate_size"),
    "ssm_state_size": ("ssm_state_size", "state_size", "mamba_d_state", "d_state"),
    "ssm_num_heads": ("mamba_num_heads", "mamba_n_heads", "n_mamba_heads"),
    "ssm_head_dim": ("mamba_head_dim", "mamba_d_head", "mamba_headdim"),
    "ssm_groups": ("n_groups", "mamba_n_groups", "mamba_ngroups"),
    "ssm_expand": ("expand", "mamba_expand"),
    "ssm_inner_size": ("mamba_d_ssm",),
    "conv_kernel": ("conv_kernel", "mamba_d_conv", "d_conv"),
    # Linear attention keeps a state of key head × value head per value head; a key head is shared by several.
    "linear_key_head_dim": ("linear_key_head_dim", "linear_head_dim"),
    "linear_value_head_dim": ("linear_value_head_dim", "linear_head_dim"),
    "linear_num_key_heads": ("linear_num_key_heads",),
    "linear_num_value_heads": ("linear_num_value_heads",),
    "linear_conv_kernel": ("linear_conv_kernel_dim", "short_conv_kernel_size"),
    "short_conv_kernel": ("conv_L_cache",),
    "block_multiple_of": ("block_multiple_of",),
}

# Of models that hold both sides in one configuration: these names go before the others.
SIDES: dict[str, dict[str, tuple[str, ...]]] = {
    side: {
        "intermediate_size": (f"{side}_ffn_dim",),
        "num_attention_heads": (
            f"{side}_attention_heads",
            f"{side}_num_attention_heads",
            f"num_{side}_attention_heads",
        ),
        "num_key_value_heads": (f"{side}_num_key_value_heads",),
        "num_layers": (f"{side}_layers", f"{side}_num_hidden_layers", f"num_{side}_layers"),
        "max_position_embeddings": (places, f"max_{side}_position_embeddings"),
    }
    for side, places in (("encoder", "max_source_positions"), ("decoder", "max_target_positions"))
}

# A size of each stage, the first to the last …
STAGE_SIZES = ("hidden_sizes", "embed_dims")
# … or only that of the first: each of the others is twice as wide as the one before.
DOUBLING_STAGES = {"donut-swin", "focalnet", "hiera", "maskformer-swin", "swin", "swinv2"}

# Configurations within a configuration: the one that the card is about, best first …
MAIN_PARTS = ("text_config", "llm_config", "language_config", "thinker_config", "decoder", "decoder_config")
# … then the others, under the names that the report gives them …
TOWERS = {
    "vision_config": "vision",
    "vision_encoder_config": "vision",
    "audio_config": "audio",
    "audio_encoder": "audio",
    "speech_config": "audio",
    "encoder": "encoder",
    "encoder_config": "encoder",
    "text_encoder": "text encoder",
    "qformer_config": "qformer",
}
# … (of what is around a part, only this goes for the part as well) …
OF_THE_WHOLE = {"vocab_size"}
# … and those that only group some of the values of the configuration around them.
GROUPS = ("attn_config", "ffn_config")

# FFN size ÷ hidden size that the code fixes whatever the configuration holds …
FIXED_FFN_MULTIPLES = dict.fromkeys(
    ("bloom", "bridgetower_vision_model", "flaubert", "mpt", "openai-gpt", "xlm", "convnext", "convnextv2"), 4
)
# … or where the configuration holds no size.
FFN_MULTIPLES = dict.fromkeys(
    (
        "clvp_decoder",
        "codegen",
        "decision_transformer",
        "falcon",
        "gpt-sw3",
        "gpt2",
        "gpt_bigcode",
        "gpt_neo",
        "gptj",
        "imagegpt",
        "rwkv",
    ),
    4,
)
# FFN size = int(hidden size × mlp_ratio).
FFN_BY_RATIO = {
    "dinov2",
    "dinov2_with_registers",
    "donut-swin",
    "focalnet",
    "hiera",
    "maskformer-swin",
    "mgp-str",
    "pixio",
    "qwen2_vl_vision",
    "radio",
    "swin",
    "swinv2",
    "tipsv2_vision_model",
    "vitdet",
    "vjepa2",
}

# Names that mean something else in one architecture than in all others.
OWN_NAMES: dict[str, dict[str, tuple[str, ...]]] = {
    "convbert": {"num_attention_heads": ()},  # of which convolutions replace some
    "distilbert": {"intermediate_size": ("hidden_dim",)},
    "glm4v_vision": {"intermediate_size": ("out_hidden_size",)},
    "glm4v_moe_vision": {"intermediate_size": ("out_hidden_size",)},
    "modernbert": {"sliding_window": ("local_attention",)},
    "modernbert-decoder": {"sliding_window": ("local_attention",)},
    "mobilebert": {"attention_size": ("true_hidden_size",)},
    "recurrent_gemma": {"intermediate_size": ()},  # of which the code takes half
    "mamba": {"ssm_inner_size": ("intermediate_size",), "intermediate_size": ()},
    "falcon_mamba": {"ssm_inner_size": ("intermediate_size",), "intermediate_size": ()},
    "mamba2": {
        "ssm_num_heads": ("num_heads",),
        "ssm_head_dim": ("head_dim",),
        "num_attention_heads": (),
        "head_dim": (),
    },
    "xlstm": {"num_attention_heads": (), "head_dim": ()},
    # `hidden_size` is that of the language model, to which the tower projects.
    "qwen2_vl_vision": {"hidden_size": ("embed_dim",)},
}
# The shared expert is there although no number says how many there are.
ONE_SHARED_EXPERT = {"llama4", "llama4_text"}
# Experts per token where the code routes each token to so many.
ACTIVE_EXPERTS = {"switch_transformers": 1, "nllb-moe": 2}
# Where there is a sliding window, every layer has it.
ALL_LAYERS_SLIDE = {"mistral", "mixtral", "phi3", "phimoe", "starcoder2", "qwen3_moe"}
