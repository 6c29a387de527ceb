"""Build: a transformers model and the inputs of one pass, from a name, a directory or a configuration.

With random weights nothing is downloaded and nothing passes through the CPU on its way to a GPU.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tracekit.capture.errors import CaptureError, failures_named, one_line

_SEED = 0
_USUAL_IMAGE_SIZE = 224  # pixels; convolutional models take any size and name none

DTYPES = {
    **{name: getattr(torch, name) for name in ("bfloat16", "float16", "float32", "float64")},
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
    "fp32": torch.float32,
}

# In the order in which they are asked for a class when the configuration names none.
_AUTO_CLASSES = (
    "AutoModelForCausalLM",
    "AutoModelForSeq2SeqLM",
    "AutoModelForImageTextToText",
    "AutoModelForMaskedLM",
    "AutoModelForImageClassification",
    "AutoModel",
)


@dataclass(frozen=True)
class Workload:
    """A model on its device and what one pass of it is fed: `inputs` are tensors, `settings` the rest."""

    model: nn.Module
    name: str
    inputs: dict[str, torch.Tensor]
    settings: dict[str, Any]
    dtype: torch.dtype
    device: torch.device
    batch_size: int
    sequence_length: int

    def __str__(self) -> str:
        """Class and size, and a limit that is overstepped, which explains most failures of a forward."""
        config = getattr(self.model, "config", None)
        positions = getattr(config, "max_position_embeddings", None)
        limit = f" (made for {positions} positions)" if positions and self.sequence_length > positions else ""
        return f"{type(self.model).__name__} on {self.batch_size} × {self.sequence_length} tokens{limit}"

    def run(self) -> object:
        """One forward pass; a causal language model returns logits for every position."""
        return self.model(**self.inputs, **self.settings)


def build_workload(
    source: str,
    *,
    is_config_file: bool,
    random_weights: bool,
    name: str | None,
    batch_size: int,
    sequence_length: int,
    dtype: torch.dtype | None,
    device: torch.device,
) -> Workload:
    """The model that `source` describes, in evaluation mode, and seeded random inputs for it.

    `source` is the path of a configuration file, or a name or directory that transformers can load.
    `dtype` None takes the configuration's.

    Raises:
        CaptureError: there is no such model, or it does not fit.
    """
    config = _config_file(Path(source)) if is_config_file else _config_of(source, offline=random_weights)
    model_class = _model_class(config)
    if dtype is None:
        dtype = config.dtype if isinstance(config.dtype, torch.dtype) else torch.float32
    torch.manual_seed(_SEED)
    if random_weights:
        with failures_named(f"building {model_class.__name__}"), device:
            model = model_class._from_config(config, dtype=dtype)
    else:
        with failures_named(f"loading {source} (--random-weights does without its weights)"):
            model = model_class.from_pretrained(source, config=config, dtype=dtype).to(device)
    model.eval()
    with failures_named(f"making up inputs for {model_class.__name__}"):
        inputs = _random_inputs(model, batch_size, sequence_length)
    return Workload(
        model=model,
        name=name or _name_of(source, is_config_file),
        inputs={key: _on(tensor, device, dtype) for key, tensor in inputs.items()},
        settings={"use_cache": False} if hasattr(config.get_text_config(), "use_cache") else {},
        dtype=dtype,
        device=device,
        batch_size=batch_size,
        sequence_length=sequence_length,
    )


def resolve_device(text: str | None) -> torch.device:
    """The device that `text` names; None: the GPU if there is one.

    Raises:
        CaptureError: no such device.
    """
    if text is None:
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(text)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise CaptureError(f"--device {text}: must be cpu, cuda or cuda:<number>")
    if device.type == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise CaptureError(f"--device {text}: torch {torch.__version__} finds no GPU here, use --device cpu")
    if (device.index or 0) >= torch.cuda.device_count():
        raise CaptureError(f"--device {text}: there are {torch.cuda.device_count()} GPUs, counted from 0")
    return torch.device("cuda", device.index or 0)


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise CaptureError(
            f"needs transformers (pip install transformers): {one_line(str(error))}"
        ) from error
    return transformers


def _config_file(path: Path) -> Any:
    transformers = _transformers()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CaptureError(f"--config {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise CaptureError(f"--config {path}: is no JSON ({error})") from error
    model_type = content.get("model_type") if isinstance(content, dict) else None
    if model_type is None:
        raise CaptureError(f"--config {path}: has no model_type, so it is no transformers configuration")
    if model_type not in transformers.CONFIG_MAPPING:
        raise CaptureError(
            f"--config {path}: transformers {transformers.__version__} knows no model_type {model_type!r}"
        )
    return _config_of(str(path), offline=True)


def _config_of(source: str, *, offline: bool) -> Any:
    transformers = _transformers()
    try:
        return transformers.AutoConfig.from_pretrained(
            source, local_files_only=offline, trust_remote_code=False
        )
    except Exception as error:  # transformers and its validators raise all sorts
        text = one_line(str(error))
        if not Path(source).exists():
            reason = "nothing is downloaded for random weights" if offline else text
            text = f"no directory here, and not to be had by that name: {reason}"
        raise CaptureError(f"{source}: {text}") from error


def _model_class(config: Any) -> Any:
    """The class that `config.architectures` names, else the one that an auto class maps `config` to."""
    transformers = _transformers()
    for name in getattr(config, "architectures", None) or ():
        if hasattr(transformers, name):
            return getattr(transformers, name)
    for auto_name in _AUTO_CLASSES:
        mapping = getattr(transformers, auto_name)._model_mapping if hasattr(transformers, auto_name) else {}
        if type(config) in mapping:
            found = mapping[type(config)]
            return found[0] if isinstance(found, tuple) else found
    raise CaptureError(f"transformers {transformers.__version__} has no model for {type(config).__name__}")


def _name_of(source: str, is_config_file: bool) -> str:
    """The model's name as its owner wrote it: on a hub, as a directory, or as a configuration file."""
    path = Path(source)
    if is_config_file:
        # `config.json` is what transformers calls every configuration; the directory tells them apart.
        return path.stem if path.stem != "config" else path.resolve().parent.name or path.stem
    return path.resolve().name if path.is_dir() else source


def _random_inputs(model: Any, batch_size: int, sequence_length: int) -> dict[str, torch.Tensor]:
    """What the model's main input asks for, drawn on the CPU so that every device gets the same."""
    generator = torch.Generator().manual_seed(_SEED)
    config = model.config
    main = model.main_input_name
    if main == "input_ids":
        size = (batch_size, sequence_length)
        names = [main, "decoder_input_ids"] if getattr(config, "is_encoder_decoder", False) else [main]
        vocabulary = config.get_text_config().vocab_size
        return {name: torch.randint(0, vocabulary, size, generator=generator) for name in names}
    if main == "pixel_values":
        vision = getattr(config, "vision_config", config)
        side = getattr(vision, "image_size", _USUAL_IMAGE_SIZE)
        height, width = side if isinstance(side, list | tuple) else (side, side)
        channels = getattr(vision, "num_channels", 3)
        return {main: torch.rand((batch_size, channels, height, width), generator=generator)}
    raise CaptureError(f"{type(model).__name__} takes {main!r}, and only token ids and images can be made up")


def _on(tensor: torch.Tensor, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    return tensor.to(device, dtype) if tensor.is_floating_point() else tensor.to(device)
