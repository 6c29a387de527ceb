"""A line on the terminal that says what goes on, for whatever takes longer than a second."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tracekit.interruption import undisturbed
from tracekit.messages import N_, Message

if TYPE_CHECKING:
    from rich.progress import Progress

    from tracekit.report.i18n import Locale

SILENT_SECONDS = 1.0
_WIDEST_BAR = 24


class Work:
    """What is being done, step by step; once `show` was called, a line on stderr says it."""

    def __init__(self, lang: str) -> None:
        self._lang = lang
        self._step, self._next = N_("starting"), N_("starting")
        self._total: int | None = None  # bytes; unknown outside of reading
        self._done = 0
        self._line: Progress | None = None
        self._locale: Locale | None = None
        self._ended = False
        self._lock = threading.RLock()

    def begin(self, step: Message, total: int | None = None, then: Message | None = None) -> None:
        """What is done next; `total`: of how many bytes, and `then`: what is done when those are read."""
        with self._lock:
            self._step, self._total, self._done, self._next = step, total, 0, then or step
            self._draw()

    def advance(self, count: int) -> None:
        """So many bytes more are read."""
        with self._lock:
            self._done += count
            if self._total is None:
                return
            if self._done >= self._total:
                self.begin(self._next)
            elif self._line is not None:
                self._line.update(self._line.task_ids[0], completed=self._done)

    def show(self) -> None:
        """Shows the line; on a thread of its own, since nothing may be heard of long work."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
        from rich.table import Column

        from tracekit.report.i18n import Locale

        with self._lock:
            if self._ended:
                return
            console = Console(stderr=True)
            what = Column(ratio=1, no_wrap=True, overflow="ellipsis")
            self._locale = Locale(self._lang)
            self._line = Progress(
                TextColumn("{task.description}", markup=False, table_column=what),
                BarColumn(min(_WIDEST_BAR, console.width // 4)),
                TaskProgressColumn(),
                TimeElapsedColumn(),
                console=console,
                transient=True,
                expand=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._draw()
            self._line.start()

    def end(self) -> None:
        """Takes the line away; there will be none any more."""
        with self._lock:
            self._ended = True
            if self._line is not None:
                self._line.stop()

    def _draw(self) -> None:
        """A new task for the step: rich cannot forget the total of an old one."""
        if self._line is None or self._locale is None:
            return
        for task in self._line.task_ids:
            self._line.remove_task(task)
        self._line.add_task(self._locale.message(self._step), total=self._total, completed=self._done)


@contextmanager
def shown_work(lang: str) -> Iterator[Work]:
    """The work that goes on within; shown if it takes more than a second and stderr is a terminal."""
    work = Work(lang)
    timer = threading.Timer(SILENT_SECONDS, work.show)
    timer.daemon = True

    def end() -> None:
        with undisturbed():
            timer.cancel()
            work.end()

    try:
        try:
            if sys.stderr is not None and sys.stderr.isatty():
                timer.start()
            yield work
        finally:
            end()
    finally:
        end()  # once more, for an interruption in the moment before
