"""Miniature captures of several passes whose statistics are easily had from the raw values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.builder import TraceBuilder

# Path: start and end of its scope, and a moment at which none of its children runs; from the pass's start.
_SCOPES = {
    "": (1, 99, 45),
    "layers.0": (2, 40, 3),
    "layers.0.mlp": (5, 38, 6),
    "layers.0.mlp.up": (20, 30, 22),
    "layers.1": (50, 90, 51),
    "layers.1.mlp": (55, 88, 60),
}


def run(
    passes: Sequence[Mapping[str, float]],
    *,
    gaps: Sequence[float] = (),
    phases: Sequence[str] = (),
    latencies: Mapping[str, Sequence[float]] | None = None,
    peak: int | None = None,
    kind: str = "Tiny",
    prefix: str = "",
) -> TraceBuilder:
    """A pass for each mapping of modules to the µs of the one kernel that each of them launches.

    Between the kernels of a pass there is its gap, so that it is idle for one less than it has kernels.
    `phases` are those of the passes, "forward" by default; `latencies` is by phase. Paths get `prefix`.
    """
    builder = TraceBuilder()
    phases = tuple(phases) or ("forward",) * len(passes)
    latencies = latencies or {}
    stored: dict[str, Any] = {
        "model": {"name": "tiny", "class": kind, "config": {"hidden_size": 64}},
        "modules": [
            {"index": index, "path": path and prefix + path, "type": path.rpartition(".")[2] or kind}
            for index, path in enumerate(_SCOPES)
        ],
        "mode": "forward",
        "pass_phases": list(phases),
        "phases": [
            {
                "name": name,
                "passes": phases.count(name),
                "latencies_us": list(latencies.get(name, ())),
            }
            for name in dict.fromkeys(phases)
        ],
    }
    if peak is not None:
        stored["memory"] = {"peak_allocated_bytes": peak}
    builder.metadata = {"deviceProperties": [{"id": 0, "name": "NVIDIA H100 80GB HBM3"}], "tracekit": stored}
    for number, kernels in enumerate(passes):
        at = 10_000 * (number + 1)
        builder.scope("forward", str(number), at, at + 100)
        for index, (path, (start, end, _moment)) in enumerate(_SCOPES.items()):
            builder.scope(index, path and prefix + path, at + start, at + end)
        begin = at + 10.0
        for place, (path, duration) in enumerate(sorted(kernels.items(), key=lambda one: _SCOPES[one[0]][2])):
            correlation = 100 * number + place + 1
            builder.launch(correlation, at + _SCOPES[path][2])
            begin = max(begin, at + _SCOPES[path][2] + 2.0)
            builder.kernel(correlation, begin, begin + duration, "gemm")
            begin += duration + (gaps[number] if gaps else 0)
    return builder


def plain(durations: Sequence[float], path: Path, **settings: Any) -> Path:
    """A run whose passes take so many µs of GPU time, in one module, written to `path`."""
    return run([{"layers.0.mlp": duration} for duration in durations], **settings).write(path)
