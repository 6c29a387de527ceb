"""Writer: torch's exported trace, with tracekit's metadata at its head, into one gzipped file.

torch exports plain JSON to a file of its own; this module streams that into the destination in pieces, so
that a trace of gigabytes costs a megabyte of memory. The destination appears whole or not at all.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from tracekit.capture.errors import CaptureError, one_line

_PIECE_BYTES = 1 << 20
_COMPRESSION = 6  # 9, gzip's default, takes three times as long for 3 % less

# Kineto writes a name as it comes, so that a quote in a range which the model's own code names breaks the
# whole file. Which fields share a line with a name depends on the version: with torch 2.11 the process and
# thread behind it, with 2.13 none. Only lines with a quote too many match, and some of several fields.
_BROKEN_NAME = re.compile(
    rb'("(?:name|labels)": ")([^"\n]*"[^\n]*)("(?:, "pid": -?\d+, "tid": -?\d+)?,?)(?=\n|\Z)'
)
_SEVERAL_FIELDS = re.compile(rb'[^"]*", "(?:ph": "[A-Za-z]"|bp": "e")(?:, "\w+": (?:"[a-z]?"|-?[\d.]+))*,?')
_TRACE_NAME = re.compile(rb'(?<!\\)"traceName": "[^"\n]*"')
# Some versions write these as they come as well, and JSON has them in no text.
_CONTROL_TO_BLANK = bytes(byte if byte >= 32 or byte == 10 else 32 for byte in range(256))


def check_destination(path: Path) -> None:
    """Find out before a model is built what would make the last step fail.

    Raises:
        CaptureError: nothing can be written there.
    """
    if path.suffix != ".gz":
        raise CaptureError(f"{path}: the trace is written gzipped, name it {path.name}.gz or alike")
    real = os.path.realpath(path)  # a link stays one
    folder = os.path.dirname(real)
    # Not with pathlib, which raises for names that are too long and folders that may not be entered.
    if not os.path.isdir(folder):
        raise CaptureError(f"{path}: there is no directory {path.parent}")
    if os.path.exists(real) and not os.path.isfile(real):
        raise CaptureError(f"{path}: is there already and is no ordinary file")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise CaptureError(f"{path}: the directory {path.parent} is not writable")
    try:
        os.lstat(real)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise CaptureError(f"{path}: {error.strerror or error}") from error


def write_trace(
    export: Callable[[str], object], metadata: Mapping[str, Any], path: Path, *, redact: bool = False
) -> None:
    """Write what `export` exports to `path`, with `metadata` under `tracekit` as its first key.

    `export` is given a file name and writes a Chrome trace there, such as
    `torch.profiler.profile.export_chrome_trace`. `redact` takes out of both what tells whose model on whose
    machine it is, as `redact` and `redact_trace` say; `metadata` that is `redacted` is taken as it is.

    Raises:
        CaptureError: the file cannot be written; what was at `path` before is still there.
    """
    through: Callable[[Iterator[bytes]], Iterator[bytes]] = iter
    if redact:
        metadata, through = _redaction(metadata)
    head = b'{"tracekit": ' + json.dumps(metadata, allow_nan=False).encode("ascii") + b","
    trace_name = "trace.json.gz" if redact else path.name
    real = Path(os.path.realpath(path))
    try:
        with _temporary_folder(real.parent) as beside, _temporary_folder(_export_parent(real)) as folder:
            exported = folder / "trace.json"
            _export(export, exported, path)
            finished = beside / "trace.json.gz"
            with (
                exported.open("rb") as source,
                finished.open("wb") as target,
                # Neither name nor time in the header: the same trace gives the same bytes.
                gzip.GzipFile("", "wb", _COMPRESSION, target, mtime=0) as sink,
            ):
                sink.write(head)
                for piece in through(_pieces(source, trace_name=trace_name)):
                    sink.write(piece)
            os.replace(finished, real)
    except OSError as error:
        raise CaptureError(f"{path}: cannot be written: {error.strerror or error}") from error


def _export(export: Callable[[str], object], exported: Path, path: Path) -> None:
    try:
        export(str(exported))
    except OSError:
        raise
    except Exception as error:
        raise CaptureError(f"{path}: cannot be written: {one_line(str(error))}") from error
    if not exported.exists():  # Kineto keeps to itself that it could not write
        raise CaptureError(
            f"{path}: cannot be written: torch's profiler exported nothing to {exported.parent.parent}, "
            "is the disk full?"
        )


def _redaction(
    metadata: Mapping[str, Any],
) -> tuple[Mapping[str, Any], Callable[[Iterator[bytes]], Iterator[bytes]]]:
    """Redacted metadata, and what redacts a trace consistently with it."""
    # Here, because these need torch and the command line checks its destination before it loads torch.
    from tracekit.capture.redact import Pseudonyms, redacted_metadata
    from tracekit.capture.redact_trace import redacted_pieces

    names = Pseudonyms()
    redacted = metadata if metadata.get("redacted") is True else redacted_metadata(metadata, names)
    return redacted, lambda pieces: redacted_pieces(pieces, redacted, names)


@contextmanager
def _temporary_folder(parent: Path) -> Iterator[Path]:
    """A new folder in `parent` that is gone afterwards, whatever happens, a second Ctrl-C included."""
    folder = tempfile.mkdtemp(prefix=".tracekit-", dir=parent)
    try:
        yield Path(folder)
    finally:
        try:
            shutil.rmtree(folder, ignore_errors=True)
        except KeyboardInterrupt:
            shutil.rmtree(folder, ignore_errors=True)
            raise


def _export_parent(path: Path) -> Path:
    """Beside the destination, which has the room, unless torch cannot write a path such as that."""
    folder = path.parent.absolute()
    is_harmless = re.fullmatch(r"[ -~]*", str(folder)) and not set('"\\') & set(str(folder))
    return folder if is_harmless else Path(tempfile.gettempdir())


def _pieces(source: IO[bytes], trace_name: str) -> Iterator[bytes]:
    """The exported trace without its opening brace, mended, in pieces that end before a line's end."""
    rest = b""
    while not rest and (block := source.read(_PIECE_BYTES)):
        rest = block.lstrip()
    if not rest.startswith(b"{"):
        raise CaptureError("torch's profiler exported no trace: is the disk full?")
    rest = rest[1:]
    while block := source.read(_PIECE_BYTES):
        rest += block
        # Some exports end in blank lines: the last line is the last that says something.
        if (end := rest.rstrip().rfind(b"\n")) >= 0:
            yield _mended(rest[:end], trace_name)
            rest = rest[end:]
    rest = rest.rstrip()
    if not rest.endswith(b"}"):
        raise CaptureError("torch's profiler exported half a trace: is the disk full?")
    yield _mended(rest, trace_name)


def _mended(lines: bytes, trace_name: str) -> bytes:
    """Whole lines of an export as valid JSON, with `trace_name` for the temporary file that torch names."""
    lines = _BROKEN_NAME.sub(_with_quotes_escaped, lines.translate(_CONTROL_TO_BLANK))
    own_name = b'"traceName": ' + json.dumps(trace_name).encode("ascii")
    return _TRACE_NAME.sub(lambda _: own_name, lines)


def _with_quotes_escaped(match: re.Match[bytes]) -> bytes:
    before, name, after = match.groups()
    if _SEVERAL_FIELDS.fullmatch(name + after):
        return match.group()
    return before + re.sub(rb'(?<!\\)"', rb'\\"', name) + after
