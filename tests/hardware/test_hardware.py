"""The device table against figures read off the datasheets by hand."""

from __future__ import annotations

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
    ("NVIDIA L40S", "L40S", "bf16", 362.05, 864),
    ("NVIDIA GeForce RTX 3090", "GeForce RTX 3090", "fp16", 71, 936),
    ("NVIDIA GeForce RTX 4090", "GeForce RTX 4090", "fp16", 165.2, 1008),
    ("NVIDIA GeForce RTX 5090", "GeForce RTX 5090", "fp16", 209.5, 1792),
    ("NVIDIA RTX A6000", "RTX A6000", "bf16", 154.8, 768),
    ("NVIDIA H100 80GB HBM3", "H100 SXM", "bf16", 989.4, 3350),
    ("NVIDIA H100 PCIe", "H100 PCIe", "bf16", 756, 2000),
    ("NVIDIA H100 NVL", "H100 NVL", "bf16", 835.5, 3900),
    ("NVIDIA H200", "H200 SXM", "bf16", 989.4, 4800),
    ("NVIDIA GH200 480GB", "GH200 96GB", "bf16", 989.4, 4000),
    ("NVIDIA GH200 144G HBM3e", "GH200 144GB", "bf16", 989.4, 4900),
    ("NVIDIA B200", "B200", "bf16", 2250, 7700),
    ("NVIDIA GB200", "GB200", "bf16", 2500, 8000),
    ("AMD Instinct MI210", "MI210", "bf16", 181, 1638.4),
    ("AMD Instinct MI250X / MI250", "MI250X", "bf16", 191.5, 1638.4),
    ("AMD Instinct MI250X/MI250", "MI250X", "bf16", 191.5, 1638.4),
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
    ],
)
def test_what_is_not_in_the_table_is_unknown(name: str | None) -> None:
    assert lookup(name) is None


def test_memory_that_does_not_fit_the_name_is_not_trusted() -> None:
    assert lookup("NVIDIA A100-PG509-200", 42297524224) is not None
    assert lookup("NVIDIA A100-SXM4-40GB", 85 << 30) is None


def test_every_device_has_sound_figures_and_a_source() -> None:
    assert len({spec.name for spec in devices()}) == len(devices())
    for spec in devices():
        assert spec.source
        assert spec.patterns
        assert spec.bandwidth_gbs
        assert all(peak > 0 for peak in spec.peaks.values())
        assert spec.peaks["fp16"] >= spec.peaks["fp32"]
        assert spec.peaks.get("bf16", spec.peaks["fp16"]) == spec.peaks["fp16"]
        assert spec.peaks.get("fp8", spec.peaks["fp16"] * 2) == pytest.approx(
            spec.peaks["fp16"] * 2, rel=0.03
        )


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
        ("4090", "NVIDIA GeForce RTX 4090"),
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
    ("query", "says"), [("h100", "H100 SXM, NVIDIA H100 PCIe"), ("voodoo 2", "not in the"), ("", "not in")]
)
def test_ambiguous_and_unknown_devices_are_refused(query: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        find(query)


def test_overrides() -> None:
    spec = with_overrides(None, 100.0, None)
    assert spec is not None
    assert peak_for(spec, "c10::BFloat16") == peak_for(spec, "float") == 100
    assert spec.bandwidth_gbs is None
    changed = with_overrides(lookup("NVIDIA H200"), None, 4000.0)
    assert changed is not None
    assert (changed.bandwidth_gbs, changed.peaks["bf16"]) == (4000, 989.4)
    assert with_overrides(None, None, None) is None


def test_types_as_kineto_and_torch_spell_them() -> None:
    h100 = lookup("NVIDIA H100 80GB HBM3")
    assert h100 is not None
    assert peak_for(h100, "float") == 66.9
    assert peak_for(h100, "float", tensor_core_tf32=True) == 494.7
    assert peak_for(h100, "c10::Float8_e4m3fn") == 1978.9
    assert peak_for(h100, "torch.bfloat16") == 989.4
    assert peak_for(h100, "long int") is None
    assert dtype_key("c10::Half") == "fp16"
