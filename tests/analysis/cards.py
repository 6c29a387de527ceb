"""The card of a model that never ran: its configuration, module table and scopes, as capture writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn

from tests.builder import TraceBuilder
from tests.capture.tiny import MODELS
from tracekit.analysis import analyze
from tracekit.analysis.schema import Model
from tracekit.capture.metadata import module_table, plain_json


def default_config(model_type: str, **changes: Any) -> Any:
    """The configuration class's own defaults."""
    return transformers.CONFIG_MAPPING[model_type](**changes)


def tiny_config(name: str) -> Any:
    values = dict(MODELS[name])
    return transformers.CONFIG_MAPPING[values.pop("model_type")](**values)


def built(config: Any) -> nn.Module:
    """The model without weights."""
    names = config.architectures or []
    factory = getattr(transformers, names[0])._from_config if names else transformers.AutoModel.from_config
    with torch.device("meta"):
        model: nn.Module = factory(config)
    return model


def card(config: Any, model: nn.Module, path: Path, **changes: Any) -> Model:
    """What the report says of `model`, every module of which is called once, in a trace without ops."""
    builder = TraceBuilder()
    builder.metadata["tracekit"] = {
        "model": {"name": "m", "class": type(model).__name__, "config": plain_json(config.to_dict())},
        "modules": module_table(list(model.named_modules())),
        **changes,
    }
    index = {module: number for number, module in enumerate(model.modules())}
    clock = 0

    def visit(module: nn.Module, name: str) -> None:
        nonlocal clock
        clock += 1
        start = clock
        for child_name, child in module.named_children():
            visit(child, f"{name}.{child_name}" if name else child_name)
        clock += 1
        if not isinstance(module, nn.ModuleList | nn.ModuleDict):  # these have no forward
            builder.scope(index[module], name, start, clock)

    visit(model, "")
    return analyze(builder.write(path / "t.json")).model


def basics(model: Model) -> tuple[Any, ...]:
    """Hidden size, FFN, heads, K/V heads, head size, type of attention."""
    return (
        model.hidden_size,
        model.intermediate_size,
        model.num_attention_heads,
        model.num_key_value_heads,
        model.head_dim,
        model.attention_type,
    )
