"""Miniature passes whose kernels run one after the other, as launches and a stream make them; times in µs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.builder import TraceBuilder
from tracekit.analysis import analyze
from tracekit.analysis.schema import Finding

B, F = "c10::BFloat16", "float"
HOST_US = 4.0  # what an op takes on the host; its launch begins 1 µs after it and takes 1 µs


class Timeline:
    """One thread that launches, one stream that computes what it is given one after the other."""

    def __init__(self, device: str = "NVIDIA H100 80GB HBM3") -> None:
        self.builder = TraceBuilder()
        self.builder.metadata = {
            "deviceProperties": [{"id": 0, "name": device, "totalGlobalMem": 85018279936}],
            "tracekit": {"modules": []},
        }
        self.now, self.gpu_free, self.correlation = 1000.0, 0.0, 0
        self.modules: dict[str, int] = {}

    @contextmanager
    def module(self, path: str, kind: str = "Module") -> Iterator[None]:
        table = self.builder.metadata["tracekit"]["modules"]
        if path not in self.modules:
            self.modules[path] = len(table)
            table.append({"index": len(table), "path": path, "type": kind})
        start = self.now
        self.now += 1
        yield
        self.now += 1
        self.builder.scope(self.modules[path], path, start, self.now)

    @contextmanager
    def forward(self, number: int = 0) -> Iterator[None]:
        """A pass, with what capture's scope and the root module are around."""
        start = self.now
        self.now += 1
        with self.module("", "Root"):
            yield
        self.now += 1
        self.builder.scope("forward", str(number), start, self.now)
        self.now = max(self.now, self.gpu_free) + 100

    def op(
        self,
        name: str,
        dims: list[Any],
        types: list[str] | str,
        gpu_us: float = 10.0,
        concrete: list[str] | None = None,
        kernel: str = "kernel",
        cat: str = "kernel",
    ) -> Timeline:
        """An op that launches one kernel. `types`: one for all inputs, or of each."""
        types = types if isinstance(types, list) else [types if dim else "Scalar" for dim in dims]
        self.builder.op(name, self.now, self.now + HOST_US, dims, types, concrete)
        self.launch(gpu_us, kernel, cat, at=self.now + 1)
        self.now += HOST_US + 1
        return self

    def launch(self, gpu_us: float, kernel: str = "kernel", cat: str = "kernel", at: float = 0.0) -> None:
        at = at or self.now
        self.correlation += 1
        self.builder.launch(self.correlation, at, at + 1)
        start = max(at + 2, self.gpu_free)
        self.gpu_free = start + gpu_us
        self.builder.kernel(self.correlation, start, self.gpu_free, kernel)
        self.builder.events[-1]["cat"] = cat

    def wait(self, call: str = "cudaStreamSynchronize", op: str | None = "aten::item") -> Timeline:
        """A call that returns 1 µs after the stream is empty, in an op of its own or in none."""
        start = self.now
        end = max(start + 1, self.gpu_free) + 1
        self.correlation += 1
        self.builder.event("cuda_runtime", call, start + 0.5, end, args={"correlation": self.correlation})
        if op:
            self.builder.op(op, start, end + 1, [[]], [B])
        self.now = end + 2
        return self

    def findings(self, tmp_path: Path, rule: str) -> list[Finding]:
        report = analyze(self.builder.write(tmp_path / "trace.json"))
        return [one for one in report.findings if one.id == rule]
