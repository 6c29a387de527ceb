"""tracekit: where a PyTorch model spends its time on a GPU, module by module.

    report = tracekit.analyze("trace.json.gz")
    report.modules.head()
    report.save("out/")

Names are imported when they are first used, so that `import tracekit` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tracekit import costs, hta
    from tracekit.api import Report, analyze, annotate, gate
    from tracekit.api_compare import Comparison, compare
    from tracekit.api_ranks import Job, ranks
    from tracekit.messages import UserError

__all__ = [
    "Comparison",
    "Job",
    "Report",
    "UserError",
    "__version__",
    "analyze",
    "annotate",
    "compare",
    "costs",
    "gate",
    "hta",
    "ranks",
]

__version__ = "0.1.0"

_HOMES = {
    "Report": "tracekit.api",
    "analyze": "tracekit.api",
    "annotate": "tracekit.api",
    "gate": "tracekit.api",
    "Comparison": "tracekit.api_compare",
    "compare": "tracekit.api_compare",
    "Job": "tracekit.api_ranks",
    "ranks": "tracekit.api_ranks",
    "UserError": "tracekit.messages",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in ("capture", "costs", "hta"):  # capture needs torch as soon as anything of it is used
        return import_module(f"tracekit.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'tracekit' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
