"""What devices can do: dense peaks and bandwidth from the makers' datasheets, found by the device's name.

Data stands in `devices.json`. A name that is not there is unknown; nothing is guessed from similar ones.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

import msgspec

from tracekit.messages import N_, UserError


class DeviceSpec(msgspec.Struct, frozen=True):
    """One device as a trace shows it (of a two-die MI250X: one die)."""

    name: str
    kind: str  # "cuda" or "hip"
    peaks: dict[str, float]  # dense TFLOP/s by dtype: fp64, fp32, tf32, fp16, bf16, fp8, int8, fp4
    bandwidth_gbs: float | None  # of its memory, GB/s
    source: str
    patterns: tuple[str, ...] = ()  # regular expressions for the names that drivers give it
    min_memory_bytes: int = 0
    max_memory_bytes: int = 1 << 62


_DTYPES = {
    "double": "fp64",
    "float64": "fp64",
    "float": "fp32",
    "float32": "fp32",
    "c10::Half": "fp16",
    "half": "fp16",
    "float16": "fp16",
    "c10::BFloat16": "bf16",
    "bfloat16": "bf16",
    "c10::Float8_e4m3fn": "fp8",
    "c10::Float8_e4m3fnuz": "fp8",
    "c10::Float8_e5m2": "fp8",
    "c10::Float8_e5m2fnuz": "fp8",
    "float8_e4m3fn": "fp8",
    "float8_e5m2": "fp8",
    "signed char": "int8",
    "int8": "int8",
    "c10::Float4_e2m1fn_x2": "fp4",
}


def lookup(device_name: str | None, memory_bytes: int | None = None) -> DeviceSpec | None:
    """The device that a driver calls `device_name`; `memory_bytes` tells variants of one name apart.

    None where the table does not have it.
    """
    if not device_name:
        return None
    named = [spec for spec in devices() if _matches(spec, device_name.strip())]
    fitting = [
        spec
        for spec in named
        if memory_bytes is None or spec.min_memory_bytes <= memory_bytes <= spec.max_memory_bytes
    ]
    return fitting[0] if len(fitting) == 1 else None


def find(query: str) -> DeviceSpec:
    """The device that a user means by `query` ("h100 sxm", "A100-80GB-PCIe", "mi300x").

    Raises `UserError`, naming the candidates, where none or several fit.
    """
    exact = lookup(query)
    if exact:
        return exact
    wanted = _words(query)
    fitting = [spec for spec in devices() if wanted and wanted <= _words(spec.name)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = ", ".join(spec.name for spec in fitting)
        raise UserError(N_("--gpu {query}: may be any of {names}", query=query, names=names))
    names = ", ".join(spec.name for spec in devices())
    raise UserError(
        N_(
            "--gpu {query}: is not in the device table; give --peak-tflops and --bandwidth, or one of {names}",
            query=query,
            names=names,
        )
    )


def with_overrides(
    spec: DeviceSpec | None, peak_tflops: float | None, bandwidth_gbs: float | None
) -> DeviceSpec | None:
    """`spec` with a user's figures: `peak_tflops` (dense TFLOP/s) replaces the peak of every dtype."""
    if peak_tflops is None and bandwidth_gbs is None:
        return spec
    base = spec or DeviceSpec(name="", kind="", peaks={}, bandwidth_gbs=None, source="")
    given = [
        f"--peak-tflops {peak_tflops:g}" if peak_tflops is not None else "",
        f"--bandwidth {bandwidth_gbs:g}" if bandwidth_gbs is not None else "",
    ]
    return msgspec.structs.replace(
        base,
        peaks=base.peaks if peak_tflops is None else dict.fromkeys(_DTYPES.values(), peak_tflops),
        bandwidth_gbs=base.bandwidth_gbs if bandwidth_gbs is None else bandwidth_gbs,
        source="; ".join(part for part in (*given, base.source) if part),
    )


def peak_for(spec: DeviceSpec, dtype: str, tensor_core_tf32: bool = False) -> float | None:
    """Dense peak in TFLOP/s for operands of `dtype` (as Kineto or torch spell it), None where unknown.

    `tensor_core_tf32`: fp32 operands are rounded to TF32.
    """
    key = dtype_key(dtype)
    if key == "fp32" and tensor_core_tf32:
        key = "tf32"
    return spec.peaks.get(key) if key else None


def dtype_key(dtype: str) -> str | None:
    """The key of `DeviceSpec.peaks` for a type name such as `c10::BFloat16` or `torch.bfloat16`."""
    return _DTYPES.get(dtype.removeprefix("torch."))


@cache
def devices() -> tuple[DeviceSpec, ...]:
    """The whole table."""
    data = resources.files(__package__).joinpath("devices.json").read_bytes()
    return msgspec.json.decode(data, type=tuple[DeviceSpec, ...])


def _matches(spec: DeviceSpec, name: str) -> bool:
    return any(re.fullmatch(pattern, name, re.IGNORECASE) for pattern in spec.patterns)


def _words(text: str) -> set[str]:
    words = re.findall(r"[a-z]+\d+[a-z]*|\d+gb|\w+", text.lower().replace("pci-e", "pcie"))
    return {"sxm" if re.fullmatch(r"sxm\d?", word) else word for word in words} - {"gpu", "one", "gcd"}
