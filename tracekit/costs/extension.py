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
    try:
        is_file, exists = path.is_file(), path.exists()
    except (OSError, ValueError):
        is_file = exists = False
    if not exists:
        raise UserError(N_("--costs {path}: no such file", path=str(path)))
    if not is_file:
        raise UserError(N_("--costs {path}: is no regular file", path=str(path)))
    try:
        runpy.run_path(str(path), run_name="tracekit_costs")
    except (KeyboardInterrupt, MemoryError):
        raise
    except BaseException as error:
        raise UserError(
            N_(
                "--costs {path}: running it failed ({kind}: {error})",
                path=str(path),
                kind=type(error).__name__,
                error=_said(error),
            )
        ) from error


@cache
def load_packages() -> tuple[Message, ...]:
    """Imports what installed packages offer, once; what failed, since no package may stop an analysis."""
    failed = []
    for point in entry_points(group=GROUP):
        try:
            point.load()
        except (KeyboardInterrupt, MemoryError):
            raise
        except BaseException as error:
            failed.append(
                N_(
                    "cost formulas of {package} could not be loaded ({kind}: {error})",
                    package=point.value,
                    kind=type(error).__name__,
                    error=_said(error),
                )
            )
    return tuple(failed)


def _said(error: BaseException) -> str:
    """What an exception says, whatever its class does."""
    try:
        return str(error)
    except Exception:
        return type(error).__name__
