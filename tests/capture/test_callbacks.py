"""The callbacks inside the real trainers of transformers and Lightning, on a toy model."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from .traces import read_trace


class Model(nn.Module):
    """Returns its loss first, as trainers want it; fails in the call that it is told to."""

    def __init__(self, fails_in: int = 0) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.calls, self.fails_in = 0, fails_in

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        self.calls += 1
        if self.calls == self.fails_in:
            raise ZeroDivisionError("told to")
        return {"loss": self.layer(x).pow(2).mean()}


DATA = [{"x": torch.ones(4)} for _ in range(16)]


def run_trainer(model: nn.Module, callback: Any, folder: Path, steps: int = 7) -> None:
    from transformers import Trainer, TrainingArguments

    arguments = TrainingArguments(
        output_dir=str(folder / "out"),
        per_device_train_batch_size=2,
        max_steps=steps,
        report_to=[],
        use_cpu=True,
        save_strategy="no",
        disable_tqdm=True,
        logging_strategy="no",
    )
    Trainer(model=model, args=arguments, train_dataset=DATA, callbacks=[callback]).train()  # type: ignore[arg-type]


def test_transformers_trainer(tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    from tracekit.capture.huggingface import CaptureCallback

    model, path = Model(), tmp_path / "t.json.gz"
    callback = CaptureCallback(path, warmup=3, steps=2)
    run_trainer(model, callback, tmp_path)
    trace = read_trace(path)
    assert Counter(scope.rest for scope in trace.calls) == {"": 2, "layer": 2}
    assert callback.metadata is not None
    assert callback.metadata["modules"] == trace.metadata["modules"]
    assert len(trace.metadata["step_latencies_us"]) == 1
    assert "forward" not in model.layer.__dict__


def test_transformers_trainer_whose_model_fails(tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    from tracekit.capture.huggingface import CaptureCallback

    model, path = Model(fails_in=5), tmp_path / "t.json.gz"
    with pytest.raises(ZeroDivisionError):
        run_trainer(model, CaptureCallback(path, warmup=3, steps=None), tmp_path)
    trace = read_trace(path)
    assert Counter(scope.rest for scope in trace.calls) == {"": 2, "layer": 1}
    assert trace.metadata["error"] == "ZeroDivisionError: told to"
    assert "forward" not in model.layer.__dict__


@pytest.mark.parametrize("fails_in", [1, 2, 3])
def test_transformers_trainer_whose_model_fails_in_the_warm_up(tmp_path: Path, fails_in: int) -> None:
    """As one does whose batch is too large, and which its trainer then tries again with a smaller one."""
    pytest.importorskip("accelerate")
    from tracekit.capture.huggingface import CaptureCallback

    model, path = Model(fails_in), tmp_path / "t.json.gz"
    before = [dict(module.__dict__) for module in (model.layer,)]
    callback = CaptureCallback(path, warmup=3, steps=1)
    with pytest.raises(ZeroDivisionError):
        run_trainer(model, callback, tmp_path)
    assert [dict(module.__dict__) for module in (model.layer,)] == before
    assert not path.exists()
    run_trainer(model, callback, tmp_path)
    assert Counter(scope.rest for scope in read_trace(path).calls) == {"": 1, "layer": 1}


def test_a_training_that_is_shorter_than_the_warm_up_has_gone_well(tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    from tracekit.capture.huggingface import CaptureCallback

    path = tmp_path / "t.json.gz"
    with pytest.warns(UserWarning, match="ended within the warm-up"):
        run_trainer(Model(), CaptureCallback(path, warmup=3), tmp_path, steps=2)
    assert not path.exists()


def run_lightning(model: Model, callback: Any, folder: Path) -> None:
    lightning: Any = pytest.importorskip("lightning.pytorch")

    class Module(lightning.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def training_step(self, batch: dict[str, torch.Tensor], index: int) -> torch.Tensor:
            loss: torch.Tensor = self.model(batch["x"])["loss"]
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    trainer = lightning.Trainer(
        max_steps=7,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=str(folder),
        callbacks=[callback],
    )
    trainer.fit(Module(), torch.utils.data.DataLoader(DATA, batch_size=2))  # type: ignore[arg-type]


def test_lightning(tmp_path: Path) -> None:
    pytest.importorskip("lightning.pytorch")
    from tracekit.capture.lightning import CaptureCallback

    model, path = Model(), tmp_path / "t.json.gz"
    run_lightning(model, CaptureCallback(path, warmup=3, steps=2), tmp_path)
    trace = read_trace(path)
    # the module whose forward nobody calls is Lightning's own: training_step is what runs
    assert Counter(scope.rest for scope in trace.calls) == {"model": 2, "model.layer": 2}
    assert "forward" not in model.layer.__dict__


def test_lightning_whose_model_fails(tmp_path: Path) -> None:
    pytest.importorskip("lightning.pytorch")
    from tracekit.capture.lightning import CaptureCallback

    model, path = Model(fails_in=5), tmp_path / "t.json.gz"
    with pytest.raises(ZeroDivisionError):
        run_lightning(model, CaptureCallback(path, warmup=3), tmp_path)
    trace = read_trace(path)
    assert Counter(scope.rest for scope in trace.calls) == {"model": 2, "model.layer": 1}
    assert trace.metadata["error"] == "ZeroDivisionError: told to"
    assert os.listdir(tmp_path) == ["t.json.gz"]
