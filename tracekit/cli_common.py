"""What several commands have in common: shares, names and sizes of files, printing after all is written."""

from __future__ import annotations

import math
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


def parse_share(option: str, text: str) -> float:
    """`5%` or `0.05`. Raises `UserError` for anything else: of 1 and more a bare number may mean either."""
    try:
        share = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        share = math.nan
    if not (math.isfinite(share) and share >= 0) or (share >= 1 and not text.endswith("%")):
        raise UserError(
            N_(
                "{option} {text}: give a percentage such as 5%, or a share such as 0.05",
                option=option,
                text=text,
            )
        )
    return share


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
