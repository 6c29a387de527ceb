"""Workload: a model on its device together with what one pass of it is fed.

Knows neither where the model came from nor what is done with its passes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from tracekit.capture.labels import training_labels


@dataclass(frozen=True)
class Workload:
    """A model and the inputs of one pass.

    `args` and `inputs` are the positional and the keyword inputs: tensors, or nests of them; `settings` are
    keyword arguments without tensors. `device` is where inputs go, `dtype` that of floating-point inputs.
    `batch_size` and `sequence_length` (tokens, or positions where there are no tokens) are None where they
    are not known. `notes` are sentences that the reader of the capture has to know.
    """

    model: nn.Module
    name: str
    args: tuple[object, ...]
    inputs: dict[str, object]
    settings: dict[str, object]
    dtype: torch.dtype
    device: torch.device
    batch_size: int | None
    sequence_length: int | None
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Class and size, and a limit that is overstepped, which explains most failures of a forward."""
        name = type(self.model).__name__
        if self.batch_size is None:
            return f"{name} on the inputs it was given"
        if self.sequence_length is None:
            return f"{name} on a batch of {self.batch_size}"
        config = getattr(self.model, "config", None)
        positions = getattr(config, "max_position_embeddings", None)
        positions = getattr(config, "max_target_positions", None) if positions is None else positions
        is_beyond = isinstance(positions, int) and 0 < positions < self.sequence_length
        limit = f" (made for {positions} positions)" if is_beyond else ""
        unit = "tokens" if {"input_ids", "decoder_input_ids"} & self.inputs.keys() else "positions"
        return f"{name} on {self.batch_size} × {self.sequence_length} {unit}{limit}"

    def run(self) -> object:
        """One forward pass; a causal language model returns logits for every position."""
        return self.model(*self.args, **self.inputs, **self.settings)

    def labels(self) -> dict[str, torch.Tensor]:
        """Keyword inputs with which the model's class computes a loss; empty where it computes none."""
        return training_labels(self.model, self.inputs)


def moved(value: Any, device: torch.device, dtype: torch.dtype | None) -> Any:
    """`value` with every tensor in it on `device`, and floating-point ones in `dtype` unless that is None.

    Looks into mappings, lists and tuples; an object of another kind is moved if it has a `to` of its own,
    as batches of many libraries have.
    """
    if isinstance(value, torch.Tensor):
        return value.to(device, dtype) if dtype and value.is_floating_point() else value.to(device)
    if isinstance(value, Mapping):
        return {key: moved(inner, device, dtype) for key, inner in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(moved(inner, device, dtype) for inner in value))
    if isinstance(value, list | tuple):
        return type(value)(moved(inner, device, dtype) for inner in value)
    return value.to(device) if callable(getattr(value, "to", None)) else value


def sizes_of(args: tuple[object, ...], inputs: Mapping[str, object]) -> tuple[int | None, int | None]:
    """Batch size and sequence length where the inputs leave no doubt about them, else None.

    Token ids and embeddings show both. Of images and audio the first dimension is the batch, unless the
    images come as one list of patches with a table of their places beside it.
    """
    first = args[0] if args else None
    if isinstance(first, torch.Tensor) and first.ndim == 2 and first.dtype in (torch.int64, torch.int32):
        return first.shape[0], first.shape[1]
    for name, dimensions in (("input_ids", 2), ("inputs_embeds", 3), ("decoder_input_ids", 2)):
        tensor = inputs.get(name)
        if isinstance(tensor, torch.Tensor) and tensor.ndim == dimensions:
            return tensor.shape[0], tensor.shape[1]
    for name in ("pixel_values", "input_features", "input_values"):
        tensor = inputs.get(name)
        if isinstance(tensor, torch.Tensor) and tensor.ndim >= 2 and "image_grid_thw" not in inputs:
            return tensor.shape[0], None
    return None, None
