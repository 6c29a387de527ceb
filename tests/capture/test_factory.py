"""Factories: a module of the user's own in the current directory, and all that it can do wrong."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tracekit.capture.cli import main
from tracekit.capture.errors import CaptureError
from tracekit.capture.factory import workload_from_factory

CPU = torch.device("cpu")

MODULE = """
import torch
from torch import nn

class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x, y=None, scale=1.0):
        return self.linear(x if y is None else x + y["inner"][0]) * scale

def keywords():
    return Two(), {"x": torch.ones(2, 4), "y": {"inner": [torch.ones(4)]}, "scale": 2.0}

def positional():
    return Two().double(), (torch.ones(2, 4, dtype=torch.float64),)

def one_tensor():
    return Two(), torch.ones(2, 4)

def only_model():
    return Two()

class Holder:
    @staticmethod
    def make():
        return only_model()

def tokens():
    return nn.Embedding(10, 4), [torch.zeros(2, 7, dtype=torch.int64)]

def nothing():
    pass

def swapped():
    return torch.ones(2, 4), Two()

def fails():
    raise ZeroDivisionError("two\\nlines")

def leaves():
    raise SystemExit(3)

def wants(argument):
    return argument

number = 3
model = Two()
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The current directory has a package `lab` with a module `models`, and modules that fail."""
    package = tmp_path / "lab"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "models.py").write_text(MODULE)
    (package / "broken.py").write_text("def f(:\n")
    (package / "needy.py").write_text("import no_such_package")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = list(sys.path)
    yield
    assert sys.path == before
    for name in [name for name in sys.modules if name.partition(".")[0] == "lab"]:
        del sys.modules[name]


def make(function: str, **changes: Any) -> Any:
    settings: dict[str, Any] = {"name": None, "dtype": None, "device": CPU}
    return workload_from_factory(f"lab.models:{function}", **settings | changes)


def test_keyword_inputs_with_nests_and_settings() -> None:
    work = make("keywords")
    assert (work.name, work.args, work.settings, work.dtype) == (
        "keywords",
        (),
        {"scale": 2.0},
        torch.float32,
    )
    assert sorted(work.inputs) == ["x", "y"]
    assert not work.model.training
    expected = 2 * (2 * work.model.linear.weight.sum(dim=1) + work.model.linear.bias)
    assert torch.allclose(work.run(), expected.expand(2, 3))


def test_positional_inputs_stay_in_their_dtype_unless_one_is_asked_for() -> None:
    work = make("positional", name="given")
    assert (work.name, work.dtype, work.run().dtype) == ("given", torch.float64, torch.float64)
    work = make("positional", dtype=torch.bfloat16)
    assert (work.dtype, work.args[0].dtype, work.run().dtype) == (torch.bfloat16,) * 3


@pytest.mark.parametrize("function", ["one_tensor", "tokens"])
def test_one_tensor_and_lists_are_positional(function: str) -> None:
    work = make(function)
    assert work.inputs == {}
    assert len(work.args) == 1
    assert work.run().shape[0] == 2
    assert (work.batch_size, work.sequence_length) == ((2, 7) if function == "tokens" else (None, None))


@pytest.mark.parametrize("function", ["only_model", "keywords", "Holder.make"])
def test_inputs_of_a_file_take_the_place_of_the_factorys(function: str) -> None:
    Path("inputs.json").write_text('{"x": [[1.0, 2.0, 3.0, 4.0]], "scale": 0.0}')
    work = make(function, inputs_file="inputs.json")
    assert (sorted(work.inputs), work.settings) == (["x"], {"scale": 0.0})
    assert work.run().tolist() == [[0.0, 0.0, 0.0]]


CONTRACT = r"a factory takes no arguments and returns \(model, inputs\)"


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("lab.models", "must be package.module:function"),
        (":make", "must be package.module:function"),
        ("nowhere.models:make", "there is no module nowhere.models"),
        ("lab.nowhere:make", "there is no module lab.nowhere"),
        ("lab.needy:make", "importing lab.needy failed: ModuleNotFoundError: .*no_such_package"),
        ("lab.broken:f", "importing lab.broken failed: SyntaxError"),
        ("lab.models:nope", "lab.models has no nope"),
        ("lab.models:Holder.nope", r"lab.models has no Holder\.nope"),
        ("lab.models:number", f"number is no function; {CONTRACT}"),
        ("lab.models:model", f"model is no function; {CONTRACT}"),
        ("lab.models:wants", "failed: TypeError: .*argument"),
        ("lab.models:fails", "failed: ZeroDivisionError: two lines"),
        ("lab.models:leaves", "failed: SystemExit: 3"),
        ("lab.models:nothing", f"returned NoneType; {CONTRACT}"),
        ("lab.models:only_model", f"returned Two; {CONTRACT}"),
        ("lab.models:swapped", rf"returned \(Tensor, Two\); {CONTRACT}"),
    ],
)
def test_errors_are_one_line_that_names_the_factory(target: str, text: str) -> None:
    with pytest.raises(CaptureError, match=text) as failure:
        workload_from_factory(target, name=None, dtype=None, device=CPU)
    assert str(failure.value).startswith(f"--factory {target}: ")
    assert "\n" not in str(failure.value)


def test_a_model_that_is_spread_over_devices_is_not_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nn.Module, "hf_device_map", {"linear": 0, "": "cpu"}, raising=False)
    monkeypatch.setattr(nn.Module, "to", lambda *args: pytest.fail("moved"))
    assert make("one_tensor").device == CPU


@pytest.mark.parametrize(
    "arguments",
    [
        ["--num-layers", "2"],
        ["--batch-size", "7"],
        ["--seq-len", "7"],
        ["--attn-implementation", "eager"],
        ["--quantization", "torchao"],
        ["--device-map", "auto"],
        ["--random-weights"],
    ],
)
def test_what_only_transformers_models_have_is_refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(["--factory", "a:b", *arguments, "-o", "t.json.gz"])
    assert exit_info.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"{arguments[0]} is not for --factory" in error
