"""Redaction: nothing left that tells whose model on whose machine, and the same analysis."""

from __future__ import annotations

import gzip
import json
import re
import socket
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
import transformers
from torch import nn

from tracekit.analysis import analyze
from tracekit.analysis.model_card import names as card_names
from tracekit.attribution.blocks import Block, find_blocks
from tracekit.attribution.intervals import NOBODY
from tracekit.attribution.modules import Module
from tracekit.capture import redact_trace
from tracekit.capture.cli import main
from tracekit.capture.errors import CaptureError
from tracekit.capture.metadata import module_table
from tracekit.capture.redact import Pseudonyms, redact_modules, redacted_metadata
from tracekit.capture.redact_trace import redacted_pieces
from tracekit.capture.writer import write_trace

from .traces import LLAMA, NEMOTRON_H, read_trace

SMALL = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "vocab_size": 100}
CONFIGS: dict[str, dict[str, Any]] = {
    "llama": LLAMA,
    "nemotron_h": NEMOTRON_H,
    "qwen3_moe": {
        **SMALL,
        "num_hidden_layers": 3,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 16,
        "mlp_only_layers": [1],
    },
    "mamba2": {
        "hidden_size": 32,
        "num_heads": 8,
        "head_dim": 8,
        "n_groups": 2,
        "state_size": 16,
        "num_hidden_layers": 2,
        "vocab_size": 100,
    },
    "t5": {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "vocab_size": 100},
    "rwkv": {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "vocab_size": 100},
    "zamba2": {
        **SMALL,
        "num_hidden_layers": 2,
        "layers_block_type": ["mamba", "hybrid"],
        "mamba_d_state": 8,
        "n_mamba_heads": 8,
        "use_shared_attention_adapter": True,
        "adapter_rank": 4,
    },
    "convnext": {"hidden_sizes": [8, 16], "depths": [1, 2], "num_stages": 2, "image_size": 32},
    "vit": {**SMALL, "num_hidden_layers": 2, "image_size": 32, "patch_size": 16},
    "bert": {**SMALL, "num_hidden_layers": 2},
    "clip": {
        "text_config": {**SMALL, "num_hidden_layers": 2},
        "vision_config": {**SMALL, "num_hidden_layers": 3, "image_size": 32, "patch_size": 16},
    },
}
# Worked out from what these models are made of, without looking at any output.
KINDS = {
    "llama": ["transformer"] * 2,
    "nemotron_h": ["mamba", "mlp", "attention", "mamba"],
    "qwen3_moe": ["attention+moe", "transformer", "attention+moe"],
    "mamba2": ["mamba"] * 2,
    "t5": ["transformer"] * 4,
    "rwkv": ["linear_attention+mlp"] * 2,
    "zamba2": ["mamba", "attention+mamba+mlp"],
    "convnext": ["convolution"] * 3,
    "vit": ["transformer"] * 2,
    "bert": ["transformer"] * 2,
    "clip": ["transformer"] * 5,
}


def built(name: str) -> nn.Module:
    values = {
        key: value for key, value in CONFIGS[name].items() if key not in ("model_type", "architectures")
    }
    config = transformers.AutoConfig.for_model(name, **values)
    with torch.device("meta"):
        model: nn.Module = transformers.AutoModel.from_config(config)
    return model


def blocks_of(rows: list[dict[str, Any]]) -> list[Block]:
    indices = {row["path"]: index for index, row in enumerate(rows)}
    modules = []
    for row in rows:
        above, _, name = row["path"].rpartition(".")
        parent = NOBODY if row["path"] == "" else indices[above]
        modules.append(Module(row["path"], name, row["type"], parent, row["index"]))
    return find_blocks(modules, numbered=True)


@pytest.mark.parametrize("name", CONFIGS)
def test_blocks_are_found_under_neutral_names(name: str) -> None:
    rows = module_table(list(built(name).named_modules()))
    neutral = redact_modules(rows)
    before, after = blocks_of(rows), blocks_of(neutral)
    assert [block.kind for block in after] == KINDS[name]
    for one, other in zip(before, after, strict=True):
        assert (one.module, one.index, one.kind, one.parts) == (
            other.module,
            other.index,
            other.kind,
            other.parts,
        )
    stacks = list(dict.fromkeys(block.stack for block in before))
    neutral_stacks = list(dict.fromkeys(block.stack for block in after))
    assert len(stacks) == len(neutral_stacks)
    assert [stacks.index(block.stack) for block in before] == [
        neutral_stacks.index(block.stack) for block in after
    ]
    # The roles that a report calls stacks by survive.
    for stack, other_stack in zip(stacks, neutral_stacks, strict=True):
        assert stack == other_stack or stack not in ("encoder", "decoder", "vision", "audio")


@pytest.mark.parametrize("name", CONFIGS)
def test_names_are_neutral_and_tell_modules_apart(name: str) -> None:
    model = built(name)
    rows = module_table(list(model.named_modules()))
    neutral = redact_modules(rows)
    assert len({row["path"] for row in neutral}) == len(rows)
    for (_, module), row, other in zip(model.named_modules(), rows, neutral, strict=True):
        assert row["path"].count(".") == other["path"].count(".")
        assert re.findall(r"(?<!\w)\d+(?!\w)", row["path"]) == re.findall(r"(?<!\w)\d+(?!\w)", other["path"])
        is_torchs = type(module).__module__.startswith("torch.")
        assert (other["type"] == row["type"]) is is_torchs
        assert name.split("_")[0] not in (other["path"] + other["type"]).lower().replace("mamba", "")
        assert {**row, "path": "", "type": ""} == {**other, "path": "", "type": ""}
    types = {(row["type"], other["type"]) for row, other in zip(rows, neutral, strict=True)}
    assert len(types) == len({old for old, _ in types}) == len({new for _, new in types})


def test_a_class_that_torch_derives_from_a_users_is_no_class_of_torchs() -> None:
    class SecretNet(nn.Linear):
        pass

    derived = type("FSDPSecretNet", (SecretNet,), {"__module__": "torch.distributed.fsdp"})
    derived(1, 1)
    names = Pseudonyms()
    assert names.type("FSDPSecretNet") == "Custom1Module"
    assert names.type("SecretNet") == "Custom2Module"
    assert names.type("SecretNet") == "Custom2Module"
    assert [names.type(name) for name in ("Linear", "ModuleList", "SiLU")] == ["Linear", "ModuleList", "SiLU"]


METADATA = {
    "schema": "tracekit.capture/1",
    "torch": "2.13.0+cpu",
    "platform": "Linux-6.8.0-ada-box-x86_64-with-glibc2.39",
    "model": {
        "name": "ada/enigma-7b",
        "class": "EnigmaForCausalLM",
        "config": {
            "_name_or_path": "/home/ada/enigma",
            "architectures": ["EnigmaForCausalLM"],
            "model_type": "enigma",
            "auto_map": {"AutoModel": "enigma.Model"},
            "id2label": {"0": "spam"},
            "bos_token_id": 7,
            "enigma_rotors": 3,
            "hidden_size": 32,
            "image_size": [8, 16],
            "tie_word_embeddings": False,
            "dtype": "bfloat16",
            "transformers_version": "5.1.0",
            "text_config": {"num_key_value_heads": 2, "model_type": "enigma_text"},
        },
    },
    "modules": [
        {"index": 0, "path": "", "type": "EnigmaForCausalLM", "parameters": 4},
        {"index": 1, "path": "rotors", "type": "Linear", "parameters": 4},
    ],
    "inputs": [
        {"name": "input_ids", "shape": [1, 2], "dtype": "int64"},
        {"name": "enigma_keys", "shape": [3], "dtype": "float32"},
    ],
    "mode": "generate",
    "device": {"type": "cuda", "name": "NVIDIA H200", "count": 1, "cuda": "12.8", "hostname": "ada-box"},
    "latencies_us": [1.5],
    "phases": [{"name": "prefill", "passes": 1, "module_flops": {"1": 12}, "note": "enigma"}],
    "telemetry": {"before": [{"index": 0, "performance_state": "P0", "throttle_reasons": ["gpu_idle"]}]},
    "used_without_call": [{"module": 1, "by": None}],
    "options": {"model": "ada/enigma-7b", "dtype": "bf16", "device": "cuda:0", "mode": "/a/b", "warmup": 3},
    "error": "EnigmaError in /home/ada/x.py",
    "notes": ["enigma is slow"],
    "something_new": {"deep": ["enigma", 5]},
}


def test_metadata_keeps_numbers_and_drops_names() -> None:
    neutral = redacted_metadata(METADATA)
    assert neutral["model"] == {
        "name": "model",
        "class": "Custom1Network",
        "config": {
            "hidden_size": 32,
            "image_size": [8, 16],
            "tie_word_embeddings": False,
            "dtype": "bfloat16",
            "transformers_version": "5.1.0",
            "text_config": {"num_key_value_heads": 2},
        },
    }
    assert [row["type"] for row in neutral["modules"]] == ["Custom1Network", "Linear"]
    assert [row["name"] for row in neutral["inputs"]] == ["input_ids", "input 2"]
    assert neutral["platform"] == "Linux"
    assert neutral["device"] == {"type": "cuda", "name": "NVIDIA H200", "count": 1, "cuda": "12.8"}
    assert neutral["options"] == {"dtype": "bf16", "device": "cuda:0", "warmup": 3}
    assert neutral["phases"] == [{"name": "prefill", "passes": 1, "module_flops": {"1": 12}}]
    assert neutral["something_new"] == {"deep": [5]}
    assert neutral["redacted"] is True
    for key in ("schema", "torch", "mode", "latencies_us", "telemetry", "used_without_call"):
        assert neutral[key] == METADATA[key]
    assert not re.search("ada|enigma|rotor", json.dumps(neutral), re.IGNORECASE)


def test_metadata_of_any_form() -> None:
    odd = {"model": 3, "modules": None, "inputs": "x", "device": [], "phases": {}, "platform": None}
    neutral = redacted_metadata(odd)
    assert neutral["model"] == {"name": "model", "class": None, "config": None}
    assert redacted_metadata({}) == {"redacted": True}


def test_texts_of_a_configuration_are_what_they_claim_to_be() -> None:
    config = {"dtype": "bfloat16", "torch_dtype": "enigma-int4", "transformers_version": "5.24.0.dev0"}
    nested = {"dtype": "/home/ada", "transformers_version": "enigma-fork-1"}
    neutral = redacted_metadata({"model": {"config": {**config, "encoder": nested}}})
    expected = {"dtype": "bfloat16", "transformers_version": "5.24.0.dev0", "encoder": {}}
    assert neutral["model"]["config"] == expected


def test_what_the_model_card_reads_is_kept() -> None:
    by_fact = (card_names.ALIASES, *card_names.SIDES.values(), *card_names.OWN_NAMES.values())
    names = [name for table in by_fact for of_fact in table.values() for name in of_fact]
    names += [*card_names.STAGE_SIZES, "depths", "mlp_ratio", "multi_query", "use_sliding_window"]
    config = {name: number for number, name in enumerate(dict.fromkeys(names), 1)}
    parts = (*card_names.MAIN_PARTS, *card_names.TOWERS, *card_names.GROUPS)
    nested = {part: dict(config) for part in parts}
    neutral = redacted_metadata({"model": {"config": {**config, **nested}}})
    assert neutral["model"]["config"] == {**config, **nested}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A capture from under a telling path, and the same redacted."""
    folder = tmp_path_factory.mktemp("x") / "home" / "ada-lovelace" / "enigma"
    folder.mkdir(parents=True)
    config = {**LLAMA, "_name_or_path": "ada-lovelace/enigma-7b", "id2label": {"0": "bletchley"}}
    (folder / "config.json").write_text(json.dumps(config))
    plain, redacted = folder / "plain.json.gz", folder / "enigma.json.gz"
    options = ["--device", "cpu", "--seq-len", "11", "--warmup", "1", "--passes", "2", "-o", str(plain)]
    assert main(["--config", str(folder / "config.json"), *options]) == 0
    # The key that the writer put at the head comes off again: what is left is torch's own export.
    text = gzip.decompress(plain.read_bytes()).decode()
    metadata, end = json.JSONDecoder().raw_decode(text, len('{"tracekit": '))
    exported = "{" + text[end:].lstrip().removeprefix(",")
    exported = re.sub(r'"host_name": "[^"]*",', "", exported)  # not every version of torch writes it
    exported = exported.replace("{", '{"host_name": "ada-box.bletchley.example",', 1)
    exported = exported.replace('"plain.json.gz"', json.dumps(str(plain)))
    write_trace(lambda path: Path(path).write_text(exported), metadata, redacted, redact=True)
    return plain, redacted


def test_a_redacted_capture_holds_none_of_the_names(pair: tuple[Path, Path]) -> None:
    plain, redacted = pair
    metadata = read_trace(plain).metadata
    content = gzip.decompress(redacted.read_bytes())
    types = {row["type"] for row in metadata["modules"]} - {"Linear", "Embedding", "ModuleList", "SiLU"}
    assert "LlamaDecoderLayer" in types
    assert b"enigma" in gzip.decompress(plain.read_bytes())
    telling = ["ada-", "lovelace", "enigma", "bletchley", "llama", "host_name", str(plain.parent), *types]
    for name in telling:
        assert name.lower().encode() not in content.lower()
    for name in {socket.gethostname(), Path.home().name}:
        assert len(name) < 4 or not re.search(rb"\b%s\b" % re.escape(name.encode()), content)


def test_a_redacted_capture_has_the_same_analysis(pair: tuple[Path, Path]) -> None:
    plain, redacted = (analyze(path) for path in pair)
    for part in ("accounting", "time", "flops", "device", "passes", "kernels"):
        assert getattr(plain, part) == getattr(redacted, part)
    # Places are named by paths.
    assert [msgspec.structs.replace(row, place=None) for row in plain.ops] == [
        msgspec.structs.replace(row, place=None) for row in redacted.ops
    ]
    assert plain.time.passes == 2
    assert plain.flops.matrix
    card, neutral_card = msgspec.structs.asdict(plain.model), msgspec.structs.asdict(redacted.model)
    assert (neutral_card.pop("name"), neutral_card.pop("class_")) == ("model", "Custom1Network")
    assert (card.pop("name"), card.pop("class_")) == ("enigma", "LlamaForCausalLM")
    # Stacks are named by their paths.
    rows, neutral_rows = card.pop("parameters_by_kind"), neutral_card.pop("parameters_by_kind")
    assert [row.stack for row in (*rows, *neutral_rows)] == ["model.layers", "model_1.stack_1"]
    assert [msgspec.structs.replace(row, stack="") for row in rows] == [
        msgspec.structs.replace(row, stack="") for row in neutral_rows
    ]
    assert card == neutral_card
    assert [(b.index, b.kind, b.matrix_flops) for b in plain.blocks] == [
        (b.index, b.kind, b.matrix_flops) for b in redacted.blocks
    ]
    assert len(plain.blocks) == 2
    assert [(m.calls, m.parameters, m.matrix_flops, m.cpu_time_us) for m in plain.modules] == [
        (m.calls, m.parameters, m.matrix_flops, m.cpu_time_us) for m in redacted.modules
    ]


def test_scopes_are_called_as_the_module_table_says(pair: tuple[Path, Path]) -> None:
    trace = read_trace(pair[1])
    rows = trace.metadata["modules"]
    assert trace.calls
    assert all(rows[int(scope.key)]["path"] == scope.rest for scope in trace.calls)
    assert [scope.rest for scope in trace.passes] == ["0", "1"]


@dataclass(frozen=True)
class Layout:
    """How torch lays out an event (category, name, arguments) and a label (kind, key, text)."""

    event: str
    label: str


LAYOUTS = {
    "torch 2.13": Layout(
        event="""
  {
    "ph": "X",
    "cat": "%s",
    "name": "%s",
    "pid": 1,
    "ts": 4637215272146.397,
    "dur": 0.001
    ,
    "args": {
      "External id": 1, %s"Ev Idx": 0
    }
  },""",
        label="""
  {
    "ph": "M",
    "name": "%s",
    "pid": 1,
    "tid": 0,
    "args": {
      "%s": "%s"
    }
  },""",
    ),
    "torch 2.11": Layout(
        event="""
  {
    "ph": "X", "cat": "%s", "name": "%s", "pid": 1, "tid": 1,
    "ts": 4637215272146.397, "dur": 0.001,
    "args": {
      "External id": 1,%s"Ev Idx": 0
    }
  },""",
        label="""
  {
    "name": "%s", "ph": "M", "ts": 4637215272146.397, "pid": 1, "tid": 0,
    "args": {
      "%s": "%s"
    }
  },""",
    ),
}
EVENT = LAYOUTS["torch 2.13"].event
in_every_layout = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)

TRACE = """ {
    "schemaVersion": 1,
    "deviceProperties": [{"id": 0, "name": "NVIDIA H200", "totalGlobalMem": 150754820096}],
    "distributedInfo": {"backend": "nccl", "rank": 1, "pg_config": [{"pg_desc": "enigma", "pg_size": 2}]},
      "host_name": "ada-box", "trace_id": "263DA0760D98402C80F1B42C36E57014", "mine": {"user": "ada"},
    "baseTimeNanoseconds": 1790857026000000001,
    "traceEvents": [
    %s
  {
    "name": "Record Window End", "ph": "i", "s": "g", "pid": "", "tid": "", "ts": 5.1
  }
  ],"INFO": ["INFO: opened /home/ada/x"],"traceName": "/home/ada/t.json" }"""


def neutral_names(layout: Layout, cases: list[tuple[str, str]], piece_bytes: int = 1 << 20) -> list[str]:
    """The names of such events after redaction, by category and name."""
    text = (TRACE % "".join(layout.event % (category, name, "") for category, name in cases)).encode()
    content = redacted(text, piece_bytes)
    return [event["name"] for event in content["traceEvents"][:-1]]


def redacted(text: bytes, piece_bytes: int = 1 << 20, **metadata: Any) -> dict[str, Any]:
    """The redacted trace, cut into pieces as the writer cuts: before a line's end."""
    lines = text.strip()[1:].split(b"\n")
    pieces, piece = [], b""
    for number, line in enumerate(lines):
        piece += b"\n" * (number > 0) + line
        if len(piece) >= piece_bytes:
            pieces.append(piece)
            piece = b""
    joined = b"".join(redacted_pieces([*pieces, piece], metadata, Pseudonyms()))
    content: dict[str, Any] = json.loads(b"{" + joined)
    return content


@in_every_layout
@pytest.mark.parametrize("piece_bytes", [1, 200, 1 << 20])
@pytest.mark.parametrize("category", ["user_annotation", "gpu_user_annotation"])
def test_regions(layout: Layout, category: str, piece_bytes: int) -> None:
    own = ["ProfilerStep#12", "Optimizer.step#AdamW.step", "nccl:all_reduce", "forward", "backward"]
    own += ["optimizer", "tracekit:forward:3", "DistributedDataParallel.forward"]
    own += ["nccl:_all_gather_base", "gloo:recv 0<-1", "nccl:coalesced", "nccl:barrier"]
    own += ["enumerate(DataLoader)#_SingleProcessDataLoaderIter.__next__", "Torch-Compiled Region: 0/0"]
    assert neutral_names(layout, [(category, name) for name in own], piece_bytes) == own
    users = ["enigma", "rotor {1}", r"say \"hi\"", "enigma", "forward enigma", "nccl:/home/ada/x"]
    users += ["nccl:enigma", "tracekit:enigma:1", "Optimizer.enigma#Adam.step", "FSDP::enigma (rotors.0)"]
    users += ["Optimizer.step#Enigma.step", "FSDP::pre_forward (rotors.0)"]
    expected = ["region 1", "region 2", "region 3", "region 1", "region 4", "region 5"]
    expected += ["region 6", "region 7", "region 8", "region 9"]
    expected += ["Optimizer.step#Custom.step", "FSDP::pre_forward"]
    assert neutral_names(layout, [(category, name) for name in users], piece_bytes) == expected


@in_every_layout
def test_frames(layout: Layout) -> None:
    frames = [
        ("nn.Module: Linear_3", "nn.Module: Linear_3"),
        ("nn.Module: EnigmaAttention_7", "nn.Module: Custom1Attention_7"),
        ("nn.Module: EnigmaAttention_8", "nn.Module: Custom1Attention_8"),
        ("torch/nn/functional.py(12): linear", "torch/nn/functional.py(12): linear"),
        ("/home/ada/enigma.py(12): f", "function 1"),
        ("<built-in method f of Enigma object at 0x7f2b238f9080>", "function 2"),
        ("<built-in method f of Enigma object at 0x7f2b238f9999>", "function 2"),
    ]
    assert neutral_names(layout, [("python_function", name) for name, _ in frames]) == [
        name for _, name in frames
    ]


@in_every_layout
def test_operators_and_kernels_stay(layout: Layout) -> None:
    names = ["aten::mm", "enigma::rotate", "triton_poi_fused_0", "void at::k<1>(int, ...)", "detach"]
    names += ["Torch-Compiled Region: 0/0", "AddmmBackward0", "EnigmaBackward"]
    names += ["autograd::engine::evaluate_function: AddmmBackward0"]
    cases = [(category, name) for category in ("cpu_op", "kernel", "cuda_runtime") for name in names]
    cases += [(category, name) for category in ("kernel", "cuda_runtime") for name in ("host", "a / b")]
    assert neutral_names(layout, cases) == [name for _, name in cases]


@in_every_layout
def test_ranges_among_the_operators_are_regions(layout: Layout) -> None:
    """torch's fast record function, and what TorchScript calls its functions."""
    cases = [("cpu_op", "enigma"), ("user_annotation", "enigma"), ("cpu_op", "turn the rotors")]
    assert neutral_names(layout, cases) == ["region 1", "region 1", "region 2"]
    (name,) = neutral_names(layout, [("cpu_op", "## Call CompiledFxGraph fab12c9 ##")])
    assert name == "## Call CompiledFxGraph (hash) ##"


@in_every_layout
@pytest.mark.parametrize(
    ("text", "neutral"),
    [
        ("/home/ada/My Rotors/x.py", "(path)"),
        ("/tmp/torchinductor_ada/k.py", "(path)"),
        (r"C:\\Users\\ada\\x.py", "(path)"),
        ("C:/Users/ada/x.py", "(path)"),
        ("~/enigma", "(path)"),
        ("~ada/enigma", "(path)"),
        ("../enigma", "(path)"),
        ("venv/lib/python3.12/site-packages/enigma/x.py", "(path)"),
        ("read file:///home/ada/x failed", "read (path)"),
        ("cannot open '/srv/enigma': gone", "cannot open '(path)"),
        (r"\\\\server\\enigma", "(path)"),
        ("ada-the-user was here", "(name) was here"),
        ("on ADA-HOST.", "on (name)."),
        ("XBLOCK=512", "XBLOCK=512"),
        ("[1, 2]", "[1, 2]"),
        ("0/0", "0/0"),
    ],
)
def test_paths_and_identities(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, text: str, neutral: str
) -> None:
    monkeypatch.setattr(redact_trace.platform, "node", lambda: "ada-host.example")
    monkeypatch.setattr(redact_trace.getpass, "getuser", lambda: "ada-the-user")
    event = layout.event % (
        "cpu_op",
        "aten::mm",
        f'"kernel_file": "{text}", "Input type": ["float", "{text}"], ',
    )
    found = redacted((TRACE % event).encode())["traceEvents"][0]["args"]
    assert found["kernel_file"] == neutral
    assert found["External id"] == 1


@in_every_layout
def test_a_user_called_as_a_type_changes_no_type(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redact_trace.getpass, "getuser", lambda: "float")
    event = layout.event % ("cpu_op", "aten::float", '"Input type": ["float"], "note": "float", ')
    (first, _) = redacted((TRACE % event).encode())["traceEvents"]
    assert first["name"] == "aten::float"
    assert first["args"]["Input type"] == ["float"]
    assert first["args"]["note"] == "(name)"


@in_every_layout
@pytest.mark.parametrize(
    ("kind", "label", "neutral"),
    [
        ("process_name", "python3.12", "python3.12"),
        ("process_name", "enigma_server", ""),
        ("process_labels", "CPU", "CPU"),
        ("process_labels", "GPU 3", "GPU 3"),
        ("process_labels", "ada-box", ""),
        ("thread_name", "thread 7 (python)", "thread 7 (python)"),
        ("thread_name", "thread 7 (pt_autograd_0)", "thread 7 (pt_autograd_0)"),
        ("thread_name", "thread 7 (enigma)", "thread 7"),
        ("thread_name", "stream 7 ", "stream 7 "),
    ],
)
def test_labels(layout: Layout, kind: str, label: str, neutral: str) -> None:
    key = "labels" if kind == "process_labels" else "name"
    (first, _) = redacted((TRACE % (layout.label % (kind, key, label))).encode())["traceEvents"]
    assert first["args"][key] == neutral


@pytest.mark.parametrize("piece_bytes", [1, 1 << 20])
def test_what_stands_around_the_events(piece_bytes: int) -> None:
    content = redacted((TRACE % (EVENT % ("cpu_op", "aten::mm", ""))).encode(), piece_bytes)
    events = content.pop("traceEvents")
    assert (events[0]["ts"], events[0]["dur"]) == (4637215272146.397, 0.001)
    assert content == {
        "schemaVersion": 1,
        "deviceProperties": [{"id": 0, "name": "NVIDIA H200", "totalGlobalMem": 150754820096}],
        "distributedInfo": {"backend": "nccl", "rank": 1, "pg_config": [{"pg_desc": "", "pg_size": 2}]},
        "baseTimeNanoseconds": 1790857026000000001,
        "traceName": "/home/ada/t.json",  # which the writer replaces
    }


def test_the_writer_names_the_trace_neutrally(tmp_path: Path) -> None:
    path = tmp_path / "enigma.json.gz"
    write_trace(lambda to: Path(to).write_text(TRACE % ""), METADATA, path, redact=True)
    content = json.loads(gzip.decompress(path.read_bytes()))
    assert content["traceName"] == "trace.json.gz"
    assert next(iter(content)) == "tracekit"
    assert not re.search("ada|enigma", json.dumps(content), re.IGNORECASE)


def test_scopes_of_a_capture_whose_metadata_is_redacted_already() -> None:
    text = TRACE % (EVENT % ("cpu_op", "tracekit:1:rotors", "") + EVENT % ("cpu_op", "tracekit:9:rotors", ""))
    content = redacted(text.encode(), modules=[{"index": 1, "path": "module_1"}])
    names = [event["name"] for event in content["traceEvents"][:2]]
    assert names == ["tracekit:1:module_1", "tracekit:9:"]


def test_what_is_laid_out_otherwise_is_refused() -> None:
    compact = json.dumps(json.loads(TRACE % ""))
    with pytest.raises(CaptureError, match="cannot be redacted"):
        redacted(compact.encode())


def test_memory_does_not_grow_with_the_trace() -> None:
    one = (EVENT % ("cpu_op", "aten::mm", '"kernel_file": "/home/ada/x", ')).encode() * 1000
    start, end = (TRACE % "\0").encode().strip()[1:].split(b"\0")

    def pieces() -> Iterator[bytes]:
        yield start
        for _ in range(40):
            yield one
        yield end

    tracemalloc.start()
    length = sum(map(len, redacted_pieces(pieces(), {}, Pseudonyms())))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert length > 30 * len(one) * 0.8
    assert peak < 8 * len(one)


def test_names_are_told_apart_by_the_same_patterns_as_blocks() -> None:
    """Neither side may import the other, so the patterns stand twice."""
    from tracekit.attribution import blocks
    from tracekit.capture import redact

    for ours, theirs in ((redact._PARTS, blocks._PARTS), (redact._STACK_WORDS, blocks._STACK_ROLES)):
        assert [pattern.pattern for _, pattern in ours] == [pattern.pattern for _, pattern in theirs]
    assert redact._NORM.pattern == blocks._NORM.pattern
