"""From a trace to a `Report`: read → attribute → cost → measure, in one visible function."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tracekit.analysis.device import find_device
from tracekit.analysis.measure import measure
from tracekit.analysis.op_costs import cost_ops
from tracekit.analysis.schema import Report
from tracekit.attribution import attribute
from tracekit.costs import load_file, load_packages, restored
from tracekit.trace import read

__all__ = ["Report", "analyze"]


def analyze(
    path: str | Path,
    *,
    gpu: str | None = None,
    peak_tflops: float | None = None,
    bandwidth_gbs: float | None = None,
    costs_file: str | Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """The report of the trace at `path`.

    `gpu` names a device where the trace does not; `peak_tflops` (dense TFLOP/s) and `bandwidth_gbs` (GB/s)
    override the device table; `costs_file` is a Python file that registers cost formulas for this
    analysis; `progress` is told the number of bytes read. Raises `UserError`.
    """
    not_loaded = load_packages()
    with restored():
        if costs_file is not None:
            load_file(costs_file)
        trace = read(path, progress)
        attribution = attribute(trace)
        device, spec = find_device(trace, gpu, peak_tflops, bandwidth_gbs)
        costs = cost_ops(trace, attribution, spec)
        return measure(trace, attribution, costs, device, spec, not_loaded)
