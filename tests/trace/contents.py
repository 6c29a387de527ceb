"""What a trace holds as plain rows: as tracekit has read it, and by the definition of a trace alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.builder import Event
from tracekit.trace import Trace, read
from tracekit.trace.columns import GPU_KINDS, Intervals

Rows = dict[str, list[tuple[Any, ...]]]

_GPU_CATEGORIES = {"kernel": "kernel", "gpu_memcpy": "memcpy", "gpu_memset": "memset"}
_SIGNATURE = ("Input Dims", "Input type", "Concrete Inputs")


def rows_of(events: list[Event]) -> Rows:
    """The rows that sound events (names as Kineto writes them today) have to become, in their order."""
    rows: Rows = {"ops": [], "launches": [], "gpu_events": [], "frames": [], "annotations": []}
    for event in events:
        if event.get("ph") != "X":
            continue
        args = event.get("args", {})
        start, end = (round(1000 * time) for time in (event["ts"], event["ts"] + event["dur"]))
        row = (event["name"], event["pid"], event["tid"], start, end)
        if event["cat"] == "cpu_op":
            rows["ops"].append((*row, *(args.get(key) for key in _SIGNATURE)))
        elif event["cat"] == "cuda_runtime":
            rows["launches"].append((*row, args["correlation"]))
        elif event["cat"] in _GPU_CATEGORIES:
            place = (args["correlation"], args["device"], _GPU_CATEGORIES[event["cat"]])
            rows["gpu_events"].append((*row, *place))
        elif event["cat"] == "python_function" and event["name"].startswith("nn.Module: "):
            rows["frames"].append(row)
        elif event["cat"] == "user_annotation":
            rows["annotations"].append(row)
    return rows


def rows(trace: Trace) -> Rows:
    """The rows of a trace that was read, with every code looked up."""

    def intervals(table: Intervals) -> list[tuple[Any, ...]]:
        columns = zip(table.name, table.thread, table.start, table.end, strict=True)
        return [
            (trace.names[name], *trace.threads[thread], int(start), int(end))
            for name, thread, start, end in columns
        ]

    def signature(code: int) -> tuple[Any, ...]:
        found = trace.signatures[code]
        texts = (found.shapes, found.dtypes, found.concrete)
        return tuple(json.loads(text) if text else None for text in texts)

    gpu_events = trace.gpu_events
    places = zip(gpu_events.correlation.tolist(), gpu_events.device, gpu_events.kind, strict=True)
    return {
        "ops": [
            (*row, *signature(code))
            for row, code in zip(intervals(trace.ops), trace.ops.signature, strict=True)
        ],
        "launches": [
            (*row, correlation)
            for row, correlation in zip(
                intervals(trace.launches), trace.launches.correlation.tolist(), strict=True
            )
        ],
        "gpu_events": [
            (*row, correlation, trace.devices[device][1], GPU_KINDS[kind])
            for row, (correlation, device, kind) in zip(intervals(gpu_events), places, strict=True)
        ],
        "frames": intervals(trace.frames),
        "annotations": intervals(trace.annotations),
    }


def read_text(directory: Path, text: bytes) -> Trace:
    path = directory / "t.json"
    path.write_bytes(text)
    return read(path)


def numbers(warning: object) -> list[int]:
    return [int(digits.replace(",", "")) for digits in re.findall(r"\d+(?:,\d{3})*", str(warning))]


def assert_told(trace: Trace, what: str, count: int | None, begin: int, end: int) -> None:
    """A warning says what, how many, and a place between two byte offsets."""
    said = [numbers(warning) for warning in trace.warnings if re.search(what, str(warning), re.IGNORECASE)]
    assert any(
        (count is None or count in found) and any(begin <= number <= end for number in found)
        for found in said
    ), (list(map(str, trace.warnings)), what, count, begin, end)
