"""Build: a transformers model and the inputs of one pass, from a name, a directory or a configuration.

With random weights nothing is downloaded, and nothing passes through the CPU on its way to a GPU unless it
is spread over several devices.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch

from tracekit.capture.attention import attention_errors, check_attention
from tracekit.capture.config_parts import text_config
from tracekit.capture.configuration import (
    configuration_in_file,
    configuration_of,
    hub_is_reachable,
    model_class,
    model_name,
    transformers_module,
)
from tracekit.capture.errors import CaptureError, failures_named, one_line
from tracekit.capture.images_in_text import images_in_text_inputs
from tracekit.capture.inputs import made_up_inputs, takes
from tracekit.capture.layers import shortened
from tracekit.capture.own_inputs import OwnInputs, read_inputs
from tracekit.capture.placement import (
    DeviceMap,
    dispatched,
    input_device,
    parsed_device_map,
    require_accelerate,
)
from tracekit.capture.quantize import quantization_config
from tracekit.capture.workload import Workload, moved, sizes_of

__all__ = ["DTYPES", "Workload", "build_workload", "resolve_device"]

_SEED = 0

DTYPES = {
    **{name: getattr(torch, name) for name in ("bfloat16", "float16", "float32", "float64")},
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
    "fp32": torch.float32,
}


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
    attn_implementation: str | None = None,
    num_layers: int | None = None,
    quantization: str | None = None,
    device_map: str | None = None,
    inputs_file: str | Path | None = None,
) -> Workload:
    """The model that `source` describes, in evaluation mode, and seeded random inputs for it.

    `source` is the path of a configuration file, or a name or directory that transformers can load.
    `dtype` None takes the configuration's. `num_layers` keeps only the first layers of every stack;
    `quantization` is `METHOD[:KEY=VALUE,…]`; `device_map` a strategy of accelerate's or a JSON object, and
    then inputs go to wherever the input embeddings are. `inputs_file` replaces the made-up inputs, and
    `batch_size` and `sequence_length` are then those of the file.

    Raises:
        CaptureError: there is no such model, it does not fit, or nothing can be made up to feed it.
    """
    own = read_inputs(Path(inputs_file)) if inputs_file else None
    places = parsed_device_map(device_map) if device_map else None
    quantized = quantization_config(quantization) if quantization else None
    offline = random_weights or is_config_file or not (Path(source).exists() or hub_is_reachable())
    config = (
        configuration_in_file(Path(source)) if is_config_file else configuration_of(source, offline=offline)
    )
    found_class = model_class(config)
    if dtype is None:
        dtype = config.dtype if isinstance(config.dtype, torch.dtype) else torch.float32
    _check_dtype(dtype, device)
    notes = []
    if num_layers is not None:
        shortened(config, num_layers)
        notes.append(f"every stack keeps at most {num_layers} of its layers")
    if random_weights and getattr(config, "quantization_config", None) is not None:
        del config.quantization_config
        notes.append("the configuration describes quantized weights; the random ones are not quantized")
    arguments: dict[str, Any] = {"dtype": dtype}
    if attn_implementation is not None:
        check_attention(found_class, attn_implementation)
        arguments["attn_implementation"] = attn_implementation
    torch.manual_seed(_SEED)
    with (
        attention_errors(found_class, attn_implementation),
        _quiet(warnings=num_layers is None, progress=not random_weights),
    ):
        if random_weights:
            model = _random_model(found_class, config, arguments, device, quantized, places)
        else:
            arguments |= {"config": config, "local_files_only": offline}
            with failures_named(f"loading {source} (--random-weights does without its weights)"):
                model = _loaded(found_class, source, arguments, device, quantized, places)
    model.eval()
    if places is not None:
        device = input_device(model, device)
    if own is not None:
        batch, length = sizes_of(own.args, own.inputs)
    else:
        with failures_named(f"making up inputs for {found_class.__name__}"):
            made = images_in_text_inputs(model, batch_size, sequence_length, device, dtype)
            made = made or made_up_inputs(model, batch_size, sequence_length)
        own = OwnInputs(inputs=dict(made.inputs))
        batch, length = batch_size, made.sequence_length
        notes += made.notes
    return Workload(
        model=model,
        name=name or model_name(source, is_config_file=is_config_file),
        args=moved(own.args, device, dtype),
        inputs=moved(own.inputs, device, dtype),
        settings=_settings(model) | own.settings,
        dtype=dtype,
        device=device,
        batch_size=batch,
        sequence_length=length,
        notes=tuple(notes),
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


def _random_model(
    found_class: Any,
    config: Any,
    arguments: dict[str, Any],
    device: torch.device,
    quantized: Any,
    places: DeviceMap | None,
) -> Any:
    """`found_class` from `config`, quantized as the quantization configuration says unless that is None."""
    with failures_named(f"building {found_class.__name__}"):
        with nullcontext() if places and quantized is None else device:
            model = found_class._from_config(config, **arguments)
        if quantized is not None:
            # transformers quantizes while it loads, so there has to be something to load.
            with tempfile.TemporaryDirectory(prefix="tracekit-") as folder:
                model.save_pretrained(folder)
                del model
                return _loaded(found_class, folder, arguments, device, quantized, places)
    return model if places is None else dispatched(model, places)


def _loaded(
    found_class: Any,
    source: str,
    arguments: dict[str, Any],
    device: torch.device,
    quantized: Any,
    places: DeviceMap | None,
) -> Any:
    """What `source` holds, quantized on the way if there is a quantization configuration."""
    if quantized is not None:
        arguments = {**arguments, "quantization_config": quantized}
    elif getattr(arguments.get("config"), "quantization_config", None) is not None:
        require_accelerate("loading quantized weights")
        quantized = arguments["config"].quantization_config
    if places is None and quantized is not None:
        places = {"": str(device)}  # such weights are made where they stay, and cannot all be moved
    if places is not None:
        return found_class.from_pretrained(source, device_map=places, **arguments)
    return found_class.from_pretrained(source, **arguments).to(device)


def _settings(model: Any) -> dict[str, object]:
    """No cache of keys and values, which a pass without a next one has no use for."""
    try:
        has_cache = hasattr(text_config(model.config), "use_cache")
    except CaptureError:  # there is no text
        has_cache = False
    return {"use_cache": False} if has_cache and takes(model, "use_cache") else {}


def _check_dtype(dtype: torch.dtype, device: torch.device) -> None:
    try:
        one = torch.ones(2, 2, dtype=dtype, device=device)
        (one @ one).sum().item()
    except (RuntimeError, TypeError) as error:
        name = str(dtype).removeprefix("torch.")
        raise CaptureError(
            f"--dtype {name}: {device} does not compute in it: {one_line(str(error))}"
        ) from error


@contextmanager
def _quiet(*, warnings: bool, progress: bool) -> Iterator[None]:
    """With transformers' warnings (of layers left out on purpose) and progress bars only where wanted."""
    logging = transformers_module().logging
    verbosity, has_progress = logging.get_verbosity(), logging.is_progress_bar_enabled()
    if not warnings:
        logging.set_verbosity_error()
    if not progress:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if has_progress:
            logging.enable_progress_bar()
