"""What asks a program to end, Ctrl-C or `kill`: how it does end then, and when it must not."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

# Of a closed terminal, of Ctrl-C and of `kill`; Windows lacks the first.
SIGNALS = tuple(getattr(signal, name) for name in ("SIGHUP", "SIGINT", "SIGTERM") if hasattr(signal, name))
_AGAIN_SECONDS = 0.02


class Interrupted(KeyboardInterrupt):
    """A signal asks the program to end; `number` says which."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def interruptible() -> Iterator[list[int]]:
    """Within, the signals that ask to end raise `Interrupted`; yields the numbers of those that have come.

    One that is ignored, as Ctrl-C is in a background job, stays so. Does nothing outside the main thread,
    which no signal reaches.
    """
    came: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        raise Interrupted(number)

    def unraisable(lost: sys.UnraisableHookArgs) -> None:
        # Where Python can raise nothing, as in a destructor, it prints a traceback and goes on.
        if isinstance(lost.exc_value, Interrupted):
            threading.Timer(_AGAIN_SECONDS, signal.raise_signal, [lost.exc_value.number]).start()
        else:
            hook(lost)

    hook, sys.unraisablehook = sys.unraisablehook, unraisable
    try:
        with _handled_by(interrupt):
            yield came
    finally:
        sys.unraisablehook = hook


@contextmanager
def undisturbed() -> Iterator[None]:
    """Within, the signals that ask to end wait; for what takes no time and must be done whole."""
    waiting: list[int] = []
    try:
        with _handled_by(lambda number, _frame: waiting.append(number)):
            yield
    finally:
        if waiting:
            signal.raise_signal(waiting[0])


def ignore_interruptions() -> None:
    """For the end of a program, whose exit code would else be that of the signal."""
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)


@contextmanager
def _handled_by(handler: Any) -> Iterator[None]:
    before: dict[int, Any] = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    before[number] = signal.signal(number, handler)
        yield
    finally:
        for number, handler_before in before.items():
            if signal.getsignal(number) is handler:  # else somebody has had their own idea meanwhile
                signal.signal(number, handler_before)
