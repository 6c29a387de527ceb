"""The module table against the model and against sums done by hand; JSON of values that JSON lacks."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

from tracekit.capture.metadata import module_table, plain_json

from .traces import Trace

SAMPLES = Path(__file__).parents[2] / "sample_traces" / "configs"


def test_every_key_is_documented(captured: dict[str, Trace]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "capture_metadata.md").read_text()
    first_cells = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    documented = [key.strip(" `") for cell in first_cells for key in cell.split(",")]
    assert sorted(documented) == sorted(captured["llama"].metadata)


@pytest.mark.parametrize("name", ["llama", "nemotron_h"])
def test_table_is_that_of_the_model(captured: dict[str, Trace], configs: Path, name: str) -> None:
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(configs / f"{name}.json"))
    table = captured[name].metadata["modules"]
    assert [row["index"] for row in table] == list(range(len(table)))
    assert [(row["path"], row["type"]) for row in table] == [
        (path, type(module).__name__) for path, module in model.named_modules()
    ]
    assert table[0]["parameters"] == sum(p.numel() for p in model.parameters())
    assert sum(row["own_parameters"] for row in table) == table[0]["parameters"]  # nothing is tied here


def test_parameters_of_a_llama_by_hand(captured: dict[str, Trace]) -> None:
    hidden, ffn, kv, vocabulary = 32, 48, 2 * 8, 100
    mlp = 3 * hidden * ffn
    layer = 2 * hidden * hidden + 2 * hidden * kv + mlp + 2 * hidden
    rows = {row["path"]: row for row in captured["llama"].metadata["modules"]}
    assert rows[""]["parameters"] == 2 * layer + 2 * vocabulary * hidden + hidden
    assert rows["model.layers.1"]["parameters"] == layer
    assert rows["model.layers.0.mlp"]["parameters"] == mlp
    assert rows["model.layers.0.mlp"]["own_parameters"] == 0
    assert rows["model.layers.0.mlp"]["dtype"] == "float32"
    assert rows["model.layers.0.mlp.act_fn"]["dtype"] is None


def test_the_predecessors_model_has_its_parameters() -> None:
    config = AutoConfig.from_pretrained(SAMPLES / "nemotron_nano_9b_v2.json")
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    rows = {row["path"]: row for row in module_table(list(model.named_modules()))}
    assert rows[""]["type"] == "NemotronHForCausalLM"
    assert rows[""]["parameters"] == 8_888_227_328
    assert rows[""]["dtype"] == "bfloat16"
    blocks = [rows[f"model.layers.{index}"]["parameters"] for index in range(56)]
    assert [blocks.count(n) for n in (147_450_624, 140_497_280, 55_054_720)] == [27, 25, 4]
    assert [index for index in range(56) if blocks[index] == 55_054_720] == [14, 21, 30, 39]


def test_a_shared_parameter_counts_once_within_each_module_that_has_it() -> None:
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    model[1].weight = model[0].weight
    assert [
        (row["parameters"], row["own_parameters"]) for row in module_table(list(model.named_modules()))
    ] == [
        (9, 0),
        (9, 9),
        (9, 9),
    ]


def test_dtype_is_that_of_most_of_a_modules_own_parameters() -> None:
    model = nn.Sequential(nn.Linear(2, 2).half(), nn.Linear(2, 3))
    model[0].scale = nn.Parameter(torch.ones(1))
    assert [row["dtype"] for row in module_table(list(model.named_modules()))] == [
        "float32",
        "float16",
        "float32",
    ]


def test_what_json_lacks() -> None:
    odd = {1: (math.inf, -math.inf, math.nan), "dtype": torch.bfloat16, "path": Path("a/b"), "half": "\udc80"}
    assert json.loads(json.dumps(plain_json(odd), allow_nan=False)) == {
        "1": [{"__float__": "Infinity"}, {"__float__": "-Infinity"}, {"__float__": "NaN"}],
        "dtype": "bfloat16",
        "path": "a/b",
        "half": "?",
    }
    kept = {"a": [True, None, 2**60, 1e-5, 'é"\\']}
    assert plain_json(kept) == kept
