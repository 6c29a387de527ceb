"""What `bench.py analyze` runs, each in a process of its own: bench_programs.py PROGRAM FILE.

Prints a JSON list of the steps that it measured: seconds of wall and of processor, and the peak memory of the
process up to the end of the step. Imports are made before the clock starts; what `PYTHONPATH` names is what
is measured.
"""

from __future__ import annotations

import json
import re
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

FLOOR_CHUNKS = (1 << 19, 1 << 20)
# glibc hands blocks of this size and less back to the kernel until one of them was freed: then it keeps them.
_KEPT_BYTES = 30 << 20
_BETWEEN_EVENTS = re.compile(rb"\}(\s*,\s*)\{\s*\"(?:ph|name|cat)\"")
_WINDOW_BYTES = 1 << 16


@dataclass(frozen=True)
class Step:
    step: str
    seconds: float
    cpu_seconds: float  # of all its processes
    peak_mib: float  # of several processes, the sum of their peaks
    events: int | None = None


class Watch:
    """Measures steps that follow each other."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._start()

    def _start(self) -> None:
        self._wall, self._cpu = time.perf_counter(), _cpu_seconds()

    def lap(self, step: str, events: int | None = None) -> None:
        wall, cpu = time.perf_counter() - self._wall, _cpu_seconds() - self._cpu
        self.steps.append(Step(step, wall, cpu, _peak_mib(), events))
        self._start()


def _cpu_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _peak_mib() -> float:
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return (
        sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        / (1 << 20)
        * unit
    )


def floor(path: str) -> list[Step]:
    """Decompressing and decoding the fields that tracekit reads, a chunk at a time, and keeping nothing.

    Without what the first line does to the allocator every chunk faults its pages in anew, which doubles the
    time. Who keeps what was decoded is spared that, and would come out below such a floor.
    """
    bytearray(_KEPT_BYTES)
    watch = Watch()
    for chunk_bytes in FLOOR_CHUNKS:
        watch.lap("floor", _decode_all(path, chunk_bytes))
    return [min(watch.steps, key=lambda step: step.seconds)]


def _decode_all(path: str, chunk_bytes: int) -> int:
    """The number of events of a trace whose events all begin alike, as those of `bench_traces.py` do."""
    import msgspec

    from tracekit.trace.events import Event, decode_events
    from tracekit.trace.source import open_source

    rest = msgspec.json.Decoder(msgspec.defstruct("Rest", [("traceEvents", list[Event])]))
    buffer, started, count = bytearray(), False, 0
    for piece in open_source(path).pieces():
        buffer += piece
        if not started and (head := re.search(rb'"traceEvents"\s*:\s*\[', buffer)):
            del buffer[: head.end()]
            started = True
        if started and len(buffer) >= chunk_bytes:
            *_, cut = _BETWEEN_EVENTS.finditer(buffer, max(0, len(buffer) - _WINDOW_BYTES))
            count += len(decode_events(b"[" + buffer[: cut.start(1)] + b"]"))
            del buffer[: cut.end(1)]
    return count + len(rest.decode(b'{"traceEvents":[' + buffer).traceEvents)


def stages(path: str) -> list[Step]:
    """All of `tracekit analyze` up to the text of report.json, step by step, in one process."""
    return _analyze(path, processes=1)


def _analyze(path: str, processes: int) -> list[Step]:
    from tracekit.analysis.device import find_device
    from tracekit.analysis.measure import measure
    from tracekit.analysis.op_costs import cost_ops
    from tracekit.attribution import attribute
    from tracekit.costs import load_packages
    from tracekit.report.json import render_json
    from tracekit.trace import read

    watch = Watch()
    trace = read(path, processes=processes)
    watch.lap("read", trace.event_count)
    attribution = attribute(trace)
    watch.lap("attribution")
    not_loaded = load_packages()
    device, spec = find_device(trace, None, None, None)
    costs = cost_ops(trace, attribution, spec)
    watch.lap("costs")
    report = measure(trace, attribution, costs, device, spec, not_loaded).report
    watch.lap("rest of the analysis")
    render_json(report)
    watch.lap("report.json")
    return watch.steps


def two_processes(path: str) -> list[Step]:
    """The same with a second process that helps to read."""
    steps = _analyze(path, processes=2)
    return [
        Step(
            "all, two processes",
            sum(step.seconds for step in steps),
            sum(step.cpu_seconds for step in steps),
            steps[-1].peak_mib,
            steps[0].events,
        )
    ]


def analysis(path: str) -> list[Step]:
    """`analyze` as it is by default: what older revisions have too."""
    from tracekit.analysis import analyze

    watch = Watch()
    analyze(path)
    watch.lap("analyze")
    return watch.steps


def json_load(path: str) -> list[Step]:
    """What a script of a few lines begins with."""
    import gzip

    watch = Watch()
    with gzip.open(path) if path.endswith(".gz") else open(path, "rb") as file:
        events = len(json.load(file)["traceEvents"])
    watch.lap("json.load", events)
    return watch.steps


def hta(path: str) -> list[Step]:
    """The leanest load that Holistic Trace Analysis has: JSON to a data frame, events not linked yet."""
    from hta.common.trace_parser import parse_trace_dataframe
    from hta.configs.parser_config import ParserConfig

    watch = Watch()
    parse_trace_dataframe(path, ParserConfig.get_default_cfg())
    watch.lap("HTA's load")
    return watch.steps


PROGRAMS: dict[str, Callable[[str], Any]] = {
    program.__name__: program for program in (floor, stages, two_processes, analysis, json_load, hta)
}


if __name__ == "__main__":
    print(json.dumps([asdict(step) for step in PROGRAMS[sys.argv[1]](sys.argv[2])]))
