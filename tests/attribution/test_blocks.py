"""Blocks by path and by frames: the repeated layers, their stacks and kinds; not experts, not stages."""

from __future__ import annotations

from tracekit.attribution import NOBODY, Module, find_blocks

Tree = list[tuple[str, str]]  # path, type


def modules_of(tree: Tree) -> list[Module]:
    """Modules with the nearest prefix that is in the tree as their parent."""
    modules: list[Module] = []
    for path, kind in tree:
        parents = [i for i, (p, _) in enumerate(tree) if p == "" or path.startswith(p + ".")]
        parents = [i for i in parents if tree[i][0] != path]
        parent = max(parents, key=lambda i: len(tree[i][0]), default=NOBODY)
        modules.append(Module(path, path.rpartition(".")[2] or kind, kind, parent))
    return modules


def found(tree: Tree, numbered: bool = True) -> list[tuple[str, int, str]]:
    return [(block.stack, block.index, block.kind) for block in find_blocks(modules_of(tree), numbered)]


def test_llama() -> None:
    tree = [("", "LlamaForCausalLM"), ("model", "LlamaModel"), ("model.embed_tokens", "Embedding")]
    for i in (0, 1):
        tree += [
            (f"model.layers.{i}", "LlamaDecoderLayer"),
            (f"model.layers.{i}.self_attn", "LlamaAttention"),
            (f"model.layers.{i}.self_attn.q_proj", "Linear"),
            (f"model.layers.{i}.mlp", "LlamaMLP"),
            (f"model.layers.{i}.input_layernorm", "LlamaRMSNorm"),
        ]
    tree += [("model.norm", "LlamaRMSNorm"), ("lm_head", "Linear")]
    assert found(tree) == [("model.layers", 0, "transformer"), ("model.layers", 1, "transformer")]


def test_hybrid_of_three_kinds_in_one_stack() -> None:
    tree = [("", "NemotronHForCausalLM"), ("backbone", "NemotronHModel")]
    mixers = ["NemotronHMamba2Mixer", "NemotronHMLP", "NemotronHAttention", "NemotronHMOE"]
    for i, mixer in enumerate(mixers):
        tree += [
            (f"backbone.layers.{i}", "NemotronHBlock"),
            (f"backbone.layers.{i}.norm", "NemotronHRMSNorm"),
            (f"backbone.layers.{i}.mixer", mixer),
            (f"backbone.layers.{i}.mixer.norm", "MambaRMSNormGated"),
        ]
    assert [kind for _, _, kind in found(tree)] == ["mamba", "mlp", "attention", "moe"]


def test_blocks_of_different_types_in_one_stack() -> None:
    tree = [("", "JambaForCausalLM"), ("model", "JambaModel")]
    for i, (layer, mixer, ffn) in enumerate(
        [
            ("JambaMambaDecoderLayer", "JambaMambaMixer", "JambaMLP"),
            ("JambaAttentionDecoderLayer", "JambaAttention", "JambaSparseMoeBlock"),
        ]
    ):
        tree += [
            (f"model.layers.{i}", layer),
            (f"model.layers.{i}.mixer", mixer),
            (f"model.layers.{i}.ffn", ffn),
        ]
    assert [kind for _, _, kind in found(tree)] == ["mamba+mlp", "attention+moe"]


def test_experts_are_no_blocks_and_an_moe_is_no_mlp() -> None:
    tree = [("", "MixtralForCausalLM"), ("model", "MixtralModel")]
    for i in (0, 1):
        at = f"model.layers.{i}"
        tree += [(at, "MixtralDecoderLayer"), (f"{at}.self_attn", "MixtralAttention")]
        tree += [(f"{at}.mlp", "Qwen3MoeSparseMoeBlock"), (f"{at}.mlp.gate", "Linear")]
        for e in (0, 1, 2):
            tree += [
                (f"{at}.mlp.experts.{e}", "MixtralBlockSparseTop2MLP"),
                (f"{at}.mlp.experts.{e}.w1", "Linear"),
            ]
    assert found(tree) == [("model.layers", 0, "attention+moe"), ("model.layers", 1, "attention+moe")]


def test_dense_layer_of_an_moe_model_is_a_transformer() -> None:
    at = "model.layers.0"
    tree = [("", "X"), ("model", "X"), (at, "Qwen3MoeDecoderLayer"), (f"{at}.self_attn", "Qwen3MoeAttention")]
    tree += [(f"{at}.mlp", "Qwen3MoeMLP"), (f"{at}.mlp.up_proj", "Linear")]
    assert found(tree) == [("model.layers", 0, "transformer")]


def test_several_stacks() -> None:
    tree = [("", "WhisperForConditionalGeneration")]
    for stack in ("encoder", "decoder"):
        tree.append((f"model.{stack}", "Stack"))
        for i in (0, 1):
            at = f"model.{stack}.layers.{i}"
            tree += [(at, "WhisperLayer"), (f"{at}.self_attn", "WhisperAttention"), (f"{at}.fc1", "Linear")]
    assert [(s, i) for s, i, _ in found(tree)] == [
        ("encoder", 0),
        ("encoder", 1),
        ("decoder", 0),
        ("decoder", 1),
    ]


def test_layers_within_stages() -> None:
    tree = [("", "SwinModel")]
    for stage in (0, 1):
        tree.append((f"encoder.layers.{stage}", "SwinStage"))
        for i in (0, 1):
            at = f"encoder.layers.{stage}.blocks.{i}"
            tree += [(at, "SwinLayer"), (f"{at}.attention", "SwinAttention"), (f"{at}.intermediate", "X")]
    assert [(s, i) for s, i, _ in found(tree)] == [
        ("encoder.layers.0.blocks", 0),
        ("encoder.layers.0.blocks", 1),
        ("encoder.layers.1.blocks", 0),
        ("encoder.layers.1.blocks", 1),
    ]


def test_parts_of_a_sequential_are_no_blocks() -> None:
    tree = [("", "AlexNet"), ("features", "Sequential")]
    tree += [
        (f"features.{i}", kind) for i, kind in enumerate(["Conv2d", "ReLU", "MaxPool2d", "Conv2d", "ReLU"])
    ]
    assert found(tree) == []


def test_bert_and_gpt2_paths() -> None:
    tree = [("", "M")]
    for at, layer, parts in (
        ("bert.encoder.layer", "BertLayer", [("attention", "BertAttention"), ("output", "BertOutput")]),
        ("transformer.h", "GPT2Block", [("attn", "GPT2Attention"), ("mlp", "GPT2MLP")]),
    ):
        for i in (0, 1):
            tree.append((f"{at}.{i}", layer))
            tree += [(f"{at}.{i}.{name}", kind) for name, kind in parts]
    assert {kind for _, _, kind in found(tree)} == {"transformer"}
    assert [s for s, _, _ in found(tree)] == ["encoder"] * 2 + ["transformer.h"] * 2


def test_frames() -> None:
    tree = [("Qwen2Model_0", "Qwen2Model"), ("Qwen2Model_0.Embedding_0", "Embedding")]
    for i in range(3):
        at = f"Qwen2Model_0.Qwen2DecoderLayer_{i}"
        tree += [
            (at, "Qwen2DecoderLayer"),
            (f"{at}.Qwen2Attention_{i}", "Qwen2Attention"),
            (f"{at}.Qwen2Attention_{i}.Linear_{3 * i}", "Linear"),
            (f"{at}.Qwen2MLP_{i}", "Qwen2MLP"),
            (f"{at}.Qwen2MLP_{i}.Linear_{3 * i + 1}", "Linear"),
            (f"{at}.Qwen2RMSNorm_{i}", "Qwen2RMSNorm"),
        ]
    assert found(tree, numbered=False) == [("Qwen2Model_0", i, "transformer") for i in range(3)]


def test_frames_of_a_block_whose_mlp_is_its_own_two_matrices() -> None:
    """OPT, BART and Whisper; a single matrix may be anything."""
    tree = [("OPTDecoder_0", "OPTDecoder")]
    for i in range(3):
        at = f"OPTDecoder_0.OPTDecoderLayer_{i}"
        tree += [(at, "OPTDecoderLayer"), (f"{at}.OPTAttention_{i}", "OPTAttention")]
        tree += [(f"{at}.OPTAttention_{i}.Linear_{9 * i}", "Linear"), (f"{at}.LayerNorm_{i}", "LayerNorm")]
        tree += [(f"{at}.Linear_{9 * i + n}", "Linear") for n in ((1,) if i == 2 else (1, 2))]
    assert [kind for _, _, kind in found(tree, numbered=False)] == ["transformer", "transformer", "attention"]
    assert parts_of(tree, numbered=False)[1] == {
        "OPTAttention_1": "attention",
        "LayerNorm_1": "norm",
        "Linear_10": "mlp",
        "Linear_11": "mlp",
    }


def test_frames_of_two_stacks_of_one_type() -> None:
    root = "T5ForConditionalGeneration_0"
    tree = [(root, "T5ForConditionalGeneration")]
    for stack in (0, 1):
        tree.append((f"{root}.T5Stack_{stack}", "T5Stack"))
        for i in (0, 1):
            at = f"{root}.T5Stack_{stack}.T5Block_{2 * stack + i}"
            tree += [(at, "T5Block"), (f"{at}.T5LayerSelfAttention_{i}", "T5LayerSelfAttention")]
            tree += [(f"{at}.T5LayerFF_{i}", "T5LayerFF"), (f"{at}.T5LayerFF_{i}.Linear_{i}", "Linear")]
    assert found(tree, numbered=False) == [
        (f"{root}.T5Stack_{stack}", i, "transformer") for stack in (0, 1) for i in (0, 1)
    ]


def test_frames_of_a_hybrid_with_one_layer_of_a_kind() -> None:
    tree = [("JambaModel_0", "JambaModel")]
    for i, (layer, mixer) in enumerate(
        [
            ("JambaMambaDecoderLayer_0", "JambaMambaMixer"),
            ("JambaAttentionDecoderLayer_0", "JambaAttention"),
            ("JambaMambaDecoderLayer_1", "JambaMambaMixer"),
        ]
    ):
        at = f"JambaModel_0.{layer}"
        tree += [(at, layer[:-2]), (f"{at}.{mixer}_{i}", mixer), (f"{at}.JambaMLP_{i}", "JambaMLP")]
    assert found(tree, numbered=False) == [
        ("JambaModel_0", 0, "mamba+mlp"),
        ("JambaModel_0", 1, "transformer"),
        ("JambaModel_0", 2, "mamba+mlp"),
    ]


def test_what_is_inside_may_be_known_from_the_table_alone() -> None:
    """Where blocks have scopes and nothing inside them has, or runs as one fused operator."""
    tree = [("", "Net"), ("layers.0", "MambaLayer"), ("layers.1", "Layer"), ("layers.2", "Layer")]
    tree += [("head.0", "Linear"), ("head.1", "Linear")]
    table = {
        "layers.0": [("layers.0.norm", "RMSNorm"), ("layers.0.mixer", "Mamba2Mixer")],
        "layers.1": [("layers.1.self_attn", "MultiheadAttention"), ("layers.1.linear1", "Linear")],
        "layers.2": [("layers.2.layer", "ModuleList")],
        "layers.2.layer": [("layers.2.layer.0", "SelfAttention"), ("layers.2.layer.1", "SparseMoeBlock")],
    }
    blocks = find_blocks(modules_of(tree), True, table)
    kinds = ["mamba", "transformer", "attention+moe"]
    assert [(block.index, block.kind) for block in blocks] == list(enumerate(kinds))
    assert not any(block.parts or block.knows_parts for block in blocks)
    assert find_blocks(modules_of(tree), True) == []
    endless = {"layers.0" + ".a" * n: [("layers.0" + ".a" * (n + 1), "A")] for n in range(5000)}
    assert [block.kind for block in find_blocks(modules_of(tree), True, {**table, **endless})][1:] == kinds[
        1:
    ]


def test_layers_of_torch_itself_have_a_feed_forward_part() -> None:
    tree = [("", "TransformerEncoder")]
    for i in (0, 1):
        tree += [(f"layers.{i}", "TransformerEncoderLayer"), (f"layers.{i}.self_attn", "MultiheadAttention")]
        tree += [(f"layers.{i}.linear1", "Linear"), (f"layers.{i}.linear2", "Linear")]
    assert [kind for _, _, kind in found(tree)] == ["transformer"] * 2


def test_mergers_between_two_towers_are_no_blocks() -> None:
    tree = [("", "Net"), ("merger_list", "ModuleList")]
    for i in (0, 1):
        tree += [(f"merger_list.{i}", "Qwen3VLVisionPatchMerger"), (f"merger_list.{i}.norm", "LayerNorm")]
    assert found(tree) == []


def parts_of(tree: Tree, numbered: bool = True) -> list[dict[str, str]]:
    """Of each block: which part each module within it is, by its path below the block."""
    modules = modules_of(tree)
    return [
        {modules[i].path[len(modules[block.module].path) + 1 :]: part for i, part in block.parts.items()}
        for block in find_blocks(modules, numbered)
    ]


def test_norms_are_parts_unless_they_are_within_one() -> None:
    tree = [("", "NemotronHForCausalLM"), ("backbone", "NemotronHModel")]
    for i, mixer in enumerate(["NemotronHMamba2Mixer", "NemotronHMLP"]):
        at = f"backbone.layers.{i}"
        tree += [(at, "NemotronHBlock"), (f"{at}.norm", "NemotronHRMSNorm"), (f"{at}.mixer", mixer)]
        tree += [(f"{at}.mixer.norm", "MambaRMSNormGated"), (f"{at}.mixer.out_proj", "Linear")]
    assert parts_of(tree) == [{"norm": "norm", "mixer": "mamba"}, {"norm": "norm", "mixer": "mlp"}]


def test_what_is_named_after_its_neighbour_is_not_that_part() -> None:
    """Norms and dropouts before and after attention, in the words of Falcon and GPT-NeoX."""
    at = "gpt_neox.layers.0"
    tree = [("", "GPTNeoXForCausalLM"), ("gpt_neox", "GPTNeoXModel"), (at, "GPTNeoXLayer")]
    tree += [(f"{at}.post_attention_layernorm", "LayerNorm"), (f"{at}.ln_mlp", "LayerNorm")]
    tree += [(f"{at}.post_attention_dropout", "Dropout"), (f"{at}.post_mlp_dropout", "Dropout")]
    tree += [(f"{at}.attention", "GPTNeoXAttention"), (f"{at}.attention.dense", "Linear")]
    tree += [(f"{at}.mlp", "GPTNeoXMLP"), (f"{at}.mlp.dense_4h_to_h", "Linear")]
    tree += [(f"{at}.before_mlp", "RMSNorm")]
    norms = dict.fromkeys(("post_attention_layernorm", "ln_mlp", "before_mlp"), "norm")
    assert parts_of(tree) == [{**norms, "attention": "attention", "mlp": "mlp"}]
    assert found(tree) == [("gpt_neox.layers", 0, "transformer")]


def test_attention_that_norms_its_input_itself_is_attention() -> None:
    at = "layers.0"
    tree = [("", "Net"), (at, "Layer"), (f"{at}.attn", "PreNormAttention")]
    tree += [(f"{at}.attn.norm", "LayerNorm"), (f"{at}.attn.qkv", "Linear")]
    assert parts_of(tree) == [{"attn": "attention"}]


def test_layers_within_a_block_are_looked_into() -> None:
    """Zamba 2: a shared transformer layer before a Mamba layer, both with norms of their own."""
    at = "model.layers.0"
    tree = [("", "Zamba2ForCausalLM"), ("model", "Zamba2Model"), (at, "Zamba2HybridLayer")]
    for layer, kind, parts in (
        (
            "shared_transformer",
            "Zamba2AttentionDecoderLayer",
            [("self_attn", "Zamba2Attention"), ("feed_forward", "Zamba2MLP")],
        ),
        ("mamba_decoder", "Zamba2MambaDecoderLayer", [("mamba", "Zamba2MambaMixer")]),
    ):
        tree += [(f"{at}.{layer}", kind), (f"{at}.{layer}.input_layernorm", "Zamba2RMSNorm")]
        for name, part in parts:
            tree += [(f"{at}.{layer}.{name}", part), (f"{at}.{layer}.{name}.down_proj", "Linear")]
    tree += [(f"{at}.linear", "Linear")]
    assert found(tree) == [("model.layers", 0, "attention+mamba+mlp")]
    assert parts_of(tree) == [
        {
            "shared_transformer.input_layernorm": "norm",
            "shared_transformer.self_attn": "attention",
            "shared_transformer.feed_forward": "mlp",
            "mamba_decoder.input_layernorm": "norm",
            "mamba_decoder.mamba": "mamba",
        }
    ]


def test_sublayers_of_t5_leave_their_norms_outside() -> None:
    tree = [("", "T5ForConditionalGeneration"), ("decoder", "T5Stack")]
    for i in (0, 1):
        at = f"decoder.block.{i}"
        tree.append((at, "T5Block"))
        for n, (layer, name, kind) in enumerate(
            [
                ("T5LayerSelfAttention", "SelfAttention", "T5Attention"),
                ("T5LayerCrossAttention", "EncDecAttention", "T5Attention"),
                ("T5LayerFF", "DenseReluDense", "T5DenseActDense"),
            ]
        ):
            tree += [(f"{at}.layer.{n}", layer), (f"{at}.layer.{n}.{name}", kind)]
            tree += [(f"{at}.layer.{n}.{name}.wo", "Linear"), (f"{at}.layer.{n}.layer_norm", "T5LayerNorm")]
    assert parts_of(tree) == 2 * [
        {
            "layer.0.SelfAttention": "attention",
            "layer.1.EncDecAttention": "attention",
            "layer.2.DenseReluDense": "mlp",
            **{f"layer.{n}.layer_norm": "norm" for n in (0, 1, 2)},
        }
    ]
    assert [kind for _, _, kind in found(tree)] == ["transformer"] * 2


def test_experts_their_router_and_the_shared_expert_are_one_part() -> None:
    at = "model.layers.0"
    tree = [("", "Qwen3NextForCausalLM"), ("model", "Qwen3NextModel"), (at, "Qwen3NextDecoderLayer")]
    tree += [(f"{at}.linear_attn", "Qwen3NextGatedDeltaNet"), (f"{at}.linear_attn.conv1d", "Conv1d")]
    tree += [(f"{at}.linear_attn.norm", "Qwen3NextRMSNormGated")]
    tree += [(f"{at}.mlp", "Qwen3NextSparseMoeBlock"), (f"{at}.mlp.gate", "Qwen3NextTopKRouter")]
    tree += [(f"{at}.mlp.experts", "Qwen3NextExperts"), (f"{at}.mlp.shared_expert", "Qwen3NextMLP")]
    tree += [(f"{at}.mlp.experts.act_fn", "SiLU"), (f"{at}.mlp.shared_expert.up_proj", "Linear")]
    tree += [(f"{at}.input_layernorm", "Qwen3NextRMSNorm")]
    assert found(tree) == [("model.layers", 0, "linear_attention+moe")]
    assert parts_of(tree) == [{"linear_attn": "linear_attention", "mlp": "moe", "input_layernorm": "norm"}]


def test_rwkv_mixes_time_and_then_channels() -> None:
    """As transformers, as flash-linear-attention and as RWKV-LM name them."""
    for time, channels in (
        ("RwkvSelfAttention", "RwkvFeedForward"),
        ("RWKV6Attention", "RWKV6FeedForward"),
        ("RWKV_Tmix_x070", "RWKV_CMix_x070"),
        ("RWKV_TimeMix", "RWKV_ChannelMix"),
    ):
        tree = [("", "Rwkv"), ("blocks.0", "RwkvBlock"), ("blocks.0.ln1", "LayerNorm")]
        tree += [("blocks.0.att", time), ("blocks.0.att.key", "Linear")]
        tree += [("blocks.0.cm", channels), ("blocks.0.cm.key", "Linear")]
        assert found(tree) == [("blocks", 0, "linear_attention+mlp")]
        assert parts_of(tree) == [{"ln1": "norm", "att": "linear_attention", "cm": "mlp"}]


def test_convolution_blocks() -> None:
    """ConvNeXt, whose pointwise convolutions are `Linear`, and the short convolution of LFM2 with its MLP."""
    at = "encoder.stages.0.layers"
    tree = [("", "Net")]
    for i in (0, 1):
        tree += [(f"{at}.{i}", "ConvNextLayer"), (f"{at}.{i}.dwconv", "Conv2d")]
        tree += [(f"{at}.{i}.pwconv1", "Linear"), (f"{at}.{i}.drop_path", "ConvNextDropPath")]
    tree += [("layers.0", "Lfm2DecoderLayer"), ("layers.0.conv", "Lfm2ShortConv")]
    tree += [("layers.0.conv.conv", "Conv1d"), ("layers.0.conv.in_proj", "Linear")]
    tree += [("layers.0.feed_forward", "Lfm2MLP"), ("layers.0.feed_forward.w1", "Linear")]
    assert [kind for _, _, kind in found(tree)] == ["convolution", "convolution", "convolution+mlp"]
    assert parts_of(tree) == [
        *[{"dwconv": "convolution", "pwconv1": "convolution"}] * 2,
        {"conv": "convolution", "feed_forward": "mlp"},
    ]


def test_one_layer_of_a_group_that_is_called_again_and_again() -> None:
    group = "encoder.albert_layer_groups.0"
    tree = [("", "AlbertModel"), ("encoder", "AlbertTransformer"), (group, "AlbertLayerGroup")]
    tree += [(f"{group}.albert_layers.0", "AlbertLayer")]
    tree += [
        (f"{group}.albert_layers.0.{name}", kind) for name, kind in (("attention", "A"), ("ffn", "Linear"))
    ]
    assert found(tree) == [("encoder", 0, "transformer")]


def test_a_block_may_be_the_part_itself() -> None:
    tree = [("", "XLMModel")]
    for i in (0, 1):
        tree += [(f"attentions.{i}", "MultiHeadAttention"), (f"attentions.{i}.q_lin", "Linear")]
        tree += [(f"ffns.{i}", "TransformerFFN"), (f"ffns.{i}.lin1", "Linear")]
    assert [kind for _, _, kind in found(tree)] == ["attention"] * 2 + ["mlp"] * 2


def test_layers_within_a_block_are_looked_into_by_the_table_too() -> None:
    at = "layers.0"
    table = {
        at: [(f"{at}.shared", "SharedAttentionLayer")],
        f"{at}.shared": [(f"{at}.shared.{name}", kind) for name, kind in (("norm", "N"), ("a", "Attention"))]
        + [(f"{at}.shared.mlp", "MLP")],
        f"{at}.shared.a": [(f"{at}.shared.a.q", "Linear")],
    }
    (block,) = find_blocks(modules_of([("", "Net"), (at, "HybridLayer")]), True, table)
    assert (block.kind, block.parts, block.knows_parts) == ("transformer", {}, False)
