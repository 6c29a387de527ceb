"""Work for workers, which import it: a source's name says what becomes of it."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tracekit.analysis.ranks.sources import Source, own_scratch
from tracekit.messages import N_, UserError
from tracekit.trace.fits import DoesNotFitError


class TwistedError(Exception):
    """Can be pickled, but not unpickled."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


def named(source: Source, scratch: Path | None = None) -> bytes:
    """Its name; or what the name says, of which `url` is the directory to leave notes in."""
    note = Path(source.url) / source.name
    with note.open("a") as file:
        file.write(f"{os.getpid()}\n")
    tries = note.read_text().count("\n")
    if source.name == "scratch":
        return str(scratch or own_scratch()).encode()
    if source.name.startswith("damaged"):
        raise UserError(N_("{path}: is empty", path=note))
    if source.name.startswith("large") and tries < 2:
        raise DoesNotFitError(N_("{path}: needs more memory", path=source.name))
    if source.name.startswith("bug"):
        raise TwistedError("so", "twisted")
    if source.name.startswith("deadly") or (source.name.startswith("unlucky") and tries < 2):
        os._exit(9)
    if source.name.startswith("slow"):
        if scratch is not None:
            (scratch / "copy").write_text("a large one")
        time.sleep(60)
    return source.name.upper().encode()
