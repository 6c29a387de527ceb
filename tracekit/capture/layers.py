"""Layers: shorten a transformers configuration, so that a large model can be captured in part.

Every stack (an encoder, a decoder, a text or vision part) keeps its first layers. What a configuration
holds per layer (kinds of layers, indices of layers) is shortened along with their number.
"""

from __future__ import annotations

from typing import Any

from tracekit.capture.config_parts import parts
from tracekit.capture.errors import CaptureError

_COUNTS = (
    "num_hidden_layers",
    "num_layers",
    "encoder_layers",
    "decoder_layers",
    "num_encoder_layers",
    "num_decoder_layers",
    "depth",
)
# What lists with an entry per layer, or of layers, have in their names.
_PER_LAYER = ("layer", "block", "pattern", "idxs", "indices", "indexes")
_OTHER_STACKS = ("mtp_", "feat_extract", "adapter_")  # lists of stacks that are not shortened


def shortened(config: Any, num_layers: int) -> Any:
    """`config`, changed in place, with at most `num_layers` layers in each of its stacks.

    Raises:
        CaptureError: it has fewer layers, or stages instead of layers.
    """
    configs = _with_parts(config)
    counts = {id(part): _counts(part) for part in configs}
    longest = max((count for of_part in counts.values() for count in of_part.values()), default=None)
    if longest is None:
        raise CaptureError(
            f"--num-layers {num_layers}: {type(config).__name__} has no number of layers to change"
        )
    if num_layers > longest:
        raise CaptureError(f"--num-layers {num_layers}: {type(config).__name__} has {longest} layers")
    for part in configs:
        of_part = counts[id(part)]
        if of_part:
            _shorten_lists(part, set(of_part.values()), num_layers)
        for name, count in of_part.items():
            setattr(part, name, min(count, num_layers))
    return config


def _with_parts(config: Any) -> list[Any]:
    return [config, *(inner for part in parts(config) for inner in _with_parts(part))]


def _counts(config: Any) -> dict[str, int]:
    """The layers of each stack that this configuration itself describes; none for one in stages."""
    if isinstance(getattr(config, "depths", None), list | tuple):
        return {}
    found = {name: getattr(config, name, None) for name in _COUNTS}
    counts = {name: count for name, count in found.items() if isinstance(count, int) and count > 0}
    # Composite configurations answer for their text part, which is a part of its own.
    return {name: count for name, count in counts.items() if name in _own_names(config)}


def _own_names(config: Any) -> set[str]:
    aliases = dict(getattr(config, "attribute_map", {}))
    properties = {name for name in dir(type(config)) if isinstance(getattr(type(config), name), property)}
    own = set(vars(config)) | properties
    return own | {alias for alias, name in aliases.items() if name in own}


def _shorten_lists(config: Any, counts: set[int], num_layers: int) -> None:
    for name, value in list(vars(config).items()):
        is_per_layer = any(word in name for word in _PER_LAYER) and not name.startswith(_OTHER_STACKS)
        if not is_per_layer or not isinstance(value, list | tuple | str):
            continue
        if len(value) in counts:
            setattr(config, name, value[:num_layers])
        elif not isinstance(value, str) and _are_indices(value, max(counts)):
            setattr(config, name, type(value)(index for index in value if index < num_layers))


def _are_indices(value: Any, count: int) -> bool:
    """Whether these are numbers of layers, each once."""
    if not all(type(index) is int for index in value):
        return False
    return len(set(value)) == len(value) and all(0 <= index < count for index in value)
