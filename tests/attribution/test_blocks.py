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
