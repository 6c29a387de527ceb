"""What an event is, by its `cat` and `ph`: members that the decoder finds by the bytes of the text.

That makes no string for each event, and nothing has to be compared or hashed by letters afterwards. Texts
that profilers write often are members of their own; the others are found by rules, which takes longer.
"""

from __future__ import annotations

from enum import Enum

_SUFFIXES = {
    "runtime": "Runtime",
    "driver": "Runtime",
    "kernel": "kernel",
    "memcpy": "Memcpy",
    "memset": "Memset",
}


class Category(Enum):
    """`cat`. In other case it is the same; of a device that nobody knows, its last word says what it is."""

    CPU_OP = "cpu_op"
    OPERATOR = "Operator"
    CUDA_RUNTIME = "cuda_runtime"
    CUDA_DRIVER = "cuda_driver"
    HIP_RUNTIME = "hip_runtime"
    HIP_DRIVER = "hip_driver"
    XPU_RUNTIME = "xpu_runtime"
    PRIVATEUSE1_RUNTIME = "privateuse1_runtime"
    PRIVATEUSE1_DRIVER = "privateuse1_driver"
    HPU_OP = "hpu_op"  # Habana's runtime on the host
    RUNTIME = "Runtime"
    KERNEL = "kernel"
    OLD_KERNEL = "Kernel"
    MTIA_CCP_EVENTS = "mtia_ccp_events"  # what runs on that device
    GPU_MEMCPY = "gpu_memcpy"
    MEMCPY = "Memcpy"
    GPU_MEMSET = "gpu_memset"
    MEMSET = "Memset"
    PYTHON_FUNCTION = "python_function"
    USER_ANNOTATION = "user_annotation"
    FWDBWD = "fwdbwd"
    FORWARD_BACKWARD = "forward_backward"
    # What nobody reads:
    AC2G = "ac2g"
    GPU_USER_ANNOTATION = "gpu_user_annotation"
    CPU_INSTANT_EVENT = "cpu_instant_event"
    CUDA_SYNC = "cuda_sync"
    OVERHEAD = "overhead"
    TRACE = "Trace"
    OTHER = ""

    __hash__ = object.__hash__  # that of Enum is slow: it is written in Python

    @classmethod
    def _missing_(cls, value: object) -> Category:
        text = str(value).lower()
        if (known := _BY_LOWER_CASE.get(text)) is not None:
            return known
        return next((cls(like) for suffix, like in _SUFFIXES.items() if text.endswith(suffix)), cls.OTHER)


_BY_LOWER_CASE = {category.value.lower(): category for category in Category}


class Phase(Enum):
    """`ph`."""

    COMPLETE = "X"
    FLOW_START = "s"
    FLOW_END = "f"
    # What nobody reads:
    FLOW_STEP = "t"
    INSTANT = "i"
    METADATA = "M"
    COUNTER = "C"
    BEGIN = "B"
    END = "E"
    OTHER = ""

    @classmethod
    def _missing_(cls, value: object) -> Phase:
        return cls.OTHER
