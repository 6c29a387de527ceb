"""Placement: a model spread over several devices, as `--device-map` asks, and where its inputs go then."""

from __future__ import annotations

import importlib.util
import json
from typing import Any

import torch
from torch import nn

from tracekit.capture.errors import CaptureError, failures_named

DeviceMap = str | dict[str, int | str]

_STRATEGIES = ("auto", "balanced", "balanced_low_0", "sequential")


def parsed_device_map(text: str) -> DeviceMap:
    """A strategy's name, or a JSON object from the paths of modules to devices.

    Raises:
        CaptureError: it is neither, or accelerate is missing.
    """
    require_accelerate("--device-map")
    if text in _STRATEGIES:
        return text
    try:
        device_map = json.loads(text)
    except ValueError:
        device_map = None
    if not isinstance(device_map, dict) or not all(type(v) in (int, str) for v in device_map.values()):
        raise CaptureError(
            f"--device-map {text}: must be {', '.join(_STRATEGIES)} or JSON like "
            '{"model.embed_tokens": 0, "model.layers": 1}'
        )
    return device_map


def require_accelerate(option: str) -> None:
    """Raises CaptureError where accelerate, which `option` needs, is not installed."""
    if importlib.util.find_spec("accelerate") is None:
        raise CaptureError(f"{option} needs accelerate (pip install accelerate)")


def dispatched(model: Any, device_map: DeviceMap, *, force_hooks: bool = False) -> Any:
    """`model`, with its weights on the CPU, spread over the devices; accelerate's hooks move what passes.

    A model that ends up on one device gets no hooks unless `force_hooks` says so.

    Raises:
        CaptureError: a device that is not there, a module that is not placed, not enough memory.
    """
    import accelerate

    with failures_named(f"spreading {type(model).__name__} over devices"):
        places = _inferred(model, device_map) if isinstance(device_map, str) else device_map
        return accelerate.dispatch_model(
            model,
            device_map=places,
            skip_keys=getattr(model, "_skip_keys_device_placement", None),
            force_hooks=force_hooks,
        )


def _inferred(model: Any, strategy: str) -> dict[str, int | str]:
    from accelerate import infer_auto_device_map
    from accelerate.utils import get_balanced_memory

    whole = getattr(model, "_no_split_modules", None) or ()
    names = [name for name in whole if isinstance(name, str)]
    memory = None
    if strategy != "sequential":
        memory = get_balanced_memory(
            model, no_split_module_classes=names, low_zero=strategy == "balanced_low_0"
        )
    places: dict[str, int | str] = infer_auto_device_map(
        model, max_memory=memory, no_split_module_classes=names
    )
    return places


def is_spread(model: nn.Module) -> bool:
    """Whether accelerate's hooks move data between the devices of this model, which must stay as it is."""
    places = getattr(model, "hf_device_map", None)
    return isinstance(places, dict) and len(set(places.values())) > 1


def input_device(model: nn.Module, default: torch.device) -> torch.device:
    """Where a spread model's inputs go: to its input embeddings, or to what runs first.

    Weights that are kept elsewhere until they are used (offloaded) have no device of their own to ask.
    """
    try:
        embeddings = model.get_input_embeddings()
        weights = list(embeddings.parameters())
    except (AttributeError, NotImplementedError):
        weights = list(model.parameters())
    return next((weight.device for weight in weights if weight.device.type != "meta"), default)
