"""How far work is from what the device can do: a row of `Work` with its GPU time becomes a row of the report.

The roofline model: Williams, Waterman and Patterson, "Roofline: An Insightful Visual Performance Model for
Multicore Architectures", CACM 52 (2009). A bound is max(FLOPs / peak, bytes / bandwidth); that of a module is
the sum of those of its ops, since they run one after another.
"""

from __future__ import annotations

from typing import Any

from tracekit.analysis.work import LIMITS, Work

# A limit is named where at least this share of the GPU time is of ops with one.
KNOWN_SHARE = 0.5


def roofline_fields(
    work: Work, index: int, matrix_flops: int | None, gpu_time_ns: int, per_pass: Any = None
) -> dict[str, Any]:
    """The fields of `schema.Roofline` for a row; `matrix_flops` None where FLOPs are not known at all."""
    time, bounded = gpu_time_ns, float(work.bounded_time[index])
    bound, traffic = float(work.bound[index]), float(work.bytes[index])
    knows = matrix_flops is not None
    vector = int(work.vector[index])
    flops = (matrix_flops or 0) + vector
    sent = float(work.sent[index])
    known_bytes = knows and (traffic > 0 or not (work.unsized[index] or sent))
    moved, moving_time = float(work.moved[index]), float(work.moving_time[index])
    return {
        "vector_flops": vector if knows else None,
        "bytes": int(traffic) if known_bytes else None,
        "network_bytes": int(sent) if knows and sent else None,
        "gbs": moved / moving_time if moving_time and moved else None,
        "arithmetic_intensity": flops / traffic if known_bytes and traffic else None,
        "bound_us": bound / 1000 if bounded else None,
        "bounded_gpu_time_us": bounded / 1000 if time and knows else None,
        "bound_share": bound / bounded if bounded else None,
        "beats_bound": bool(bounded and bound > bounded),
        "limited_by": limit_of(work, index, time),
        "headroom_us": max(0.0, bounded - bound) / 1000 if bounded else None,
        **_place_in_roofline(float(work.bounded_flops[index]), float(work.bounded_bytes[index]), bounded),
    }


def _place_in_roofline(flops: float, traffic: float, time_ns: float) -> dict[str, float | None]:
    """Nothing for what only moves bytes, or moves none: it has no place on logarithmic axes."""
    stands = flops > 0 and traffic > 0 and time_ns > 0
    return {
        "roofline_intensity": flops / traffic if stands else None,
        "roofline_tflops": flops / time_ns / 1000 if stands else None,
    }


def limit_of(work: Work, index: int, gpu_time_ns: int) -> str | None:
    """What limits most of the GPU time; the host where the GPU waits for it for longer than it works."""
    if not gpu_time_ns:
        return None
    if work.idle[index] > gpu_time_ns:
        return "host"
    times = {name: float(getattr(work, name)[index]) for name in LIMITS}
    if sum(times.values()) < KNOWN_SHARE * gpu_time_ns:
        return None
    return max(times, key=lambda name: times[name])
