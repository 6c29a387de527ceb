"""What a user can cause and mend while capturing, as one exception type with a one-line text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_LONGEST_LINE = 300


class CaptureError(Exception):
    """Printed as one line, exit code 2, never a traceback."""


@contextmanager
def failures_named(doing: str) -> Iterator[None]:
    """Turn whatever fails inside into a `CaptureError` that says what was being done.

    For calls into code that is not tracekit's (building a model, its forward): such code raises anything,
    and a user can mend it only from outside.
    """
    try:
        yield
    except (CaptureError, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # SystemExit among them, which would end the program without a word
        if _is_out_of_memory(error):
            text = (
                f"out of memory while {doing}: try --dtype bfloat16, or a smaller --batch-size or --seq-len"
            )
        else:
            text = f"failed while {doing}: {named(error)}"
        raise CaptureError(text) from error


def _is_out_of_memory(error: BaseException) -> bool:
    # torch raises OutOfMemoryError for a GPU, and a bare RuntimeError from its CPU allocator.
    name = type(error).__name__
    return name in ("OutOfMemoryError", "MemoryError") or "can't allocate memory" in named(error)


def named(error: BaseException) -> str:
    """The kind of an error and what it says, on one line."""
    try:
        text = str(error)
    except Exception:  # it is the user's own class
        text = ""
    return one_line(f"{type(error).__name__}: {one_line(text)}")


def one_line(text: str) -> str:
    """`text` without its line breaks, cut where nobody would read on."""
    line = " ".join(text.split()) or "no message"
    return line if len(line) <= _LONGEST_LINE else line[: _LONGEST_LINE - 1] + "…"
