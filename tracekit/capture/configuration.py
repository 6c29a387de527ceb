"""Configuration: find a transformers configuration and the class that it belongs to, by name or by file."""

from __future__ import annotations

import json
import os
import socket
import threading
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tracekit.capture.errors import CaptureError, one_line

_HUB = "https://huggingface.co"
_HUB_TIMEOUT_S = 5.0

# In the order in which they are asked for a class when the configuration names none. The special come
# before the general: BART and BERT can be causal language models too, but are hardly ever meant so.
_AUTO_CLASSES = (
    "AutoModelForSeq2SeqLM",
    "AutoModelForSpeechSeq2Seq",
    "AutoModelForImageTextToText",
    "AutoModelForMaskedLM",
    "AutoModelForCausalLM",
    "AutoModelForZeroShotImageClassification",  # two towers
    "AutoModelForImageClassification",
    "AutoModelForVideoClassification",
    "AutoModelForAudioClassification",
    "AutoModelForCTC",
    "AutoModel",
)


def transformers_module() -> Any:
    """transformers, imported. Raises CaptureError where it is missing."""
    try:
        import transformers
    except ImportError as error:
        raise CaptureError(
            f"needs transformers (pip install transformers): {one_line(str(error))}"
        ) from error
    return transformers


def configuration_in_file(path: Path) -> Any:
    """The configuration in the JSON file `path`.

    Raises:
        CaptureError: it is no configuration, or of a type that this transformers does not know.
    """
    transformers = transformers_module()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CaptureError(f"--config {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise CaptureError(f"--config {path}: is no JSON ({error})") from error
    model_type = content.get("model_type") if isinstance(content, dict) else None
    if not isinstance(model_type, str):
        raise CaptureError(f"--config {path}: has no model_type, so it is no transformers configuration")
    if model_type not in transformers.CONFIG_MAPPING:
        own_code = ", and code that comes with a model is not run: use --factory"
        raise CaptureError(
            f"--config {path}: transformers {transformers.__version__} knows no model_type {model_type!r}"
            + (own_code if "auto_map" in content else "")
        )
    return configuration_of(str(path), offline=True)


def configuration_of(source: str, *, offline: bool) -> Any:
    """The configuration of a model by its directory, or by its name: from the cache or, online, the hub.

    Raises:
        CaptureError: there is none, or only one that needs code of its own.
    """
    transformers = transformers_module()
    try:
        return transformers.AutoConfig.from_pretrained(
            source, local_files_only=offline, trust_remote_code=False
        )
    except Exception as error:  # transformers and its validators raise all sorts
        text = one_line(str(error))
        if "trust_remote_code" in str(error):
            text = "needs code that comes with the model, which is not run: use --factory"
        elif not Path(source).exists():
            if offline:
                text = "not in the cache, and nothing is downloaded for random weights or without a network"
            text = f"no directory here, and not to be had by that name: {text}"
        raise CaptureError(f"{source}: {text}") from error


def model_class(config: Any) -> Any:
    """The class that `config.architectures` names, else the one that an auto class maps `config` to.

    Raises:
        CaptureError: there is none.
    """
    transformers = transformers_module()
    names = getattr(config, "architectures", None)
    for name in names if isinstance(names, list | tuple) else ():
        found = getattr(transformers, name, None) if isinstance(name, str) else None
        if hasattr(found, "_from_config"):
            return found
    for auto_name in _AUTO_CLASSES:
        mapping = getattr(transformers, auto_name)._model_mapping if hasattr(transformers, auto_name) else {}
        if type(config) in mapping:
            found = mapping[type(config)]
            return found[0] if isinstance(found, tuple) else found
    raise CaptureError(f"transformers {transformers.__version__} has no model for {type(config).__name__}")


def model_name(source: str, *, is_config_file: bool) -> str:
    """The model's name as its owner wrote it: on a hub, as a directory, or as a configuration file."""
    path = Path(source)
    if is_config_file:
        # `config.json` is what transformers calls every configuration; the directory tells them apart.
        return path.stem if path.stem != "config" else path.resolve().parent.name or path.stem
    return path.resolve().name if path.is_dir() else source


def hub_is_reachable() -> bool:
    """Whether models can be downloaded. Without a network the hub's own client retries for minutes."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return False
    endpoint = os.environ.get("HF_ENDPOINT") or _HUB
    try:
        first_stop = urllib.request.getproxies().get(urlsplit(endpoint).scheme, endpoint)
        url = urlsplit(first_stop if "://" in first_stop else f"http://{first_stop}")
        port = url.port or (443 if url.scheme == "https" else 80)
    except ValueError as error:
        raise CaptureError(f"HF_ENDPOINT, or the proxy in the environment, is no address: {error}") from error
    answered = threading.Event()

    def knock() -> None:
        try:
            socket.create_connection((url.hostname or "", port), timeout=_HUB_TIMEOUT_S).close()
            answered.set()
        except (OSError, UnicodeError):
            pass

    # In a thread, because looking up the name has no timeout of its own.
    thread = threading.Thread(target=knock, daemon=True)
    thread.start()
    thread.join(_HUB_TIMEOUT_S)
    return answered.is_set()
