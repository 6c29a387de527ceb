"""A callback for Lightning's `Trainer` that captures a window of training batches."""

from __future__ import annotations

import os
from typing import Any

try:
    from lightning.pytorch import Callback
except ImportError:
    from pytorch_lightning import Callback

from tracekit.capture.session import Capture, capture, end_of_training


class CaptureCallback(Callback):  # type: ignore[misc]
    """`Trainer(…, callbacks=[CaptureCallback("trace.json.gz", warmup=3, steps=2)])`.

    Takes the arguments of `tracekit.capture.capture` but the model, which the trainer hands over. A step
    is one batch. The file is written after the last step of the window, or when the training ends before
    it, also with an error: then it holds what ran until there. `metadata` is what went in beside the trace.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, warmup: int = 3, steps: int | None = 2, **options: Any
    ):
        self._path = path
        self._options = {"warmup": warmup, "steps": steps, **options}
        self._capture: Capture | None = None

    @property
    def metadata(self) -> dict[str, Any] | None:
        return self._capture.metadata if self._capture else None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        if trainer.is_global_zero:
            self._capture = capture(pl_module, self._path, **self._options).__enter__()

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._capture is not None:
            self._capture.step()

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        if self._capture is not None:
            end_of_training(self._capture)

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        if self._capture is not None:
            self._capture.end(exception)
