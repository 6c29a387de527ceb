"""Metadata: what a trace cannot know about its model, as plain JSON values, schema `tracekit.capture/1`."""

from __future__ import annotations

import math
import platform
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tracekit import __version__

SCHEMA = "tracekit.capture/1"


def forward_metadata(
    model: nn.Module,
    *,
    name: str,
    inputs: Mapping[str, torch.Tensor],
    dtype: torch.dtype,
    device: torch.device,
    batch_size: int,
    sequence_length: int,
    latencies_us: Sequence[float],
    warmup: int,
    passes: int,
    options: Mapping[str, object],
) -> dict[str, Any]:
    """Everything that goes under the trace's `tracekit` key for a capture of plain forward passes."""
    config: Any = getattr(model, "config", None)
    metadata = {
        "schema": SCHEMA,
        **software(),
        "model": {
            "name": name,
            "class": type(model).__name__,
            "config": config.to_dict() if hasattr(config, "to_dict") else None,
        },
        "modules": module_table(model),
        "inputs": [
            {"name": key, "shape": list(tensor.shape), "dtype": dtype_name(tensor.dtype)}
            for key, tensor in inputs.items()
        ],
        "mode": "forward",
        "dtype": dtype_name(dtype),
        "device": device_description(device),
        "batch_size": batch_size,
        "sequence_length": sequence_length,
        "latencies_us": list(latencies_us),
        "warmup": warmup,
        "passes": passes,
        "options": dict(options),
    }
    plain: dict[str, Any] = plain_json(metadata)
    return plain


def module_table(model: nn.Module) -> list[dict[str, Any]]:
    """One row per module, in the order and under the paths of `model.named_modules()`.

    `parameters` counts a module's own and its children's, a parameter that is shared among them once;
    `own_parameters` only what hangs on the module itself. `dtype` is that of most of the parameters that
    the module holds itself or, if it holds none, of those in its children; None without any.
    """
    rows = []
    for index, (path, module) in enumerate(model.named_modules()):
        own = list({id(p): p for p in module.parameters(recurse=False)}.values())
        every = list(module.parameters())
        rows.append(
            {
                "index": index,
                "path": path,
                "type": type(module).__name__,
                "parameters": sum(p.numel() for p in every),
                "own_parameters": sum(p.numel() for p in own),
                "dtype": _dominant_dtype(own or every),
            }
        )
    return rows


def _dominant_dtype(parameters: Sequence[nn.Parameter]) -> str | None:
    elements: Counter[torch.dtype] = Counter()
    for parameter in parameters:
        elements[parameter.dtype] += parameter.numel()
    return dtype_name(elements.most_common(1)[0][0]) if elements else None


def software() -> dict[str, str | None]:
    """Versions of what ran, without importing what has not been imported anyway."""
    transformers = sys.modules.get("transformers")
    return {
        "tracekit": __version__,
        "torch": torch.__version__,
        "transformers": getattr(transformers, "__version__", None),
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


def device_description(device: torch.device) -> dict[str, Any]:
    """The device as torch sees it; `count` is how many of its type the process could use.

    `type` is torch's (`cuda` on ROCm too); the versions in `cuda` and `hip` tell the two apart.
    """
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return {
            "type": "cuda",
            "name": properties.name,
            "count": torch.cuda.device_count(),
            "index": torch.cuda.current_device() if device.index is None else device.index,
            "memory_bytes": properties.total_memory,
            "cuda": torch.version.cuda,
            "hip": torch.version.hip,
        }
    return {"type": device.type, "name": _cpu_name(), "count": 1, "threads": torch.get_num_threads()}


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def dtype_name(dtype: torch.dtype) -> str:
    """`bfloat16` for `torch.bfloat16`."""
    return str(dtype).removeprefix("torch.")


def plain_json(value: object) -> Any:
    """`value` in types that JSON has, so that no configuration can make the trace invalid.

    Infinities and NaN, which JSON lacks and configurations hold, become `{"__float__": "Infinity"}`, as
    transformers writes them.
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return {"__float__": "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"}
    if isinstance(value, Mapping):
        return {_valid_text(str(key)): plain_json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain_json(inner) for inner in value]
    if isinstance(value, torch.dtype):
        return dtype_name(value)
    return _valid_text(str(value))


def _valid_text(text: str) -> str:
    # Half of a surrogate pair (a file name that is not UTF-8) has no encoding that a reader would accept.
    return text.encode("utf-8", "replace").decode("utf-8")
