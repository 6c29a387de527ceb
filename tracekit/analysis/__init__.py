"""From a trace to a `Report`: read → attribute → cost → measure, in one visible function."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from tracekit.analysis.device import find_device
from tracekit.analysis.hta_tables import hta_breakdowns
from tracekit.analysis.lanes import Lanes, find_lanes
from tracekit.analysis.measure import Measurement, measure
from tracekit.analysis.op_costs import OpCosts, cost_ops
from tracekit.analysis.schema import Report
from tracekit.attribution import Attribution, attribute
from tracekit.costs import load_file, load_packages, restored
from tracekit.hta import require_hta
from tracekit.trace import Trace, read

__all__ = ["Lanes", "Report", "analyze", "analyze_lanes"]


def analyze(
    path: str | Path,
    *,
    gpu: str | None = None,
    peak_tflops: float | None = None,
    bandwidth_gbs: float | None = None,
    costs_file: str | Path | None = None,
    progress: Callable[[int], None] | None = None,
    processes: int | None = None,
    hta: bool | None = False,
) -> Report:
    """The report of the trace at `path`.

    `gpu` names a device where the trace does not; `peak_tflops` (dense TFLOP/s) and `bandwidth_gbs` (GB/s)
    override the device table; `costs_file` is a Python file that registers cost formulas for this
    analysis; `progress` is told the number of bytes read; so many `processes` decode the trace, by default as
    many as its size is worth; `hta` adds the tables of Holistic Trace Analysis, None: where it is installed.
    Raises `UserError`.
    """
    if hta:
        require_hta()
    done = _analyze(path, gpu, peak_tflops, bandwidth_gbs, costs_file, progress, processes)
    return replace(done.measurement.report, hta=hta_breakdowns(done.trace, hta))


def analyze_lanes(
    path: str | Path,
    *,
    gpu: str | None = None,
    peak_tflops: float | None = None,
    bandwidth_gbs: float | None = None,
    costs_file: str | Path | None = None,
    progress: Callable[[int], None] | None = None,
    processes: int | None = None,
) -> tuple[Report, Lanes]:
    """`analyze`, and what can be drawn beside the kernels of the trace."""
    done = _analyze(path, gpu, peak_tflops, bandwidth_gbs, costs_file, progress, processes)
    return done.measurement.report, find_lanes(done.trace, done.attribution, done.costs, done.measurement)


class _Analysis(NamedTuple):
    trace: Trace
    attribution: Attribution
    costs: OpCosts
    measurement: Measurement


def _analyze(
    path: str | Path,
    gpu: str | None,
    peak_tflops: float | None,
    bandwidth_gbs: float | None,
    costs_file: str | Path | None,
    progress: Callable[[int], None] | None,
    processes: int | None,
) -> _Analysis:
    not_loaded = load_packages()
    with restored():
        if costs_file is not None:
            load_file(costs_file)
        trace = read(path, progress, processes)
        attribution = attribute(trace)
        device, spec = find_device(trace, gpu, peak_tflops, bandwidth_gbs)
        costs = cost_ops(trace, attribution, spec)
        measurement = measure(trace, attribution, costs, device, spec, not_loaded)
        return _Analysis(trace, attribution, costs, measurement)
