"""Builds miniature traces readably: `TraceBuilder().op("aten::mm", 10, 20).kernel(…)`; times in µs."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

Event = dict[str, Any]


class TraceBuilder:
    """Collects events; every method returns the builder."""

    def __init__(self, pid: Any = 1, tid: Any = 1) -> None:
        self.events: list[Event] = []
        self.pid, self.tid = pid, tid
        self.metadata: dict[str, Any] = {}

    def event(self, cat: str, name: str, start: float, end: float, **fields: Any) -> TraceBuilder:
        dur = round(end - start, 6)
        event = {
            "ph": "X",
            "cat": cat,
            "name": name,
            "pid": self.pid,
            "tid": self.tid,
            "ts": start,
            "dur": dur,
        }
        self.events.append({**event, **fields})
        return self

    def op(
        self,
        name: str,
        start: float,
        end: float,
        dims: Any = None,
        types: Any = None,
        concrete: Any = None,
        sequence: Any = None,
        forward_thread: Any = None,
        **fields: Any,
    ) -> TraceBuilder:
        args = {
            "Input Dims": dims,
            "Input type": types,
            "Concrete Inputs": concrete,
            "Sequence number": sequence,
            "Fwd thread id": 0 if sequence is not None and forward_thread is None else forward_thread,
        }
        args = {key: value for key, value in args.items() if value is not None}
        return self.event("cpu_op", name, start, end, args=args, **fields)

    def node(
        self,
        name: str,
        start: float,
        end: float,
        sequence: Any = None,
        forward_thread: Any = 1,
        **fields: Any,
    ) -> TraceBuilder:
        """An autograd node that the engine runs: the engine's op, and 1 µs inside it the node's own."""
        number = {"sequence": sequence, "forward_thread": None if sequence is None else forward_thread}
        self.op(f"autograd::engine::evaluate_function: {name}", start, end, **number, **fields)
        return self.op(name, start + 1, end - 1, **number, **fields)

    def arrow(
        self,
        number: Any,
        forward: float,
        backward: float,
        forward_tid: Any = 1,
        backward_tid: Any = 2,
        cat: str = "fwdbwd",
    ) -> TraceBuilder:
        """The two events of an arrow from a forward op to a backward op."""
        for ph, ts, tid in (("s", forward, forward_tid), ("f", backward, backward_tid)):
            event = {"ph": ph, "id": number, "pid": self.pid, "tid": tid, "ts": ts, "cat": cat, "name": cat}
            self.events.append(event)
        return self

    def frame(self, name: str, start: float, end: float, **fields: Any) -> TraceBuilder:
        return self.event("python_function", f"nn.Module: {name}", start, end, **fields)

    def scope(self, index: int | str, path: str, start: float, end: float, **fields: Any) -> TraceBuilder:
        return self.event("cpu_op", f"tracekit:{index}:{path}", start, end, **fields)

    def range(self, name: str, start: float, end: float, **fields: Any) -> TraceBuilder:
        return self.event("user_annotation", name, start, end, **fields)

    def launch(self, correlation: int, start: float, end: float | None = None, **fields: Any) -> TraceBuilder:
        args = {"correlation": correlation}
        end = start + 1 if end is None else end
        return self.event("cuda_runtime", "cudaLaunchKernel", start, end, args=args, **fields)

    def kernel(
        self,
        correlation: int,
        start: float,
        end: float,
        name: str = "kernel",
        device: int = 0,
        stream: int = 7,
    ) -> TraceBuilder:
        args = {"correlation": correlation, "device": device, "stream": stream}
        return self.event("kernel", name, start, end, pid=device, tid=stream, args=args)

    def document(self) -> dict[str, Any]:
        return {**self.metadata, "traceEvents": self.events}

    def write(self, path: Path) -> Path:
        data = json.dumps(self.document()).encode()
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
        return path
