"""From two reports to a `Comparison`: what differs module by module, and what of it is more than noise."""

from __future__ import annotations

from tracekit.analysis.compare.schema import Comparison

__all__ = ["Comparison"]
