"""Telemetry, against libraries compiled here that answer as nvml.h and rocm_smi.h say."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tracekit.capture.telemetry import gpu_states

COMPILER = shutil.which("cc") or shutil.which("gcc")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="needs a C compiler")

NVML = r"""
#include <string.h>
typedef struct nvmlDevice_st { const char *uuid, *bus; unsigned sm; } *nvmlDevice_t;
typedef int nvmlReturn_t;  /* nvml.h: an enum; 0 success, 3 not supported, 4 no permission, 6 not found */
static struct nvmlDevice_st gpus[2] = {
    {"GPU-aaaaaaaa-0000-0000-0000-000000000000", "00000000:3b:00.0", 1980},
    {"GPU-bbbbbbbb-0000-0000-0000-000000000000", "00000000:86:00.0", 345}};
static struct nvmlDevice_st mig = {"MIG-cccccccc-0000-0000-0000-000000000000", "", 0};
static int started;
int unbalanced(void) { return started; }
nvmlReturn_t nvmlInit_v2(void) { started++; return INIT; }
nvmlReturn_t nvmlShutdown(void) { started--; return 0; }
nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *device) {
    for (int i = 0; i < 2; i++) if (!strcmp(uuid, gpus[i].uuid)) { *device = &gpus[i]; return 0; }
    if (!strcmp(uuid, mig.uuid)) { *device = &mig; return 0; }
    return 6;
}
nvmlReturn_t nvmlDeviceGetHandleByPciBusId_v2(const char *bus, nvmlDevice_t *device) {
    for (int i = 0; i < 2; i++) if (!strcmp(bus, gpus[i].bus)) { *device = &gpus[i]; return 0; }
    return 6;
}
nvmlReturn_t nvmlDeviceGetDeviceHandleFromMigDeviceHandle(nvmlDevice_t device, nvmlDevice_t *whole) {
    if (device != &mig) return 2;
    *whole = &gpus[1];
    return 0;
}
nvmlReturn_t nvmlDeviceGetClockInfo(nvmlDevice_t device, int type, unsigned int *mhz) {
    if (device == &mig) return 3;
    *mhz = type == 1 ? device->sm : type == 2 ? 2619 : 7;
    return 0;
}
nvmlReturn_t nvmlDeviceGetMaxClockInfo(nvmlDevice_t device, int type, unsigned int *mhz) {
    *mhz = type == 1 ? 1981 : 7;
    return 0;
}
nvmlReturn_t nvmlDeviceGetPowerUsage(nvmlDevice_t device, unsigned int *mw) { *mw = 698250; return 0; }
nvmlReturn_t nvmlDeviceGetEnforcedPowerLimit(nvmlDevice_t device, unsigned int *mw) { return 4; }
nvmlReturn_t nvmlDeviceGetPerformanceState(nvmlDevice_t device, int *state) {
    *state = device == &gpus[0] ? 0 : 32;  /* NVML_PSTATE_UNKNOWN */
    return 0;
}
nvmlReturn_t nvmlDeviceGetTemperature(nvmlDevice_t device, int sensor, unsigned int *celsius) {
    *celsius = 61; return sensor;
}
nvmlReturn_t REASONS(nvmlDevice_t device, unsigned long long *mask) {
    *mask = device == &gpus[0] ? 0x4ull | 0x40ull | 0x8000000000ull : 0x1ull;
    return 0;
}
"""
ROCM_SMI = r"""
#include <stdbool.h>
#include <stdint.h>
typedef struct {
#if ROCM >= 6
    bool has_deep_sleep;
#endif
    uint32_t num_supported, current;
    uint64_t frequency[ROCM >= 6 ? 33 : 32];
} rsmi_frequencies_t;
int rsmi_init(uint64_t flags) { return flags ? 1 : 0; }
int rsmi_shut_down(void) { return 0; }
int rsmi_num_monitor_devices(uint32_t *count) { *count = 3; return 0; }
int rsmi_dev_pci_id_get(uint32_t index, uint64_t *id) {
    if (index == 0) return 3;
    *id = ((uint64_t)1 << 32) | (index == 1 ? 0x05 : 0xc5) << 8 | (2 << 3) | 1;
    return 0;
}
int rsmi_dev_gpu_clk_freq_get(uint32_t index, int type, rsmi_frequencies_t *f) {
    if (index != 2) return 1;
    f->num_supported = 3;
    f->current = type == 0 ? 1 : 2;
    uint64_t system[] = {132000000, 1700000000, 2100000000}, memory[] = {0, 900000000, 1300000000};
    for (int i = 0; i < 3; i++) f->frequency[i] = type == 0 ? system[i] : type == 4 ? memory[i] : 7000000;
    return 0;
}
#if ROCM >= 6
int rsmi_dev_current_socket_power_get(uint32_t index, uint64_t *uw) { *uw = 512000000; return 0; }
#else
int rsmi_dev_power_ave_get(uint32_t index, uint32_t sensor, uint64_t *uw) {
    *uw = 512000000; return (int)sensor;
}
#endif
int rsmi_dev_power_cap_get(uint32_t index, uint32_t sensor, uint64_t *uw) {
    *uw = 750000000; return (int)sensor;
}
int rsmi_dev_temp_metric_get(uint32_t index, uint32_t sensor, int metric, int64_t *millidegrees) {
    if (sensor != 1 || metric != 0) return 2;
    *millidegrees = 48500;
    return 0;
}
"""


def compiled(folder: Path, source: str, *defines: str) -> Any:
    """A `load` that knows no library but this one."""
    code, library = folder / "fake.c", folder / "fake.so"
    code.write_text(source)
    flags = [f"-D{define}" for define in defines]
    assert COMPILER is not None
    subprocess.run([COMPILER, "-shared", "-fPIC", *flags, "-o", str(library), str(code)], check=True)
    return lambda name: ctypes.CDLL(str(library))


def on_gpus(monkeypatch: pytest.MonkeyPatch, *properties: dict[str, object], hip: str | None = None) -> None:
    """As if torch saw GPUs with these properties."""
    monkeypatch.setattr(torch.version, "hip", hip)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda index: SimpleNamespace(**properties[index])
    )
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)


A = {"uuid": "aaaaaaaa-0000-0000-0000-000000000000"}
B = {"uuid": "bbbbbbbb-0000-0000-0000-000000000000"}
GPU_0, GPU_1 = torch.device("cuda", 0), torch.device("cuda", 1)
UNKNOWN = {
    "index": 0,
    "sm_clock_mhz": None,
    "max_sm_clock_mhz": None,
    "memory_clock_mhz": None,
    "power_w": None,
    "power_limit_w": None,
    "performance_state": None,
    "temperature_c": None,
    "throttle_reasons": None,
}


@needs_compiler
@pytest.mark.parametrize(
    "reasons", ["nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"]
)
def test_nvml_by_uuid_in_torchs_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reasons: str) -> None:
    load = compiled(tmp_path, NVML, "INIT=0", f"REASONS={reasons}")
    on_gpus(monkeypatch, B, A)  # CUDA_VISIBLE_DEVICES=1,0
    first, second = gpu_states([GPU_0, GPU_1], load=load)
    assert first["index"] == 0
    assert first["sm_clock_mhz"] == 345
    assert first["performance_state"] is None
    assert first["throttle_reasons"] == ["gpu_idle"]
    assert second == {
        "index": 1,
        "sm_clock_mhz": 1980,
        "max_sm_clock_mhz": 1981,
        "memory_clock_mhz": 2619,
        "power_w": 698.25,
        "power_limit_w": None,
        "performance_state": "P0",
        "temperature_c": 61,
        "throttle_reasons": ["sw_power_cap", "hw_thermal_slowdown", "bit_39"],
        "source": "nvml",
    }
    assert load("").unbalanced() == 0


@needs_compiler
@pytest.mark.parametrize(
    ("properties", "sm_clock_mhz"),
    [
        ({"pci_bus_id": 0x3B, "pci_device_id": 0, "pci_domain_id": 0}, 1980),
        ({"pci_bus_id": 0x86, "pci_device_id": 0}, 345),
        ({"uuid": "cccccccc-0000-0000-0000-000000000000"}, 345),  # a MIG device: its GPU's clock
        ({"uuid": "dddddddd-0000-0000-0000-000000000000"}, None),
        ({"pci_bus_id": "3b", "pci_device_id": 0}, None),
        ({}, None),
    ],
)
def test_nvml_finds_the_gpu_or_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, properties: dict[str, object], sm_clock_mhz: int | None
) -> None:
    load = compiled(tmp_path, NVML, "INIT=0", "REASONS=nvmlDeviceGetCurrentClocksEventReasons")
    on_gpus(monkeypatch, properties)
    (state,) = gpu_states(GPU_0, load=load)
    assert state["sm_clock_mhz"] == sm_clock_mhz
    assert sm_clock_mhz or state == {**UNKNOWN, "source": "nvml"}


@needs_compiler
def test_a_driver_that_is_not_loaded_or_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_gpus(monkeypatch, A)
    load = compiled(tmp_path, NVML, "INIT=9", "REASONS=x")  # NVML_ERROR_DRIVER_NOT_LOADED
    assert gpu_states(GPU_0, load=load) == [{**UNKNOWN, "source": None}]
    older = tmp_path / "older"
    older.mkdir()
    only_init = compiled(older, "int nvmlInit_v2(void) { return 0; }")
    assert gpu_states(GPU_0, load=only_init) == [{**UNKNOWN, "source": "nvml"}]


@needs_compiler
@pytest.mark.parametrize("rocm", [5, 6])
def test_rocm_smi_by_pci_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rocm: int) -> None:
    load = compiled(tmp_path, ROCM_SMI, f"ROCM={rocm}")
    on_gpus(monkeypatch, {"pci_bus_id": 0xC5, "pci_device_id": 2, "pci_domain_id": 1}, A, hip="6.3")
    first, second = gpu_states([GPU_0, GPU_1], load=load)
    assert first == {
        "index": 0,
        "sm_clock_mhz": 1700,
        "max_sm_clock_mhz": 2100,
        "memory_clock_mhz": 1300,
        "power_w": 512.0,
        "power_limit_w": 750.0,
        "performance_state": None,
        "temperature_c": 48.5,
        "throttle_reasons": None,
        "source": "rocm_smi",
    }
    assert second == {**UNKNOWN, "index": 1, "source": "rocm_smi"}


def no_library(name: str) -> Any:
    raise OSError(f"{name}: cannot open shared object file")


@pytest.mark.parametrize("hip", [None, "6.3"])
def test_without_a_library(monkeypatch: pytest.MonkeyPatch, hip: str | None) -> None:
    on_gpus(monkeypatch, A, hip=hip)
    assert gpu_states(torch.device("cuda"), load=no_library) == [{**UNKNOWN, "source": None}]


def test_a_gpu_that_torch_has_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object) -> Any:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    on_gpus(monkeypatch)
    monkeypatch.setattr(torch.cuda, "current_device", lost)
    assert gpu_states(torch.device("cuda"), load=no_library) == []


def test_a_cpu_has_none_and_loads_nothing() -> None:
    def load(name: str) -> Any:
        raise AssertionError(name)

    assert gpu_states(torch.device("cpu"), load=load) == []
    assert gpu_states([], load=load) == []
