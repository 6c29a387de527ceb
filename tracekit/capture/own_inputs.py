"""Own inputs: what a user's file says a pass is fed with. Knows file formats and tensors, and no models."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from tracekit.capture.errors import CaptureError, one_line

_FORMATS = ".pt, .pth, .safetensors or .json"


@dataclass(frozen=True)
class OwnInputs:
    """Positional inputs, keyword inputs (tensors or nests of them) and keyword arguments without tensors."""

    args: tuple[object, ...] = ()
    inputs: dict[str, object] = field(default_factory=dict)
    settings: dict[str, object] = field(default_factory=dict)


def read_inputs(path: Path) -> OwnInputs:
    """The inputs in a `.pt`/`.pth` (torch.save), `.safetensors` or `.json` file, on the CPU.

    A mapping holds keyword inputs; a list or tuple, or one tensor, in a `.pt` file positional ones. In JSON
    nested lists of numbers are tensors: whole numbers int64, others float32, true and false bool.

    Raises:
        CaptureError: it cannot be read, or holds something else.
    """
    if not path.is_file():
        raise CaptureError(f"--inputs {path}: no such file")
    kind = path.suffix.lower()
    if kind in (".pt", ".pth"):
        content = _torch_content(path)
    elif kind == ".safetensors":
        content = _safetensors_content(path)
    elif kind == ".json":
        content = _json_content(path)
    else:
        raise CaptureError(f"--inputs {path}: must be a file named {_FORMATS}")
    try:
        return sorted_inputs(content)
    except CaptureError as error:
        raise CaptureError(f"--inputs {path}: {error}") from error


def sorted_inputs(content: object) -> OwnInputs:
    """`content` taken apart: a mapping into inputs and settings, everything else as positional inputs.

    Raises:
        CaptureError: it is neither a mapping by names, nor a list or tuple, nor a tensor, or is empty.
    """
    if isinstance(content, torch.Tensor):
        return OwnInputs(args=(content,))
    if isinstance(content, list | tuple) and content:
        return OwnInputs(args=tuple(content))
    if isinstance(content, Mapping) and content:
        if not all(isinstance(name, str) for name in content):
            raise CaptureError("the inputs must have names")
        inputs = {name: value for name, value in content.items() if not _is_setting(value)}
        settings = {name: value for name, value in content.items() if _is_setting(value)}
        return OwnInputs(inputs=inputs, settings=settings)
    raise CaptureError(
        "holds no inputs: a mapping from names to tensors, a list or tuple of tensors, or one tensor"
    )


def _is_setting(value: object) -> bool:
    """Whether there is no tensor in `value`, nor anything else that can be moved to a device."""
    if isinstance(value, Mapping):
        return all(_is_setting(inner) for inner in value.values())
    if isinstance(value, list | tuple):
        return all(_is_setting(inner) for inner in value)
    return not hasattr(value, "to")


def _torch_content(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's readers raise all sorts for a damaged file
        reason = "holds objects that are neither tensors nor plain values"
        if "weights_only" not in str(error).lower():
            reason = f"is no file of torch.save ({type(error).__name__}: {one_line(str(error))})"
        raise CaptureError(f"--inputs {path}: {reason}") from error


def _safetensors_content(path: Path) -> object:
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise CaptureError(f"--inputs {path}: needs safetensors (pip install safetensors)") from error
    try:
        return load_file(path)
    except Exception as error:
        raise CaptureError(f"--inputs {path}: is no safetensors file ({one_line(str(error))})") from error


def _json_content(path: Path) -> object:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CaptureError(f"--inputs {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise CaptureError(f"--inputs {path}: is no JSON ({one_line(str(error))})") from error
    if not isinstance(content, dict):
        raise CaptureError(f"--inputs {path}: must be an object from names to nested lists of numbers")
    try:
        return {name: _from_json(name, value) for name, value in content.items()}
    except CaptureError as error:
        raise CaptureError(f"--inputs {path}: {error}") from error


def _from_json(name: str, value: Any) -> object:
    if isinstance(value, dict):
        return {key: _from_json(f"{name}.{key}", inner) for key, inner in value.items()}
    if not isinstance(value, list):
        return value
    numbers = _flat(value)
    kinds = {type(number) for number in numbers}
    if kinds - {int, float} and kinds != {bool}:
        raise CaptureError(f"{name!r} must be nested lists of numbers, or of true and false")
    dtype = torch.float32 if float in kinds or not kinds else torch.int64 if int in kinds else torch.bool
    try:
        return torch.tensor(value, dtype=dtype)
    except (RuntimeError, ValueError, TypeError, OverflowError) as error:
        reason = one_line(str(error))
        raise CaptureError(f"{name!r} makes no tensor, are its rows of equal length? ({reason})") from error


def _flat(value: Any) -> list[Any]:
    return [number for inner in value for number in _flat(inner)] if isinstance(value, list) else [value]
