"""Finding configurations: without a network quickly, and never by running code that comes with a model."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path

import pytest
from transformers import BartConfig, BertConfig, CLIPConfig, LlamaConfig, T5Config, WhisperConfig

from tracekit.capture import configuration
from tracekit.capture.configuration import (
    configuration_in_file,
    configuration_of,
    hub_is_reachable,
    model_class,
)
from tracekit.capture.errors import CaptureError


@pytest.mark.parametrize(
    ("config_class", "expected"),
    [
        (LlamaConfig, "LlamaForCausalLM"),
        (BertConfig, "BertForMaskedLM"),
        (BartConfig, "BartForConditionalGeneration"),
        (T5Config, "T5ForConditionalGeneration"),
        (WhisperConfig, "WhisperForConditionalGeneration"),
        (CLIPConfig, "CLIPModel"),
    ],
)
def test_a_configuration_that_names_no_class_gets_what_its_family_is_known_for(
    config_class: type, expected: str
) -> None:
    assert model_class(config_class()).__name__ == expected


@pytest.fixture
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.getproxies", dict)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


@pytest.mark.usefixtures("_no_proxies")
def test_the_hub_is_reachable_if_it_or_the_proxy_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        assert hub_is_reachable()
        monkeypatch.setenv("HF_ENDPOINT", "http://hub.example")
        monkeypatch.setattr("urllib.request.getproxies", lambda: {"http": endpoint})
        assert hub_is_reachable()
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        assert not hub_is_reachable()
    monkeypatch.delenv("HF_HUB_OFFLINE")
    assert not hub_is_reachable()  # the server is closed


@pytest.mark.usefixtures("_no_proxies")
def test_a_name_that_is_never_looked_up_does_not_take_long(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*args: object, **kwargs: object) -> socket.socket:
        time.sleep(1)
        raise TimeoutError

    monkeypatch.setattr(configuration, "_HUB_TIMEOUT_S", 0.1)
    monkeypatch.setattr(socket, "create_connection", slow)
    start = time.monotonic()
    assert not hub_is_reachable()
    assert time.monotonic() - start < 0.9


def test_a_name_without_a_network_is_one_line() -> None:
    with pytest.raises(CaptureError, match=r"nobody/has-this: no directory.*not in the cache") as failure:
        configuration_of("nobody/has-this", offline=True)
    assert "\n" not in str(failure.value)


def test_code_that_comes_with_a_model_is_not_run(tmp_path: Path) -> None:
    content = {"model_type": "own", "auto_map": {"AutoConfig": "configuration_own.OwnConfig"}}
    (tmp_path / "config.json").write_text(json.dumps(content))
    (tmp_path / "configuration_own.py").write_text("raise SystemExit('was run')")
    with pytest.raises(CaptureError, match="code that comes with the model, which is not run: use --factory"):
        configuration_of(str(tmp_path), offline=True)
    with pytest.raises(CaptureError, match=r"knows no model_type 'own', and code.*not run: use --factory"):
        configuration_in_file(tmp_path / "config.json")
