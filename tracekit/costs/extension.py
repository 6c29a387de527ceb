"""Formulas of users: from a file of theirs, or from any installed package that offers some.

A file or a module registers its formulas with `tracekit.costs.register` when it is run. A package announces
its module under the entry point group `tracekit.costs`, and need not be named then.
"""

from __future__ import annotations

import runpy
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

from tracekit.messages import N_, Message, UserError

GROUP = "tracekit.costs"


def load_file(path: str | Path) -> None:
    """Runs a Python file that registers formulas. Raises `UserError` where it cannot be read or fails."""
    path = Path(path)
    if not path.is_file():
        raise UserError(N_("--costs {path}: no such file", path=str(path)))
    try:
        runpy.run_path(str(path), run_name="tracekit_costs")
    except (Exception, SystemExit) as error:
        raise UserError(
            N_(
                "--costs {path}: running it failed ({kind}: {error})",
                path=str(path),
                kind=type(error).__name__,
                error=str(error),
            )
        ) from error


@cache
def load_packages() -> tuple[Message, ...]:
    """Imports what installed packages offer, once; what failed, since no package may stop an analysis."""
    failed = []
    for point in entry_points(group=GROUP):
        try:
            point.load()
        except (Exception, SystemExit) as error:
            failed.append(
                N_(
                    "cost formulas of {package} could not be loaded ({kind}: {error})",
                    package=point.value,
                    kind=type(error).__name__,
                    error=str(error),
                )
            )
    return tuple(failed)
