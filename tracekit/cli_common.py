"""What several commands have in common: names of files, their sizes, printing after all is written."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from tracekit.messages import N_, UserError


def stem(trace: Path) -> str:
    """The file's name without what says how it is packed."""
    from tracekit.trace.containers import SUFFIXES

    name = trace.name
    while name.endswith(SUFFIXES):
        name = name.rpartition(".")[0]
    return name.removesuffix(".json") or "trace"


def size_of(trace: Path) -> int | None:
    """Bytes to read; unknown of a pipe, and where `trace` cannot be looked at, of which reading tells."""
    return os.path.getsize(trace) if os.path.isfile(trace) else None


def print_after(directory: Path, show: Callable[[TextIO], None]) -> None:
    """Prints the summary of what was written to `directory`; raises `UserError` where that fails."""
    if sys.stdout is None:  # closed by whoever started us
        return
    try:
        show(sys.stdout)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise UserError(
            N_(
                "the report is in {directory}, but its summary could not be printed ({reason})",
                directory=directory,
                reason=error.strerror,
            )
        ) from None
