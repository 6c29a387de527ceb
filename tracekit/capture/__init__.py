"""Capture: runs a PyTorch model and writes one trace file that travels to the analysis.

Stands apart from the rest of tracekit: it runs on the GPU box, with torch, transformers (only to build a
model) and the standard library, and imports nothing else of tracekit. `tracekit.capture.cli` is its
command line; importing this package imports no torch.
"""

from tracekit.capture.errors import CaptureError

__all__ = ["CaptureError"]
