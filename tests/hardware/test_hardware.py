"""The device table against figures read off the datasheets by hand."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tracekit.hardware import devices, dtype_key, find, lookup, peak_for, with_overrides
from tracekit.messages import UserError

# Names as drivers give them, with the dense bf16 (or fp16) peak and the bandwidth of the datasheet.
NAMES = [
    ("Tesla V100-SXM2-32GB", "V100 SXM2", "fp16", 125, 900),
    ("Tesla V100-PCIE-16GB", "V100 PCIe", "fp16", 112, 900),
    ("Tesla T4", "T4", "fp16", 65, 320),
    ("NVIDIA A100-SXM4-40GB", "A100 SXM4 40GB", "bf16", 312, 1555),
    ("NVIDIA A100-PG509-200", "A100 SXM4 40GB", "bf16", 312, 1555),
    ("NVIDIA A100-SXM4-80GB", "A100 SXM4 80GB", "bf16", 312, 2039),
    ("NVIDIA A100-PCIE-40GB", "A100 PCIe 40GB", "bf16", 312, 1555),
    ("NVIDIA A100 80GB PCIe", "A100 PCIe 80GB", "bf16", 312, 1935),
    ("NVIDIA A10", "A10", "bf16", 125, 600),
    ("NVIDIA A10G", "A10G", "bf16", 70, 600),
    ("NVIDIA A40", "A40", "bf16", 149.7, 696),
    ("NVIDIA L4", "L4", "bf16", 121, 300),
    ("NVIDIA L40", "L40", "bf16", 181.05, 864),
    ("NVIDIA L40S", "L40S", "bf16", 362.05, 864),
    ("NVIDIA GeForce RTX 3090", "GeForce RTX 3090", "fp16", 71, 936),
    ("NVIDIA GeForce RTX 4090", "GeForce RTX 4090", "fp16", 165.2, 1008),
    ("NVIDIA GeForce RTX 5090", "GeForce RTX 5090", "fp16", 209.5, 1792),
    ("NVIDIA RTX A6000", "RTX A6000", "bf16", 154.8, 768),
    ("NVIDIA H100 80GB HBM3", "H100 SXM", "bf16", 989.4, 3350),
    ("NVIDIA H100 PCIe", "H100 PCIe", "bf16", 756, 2000),
    ("NVIDIA H100 NVL", "H100 NVL", "bf16", 835.5, 3900),
    ("NVIDIA H200", "H200 SXM", "bf16", 989.4, 4800),
    ("NVIDIA H200 NVL", "H200 NVL", "bf16", 835.5, 4800),
    ("NVIDIA GH200 120GB", "GH200 96GB", "bf16", 989.4, 4000),
    ("NVIDIA GH200 480GB", "GH200 96GB", "bf16", 989.4, 4000),
    ("NVIDIA GH200 144G HBM3e", "GH200 144GB", "bf16", 989.4, 4900),
    ("NVIDIA B200", "B200", "bf16", 2250, 7700),
    ("NVIDIA GB200", "GB200", "bf16", 2500, 8000),
    ("AMD Instinct MI210", "MI210", "bf16", 181, 1638.4),
    ("AMD Instinct MI250X / MI250", "MI250X", "bf16", 191.5, 1638.4),
    ("AMD Instinct MI250X/MI250", "MI250X", "bf16", 191.5, 1638.4),
    ("AMD Instinct MI250X", "MI250X", "bf16", 191.5, 1638.4),
    ("AMD Instinct MI250", "MI250 (one GCD)", "bf16", 181.05, 1638.4),
    ("AMD Instinct MI300X", "MI300X", "bf16", 1307.4, 5300),
    ("AMD Instinct MI300X VF", "MI300X", "bf16", 1307.4, 5300),
    ("AMD Instinct MI325X", "MI325X", "bf16", 1307.4, 6000),
    ("AMD Instinct MI355X", "MI355X", "bf16", 2516.6, 8000),
]


@pytest.mark.parametrize(("name", "device", "dtype", "tflops", "gbs"), NAMES)
def test_names_of_drivers(name: str, device: str, dtype: str, tflops: float, gbs: float) -> None:
    spec = lookup(name)
    assert spec is not None
    assert device in spec.name
    assert spec.peaks[dtype] == pytest.approx(tflops, rel=0.002)
    assert spec.bandwidth_gbs == gbs
    assert spec.kind == ("hip" if name.startswith("AMD") else "cuda")


@pytest.mark.parametrize(
    "name",
    [
        None,
        "",
        "NVIDIA Graphics Device",
        "AMD Radeon Graphics",
        "NVIDIA GeForce RTX 4090 D",
        "NVIDIA GeForce RTX 3090 Ti",
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA RTX 6000 Ada Generation",
        "NVIDIA A100",
        "NVIDIA H20",
        "NVIDIA H1000",
        "   ",
        "NVIDIA A10M",
        "Tesla V100-SXM3-32GB",
        "Tesla T40 24GB",
        "NVIDIA GeForce RTX 5090 D",
        "NVIDIA A100-SXM4-40GB MIG 1g.5gb",
        "NVIDIA H100 80GB HBM3 MIG 3g.40gb",
        "NVIDIA H100 64GB HBM2",
        "NVIDIA B300 SXM6 AC",
        "AMD Instinct MI300X HF",
        "AMD Instinct MI308X",
        "AMD Instinct MI300A",
    ],
)
def test_what_is_not_in_the_table_is_unknown(name: str | None) -> None:
    assert lookup(name) is None


def test_memory_that_does_not_fit_the_name_is_not_trusted() -> None:
    assert lookup("NVIDIA A100-PG509-200", 42297524224) is not None
    assert lookup("NVIDIA A100-SXM4-40GB", 85 << 30) is None
    assert lookup("AMD Instinct MI300X", 206141652992) is not None
    assert lookup("AMD Instinct MI300X VF", 205571227648) is not None
    assert lookup("AMD Instinct MI300X", 206141652992 // 8) is None  # one of the eight parts of CPX mode
    assert lookup("NVIDIA GH200 480GB", 97871 << 20) is not None
    assert lookup("NVIDIA GH200 144G HBM3e", 146831 << 20) is not None


def test_every_device_has_sound_figures_and_a_source() -> None:
    assert len({spec.name for spec in devices()}) == len(devices())
    for spec in devices():
        assert spec.source
        assert spec.patterns
        assert spec.bandwidth_gbs
        assert spec.bandwidth_gbs > 0
        assert set(spec.peaks) <= {"fp64", "fp32", "tf32", "fp16", "bf16", "fp8", "int8", "fp4"}
        assert {"fp64", "fp32", "fp16"} <= set(spec.peaks)
        assert all(peak > 0 for peak in spec.peaks.values())
        assert spec.peaks["fp64"] <= spec.peaks["fp32"]
        assert spec.peaks.get("fp4", 1e9) > spec.peaks.get("fp8", 0)
        assert spec.peaks["fp16"] >= spec.peaks["fp32"]
        assert spec.peaks.get("bf16", spec.peaks["fp16"]) == spec.peaks["fp16"]
        assert spec.peaks.get("fp8", spec.peaks["fp16"] * 2) == pytest.approx(
            spec.peaks["fp16"] * 2, rel=0.03
        )


# Whole columns, dense, in the order fp64, fp32, tf32, fp16, bf16, fp8, int8, fp4.
KEYS = ("fp64", "fp32", "tf32", "fp16", "bf16", "fp8", "int8", "fp4")
COLUMNS = {
    "Tesla V100-SXM2-16GB": (7.8, 15.7, None, 125, None, None, None, None),
    "NVIDIA A100-SXM4-80GB": (19.5, 19.5, 156, 312, 312, None, 624, None),
    "NVIDIA A10G": (35 / 64, 35, 35, 70, 70, None, 140, None),
    "NVIDIA L4": (30.3 / 64, 30.3, 60, 121, 121, 485 / 2, 485 / 2, None),
    "NVIDIA L40S": (91.6 / 64, 91.6, 183, 362.05, 362.05, 733, 733, None),
    "NVIDIA GeForce RTX 3090": (35.6 / 64, 35.6, 35.6, 71, 71, None, 284, None),
    "NVIDIA GeForce RTX 4090": (82.6 / 64, 82.6, 82.6, 165.2, 165.2, 330.3, 660.6, None),
    "NVIDIA GeForce RTX 5090": (104.8 / 64, 104.8, 104.8, 209.5, 209.5, 419, 838, 1676),
    "NVIDIA H100 80GB HBM3": (67, 67, 989 / 2, 1979 / 2, 1979 / 2, 3958 / 2, 3958 / 2, None),
    "NVIDIA H100 NVL": (60, 60, 835 / 2, 1671 / 2, 1671 / 2, 3341 / 2, 3341 / 2, None),
    "NVIDIA GB200": (40, 80, 2500 / 2, 5000 / 2, 5000 / 2, 10000 / 2, 10000 / 2, 20000 / 2),
    "AMD Instinct MI210": (45.3, 45.3, None, 181, 181, None, 181, None),
    "AMD Instinct MI250X": (95.7 / 2, 95.7 / 2, None, 383 / 2, 383 / 2, None, 383 / 2, None),
    "AMD Instinct MI300X": (163.4, 163.4, 653.7, 1307.4, 1307.4, 2614.9, 2614.9, None),
    "AMD Instinct MI355X": (78.6, 157.3, None, 2516.6, 2516.6, 5033.2, 5033.2, 10066.3),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_of_datasheets(name: str) -> None:
    spec = lookup(name)
    assert spec is not None
    printed = {key: tflops for key, tflops in zip(KEYS, COLUMNS[name], strict=True) if tflops}
    assert spec.peaks == {key: pytest.approx(tflops, rel=0.003, abs=0.005) for key, tflops in printed.items()}


def test_tensor_core_peaks_follow_from_units_and_clock() -> None:
    """FLOPs per clock and multiprocessor with fp32 accumulation, from the architecture whitepapers."""
    for name, multiprocessors, per_clock, clock_ghz in (
        ("NVIDIA A100-SXM4-80GB", 108, 2048, 1.410),
        ("NVIDIA H100 80GB HBM3", 132, 4096, 1.830),
        ("NVIDIA GeForce RTX 3090", 82, 512, 1.695),
        ("NVIDIA GeForce RTX 4090", 128, 512, 2.520),
        ("NVIDIA GeForce RTX 5090", 170, 512, 2.407),
        ("NVIDIA RTX A6000", 84, 1024, 1.800),
        ("NVIDIA A40", 84, 1024, 1.740),
        ("AMD Instinct MI250X", 110, 1024, 1.700),
        ("AMD Instinct MI250", 104, 1024, 1.700),
        ("AMD Instinct MI300X", 304, 2048, 2.100),
        ("AMD Instinct MI355X", 256, 4096, 2.400),
    ):
        spec = lookup(name)
        assert spec is not None
        expected = multiprocessors * per_clock * clock_ghz / 1e3
        assert spec.peaks["bf16"] == pytest.approx(expected, rel=0.005), name


def test_dense_is_half_of_what_datasheets_print_with_sparsity() -> None:
    for name, printed in (("NVIDIA H100 80GB HBM3", 1979), ("NVIDIA H100 NVL", 1671), ("NVIDIA L4", 242)):
        spec = lookup(name)
        assert spec is not None
        assert spec.peaks["bf16"] * 2 == pytest.approx(printed, rel=0.002)


@pytest.mark.parametrize(
    ("query", "device"),
    [
        ("h100 sxm", "NVIDIA H100 SXM"),
        ("H100-PCIe", "NVIDIA H100 PCIe"),
        ("H100 SXM5", "NVIDIA H100 SXM"),
        ("a100 80gb pcie", "NVIDIA A100 PCIe 80GB"),
        ("A100-80GB-SXM", "NVIDIA A100 SXM4 80GB"),
        ("mi300x", "AMD Instinct MI300X"),
        ("MI250X", "AMD Instinct MI250X (one GCD)"),
        ("MI250", "AMD Instinct MI250 (one GCD)"),
        ("4090", "NVIDIA GeForce RTX 4090"),
        ("rtx4090", "NVIDIA GeForce RTX 4090"),
        ("RTX-A6000", "NVIDIA RTX A6000"),
        ("h100sxm5", "NVIDIA H100 SXM"),
        ("a100 40g sxm", "NVIDIA A100 SXM4 40GB"),
        ("tesla v100 pcie", "NVIDIA V100 PCIe"),
        ("a10", "NVIDIA A10"),
        ("t4", "NVIDIA T4"),
        ("l40", "NVIDIA L40"),
        ("h200", "NVIDIA H200 SXM"),
        ("gb200", "NVIDIA GB200"),
        ("NVIDIA H100 80GB HBM3", "NVIDIA H100 SXM"),
    ],
)
def test_what_users_call_devices(query: str, device: str) -> None:
    assert find(query).name == device


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("h100", "may be any of NVIDIA H100 SXM, NVIDIA H100 PCIe, NVIDIA H100 NVL"),
        ("a100-80gb", "may be any of NVIDIA A100 SXM4 80GB, NVIDIA A100 PCIe 80GB"),
        ("rtx 4090 d", "or one of NVIDIA GeForce RTX 4090"),
        ("voodoo 2", "not in the device table"),
        ("", "not in the device table"),
    ],
)
def test_ambiguous_and_unknown_devices_are_refused(query: str, says: str) -> None:
    with pytest.raises(UserError, match=re.escape(says)):
        find(query)


def test_every_device_is_found_by_the_name_that_we_print() -> None:
    for spec in devices():
        assert find(spec.name) is spec


def test_overrides() -> None:
    spec = with_overrides(None, 100.0, None)
    assert spec is not None
    assert peak_for(spec, "c10::BFloat16") == peak_for(spec, "float") == 100
    assert spec.bandwidth_gbs is None
    changed = with_overrides(lookup("NVIDIA H200"), None, 4000.0)
    assert changed is not None
    assert (changed.bandwidth_gbs, changed.peaks["bf16"]) == (4000, 989.4)
    assert changed.source.startswith("--bandwidth 4000; NVIDIA H200")
    v100 = with_overrides(lookup("Tesla V100-SXM2-16GB"), 90.0, None)
    assert v100 is not None
    assert peak_for(v100, "c10::BFloat16") == peak_for(v100, "float", tensor_core_tf32=True) == 90
    assert v100.bandwidth_gbs == 900
    assert with_overrides(None, None, None) is None


def test_types_as_kineto_and_torch_spell_them() -> None:
    h100 = lookup("NVIDIA H100 80GB HBM3")
    assert h100 is not None
    assert peak_for(h100, "float") == 66.9
    assert peak_for(h100, "float", tensor_core_tf32=True) == 494.7
    assert peak_for(h100, "c10::Float8_e4m3fn") == 1978.9
    assert peak_for(h100, "torch.bfloat16") == 989.4
    assert peak_for(h100, "long int") is None
    assert peak_for(h100, "c10::Float4_e2m1fn_x2") is None  # Hopper multiplies no fp4


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("c10::Half", "fp16"),
        ("torch.half", "fp16"),
        ("torch.float64", "fp64"),
        ("double", "fp64"),
        ("torch.float", "fp32"),
        ("bfloat16", "bf16"),
        ("c10::Float8_e4m3fnuz", "fp8"),
        ("torch.float8_e5m2", "fp8"),
        ("signed char", "int8"),
        ("unsigned char", "int8"),
        ("c10::Float8_e8m0fnu", None),
        ("c10::complex<float>", None),
        ("long int", None),
        ("bool", None),
        ("", None),
    ],
)
def test_keys_of_types(name: str, key: str | None) -> None:
    assert dtype_key(name) == key


def test_a_device_without_tf32_multiplies_in_fp32() -> None:
    v100 = lookup("Tesla V100-SXM2-16GB")
    assert v100 is not None
    assert peak_for(v100, "float", tensor_core_tf32=True) == 15.7


def test_import_reads_no_table_and_no_array_library() -> None:
    code = (
        "import sys, tracekit.hardware as h; "
        "assert not {'numpy', 'pandas', 'torch'} & set(sys.modules); "
        "assert h.devices.cache_info().currsize == 0"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
