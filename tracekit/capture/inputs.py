"""Inputs: what a transformers model's configuration and the signature of its `forward` ask for, at random.

Text, images, videos and audio, and their combinations: encoder-decoders, two towers, images between the
tokens (`images_in_text`). Everything is seeded and drawn on the CPU, so that every device gets the same.
What cannot be made up is an error that says so, and never a guess.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from tracekit.capture.config_parts import (
    channels,
    first_set,
    image_size,
    image_token,
    pair,
    parts,
    special_tokens,
    text_config,
    vision_config,
)
from tracekit.capture.errors import CaptureError

_SEED = 0
_MOST_PREFIX_TOKENS = 8  # class, distillation and register tokens before an image's patches


@dataclass(frozen=True)
class MadeUp:
    """Keyword inputs of one pass, on the CPU, floating-point ones in float32.

    `sequence_length` is that of `input_ids` (or `decoder_input_ids`), else the number of positions of the
    model's sequence, None where it has none or it is not known.
    """

    inputs: dict[str, torch.Tensor]
    sequence_length: int | None
    notes: tuple[str, ...] = ()


class Draw:
    """Seeded random values, drawn on the CPU."""

    def __init__(self, seed: int = _SEED) -> None:
        self._generator = torch.Generator().manual_seed(seed)

    def noise(self, *size: int) -> torch.Tensor:
        """Standard normal values, which is what preprocessed images and audio look like."""
        return torch.randn(size, generator=self._generator)

    def below(self, limit: int, *size: int) -> torch.Tensor:
        """Integers from 0 up to `limit`, that one left out."""
        return torch.randint(0, limit, size, generator=self._generator)

    def tokens(self, config: Any, *size: int, decoder: bool | None = None) -> torch.Tensor:
        """Token ids that the text part of `config` (or its decoder) knows, none of them special."""
        text = text_config(config, decoder=decoder)
        ids = torch.arange(int(text.vocab_size))
        special = torch.tensor(sorted(special_tokens(config) | special_tokens(text)), dtype=torch.int64)
        plain = ids[~torch.isin(ids, special)]
        choice = plain if len(plain) else ids
        return choice[self.below(len(choice), *size)]


def made_up_inputs(model: Any, batch_size: int, sequence_length: int) -> MadeUp:
    """Random inputs for one pass of `model`, a transformers model.

    `sequence_length` is the number of text tokens, also those of a decoder; where there is no text, it is
    the number of positions of a model that hears audio of any length, and is not used by other models.

    Raises:
        CaptureError: the model takes something that cannot be made up.
    """
    config, parameters, draw = model.config, forward_parameters(model), Draw()
    main = model.main_input_name
    main = main if isinstance(main, str) else main[0]
    inputs: dict[str, torch.Tensor] = {}
    notes: list[str] = []
    positions: int | None = None
    if main == "input_ids":
        inputs[main] = _text(draw, config, batch_size, sequence_length)
        notes += _add_other_towers(draw, config, inputs, parameters)
    elif main in ("pixel_values", "pixel_values_videos"):
        inputs[main] = images(draw, config, batch_size)
        positions = _image_positions(model)
        if "input_ids" in parameters:
            inputs["input_ids"] = _text(draw, config, batch_size, sequence_length)
    elif main == "input_features":
        inputs[main], positions = _spectrogram(draw, model, batch_size, sequence_length)
    elif main == "input_values":
        inputs[main], positions = _audio(draw, model, batch_size, sequence_length)
    else:
        raise _cannot_make_up(model, main)
    if "decoder_input_ids" in parameters and getattr(config, "is_encoder_decoder", False):
        inputs["decoder_input_ids"] = draw.tokens(config, batch_size, sequence_length, decoder=True)
    for name, parameter in parameters.items():
        is_named = parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if is_named and parameter.default is parameter.empty and name not in inputs:
            raise _cannot_make_up(model, name)
    tokens = inputs.get("input_ids", inputs.get("decoder_input_ids"))
    return MadeUp(inputs, positions if tokens is None else tokens.shape[1], tuple(notes))


def _add_other_towers(
    draw: Draw, config: Any, inputs: dict[str, torch.Tensor], parameters: Mapping[str, object]
) -> Iterator[str]:
    """Add images for a model that sets a text beside them; yields what the reader has to know."""
    batch_size, sequence_length = inputs["input_ids"].shape
    if "pixel_values" in parameters:
        if image_token(config) is None and hasattr(vision_config(config), "image_size"):
            inputs["pixel_values"] = images(draw, config, batch_size)
            most = getattr(text_config(config), "max_position_embeddings", None) or sequence_length
            if most < sequence_length:
                inputs["input_ids"] = inputs["input_ids"][:, :most]
                yield f"the text has {most} tokens instead of {sequence_length}: the text tower takes no more"
        else:
            yield "the vision tower is not run: inputs for it could not be made up (--inputs)"
    if parameters.keys() & {"input_features", "input_values", "input_audio"}:
        yield "the audio tower is not run: inputs for it could not be made up (--inputs)"


def forward_parameters(model: nn.Module) -> Mapping[str, inspect.Parameter]:
    """The parameters of the model's `forward`, in their order, without `self`.

    Taken from the class: what hooks lay over an instance may take anything.
    """
    return dict(list(inspect.signature(type(model).forward).parameters.items())[1:])


def takes(model: nn.Module, name: str) -> bool:
    """Whether the model's `forward` takes a keyword argument `name`, or any."""
    parameters = forward_parameters(model)
    return name in parameters or any(one.kind is one.VAR_KEYWORD for one in parameters.values())


def images(draw: Draw, config: Any, batch_size: int) -> torch.Tensor:
    """(batch, channels, height, width), or (batch, frames, channels, height, width) for a video model."""
    vision = vision_config(config)
    size = (channels(vision), *image_size(config))
    frames = first_set(vision, "num_frames", "frames_per_clip") or first_set(config, "num_frames")
    return draw.noise(batch_size, int(frames), *size) if frames else draw.noise(batch_size, *size)


def _text(draw: Draw, config: Any, batch_size: int, sequence_length: int) -> torch.Tensor:
    """(batch, sequence); for an encoder, with the end that classifiers of its family look for."""
    tokens = draw.tokens(config, batch_size, sequence_length)
    end = getattr(config, "eos_token_id", None)
    if getattr(config, "is_encoder_decoder", False) and isinstance(end, int):
        tokens[:, -1] = end
    return tokens


def _spectrogram(
    draw: Draw, model: Any, batch_size: int, sequence_length: int
) -> tuple[torch.Tensor, int | None]:
    """(batch, bins, frames) of the length that Whisper insists on, else (batch, frames, bins)."""
    config = model.config
    encoder = next((c for c in (config, *parts(config)) if _bins(c)), config)
    bins, positions = _bins(encoder), getattr(encoder, "max_source_positions", None)
    if bins is None:
        raise _cannot_make_up(model, model.main_input_name)
    if positions and hasattr(encoder, "num_mel_bins"):
        frames = 2 * int(positions)  # the second convolution has stride 2
        return draw.noise(batch_size, bins, frames), int(positions)
    return draw.noise(batch_size, sequence_length, bins), None


def _audio(draw: Draw, model: Any, batch_size: int, sequence_length: int) -> tuple[torch.Tensor, int | None]:
    """A spectrogram of fixed length, or samples of the length that gives `sequence_length` positions."""
    config = model.config
    if hasattr(config, "max_length") and hasattr(config, "num_mel_bins"):
        return draw.noise(batch_size, config.max_length, config.num_mel_bins), _spectrogram_positions(model)
    if hasattr(config, "conv_stride") and hasattr(config, "conv_kernel"):
        samples = sequence_length
        for stride, kernel in reversed(list(zip(config.conv_stride, config.conv_kernel, strict=True))):
            samples = (samples - 1) * stride + kernel
        return draw.noise(batch_size, samples), sequence_length
    if hasattr(config, "audio_channels") and hasattr(config, "sampling_rate"):
        return draw.noise(batch_size, config.audio_channels, config.sampling_rate), None  # one second
    raise _cannot_make_up(model, model.main_input_name)


def _spectrogram_positions(model: Any) -> int | None:
    config = model.config
    if not all(hasattr(config, name) for name in ("patch_size", "time_stride", "frequency_stride")):
        return None
    steps = (config.max_length - config.patch_size) // config.time_stride + 1
    bands = (config.num_mel_bins - config.patch_size) // config.frequency_stride + 1
    return _embedded_positions(model, steps * bands)


def _image_positions(model: Any) -> int | None:
    """How many positions a plain vision transformer's layers see, from its table of positions."""
    vision = vision_config(model.config)
    patch = getattr(vision, "patch_size", None)
    if not isinstance(patch, int | list | tuple):
        return None
    height, width = image_size(model.config)
    rows, columns = pair(patch)
    patches = (height // rows) * (width // columns)
    frames = first_set(vision, "num_frames")
    if frames:
        patches *= int(frames) // int(getattr(vision, "tubelet_size", 1))
    return _embedded_positions(model, patches)


def _embedded_positions(model: nn.Module, patches: int) -> int | None:
    for module in model.modules():
        for name in ("position_embedding", "position_embeddings"):
            table = getattr(module, name, None)
            table = getattr(table, "weight", table)
            if isinstance(table, torch.Tensor) and table.ndim >= 2:
                positions = int(table.shape[-2])
                if patches <= positions <= patches + _MOST_PREFIX_TOKENS:
                    return positions
    return None


def _bins(config: Any) -> int | None:
    bins = first_set(config, "num_mel_bins", "feature_projection_input_dim", "input_feat_per_channel")
    return None if bins is None else int(bins)


def _cannot_make_up(model: Any, name: str) -> CaptureError:
    return CaptureError(
        f"{type(model).__name__} takes {name!r}, which cannot be made up from its configuration: "
        "give inputs of your own with --inputs"
    )
