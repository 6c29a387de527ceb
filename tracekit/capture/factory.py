"""Factory: a model and its inputs from a function of the user's own, `package.module:function`."""

from __future__ import annotations

import importlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from tracekit.capture.errors import CaptureError, failures_named, named, one_line
from tracekit.capture.own_inputs import OwnInputs, read_inputs, sorted_inputs
from tracekit.capture.placement import input_device, is_spread
from tracekit.capture.workload import Workload, moved, sizes_of

_CONTRACT = (
    "a factory takes no arguments and returns (model, inputs): an nn.Module, and a dict of keyword inputs, "
    "a tuple or list of positional ones, or one tensor (or only the model, with --inputs)"
)


def workload_from_factory(
    target: str,
    *,
    name: str | None,
    dtype: torch.dtype | None,
    device: torch.device,
    inputs_file: str | Path | None = None,
) -> Workload:
    """What the function `target` names returns, on `device`, in evaluation mode.

    `target` is `package.module:function`; modules in the current directory are found. With `dtype` None
    the model and its inputs stay in the types that they have. A model that is spread over devices already
    stays where it is. `inputs_file` replaces the factory's inputs.

    Raises:
        CaptureError: no such function, it fails, or it returns something else than a factory must.
    """
    with _current_directory_importable():
        function = _function(target)
        try:
            made = function()
        except (CaptureError, KeyboardInterrupt):
            raise
        except BaseException as error:  # SystemExit among them
            raise CaptureError(f"--factory {target}: failed: {named(error)}") from error
    model, own = _model_and_inputs(made, target, read_inputs(Path(inputs_file)) if inputs_file else None)
    with failures_named(f"moving {type(model).__name__} to {device}"):
        if is_spread(model):
            device = input_device(model, device)
        else:
            model = model.to(device) if dtype is None else model.to(device, dtype)
        args = moved(own.args, device, dtype)
        inputs = moved(own.inputs, device, dtype)
    batch_size, sequence_length = sizes_of(args, inputs)
    return Workload(
        model=model.eval(),
        name=name or target.rpartition(":")[2],
        args=args,
        inputs=inputs,
        settings=own.settings,
        dtype=dtype or _usual_dtype(model),
        device=device,
        batch_size=batch_size,
        sequence_length=sequence_length,
    )


@contextmanager
def _current_directory_importable() -> Iterator[None]:
    folder = str(Path.cwd())
    added = folder not in sys.path
    if added:
        sys.path.insert(0, folder)
    try:
        yield
    finally:
        if added and folder in sys.path:
            sys.path.remove(folder)


def _function(target: str) -> Callable[[], object]:
    module_name, colon, path = target.partition(":")
    if not (module_name and colon and path):
        raise CaptureError(f"--factory {target}: must be package.module:function")
    try:
        found: object = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # importing a module runs its author's code
        missing = isinstance(error, ModuleNotFoundError) and f"{module_name}.".startswith(f"{error.name}.")
        reason = (
            f"there is no module {module_name} (looked in {Path.cwd()} and where Python looks)"
            if missing
            else f"importing {module_name} failed: {type(error).__name__}: {one_line(str(error))}"
        )
        raise CaptureError(f"--factory {target}: {reason}") from error
    for part in path.split("."):
        if not hasattr(found, part):
            raise CaptureError(f"--factory {target}: {module_name} has no {path}")
        found = getattr(found, part)
    if not callable(found) or isinstance(found, nn.Module):
        raise CaptureError(f"--factory {target}: {path} is no function; {_CONTRACT}")
    return found


def _model_and_inputs(
    made: object, target: str, inputs_of_file: OwnInputs | None
) -> tuple[nn.Module, OwnInputs]:
    pair = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    model, inputs = pair
    if not isinstance(model, nn.Module):
        raise CaptureError(f"--factory {target}: returned {_shown(made)}; {_CONTRACT}")
    if inputs_of_file is not None:
        return model, inputs_of_file
    try:
        return model, sorted_inputs(inputs)
    except CaptureError as error:
        raise CaptureError(f"--factory {target}: returned {_shown(made)}; {_CONTRACT}") from error


def _shown(made: object) -> str:
    """The types of what a factory returned."""
    if isinstance(made, tuple):
        return f"({', '.join(type(part).__name__ for part in made)})"
    return type(made).__name__


def _usual_dtype(model: nn.Module) -> torch.dtype:
    """The floating-point type of most of the model's parameters."""
    elements: Counter[torch.dtype] = Counter()
    for parameter in model.parameters():
        if not is_lazy(parameter) and parameter.is_floating_point():
            elements[parameter.dtype] += parameter.numel()
    return elements.most_common(1)[0][0] if elements else torch.float32
