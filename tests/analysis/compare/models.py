"""Traces of models whose modules take the time that a test says, in every pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.builder import TraceBuilder
from tracekit.analysis import Report, analyze

Tree = Mapping[str, Any]
"""Name and type of a module, `up:Linear`, and what it takes: µs of one kernel, µs for each pass, a pair of
the name of the kernel and its µs, or a mapping of what is below it."""

GAP = 2000  # between passes


class Model:
    """Passes of a tree of modules, as tracekit's scopes or as frames, on a GPU."""

    def __init__(self, tree: Tree, passes: int = 3, frames: bool = False, root: str = "Net") -> None:
        self.trace = TraceBuilder()
        self.table: dict[str, tuple[int, str]] = {}
        self.frames = frames
        self.numbers: dict[str, dict[str, int]] = {}
        self.correlation = 0
        self.clock = 0.0
        for number in range(passes):
            self._call("", root, tree, number)
            self.clock += GAP
        if not frames:
            rows = [
                {"index": index, "path": path, "type": kind} for path, (index, kind) in self.table.items()
            ]
            self.trace.metadata = {"tracekit": {"modules": rows}}

    def outside(self, name: str, us: float) -> Model:
        """A kernel that is launched behind the last pass."""
        self._kernel(name, us)
        return self

    def report(self, folder: Path, name: str = "t.json") -> Report:
        return analyze(self.trace.write(folder / name))

    def _call(self, path: str, kind: str, below: Any, number: int) -> None:
        start = self.clock
        self.clock += 1
        if isinstance(below, Mapping):
            for key, inner in below.items():
                name, _, type_ = key.partition(":")
                self._call(f"{path}.{name}" if path else name, type_ or name, inner, number)
        else:
            name, us = below if isinstance(below, tuple) else ("kernel", below)
            self._kernel(name, us[number] if isinstance(us, Sequence) else us)
        self.clock += 1
        if self.frames:
            known = self.numbers.setdefault(kind, {})
            self.trace.frame(f"{kind}_{known.setdefault(path, len(known))}", start, self.clock)
            return
        index, _ = self.table.setdefault(path, (len(self.table), kind))
        self.trace.scope(index, path, start, self.clock)

    def _kernel(self, name: str, us: float) -> None:
        self.correlation += 1
        self.trace.launch(self.correlation, self.clock, self.clock + 0.5)
        self.trace.kernel(self.correlation, self.clock + 0.5, self.clock + 0.5 + us, name)
        self.clock += 1
