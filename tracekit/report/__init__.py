"""Renderers: one file per output, each a function of the immutable `Report`. They decide and compute nothing.

Names are loaded when asked for, so that the JSON way pays for neither pandas nor matplotlib.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tracekit.report.saving import DEFAULT_FORMATS, check_formats, save

__all__ = ["DEFAULT_FORMATS", "check_formats", "save"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module("tracekit.report.saving")
    globals().update({public: getattr(module, public) for public in __all__})
    return globals()[name]
