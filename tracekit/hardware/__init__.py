"""What devices can do: dense peaks and bandwidth from the makers' datasheets, found by the device's name.

Data stands in `devices.json`. A name that is not there is unknown; nothing is guessed from similar ones:
a MIG slice or a compute partition is not the whole device, a 4090 D is not a 4090.

Of a datasheet's figures we take those without sparsity, and those of tensor cores that accumulate in fp32,
as PyTorch's GEMMs do (half rate on GeForce). fp64 is the rate of tensor or matrix cores where they have one,
since cuBLAS and rocBLAS use it. fp32 is the vector rate on NVIDIA, whose tensor cores know only tf32, and the
matrix core rate on AMD, where fp32 GEMMs run on matrix cores. A type without a unit of its own is absent.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import msgspec

from tracekit.messages import N_, UserError


class DeviceSpec(msgspec.Struct, frozen=True):
    """One device as a trace shows it: of an MI250 or MI250X, that is one of its two dies (GCDs).

    `peaks`: dense TFLOP/s (int8: TOP/s) by fp64, fp32, tf32, fp16, bf16, fp8, int8, fp4. `bandwidth_gbs`: of
    the memory, 10⁹ bytes/s; None only where a user gave a peak and no bandwidth. `source`: the document that
    the figures are from, or the options that gave them.
    """

    name: str
    kind: str  # "cuda" or "hip"
    peaks: dict[str, float]
    bandwidth_gbs: float | None
    source: str
    patterns: tuple[str, ...] = ()  # regular expressions for the whole of a name that drivers give it
    min_memory_bytes: int = 0
    max_memory_bytes: int = 1 << 62


_DTYPES = {
    "double": "fp64",
    "float64": "fp64",
    "float": "fp32",
    "float32": "fp32",
    "half": "fp16",
    "float16": "fp16",
    "bfloat16": "bf16",
    "float8_e4m3fn": "fp8",
    "float8_e4m3fnuz": "fp8",
    "float8_e5m2": "fp8",
    "float8_e5m2fnuz": "fp8",
    "signed char": "int8",
    "int8": "int8",
    "unsigned char": "int8",
    "uint8": "int8",
    "qint8": "int8",
    "quint8": "int8",
    "float4_e2m1fn_x2": "fp4",
}
LEAST_FIGURE, LARGEST_FIGURE = 1e-3, 1e6  # TFLOP/s and GB/s that a device may have
_MARKETING = "tesla|geforce|instinct|rtx|gpu"


def lookup(device_name: str | None, memory_bytes: int | None = None) -> DeviceSpec | None:
    """The device that a driver calls `device_name` (`deviceProperties[].name` of a trace).

    `memory_bytes` (`totalGlobalMem`) rejects what has the name but not the memory of a whole device: an
    MI300X in CPX mode shows eight devices of its name. None where the table does not have the device.
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
    """The device that a user means by `query`: a name that drivers give, or words of ours in any order and
    spelling ("H100 SXM", "a100-80gb-pcie", "rtx4090", "mi300x").

    Raises `UserError`, naming the candidates, where none or several fit: "h100" is three devices whose
    figures differ by a third.
    """
    exact = lookup(query)
    if exact:
        return exact
    fitting = [spec for spec in devices() if _spells(query, spec)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = ", ".join(spec.name for spec in fitting)
        raise UserError(N_("--gpu {query}: may be any of {names}", query=query, names=names))
    close = [spec for spec in devices() if any(word in _compact(query) for word in _model_words(spec))]
    names = ", ".join(spec.name for spec in close or devices())
    raise UserError(
        N_(
            "--gpu {query}: is not in the device table; "
            "give --peak-tflops and --bandwidth, or one of {names}",
            query=query,
            names=names,
        )
    )


def with_overrides(
    spec: DeviceSpec | None, peak_tflops: float | None, bandwidth_gbs: float | None
) -> DeviceSpec | None:
    """`spec` with a user's figures; `spec` itself if there are none.

    `peak_tflops` (dense TFLOP/s) replaces the peak of every dtype, also of those that the device lacks:
    whoever gives it knows which dtype the model runs in. `bandwidth_gbs` is in GB/s. For an unknown device
    (None) the result has an empty name and kind and only the figures given. Raises `UserError` for figures
    that no device has.
    """
    if peak_tflops is None and bandwidth_gbs is None:
        return spec
    for figure in (peak_tflops, bandwidth_gbs):
        if figure is not None and not LEAST_FIGURE <= figure <= LARGEST_FIGURE:
            raise UserError(
                N_(
                    "peak and bandwidth are numbers from {least} to {most}, not {figure}",
                    least=f"{LEAST_FIGURE:g}",
                    most=f"{LARGEST_FIGURE:.0f}",
                    figure=str(figure),
                )
            )
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

    `tensor_core_tf32`: fp32 operands are rounded to TF32 where the device can do that.
    """
    key = peak_key(spec, dtype, tensor_core_tf32)
    return spec.peaks[key] if key else None


def peak_key(spec: DeviceSpec, dtype: str, tensor_core_tf32: bool = False) -> str | None:
    """Which of `spec.peaks` `peak_for` gives; None where it has none."""
    key = dtype_key(dtype)
    if key == "fp32" and tensor_core_tf32 and "tf32" in spec.peaks:
        key = "tf32"
    return key if key in spec.peaks else None


def dtype_key(dtype: str) -> str | None:
    """The key of `DeviceSpec.peaks` for a type name such as `c10::BFloat16` or `torch.bfloat16`.

    None for types that no unit multiplies (`bool`, `long int`, complex, scales such as `Float8_e8m0fnu`).
    """
    return _DTYPES.get(dtype.removeprefix("torch.").removeprefix("c10::").lower())


@cache
def devices() -> tuple[DeviceSpec, ...]:
    """The whole table."""
    data = Path(__file__).with_name("devices.json").read_bytes()
    return msgspec.json.decode(data, type=tuple[DeviceSpec, ...])


def _matches(spec: DeviceSpec, name: str) -> bool:
    return any(re.fullmatch(pattern, name, re.IGNORECASE) for pattern in spec.patterns)


def _spells(query: str, spec: DeviceSpec) -> bool:
    """Whether `query` consists of words of the device's name alone, however they are joined."""
    words = "|".join(_words(spec)).replace("0gb", "0gb?").replace("sxm2", "sxm").replace("sxm4", "sxm")
    return re.fullmatch(f"(?:{words}|{_MARKETING})+", re.sub(r"sxm\d", "sxm", _compact(query))) is not None


def _words(spec: DeviceSpec) -> list[str]:
    return re.findall(r"\w+", spec.name.lower())


def _model_words(spec: DeviceSpec) -> list[str]:
    """The words that say which chip it is: "h100", "4090"."""
    return [word for word in _words(spec) if re.fullmatch(r"(?!sxm)[a-z]*\d+[a-z]?", word)]


def _compact(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.lower())
