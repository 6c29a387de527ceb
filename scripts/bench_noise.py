"""`bench.py noise`: how often a comparison calls chance a change, by captures of one and the same model.

A small model runs on the CPU and is captured again and again in one process; each capture is compared with
the one before. Then one of its modules is slowed down, and the comparison has to name that one first.
"""

from __future__ import annotations

import itertools
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SLOWED = "layers.2.up"
TABLES = ("modules", "places", "types", "ops", "kernels")


@dataclass(frozen=True)
class Noise:
    """Of so many comparisons of the same, and whether the slowed module was named first in the other one."""

    comparisons: int
    without_change: int
    passes: int
    slowed: str
    named_first: str | None


def bench_noise(repetitions: int, passes: int) -> list[Noise]:
    """Measure and print."""
    import torch

    from tracekit.analysis.compare import compare

    torch.set_num_threads(1)
    model = _model()
    with tempfile.TemporaryDirectory() as folder:
        _report(model, Path(folder), passes)  # the first capture of a process also warms it up
        reports = [_report(model, Path(folder), passes) for _ in range(repetitions + 1)]
        changed = 0
        for before, after in itertools.pairwise(reports):
            comparison = compare(before, after)
            rows = [row for table in TABLES for row in getattr(comparison, table)]
            rows += [total for phase in comparison.phases for total in (phase.total, phase.wall) if total]
            changed += any(row.verdict not in ("same", "unknown") for row in rows)
        _slow_down(model)
        comparison = compare(reports[-1], _report(model, Path(folder), passes))
    first = next((row.key for row in comparison.modules if row.verdict == "slower"), None)
    found = Noise(repetitions, repetitions - changed, passes, SLOWED, first)
    print(f"{os.cpu_count()} cores, {passes} passes in each capture")
    print(f"{found.without_change} of {repetitions} comparisons of the same report no change")
    print(f"slowed down: {SLOWED}, named first: {first}")
    return [found]


def _model() -> Any:
    from torch import nn

    class Block(nn.Module):
        def __init__(self, size: int) -> None:
            super().__init__()
            self.norm, self.act = nn.LayerNorm(size), nn.GELU()
            self.up, self.down = nn.Linear(size, 4 * size), nn.Linear(4 * size, size)

        def forward(self, x: Any) -> Any:
            return x + self.down(self.act(self.up(self.norm(x))))

    class Small(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(*(Block(64) for _ in range(4)))
            self.head = nn.Linear(64, 100)

        def forward(self, x: Any) -> Any:
            return self.head(self.layers(x))

    return Small().eval()


def _report(model: Any, folder: Path, passes: int) -> Any:
    import torch

    from tracekit.analysis import analyze
    from tracekit.capture import capture

    path, batch = folder / "trace.json.gz", torch.randn(4, 16, 64)
    with torch.no_grad(), capture(model, path, warmup=3, steps=passes) as c:
        for _ in range(3 + passes + 2):
            model(batch)
            c.step()
    return analyze(path)


def _slow_down(model: Any) -> None:
    """Lets one module do its work eight times."""
    slowed = model.get_submodule(SLOWED)
    once = slowed.forward

    def again(x: Any) -> Any:
        for _ in range(7):
            once(x)
        return once(x)

    slowed.forward = again
