"""Config parts: where in a transformers configuration a figure stands, whatever its family calls it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tracekit.capture.errors import CaptureError

_USUAL_IMAGE_SIZE = 224  # pixels; convolutional models take any size and name none


def text_config(config: Any, *, decoder: bool | None = None) -> Any:
    """The part of `config` with the vocabulary."""
    try:
        text = config.get_text_config(decoder=decoder)
    except ValueError:  # it has a text encoder and a decoder, and none was asked for
        text = config.get_text_config(encoder=True)
    candidates = (text, config, *parts(config))
    found = next((c for c in candidates if isinstance(getattr(c, "vocab_size", None), int)), None)
    if found is None:
        raise CaptureError(
            f"{type(config).__name__} names no vocab_size, so token ids cannot be made up: give --inputs"
        )
    return found


def vision_config(config: Any) -> Any:
    """The part of `config` that describes images; `config` itself where it has no parts."""
    for name in ("vision_config", "image_config", "encoder"):
        part = getattr(config, name, None)
        if hasattr(part, "to_dict"):
            return part
    return config


def parts(config: Any) -> list[Any]:
    """The configurations that `config` is put together from."""
    return [value for value in vars(config).values() if hasattr(value, "to_dict")]


def image_token(config: Any) -> int | None:
    """The token that stands for an image's features between the tokens; None where images do not go there."""
    for name in ("image_token_id", "image_token_index"):
        token = getattr(config, name, None)
        if isinstance(token, int):
            return token
    return None


def special_tokens(config: Any) -> set[int]:
    """The ids of the tokens that `config` has a name for: padding, end, image and the like."""
    named = [value for name, value in vars(config).items() if name.endswith(("_token_id", "_token_index"))]
    listed = [token for value in named for token in (value if isinstance(value, list) else [value])]
    return {token for token in listed if isinstance(token, int)}


def image_size(config: Any) -> tuple[int, int]:
    """Height and width in pixels that the configuration asks for, else the usual ones."""
    size = first_set(vision_config(config), "image_size", "crop_size", "img_size") or _USUAL_IMAGE_SIZE
    return pair(size)


def channels(vision: Any) -> int:
    return int(first_set(vision, "num_channels", "in_channels", "in_chans") or 3)


def pair(size: Any) -> tuple[int, int]:
    """Height and width from what configurations write: a side, a pair, or a mapping."""
    if isinstance(size, Mapping):
        side = size.get("shortest_edge", _USUAL_IMAGE_SIZE)
        return int(size.get("height", side)), int(size.get("width", side))
    if isinstance(size, list | tuple):
        return int(size[0]), int(size[-1])
    return int(size), int(size)


def first_set(config: Any, *names: str) -> Any:
    """The first of these attributes that is set."""
    return next((value for name in names if (value := getattr(config, name, None)) is not None), None)
