"""What capture stored in the trace beside its events, as far as it has the form that capture gives it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tracekit.analysis.checked import (
    as_count,
    as_counts,
    as_durations,
    as_list,
    as_number,
    as_object,
    as_objects,
    as_text,
    as_texts,
    by_index,
)
from tracekit.analysis.schema import Capture, GpuState, Memory, Telemetry, UsedWithoutCall

# A model runs in a few ways, and a trace that names more is not one of capture's.
MOST_PHASES = 8
_LONGEST_TEXT = 500
_WHOLE_MODEL = 0


@dataclass(frozen=True)
class CapturedPhase:
    """A way in which the model ran: `tokens` are the new ones of each sequence in one pass."""

    name: str
    tokens: int | None = None
    cache_length: int | None = None
    latencies_us: tuple[float, ...] = ()
    matrix_flops: int | None = None  # of one pass, as torch.utils.flop_counter counts them
    module_flops: Mapping[int, int] | None = None  # the same of each module with its children, by its index


@dataclass(frozen=True)
class ModuleMemory:
    allocated_bytes: int | None
    net_bytes: int | None


@dataclass(frozen=True)
class Captured:
    """Empty for a trace that capture did not write."""

    phases: tuple[CapturedPhase, ...]
    pass_phases: tuple[str | None, ...]  # by the number in the name of the pass's scope
    latencies_us: tuple[float, ...]  # of the only phase
    step_latencies_us: tuple[float, ...]
    whole_steps: int | None  # how many of the steps were ended by the loop; None: all
    batch_size: int | None
    memory: Memory
    module_memory: Mapping[int, ModuleMemory]
    telemetry: Telemetry | None
    facts: Capture


def read_captured(metadata: Mapping[str, Any]) -> Captured:
    stored = as_object(metadata.get("tracekit"))
    return Captured(
        phases=_phases(stored),
        pass_phases=tuple(map(as_text, as_list(stored.get("pass_phases")))),
        latencies_us=as_durations(stored.get("latencies_us")),
        step_latencies_us=as_durations(stored.get("step_latencies_us")),
        whole_steps=as_count(stored.get("steps")),
        batch_size=as_count(stored.get("batch_size")),
        memory=_memory(as_object(stored.get("memory"))),
        module_memory={
            index: ModuleMemory(as_count(row.get("allocated_bytes")), as_count(row.get("net_bytes")))
            for index, row in by_index(stored.get("module_memory")).items()
            if isinstance(row, dict)
        },
        telemetry=_telemetry(as_object(stored.get("telemetry"))),
        facts=_facts(stored),
    )


def _phases(stored: dict[str, Any]) -> tuple[CapturedPhase, ...]:
    phases: dict[str, CapturedPhase] = {}
    for row in as_objects(stored.get("phases")):
        name = as_text(row.get("name"))
        if name is None or name in phases or len(phases) == MOST_PHASES:
            continue
        counts = row.get("module_flops")
        by_module = {index: as_count(flops) for index, flops in by_index(counts).items()}
        module_flops = {index: flops for index, flops in by_module.items() if flops is not None}
        matrix_flops = as_count(row.get("matrix_flops"))
        phases[name] = CapturedPhase(
            name=name,
            tokens=as_count(row.get("tokens")),
            cache_length=as_count(row.get("cache_length")),
            latencies_us=as_durations(row.get("latencies_us")),
            matrix_flops=module_flops.get(_WHOLE_MODEL) if matrix_flops is None else matrix_flops,
            module_flops=module_flops or None,
        )
    return tuple(phases.values())


def _memory(stored: dict[str, Any]) -> Memory:
    return Memory(**{field: as_count(stored.get(field)) for field in Memory.__struct_fields__})


def _telemetry(stored: dict[str, Any]) -> Telemetry | None:
    before, after = (tuple(map(_gpu_state, as_objects(stored.get(moment)))) for moment in ("before", "after"))
    return Telemetry(before, after) if before or after else None


def _gpu_state(row: dict[str, Any]) -> GpuState:
    return GpuState(
        index=as_count(row.get("index")),
        sm_clock_mhz=as_number(row.get("sm_clock_mhz")),
        max_sm_clock_mhz=as_number(row.get("max_sm_clock_mhz")),
        memory_clock_mhz=as_number(row.get("memory_clock_mhz")),
        power_w=as_number(row.get("power_w")),
        power_limit_w=as_number(row.get("power_limit_w")),
        performance_state=as_text(row.get("performance_state")),
        temperature_c=as_number(row.get("temperature_c")),
        throttle_reasons=as_texts(row.get("throttle_reasons")),
        source=as_text(row.get("source")),
    )


def _facts(stored: dict[str, Any]) -> Capture:
    names: dict[int, str] = {}
    for row in as_objects(stored.get("modules")):
        index, path, kind = as_count(row.get("index")), row.get("path"), row.get("type")
        if index is not None:
            names[index] = as_text(path) or as_text(kind) or str(index)

    def named(indices: object) -> tuple[str, ...]:
        return tuple(dict.fromkeys(names[index] for index in as_counts(indices) if index in names))

    used = []
    for row in as_objects(stored.get("used_without_call")):
        module, by = as_count(row.get("module")), as_count(row.get("by"))
        if module in names:
            used.append(UsedWithoutCall(names[module], names.get(by) if by is not None else None))
    return Capture(
        error=_short(as_text(stored.get("error")) or "") or None,
        not_called=named(stored.get("not_called")),
        used_without_call=tuple(used),
        compiled=named(stored.get("compiled")),
        cuda_graph=stored.get("cuda_graph") is True,
        redacted=stored.get("redacted") is True,
        notes=tuple(map(_short, as_texts(stored.get("notes")))),
    )


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 1]}…"
