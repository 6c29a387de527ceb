"""Capture: runs a PyTorch model and writes one trace file that travels to the analysis.

    from tracekit.capture import capture

    with capture(model, "trace.json.gz", warmup=3, steps=2) as c:
        for batch in loader:
            train(model, batch)
            c.step()

Stands apart from the rest of tracekit: it runs on the GPU box, with torch, transformers (only to build a
model) and the standard library, and imports nothing else of tracekit. `tracekit.capture.cli` is its
command line, `tracekit.capture.huggingface` and `tracekit.capture.lightning` hold the callbacks of those
trainers. Importing this package imports no torch: names are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracekit.capture.errors import CaptureError

if TYPE_CHECKING:
    from tracekit.capture.session import Capture, capture

__all__ = ["Capture", "CaptureError", "capture"]


def __getattr__(name: str) -> Any:
    if name not in ("Capture", "capture"):
        raise AttributeError(f"module 'tracekit.capture' has no attribute {name!r}")
    from tracekit.capture import session

    return getattr(session, name)
