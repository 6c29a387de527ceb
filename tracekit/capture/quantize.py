"""Quantize: `--quantization METHOD[:KEY=VALUE,…]` as one of transformers' quantization configurations."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any

from tracekit.capture.configuration import transformers_module
from tracekit.capture.errors import CaptureError, failures_named
from tracekit.capture.placement import require_accelerate

# Methods whose configuration transformers shares between several, told apart by a switch.
_SWITCHES = {
    "bitsandbytes_4bit": {"load_in_4bit": True},
    "bitsandbytes_8bit": {"load_in_8bit": True},
}
_NEXT_KEY = re.compile(r",(?=\s*[A-Za-z_]\w*\s*=)")  # a comma may also stand in a value, such as a list


def quantization_config(text: str) -> Any:
    """The configuration that `text` describes, such as `bitsandbytes_4bit:bnb_4bit_quant_type=nf4`.

    Values are JSON or plain words. For torchao, `quant_type` names one of its configuration classes, which
    takes the keys that transformers does not know: `torchao:quant_type=Int4WeightOnlyConfig,group_size=32`.

    Raises:
        CaptureError: no such method or key, a wrong value, or a package that is missing.
    """
    method, _, settings = text.partition(":")
    config_class = _config_class(method)
    require_accelerate("--quantization")
    values = _values(text, settings)
    with failures_named(f"setting up --quantization {text}"):
        if method == "torchao":
            return _torchao_config(config_class, values, text)
        _refuse_unknown(config_class, values, text)
        return config_class(**_SWITCHES.get(method, {}), **values)


def _config_class(method: str) -> Any:
    transformers_module()
    from transformers.quantizers import auto

    mapping = auto.AUTO_QUANTIZATION_CONFIG_MAPPING
    if method not in mapping:
        raise CaptureError(f"--quantization {method}: must be one of {', '.join(sorted(mapping))}")
    return mapping[method]


def _values(text: str, settings: str) -> dict[str, Any]:
    values = {}
    for setting in _NEXT_KEY.split(settings) if settings else ():
        key, equals, value = setting.partition("=")
        if not equals or not key.strip():
            raise CaptureError(f"--quantization {text}: {setting!r} must be KEY=VALUE")
        try:
            values[key.strip()] = json.loads(value)
        except ValueError:
            values[key.strip()] = {"True": True, "False": False}.get(value.strip(), value.strip())
    return values


def _refuse_unknown(config_class: Any, values: dict[str, Any], text: str) -> None:
    # Most of these classes swallow what they do not know, so that a mistyped key would do nothing.
    known = _keys(config_class)
    for key in values:
        if key not in known:
            raise CaptureError(f"--quantization {text}: has no {key!r}, only {', '.join(sorted(known))}")


def _keys(config_class: Any) -> set[str]:
    parameters = inspect.signature(config_class).parameters.values()
    return {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}


def _torchao_config(config_class: Any, values: dict[str, Any], text: str) -> Any:
    try:
        from torchao import quantization
    except ImportError as error:
        raise CaptureError(f"--quantization {text}: needs torchao (pip install torchao)") from error
    own = {key: values.pop(key) for key in _keys(config_class) - {"quant_type"} if key in values}
    name = values.pop("quant_type", None)
    quant_type = getattr(quantization, str(name), None)
    if not inspect.isclass(quant_type):
        raise CaptureError(
            f"--quantization {text}: quant_type must name a configuration class of torchao.quantization, "
            "such as Int8WeightOnlyConfig"
        )
    _refuse_unknown(quant_type, values, text)
    return config_class(quant_type=quant_type(**values), **own)
