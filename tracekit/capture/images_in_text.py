"""Inputs for models that read images between the tokens of a text (LLaVA, Gemma 3, Qwen2-VL, …).

An image takes as many tokens as its features have rows. That number depends on the model's own arithmetic
(poolings, mergers, tilings), so the vision tower is run once and its rows are counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from tracekit.capture.config_parts import (
    channels,
    image_size,
    image_token,
    pair,
    vision_config,
)
from tracekit.capture.inputs import Draw, MadeUp, forward_parameters
from tracekit.capture.workload import moved

Tensors = dict[str, torch.Tensor]


def images_in_text_inputs(
    model: Any, batch_size: int, sequence_length: int, device: torch.device, dtype: torch.dtype
) -> MadeUp | None:
    """One image per sequence, before `sequence_length` tokens of text, on the CPU.

    None where the model does not read images between tokens, or where none of the forms in which such
    models take images suits it.
    """
    parameters = forward_parameters(model)
    token = image_token(model.config)
    if token is None or not {"input_ids", "pixel_values"} <= parameters.keys():
        return None
    for images in _images(model.config, batch_size, frozenset(parameters)):
        rows = _feature_rows(model, moved(images, device, dtype))
        if rows and rows % batch_size == 0:
            ids, is_image = _ids(model.config, token, rows // batch_size, batch_size, sequence_length)
            marks = {
                name: is_image.long()
                for name in ("mm_token_type_ids", "token_type_ids")
                if name in parameters
            }
            note = f"a sequence has {ids.shape[1]} tokens, {rows // batch_size} of them for an image"
            return MadeUp({"input_ids": ids, **images, **marks}, ids.shape[1], (note,))
    return None


def _images(config: Any, batch_size: int, parameters: frozenset[str]) -> Iterator[Tensors]:
    """The forms in which models of this kind take their images, the most particular ones first."""
    draw, vision = Draw(), vision_config(config)
    height, width = image_size(config)
    size = (channels(vision), height, width)
    if "image_grid_thw" in parameters:
        # Patches of all images in one list, and how many of them an image has along time, height and width.
        patch, merge = pair(vision.patch_size)[0], int(getattr(vision, "spatial_merge_size", 1))
        rows, columns = (max(merge, side // patch // merge * merge) for side in (height, width))
        frames = int(getattr(vision, "temporal_patch_size", 1))
        numbers = size[0] * frames * patch * patch
        yield {
            "pixel_values": draw.noise(batch_size * rows * columns, numbers),
            "image_grid_thw": torch.tensor([[1, rows, columns]] * batch_size),
        }
        return
    pinpoints = getattr(config, "image_grid_pinpoints", None)
    if pinpoints and "image_sizes" in parameters:
        # An image that fits a grid of tiles, and the whole image as one tile more.
        tall, wide = pinpoints[0]
        tiles = (tall // height) * (wide // width) + 1
        yield {
            "pixel_values": draw.noise(batch_size, tiles, *size),
            "image_sizes": torch.tensor([[tall, wide]] * batch_size),
        }
    if "image_sizes" in parameters:
        yield {
            "pixel_values": draw.noise(batch_size, *size),
            "image_sizes": torch.tensor([[height, width]] * batch_size),
        }
    yield {"pixel_values": draw.noise(batch_size, *size)}
    yield {"pixel_values": draw.noise(batch_size, 1, *size)}  # one image of several that there might be


def _feature_rows(model: Any, images: Tensors) -> int | None:
    """How many tokens the features of all images replace; None if the model does not take such images."""
    try:
        with torch.no_grad():  # inference mode would spoil what the model caches for a training pass
            features = model.get_image_features(**images)
    except Exception:  # a form that does not suit fails in as many ways as there are models
        return None
    return _rows(getattr(features, "pooler_output", features))


def _rows(features: Any) -> int | None:
    if isinstance(features, torch.Tensor) and features.ndim >= 2:
        return int(features.numel() // features.shape[-1])
    if isinstance(features, list | tuple) and features:
        counts = [_rows(part) for part in features]
        return None if None in counts else sum(count for count in counts if count is not None)
    return None


def _ids(
    config: Any, token: int, image_tokens: int, batch_size: int, sequence_length: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and where in them the image stands: between the marks of its start and end, if there are."""
    start, end = (
        [mark] if isinstance(mark := getattr(config, f"vision_{side}_token_id", None), int) else []
        for side in ("start", "end")
    )
    image = torch.tensor([*start, *[token] * image_tokens, *end]).expand(batch_size, -1)
    text = Draw().tokens(config, batch_size, sequence_length)
    ids = torch.cat([image, text], dim=1)
    return ids, ids == token
