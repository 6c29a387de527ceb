"""Metadata: what a trace cannot know about its model, as plain JSON values, schema `tracekit.capture/1`."""

from __future__ import annotations

import importlib.metadata
import math
import platform
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from tracekit import __version__
from tracekit.capture.counting import Counts
from tracekit.capture.errors import one_line
from tracekit.capture.scopes import Scoped

SCHEMA = "tracekit.capture/1"


def describe(
    model: nn.Module,
    *,
    name: str,
    mode: str,
    device: torch.device,
    phases: Sequence[Mapping[str, object]],
    scoped: Scoped,
    inputs: Sequence[Mapping[str, object]] = (),
    dtype: torch.dtype | None = None,
    batch_size: int | None = None,
    sequence_length: int | None = None,
    pass_phases: Sequence[str] = (),
    step_latencies_us: Sequence[float] = (),
    counts: Counts | None = None,
    memory: Mapping[str, int | None] | None = None,
    module_memory: Mapping[int, Mapping[str, int]] | None = None,
    telemetry: Mapping[str, object] | None = None,
    warmup: int,
    steps: int | None = None,
    options: Mapping[str, object],
    cuda_graph: bool = False,
    error: str | None = None,
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """Everything that goes under the trace's `tracekit` key.

    `phases` are made by `phase_row`; `dtype` None: that of most of the model's parameters. `steps`: how
    many `ProfilerStep` ranges are whole; None where all are.
    """
    rows = module_table(scoped.modules)
    config, problem = _configuration(model)
    notes = [*notes, *([problem] if problem else [])]
    if [module for _, module in scoped.modules] != list(model.modules()):
        notes.append("modules were added, removed or replaced meanwhile: the table is that of the beginning")
    metadata = {
        "schema": SCHEMA,
        **software(),
        "model": {
            "name": name,
            "class": type(model).__name__,
            "config": config,
        },
        "modules": rows,
        "inputs": list(inputs),
        "mode": mode,
        "dtype": rows[0]["dtype"] if dtype is None else dtype_name(dtype),
        "device": device_description(device),
        "batch_size": batch_size,
        "sequence_length": sequence_length,
        "latencies_us": phases[0]["latencies_us"] if len(phases) == 1 else [],
        "step_latencies_us": list(step_latencies_us),
        "phases": list(phases),
        "pass_phases": list(pass_phases),
        "warmup": warmup,
        "passes": len(pass_phases) or None,
        "steps": steps,
        "memory": dict(memory or {}),
        "module_memory": None
        if module_memory is None
        else {str(index): dict(row) for index, row in sorted(module_memory.items())},
        "telemetry": dict(telemetry or {}),
        "not_called": list(scoped.not_called),
        "used_without_call": [
            {"module": module, "by": by}
            for module, by in sorted((counts.used_without_call if counts else {}).items())
        ],
        "compiled": list(scoped.compiled),
        "cuda_graph": cuda_graph,
        "error": error,
        "redacted": False,
        "notes": list(notes),
        "options": dict(options),
    }
    plain: dict[str, Any] = plain_json(metadata)
    return plain


def phase_row(
    name: str,
    *,
    latencies_us: Sequence[float],
    flops: Mapping[int, int] | None,
    passes: int | None = None,
    tokens: int | None = None,
    cache_length: int | None = None,
) -> dict[str, Any]:
    """One entry of `phases`: what its passes have in common, and what one of them takes.

    `passes`: how many are recorded. `tokens`: new ones per sequence in a pass, `cache_length`: those in the
    cache before it. `flops`: matrix FLOPs of a pass by module index, with children.
    """
    return {
        "name": name,
        "passes": passes,
        "tokens": tokens,
        "cache_length": cache_length,
        "latencies_us": list(latencies_us),
        "matrix_flops": None if flops is None else flops.get(0),
        "module_flops": None if flops is None else {str(i): n for i, n in sorted(flops.items())},
    }


def input_rows(args: Sequence[object], inputs: Mapping[str, object]) -> list[dict[str, Any]]:
    """Name, shape and dtype of every tensor that a pass is fed; positional ones are named by their place."""
    rows: list[dict[str, Any]] = []

    def add(name: str, value: object) -> None:
        if isinstance(value, torch.Tensor):
            rows.append({"name": name, "shape": list(value.shape), "dtype": dtype_name(value.dtype)})
        elif isinstance(value, Mapping):
            for key, inner in value.items():
                add(f"{name}.{key}" if name else str(key), inner)
        elif isinstance(value, list | tuple):
            for place, inner in enumerate(value):
                add(f"{name}.{place}" if name else str(place), inner)

    add("", args)
    add("", inputs)
    return rows


def _configuration(model: nn.Module) -> tuple[dict[str, Any] | None, str | None]:
    """The model's configuration in types that JSON has, else None and what is wrong with it, if anything."""
    try:
        config: Any = getattr(model, "config", None)
        plain: Any = plain_json(config.to_dict()) if hasattr(config, "to_dict") else None
    except Exception as error:  # it is the user's own code
        return None, f"the configuration is left out: {type(error).__name__}: {one_line(str(error))}"
    return (plain, None) if isinstance(plain, dict) else (None, None)


def module_table(modules: Sequence[tuple[str, nn.Module]]) -> list[dict[str, Any]]:
    """One row per module, in the order and under the paths of `model.named_modules()`, which `modules` is.

    `parameters` counts a module's own and its children's, a parameter that is shared among them once;
    `own_parameters` only what hangs on the module itself. `dtype` is that of most of the parameters that
    the module holds itself or, if it holds none, of those in its children; None without any.
    """
    rows = []
    for index, (path, module) in enumerate(modules):
        own = list({id(p): p for p in module.parameters(recurse=False)}.values())
        every = list(module.parameters())
        rows.append(
            {
                "index": index,
                "path": path,
                "type": type(module).__name__,
                "parameters": sum(map(_size, every)),
                "own_parameters": sum(map(_size, own)),
                "dtype": _dominant_dtype(own or every),
            }
        )
    return rows


def _size(parameter: nn.Parameter) -> int:
    return 0 if is_lazy(parameter) else parameter.numel()


def _dominant_dtype(parameters: Sequence[nn.Parameter]) -> str | None:
    elements: Counter[torch.dtype] = Counter()
    for parameter in parameters:
        elements[parameter.dtype] += _size(parameter)
    return dtype_name(elements.most_common(1)[0][0]) if elements else None


# What a pass may run, besides torch itself: the distributions whose versions tell two captures apart.
_LIBRARIES = (
    "accelerate",
    "apex",
    "bitsandbytes",
    "causal-conv1d",
    "deepspeed",
    "fla-core",
    "flash-attn",
    "flash-linear-attention",
    "flashinfer-python",
    "kernels",
    "mamba-ssm",
    "peft",
    "pytorch-triton-rocm",
    "safetensors",
    "torchao",
    "torchvision",
    "transformer-engine",
    "triton",
    "xformers",
)


def software() -> dict[str, Any]:
    """Versions of what ran or may have run, without importing what has not been imported anyway."""
    transformers = sys.modules.get("transformers")
    return {
        "tracekit": __version__,
        "torch": torch.__version__,
        "transformers": getattr(transformers, "__version__", None),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "libraries": {name: version for name in _LIBRARIES if (version := _version(name)) is not None},
        "cudnn": torch.backends.cudnn.version() if torch.cuda.is_available() else None,
    }


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


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
