"""Telemetry: what the GPUs' own counters say about clocks, power and heat at one moment.

Asks the driver's library through ctypes, NVML on NVIDIA and ROCm SMI on AMD, because neither its Python
package nor its command line is sure to be there. What cannot be learnt is None; nothing here raises.

Signatures, constants and units are those of NVIDIA's `nvml.h` and AMD's `rocm_smi/rocm_smi.h`.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch

_NVML = ("nvml.dll",) if sys.platform == "win32" else ("libnvidia-ml.so.1", "libnvidia-ml.so")
_ROCM_SMI = (
    "librocm_smi64.so",
    *(f"librocm_smi64.so.{version}" for version in (7, 6, 5, 1)),
    "/opt/rocm/lib/librocm_smi64.so",
)
_VALUES = (
    "sm_clock_mhz",
    "max_sm_clock_mhz",
    "memory_clock_mhz",
    "power_w",
    "power_limit_w",
    "performance_state",
    "temperature_c",
    "throttle_reasons",
)

# nvml.h: nvmlClockType_t, nvmlTemperatureSensors_t, nvmlPstates_t
_NVML_CLOCK_SM = 1
_NVML_CLOCK_MEM = 2
_NVML_TEMPERATURE_GPU = 0
_NVML_PSTATES = 16
# nvml.h: nvmlClocksEventReason…, called nvmlClocksThrottleReason… before CUDA 12.2, with the same bits
_NVML_REASONS = (
    "gpu_idle",
    "applications_clocks_setting",
    "sw_power_cap",
    "hw_slowdown",
    "sync_boost",
    "sw_thermal_slowdown",
    "hw_thermal_slowdown",
    "hw_power_brake_slowdown",
    "display_clock_setting",
)

# rocm_smi.h: rsmi_clk_type_t, rsmi_temperature_type_t, rsmi_temperature_metric_t
_RSMI_CLK_TYPE_SYS = 0
_RSMI_CLK_TYPE_MEM = 4
_RSMI_TEMP_TYPES = (1, 0)  # junction, which is what slows a GPU down; edge, where there is no junction
_RSMI_TEMP_CURRENT = 0
_NOWHERE = (-1, -1, -1)  # no PCI address

Load = Callable[[str], Any]
"""Opens a shared library by its name, as `ctypes.CDLL` does, or raises `OSError`."""


def gpu_states(
    device: torch.device | Sequence[torch.device], *, load: Load = ctypes.CDLL
) -> list[dict[str, Any]]:
    """One entry per GPU in `device`, in the form of the metadata's `telemetry`; [] for a CPU.

    Clocks are in MHz, power in W, the temperature in °C. `performance_state` is NVIDIA's, `P0` the fastest;
    `throttle_reasons` are NVML's names in small letters (`sw_power_cap`), and [] when nothing holds the
    clocks back. AMD's library has neither. A GPU is recognised by its UUID or its PCI address, since
    `CUDA_VISIBLE_DEVICES` renumbers what torch sees; of a MIG device, the values are those of its GPU.
    """
    try:
        devices = [device] if isinstance(device, torch.device) else list(device)
        indices = [
            torch.cuda.current_device() if one.index is None else one.index
            for one in devices
            if one.type == "cuda"
        ]
    except Exception:  # a GPU that is lost raises whatever torch makes of it
        return []
    if not indices:
        return []
    states = {index: dict.fromkeys(("index", *_VALUES, "source")) | {"index": index} for index in indices}
    read_all, source = (_rocm_smi, "rocm_smi") if torch.version.hip else (_nvml, "nvml")
    try:
        with read_all(load) as read:
            for index, state in states.items():
                state["source"] = source
                state.update(read(torch.cuda.get_device_properties(index)))
    except Exception:
        pass  # telemetry is an extra: no fault of a driver's is worth a capture
    return list(states.values())


Answer = TypeVar("Answer")


class _Library:
    """A C library whose functions return 0 when they succeed and take a pointer to the answer last."""

    def __init__(self, names: Sequence[str], load: Load) -> None:
        """Raises `OSError` when there is no such library."""
        for name in names:
            try:
                self._library = load(name)
                return
            except OSError:
                continue
        raise OSError(f"no {names[0]}")

    def read(self, function: str, answer: Answer, *arguments: Any) -> Answer | None:
        """`answer`, a ctypes object, filled in; None where the function is missing or fails."""
        return answer if self.call(function, *arguments, ctypes.pointer(answer)) else None

    def number(self, function: str, answer: Any, *arguments: Any) -> int | None:
        found = self.read(function, answer, *arguments)
        return None if found is None else int(found.value)

    def call(self, function: str, *arguments: Any) -> bool:
        """Whether it succeeds; the arguments are ctypes objects and say of which types they are."""
        try:
            call = getattr(self._library, function)
        except AttributeError:  # an older driver
            return False
        call.argtypes = [type(argument) for argument in arguments]
        call.restype = ctypes.c_int
        return bool(call(*arguments) == 0)


Handle = ctypes.c_void_p | None
Read = Callable[[Any], dict[str, Any]]
"""From torch's properties of a device to the values that its library gives for it."""


@contextmanager
def _nvml(load: Load) -> Iterator[Read]:
    library = _Library(_NVML, load)
    if not library.call("nvmlInit_v2"):
        raise OSError("NVML does not start")
    try:
        yield lambda properties: _nvml_values(library, _nvml_handle(library, properties))
    finally:
        library.call("nvmlShutdown")


def _nvml_handle(library: _Library, properties: Any) -> Handle:
    uuid = str(getattr(properties, "uuid", ""))
    for kind in ("GPU", "MIG") if uuid else ():
        name = ctypes.c_char_p(f"{kind}-{uuid}".encode())
        handle = library.read("nvmlDeviceGetHandleByUUID", ctypes.c_void_p(), name)
        if handle is not None:
            # A part of a GPU has no clocks of its own.
            whole = library.read("nvmlDeviceGetDeviceHandleFromMigDeviceHandle", ctypes.c_void_p(), handle)
            return whole if kind == "MIG" and whole is not None else handle
    address = _pci_address(properties)
    if address is None:
        return None
    domain, bus, slot = address
    name = ctypes.c_char_p(f"{domain:08x}:{bus:02x}:{slot:02x}.0".encode())
    return library.read("nvmlDeviceGetHandleByPciBusId_v2", ctypes.c_void_p(), name)


def _pci_address(properties: Any) -> tuple[int, int, int] | None:
    """Domain, bus and slot; None where this torch does not say."""
    bus, slot = (getattr(properties, name, None) for name in ("pci_bus_id", "pci_device_id"))
    domain = getattr(properties, "pci_domain_id", 0)
    return (domain, bus, slot) if isinstance(bus, int) and isinstance(slot, int) else None


def _nvml_values(library: _Library, handle: Handle) -> dict[str, Any]:
    if handle is None:
        return {}

    def number(function: str, *arguments: int) -> int | None:
        return library.number(function, ctypes.c_uint(), handle, *map(ctypes.c_int, arguments))

    state = number("nvmlDeviceGetPerformanceState")
    return {
        "sm_clock_mhz": number("nvmlDeviceGetClockInfo", _NVML_CLOCK_SM),
        "max_sm_clock_mhz": number("nvmlDeviceGetMaxClockInfo", _NVML_CLOCK_SM),
        "memory_clock_mhz": number("nvmlDeviceGetClockInfo", _NVML_CLOCK_MEM),
        "power_w": _scaled(number("nvmlDeviceGetPowerUsage"), 1e-3),
        "power_limit_w": _scaled(number("nvmlDeviceGetEnforcedPowerLimit"), 1e-3),
        "performance_state": f"P{state}" if state is not None and state < _NVML_PSTATES else None,
        "temperature_c": number("nvmlDeviceGetTemperature", _NVML_TEMPERATURE_GPU),
        "throttle_reasons": _nvml_reasons(library, handle),
    }


def _nvml_reasons(library: _Library, handle: ctypes.c_void_p) -> list[str] | None:
    for function in ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"):
        mask = library.number(function, ctypes.c_ulonglong(), handle)
        if mask is not None:
            return [
                _NVML_REASONS[bit] if bit < len(_NVML_REASONS) else f"bit_{bit}"
                for bit in range(mask.bit_length())
                if mask >> bit & 1
            ]
    return None


class _FrequenciesSinceRocm6(ctypes.Structure):
    """rsmi_frequencies_t with `has_deep_sleep`; frequencies in Hz."""

    _fields_ = (
        ("has_deep_sleep", ctypes.c_bool),
        ("num_supported", ctypes.c_uint32),
        ("current", ctypes.c_uint32),
        ("frequency", ctypes.c_uint64 * 33),
    )


class _FrequenciesBeforeRocm6(ctypes.Structure):
    _fields_ = (
        ("num_supported", ctypes.c_uint32),
        ("current", ctypes.c_uint32),
        ("frequency", ctypes.c_uint64 * 32),
    )


class _Frequencies(ctypes.Union):
    """Room for either: the library does not say which of the two it writes."""

    _fields_ = (("since_rocm_6", _FrequenciesSinceRocm6), ("before_rocm_6", _FrequenciesBeforeRocm6))


@contextmanager
def _rocm_smi(load: Load) -> Iterator[Read]:
    library = _Library(_ROCM_SMI, load)
    if not library.call("rsmi_init", ctypes.c_uint64(0)):
        raise OSError("ROCm SMI does not start")
    try:
        count = library.number("rsmi_num_monitor_devices", ctypes.c_uint32()) or 0
        # The parts of a partitioned GPU share its address: the first speaks for it.
        indices = {_rsmi_address(library, index): ctypes.c_uint32(index) for index in reversed(range(count))}
        indices.pop(_NOWHERE, None)
        yield lambda properties: _rsmi_values(library, indices.get(_pci_address(properties) or _NOWHERE))
    finally:
        library.call("rsmi_shut_down")


def _rsmi_address(library: _Library, index: int) -> tuple[int, int, int]:
    number = library.number("rsmi_dev_pci_id_get", ctypes.c_uint64(), ctypes.c_uint32(index))
    if number is None:
        return _NOWHERE
    # rocm_smi.h: domain in bits 63 to 32, bus in 15 to 8, slot in 7 to 3; the rest says which partition
    return number >> 32, number >> 8 & 0xFF, number >> 3 & 0x1F


def _rsmi_values(library: _Library, index: ctypes.c_uint32 | None) -> dict[str, Any]:
    if index is None:
        return {}
    sm_clocks_mhz = _rsmi_clocks_mhz(library, index, _RSMI_CLK_TYPE_SYS)
    memory_clocks_mhz = _rsmi_clocks_mhz(library, index, _RSMI_CLK_TYPE_MEM)
    power_uw = library.number("rsmi_dev_current_socket_power_get", ctypes.c_uint64(), index)
    if power_uw is None:  # before MI300
        power_uw = library.number("rsmi_dev_power_ave_get", ctypes.c_uint64(), index, ctypes.c_uint32(0))
    limit_uw = library.number("rsmi_dev_power_cap_get", ctypes.c_uint64(), index, ctypes.c_uint32(0))
    temperatures_mc = (
        library.number(
            "rsmi_dev_temp_metric_get",
            ctypes.c_int64(),
            index,
            ctypes.c_uint32(sensor),
            ctypes.c_int(_RSMI_TEMP_CURRENT),
        )
        for sensor in _RSMI_TEMP_TYPES
    )
    return {
        "sm_clock_mhz": sm_clocks_mhz[0],
        "max_sm_clock_mhz": sm_clocks_mhz[1],
        "memory_clock_mhz": memory_clocks_mhz[0],
        "power_w": _scaled(power_uw, 1e-6),
        "power_limit_w": _scaled(limit_uw, 1e-6),
        "temperature_c": _scaled(next((t for t in temperatures_mc if t is not None), None), 1e-3),
    }


def _rsmi_clocks_mhz(library: _Library, index: ctypes.c_uint32, kind: int) -> tuple[int | None, int | None]:
    """The current and the highest clock, in the layout that makes sense."""
    found = library.read("rsmi_dev_gpu_clk_freq_get", _Frequencies(), index, ctypes.c_int(kind))
    # The older one first: it would take the newer's `has_deep_sleep` for a count, which is then none that
    # the newer's count could be below.
    for layout in () if found is None else (found.before_rocm_6, found.since_rocm_6):
        if layout.current < layout.num_supported <= len(layout.frequency):
            mhz = [round(hertz / 1e6) for hertz in layout.frequency[: layout.num_supported]]
            if all(0 <= clock < 10_000 for clock in mhz) and max(mhz):
                return mhz[layout.current], max(mhz)
    return None, None


def _scaled(value: int | None, factor: float) -> float | None:
    return None if value is None else round(value * factor, 3)
