"""Inputs from files: what arrives, and one line for everything that is no such file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tracekit.capture.errors import CaptureError
from tracekit.capture.own_inputs import OwnInputs, read_inputs

IDS = torch.tensor([[3, 4, 5]])
IMAGE = torch.full((1, 2, 2), 0.5)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"input_ids": IDS, "scale": 2.0}, OwnInputs(inputs={"input_ids": IDS}, settings={"scale": 2.0})),
        ({"nest": {"a": [IDS]}}, OwnInputs(inputs={"nest": {"a": [IDS]}})),
        ({"names": ["a", "b"], "x": IDS}, OwnInputs(inputs={"x": IDS}, settings={"names": ["a", "b"]})),
        ((IDS, IMAGE), OwnInputs(args=(IDS, IMAGE))),
        ([IDS, None], OwnInputs(args=(IDS, None))),
        (IMAGE, OwnInputs(args=(IMAGE,))),
    ],
)
@pytest.mark.parametrize("suffix", [".pt", ".pth"])
def test_files_of_torch(tmp_path: Path, content: object, expected: OwnInputs, suffix: str) -> None:
    torch.save(content, tmp_path / f"inputs{suffix}")
    own = read_inputs(tmp_path / f"inputs{suffix}")
    assert same(own.args, expected.args)
    assert same(own.inputs, expected.inputs)
    assert own.settings == expected.settings


def test_files_of_safetensors(tmp_path: Path) -> None:
    save_file = pytest.importorskip("safetensors.torch").save_file
    save_file({"input_ids": IDS, "pixel_values": IMAGE}, tmp_path / "inputs.safetensors")
    assert same(
        read_inputs(tmp_path / "inputs.safetensors").inputs, {"input_ids": IDS, "pixel_values": IMAGE}
    )


def test_files_of_json(tmp_path: Path) -> None:
    content = {
        "input_ids": [[3, 4, 5]],
        "pixel_values": [[[0.5, 0.5], [0.5, 0.5]]],
        "mixed": [1, 0.5],
        "mask": [[True, False]],
        "inner": {"ids": [1]},
        "empty": [],
        "output_attentions": True,
        "logits_to_keep": 1,
        "nothing": None,
    }
    (tmp_path / "inputs.json").write_text(json.dumps(content))
    own = read_inputs(tmp_path / "inputs.json")
    assert same(
        own.inputs,
        {
            "input_ids": IDS,
            "pixel_values": IMAGE,
            "mixed": torch.tensor([1.0, 0.5]),
            "mask": torch.tensor([[True, False]]),
            "inner": {"ids": torch.tensor([1])},
            "empty": torch.tensor([]),
        },
    )
    assert own.settings == {"output_attentions": True, "logits_to_keep": 1, "nothing": None}


class Own:
    """No tensor and no plain value."""


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("gone.json", None, "no such file"),
        ("folder.json", "folder", "no such file"),
        ("inputs.npy", b"", r"must be a file named \.pt, \.pth, \.safetensors or \.json"),
        ("inputs.pt", b"hello", "is no file of torch.save"),
        ("inputs.pt", b"", "is no file of torch.save"),
        ("inputs.pt", Own, "neither tensors nor plain values"),
        ("inputs.pt", {}, "holds no inputs"),
        ("inputs.pt", 3, "holds no inputs"),
        ("inputs.pt", {0: IDS}, "must have names"),
        ("inputs.safetensors", b"hello", "is no safetensors file"),
        ("inputs.json", b"{", "is no JSON"),
        ("inputs.json", b"\xff", "is no JSON"),
        ("inputs.json", b"[1]", "must be an object"),
        ("inputs.json", b"{}", "holds no inputs"),
        ("inputs.json", b'{"a": [[1, 2], [3]]}', "'a' makes no tensor"),
        ("inputs.json", b'{"a": [1, [2]]}', "'a' makes no tensor"),
        ("inputs.json", b'{"a": ["x"]}', "'a' must be nested lists of numbers"),
        ("inputs.json", b'{"a": {"b": [1, true]}}', r"'a\.b' must be nested lists of numbers"),
        ("inputs.json", b'{"a": [99999999999999999999]}', "'a' makes no tensor"),
    ],
)
def test_what_is_no_file_of_inputs_is_one_line(tmp_path: Path, name: str, content: object, text: str) -> None:
    path = tmp_path / name
    if content == "folder":
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content() if content is Own else content, path)
    with pytest.raises(CaptureError, match=text) as failure:
        read_inputs(path)
    assert str(path) in str(failure.value)
    assert "\n" not in str(failure.value)
