"""Which device a trace was taken on, and its figures from the table or from the user."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracekit import hardware
from tracekit.analysis.schema import Device
from tracekit.hardware import DeviceSpec
from tracekit.messages import N_, Message
from tracekit.trace import Trace


def find_device(
    trace: Trace, gpu: str | None, peak_tflops: float | None, bandwidth_gbs: float | None
) -> tuple[Device, DeviceSpec | None]:
    """The device for the report and its figures, None where they are unknown.

    `gpu` names a device of the table, `peak_tflops` and `bandwidth_gbs` replace its figures. Raises
    `UserError` for a `gpu` that the table does not have.
    """
    has_gpu = len(trace.gpu_events) > 0
    name, memory = _recorded_device(trace)
    spec = hardware.find(gpu) if gpu else hardware.lookup(name, memory) if has_gpu else None
    named = spec
    spec = hardware.with_overrides(spec, peak_tflops, bandwidth_gbs)
    device = Device(
        name=name or (spec.name if spec else None) or None,
        kind=(trace.device_kind or (spec.kind if spec else None) or None) if has_gpu else "cpu",
        peaks=dict(spec.peaks) if spec else None,
        bandwidth_gbs=spec.bandwidth_gbs if spec else None,
        source=spec.source if spec else None,
        note=_why_unknown(name, has_gpu) if spec is None else _replaced(name, named) if gpu else None,
    )
    return device, spec


def _replaced(name: str | None, named: DeviceSpec | None) -> Message | None:
    """What to know where a user names another device than the trace does."""
    if named is None or name is None or hardware.lookup(name) == named:
        return None
    return N_(
        "the figures are those of {device}, as --gpu asks; the trace names {name}",
        device=named.name,
        name=name,
    )


def ran_on_cpu(trace: Trace) -> bool:
    """Whether capture says that the model ran on the CPU.

    A trace without GPU events alone does not: a GPU may have worked unrecorded, and then the CPU times of
    ops are those of launches.
    """
    return not len(trace.gpu_events) and _captured_device(trace).get("type") == "cpu"


def _why_unknown(name: str | None, has_gpu: bool) -> Message:
    if not has_gpu:
        return N_("there are no GPU events in the trace, so there is no GPU to compare with")
    if not name:
        return N_(
            "the trace does not name its GPU: name it with --gpu, or give --peak-tflops and --bandwidth"
        )
    return N_("{name} is not in the device table: give --peak-tflops and --bandwidth, or --gpu", name=name)


def _recorded_device(trace: Trace) -> tuple[str | None, int | None]:
    """Name and memory in bytes of the device that ran most GPU events, as far as the trace says."""
    properties = trace.metadata.get("deviceProperties")
    known = [
        row
        for row in (properties if isinstance(properties, list) else [])
        if isinstance(row, dict) and isinstance(row.get("name"), str)
    ]
    number: Any = None
    if len(trace.gpu_events):
        counts = np.bincount(trace.gpu_events.device)
        pid, device = trace.devices[int(counts.argmax())]
        number = device if device is not None else pid
    row = next((row for row in known if row.get("id") == number), None)
    if row is None and len({row["name"] for row in known}) == 1:
        row = known[0]
    row = row or _captured_device(trace)
    name, memory = row.get("name"), row.get("totalGlobalMem", row.get("memory_bytes"))
    return (
        name if isinstance(name, str) and name.strip() else None,
        memory if isinstance(memory, int) else None,
    )


def _captured_device(trace: Trace) -> dict[str, Any]:
    capture = trace.metadata.get("tracekit")
    device = capture.get("device") if isinstance(capture, dict) else None
    return device if isinstance(device, dict) else {}
