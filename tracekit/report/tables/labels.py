"""What readers call the tables and columns of a report, and the units of columns, by the names of fields."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tracekit.messages import N_, Message
from tracekit.report import view
from tracekit.report.hta_sections import CAUSES
from tracekit.report.roofline_sections import REASONS, WAITS

if TYPE_CHECKING:
    from tracekit.report.i18n import Locale

# Names are those of sheets too: at most 31 characters in every language.
TITLES = {
    "findings": N_("Findings"),
    "headroom": N_("To be won"),
    "blocks": N_("Transformer blocks"),
    "block_kinds": N_("Kinds of blocks"),
    "block_parts": N_("Parts of the blocks"),
    "modules": N_("All modules"),
    "types": N_("Module types"),
    "ops": N_("Operators"),
    "kernels": N_("Kernels"),
    "uncosted": N_("Kernels without a known cost"),
    "phases": N_("Phases"),
    "module_phases": N_("Modules by phase"),
    "type_phases": N_("Module types by phase"),
    "block_phases": N_("Blocks by phase"),
    "passes": N_("Passes"),
    "regions": N_("Regions"),
    "hta_ranks": N_("Time of the GPU by HTA"),
    "hta_idle": N_("Idle time of streams by HTA"),
    "timeline": N_("Timeline"),
}

LABELS = {
    "path": N_("Path"),
    "name": N_("Name"),
    "type": N_("Type"),
    "parent": N_("Inside of"),
    "block": N_("Block"),
    "depth": N_("Depth"),
    "order": N_("Order of first calls"),
    "calls": N_("Calls"),
    "kernels": N_("GPU events"),
    "gpu_time_us": N_("GPU time"),
    "gpu_self_time_us": N_("GPU self time"),
    "gpu_backward_time_us": N_("Backward GPU time"),
    "gpu_backward_self_time_us": N_("Backward GPU self time"),
    "backward_kernels": N_("Backward GPU events"),
    "gpu_time_per_pass_us": N_("GPU time per pass"),
    "gpu_self_time_per_pass_us": N_("GPU self time per pass"),
    "gpu_backward_time_per_pass_us": N_("Backward GPU time per pass"),
    "gpu_backward_self_time_per_pass_us": N_("Backward GPU self time per pass"),
    "cpu_time_us": N_("CPU time"),
    "cpu_self_time_us": N_("CPU self time"),
    "cpu_time_per_pass_us": N_("CPU time per pass"),
    "cpu_self_time_per_pass_us": N_("CPU self time per pass"),
    "slowest_call_us": N_("Slowest call, CPU time"),
    "median_call_us": N_("Median call, CPU time"),
    "parameters": N_("Parameters"),
    "matrix_flops": N_("Matrix FLOPs"),
    "backward_matrix_flops": N_("Backward matrix FLOPs"),
    "tflops": N_("Achieved"),
    "headroom_per_pass_us": N_("To be won per pass"),
    "headroom_share": N_("To be won, share of the pass"),
    "gpu_idle_us": N_("GPU idle"),
    "allocated_bytes": N_("Memory allocated in a pass"),
    "allocated_self_bytes": N_("Memory allocated by its own code"),
    "net_bytes": N_("Memory still held after"),
    "vector_flops": N_("Vector FLOPs"),
    "bytes": N_("Least memory traffic"),
    "network_bytes": N_("Network traffic"),
    "gbs": N_("Achieved bandwidth"),
    "arithmetic_intensity": N_("Arithmetic intensity"),
    "bound_us": N_("Bound"),
    "bounded_gpu_time_us": N_("GPU time of what has a bound"),
    "bound_share": N_("Bound reached"),
    "beats_bound": N_("Faster than the bound"),
    "limited_by": N_("Limited by"),
    "headroom_us": N_("To be won"),
    "roofline_intensity": N_("Intensity in the roofline"),
    "roofline_tflops": N_("Performance in the roofline"),
    "kind": N_("Kind"),
    "modules": N_("Modules"),
    "stack": N_("Stack"),
    "index": N_("Number"),
    "attention_flops": N_("Attention FLOPs"),
    "ffn_flops": N_("FFN FLOPs"),
    "mixer_flops": N_("Mixer FLOPs"),
    "matrix_flops_per_pass": N_("Matrix FLOPs per pass"),
    "attention_flops_per_pass": N_("Attention FLOPs per pass"),
    "ffn_flops_per_pass": N_("FFN FLOPs per pass"),
    "mixer_flops_per_pass": N_("Mixer FLOPs per pass"),
    "cpu_gflops": N_("Achieved on the CPU"),
    "part": N_("Part"),
    "blocks": N_("Blocks"),
    "time_share": N_("Share of the time of all blocks"),
    "place": N_("Where"),
    "launched_by": N_("Launched by"),
    "share": N_("Share of the pass"),
    "mean_us": N_("Mean"),
    "min_us": N_("Shortest"),
    "max_us": N_("Longest"),
    "shapes": N_("Shapes"),
    "dtypes": N_("Data types"),
    "causal_matrix_flops": N_("Matrix FLOPs that causal masks leave"),
    "kernel": N_("Kernel"),
    "op": N_("Operator"),
    "reason": N_("Why"),
    "passes": N_("Number of passes"),
    "tokens": N_("New tokens per sequence"),
    "cache_length": N_("Tokens in the cache before"),
    "latency_us": N_("Latency without the profiler"),
    "latency_min_us": N_("Least latency"),
    "latency_max_us": N_("Greatest latency"),
    "latency_passes": N_("Passes without the profiler"),
    "pass_wall_us": N_("Wall time under the profiler"),
    "pass_wall_min_us": N_("Least wall time"),
    "pass_wall_max_us": N_("Greatest wall time"),
    "gpu_busy_us": N_("GPU busy"),
    "counted_flops": N_("FLOPs counted by torch"),
    "headline_tflops": N_("Achieved performance"),
    "headline_basis": N_("Measured by"),
    "tokens_per_second": N_("Tokens per second"),
    "start_us": N_("Start"),
    "wall_us": N_("Wall time"),
    "outlier": N_("Outlier"),
    "phase": N_("Phase"),
    "id": N_("Rule"),
    "severity": N_("Severity"),
    "module": N_("Module"),
    "evidence": N_("What was seen"),
    "gain_us": N_("Gain, at most"),
    "advice": N_("What to do"),
    "duration_us": N_("Duration"),
    "device": N_("Device"),
    "stream": N_("Stream"),
    "count": N_("GPU events"),
    "rank": N_("Rank"),
    "span_us": N_("Span"),
    "idle_us": N_("Idle"),
    "compute_us": N_("Computing"),
    "non_compute_us": N_("Communication and copies alone"),
    "overlap_share": N_("Communication behind computing"),
    "cause": N_("Cause"),
    "idle_share": N_("Share of the idle time"),
}

# Columns of sentences.
SENTENCES = ("evidence", "advice")

# Words of a report's own that stand in a column: what the reports call them.
WORDS: dict[str, dict[str, Message]] = {
    "severity": view.SEVERITIES,
    "limited_by": view.LIMITS,
    "reason": REASONS,
    "kind": {"modules": N_("modules"), **view.KIND_LABELS, **WAITS},
    "launched_by": {"modules": N_("modules"), **view.KIND_LABELS},
    "type": view.KIND_LABELS,
    "cause": CAUSES,
}

SYMBOLS: dict[str, str | Message] = {
    "us": N_("µs"),
    "bytes": N_("B"),
    "gbs": N_("GB/s"),
    "intensity": N_("FLOP/byte"),
    "tflops": "TFLOP/s",
    "gflops": "GFLOP/s",
    "flops": "FLOPs",
    "share": "",  # a sign behind each number
}

_UNITS = {
    "us": re.compile(r"(_|\.)us$"),
    "share": re.compile(r"share$"),
    "bytes": re.compile(r"bytes$"),
    "gbs": re.compile(r"gbs$"),
    "intensity": re.compile(r"intensity$"),
    "tflops": re.compile(r"tflops$"),
    "gflops": re.compile(r"gflops$"),
    "flops": re.compile(r"flops"),
}


def unit_of(field: str) -> str | None:
    """The unit of a number, a key of `SYMBOLS`, by the name of its field; None for what is just counted."""
    return next((unit for unit, pattern in _UNITS.items() if pattern.search(field)), None)


def symbol_of(field: str, locale: Locale) -> str:
    """The symbol of that unit; empty without one."""
    symbol = SYMBOLS.get(unit_of(field) or "", "")
    return locale.message(symbol) if isinstance(symbol, Message) else symbol


def header_of(field: str, locale: Locale) -> str:
    """`GPU time (µs)`; a column that is not of the report's keeps its name."""
    if field not in LABELS:
        return field
    label = locale.message(LABELS[field])
    # The labels of FLOPs say so.
    symbol = "" if unit_of(field) == "flops" else symbol_of(field, locale)
    return f"{label} ({symbol})" if symbol else label
