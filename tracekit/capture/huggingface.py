"""A callback for `transformers.Trainer` that captures a window of training steps."""

from __future__ import annotations

import os
from typing import Any

from transformers import TrainerCallback

from tracekit.capture.session import Capture, capture, end_of_training


class CaptureCallback(TrainerCallback):  # type: ignore[misc]
    """`Trainer(…, callbacks=[CaptureCallback("trace.json.gz", warmup=3, steps=2)])`.

    Takes the arguments of `tracekit.capture.capture` but the model, which the trainer hands over. A step
    is one of the optimizer, with all its micro-batches. The file is written after the last step of the
    window, or when the training ends before it; `metadata` then holds what went in beside the trace.
    An error inside the model's forward ends the capture with a trace of what ran until there; after one
    elsewhere in the loop, of which the trainer tells no callback, call `close()`.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, warmup: int = 3, steps: int | None = 2, **options: Any
    ):
        self._path = path
        self._options = {"warmup": warmup, "steps": steps, "end_on_error": True, **options}
        self._capture: Capture | None = None

    @property
    def metadata(self) -> dict[str, Any] | None:
        return self._capture.metadata if self._capture else None

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        if self._capture is not None:  # an earlier training ended with an error, of which nobody told
            self._capture.end(RuntimeError("the training did not come to its end"))
        if getattr(state, "is_world_process_zero", True) and model is not None:
            self._capture = capture(model, self._path, **self._options).__enter__()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._capture is not None:
            self._capture.step()

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._capture is not None:
            end_of_training(self._capture)

    def close(self) -> None:
        """End the capture, if it has not ended."""
        if self._capture is not None:
            self._capture.end()
