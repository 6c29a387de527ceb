"""Strategies for whole traces: events of every category with odd values in them, and any metadata."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from tests import captures
from tests.builder import Event
from tests.fuzz import plain
from tests.fuzz.seeds import CATEGORIES, KEYS
from tests.test_odd_metadata import full
from tests.trace.damage import sound_trace

HOSTILE = (
    "", " ", '"', "\\", "C:\\Users\\dir\\", "}, {", ']}, "traceEvents": [', '{"ph": "X"}', '"ph":', "a\nb",
    "\0", "\x1b[31m", "\u202e", "\ud800", "é€😀", "<script>alert(1)</script>", "</script>", "|`*_[x](y)",
    "=1+1", "{0}", "{count}", "%s", "%(x)s", "$x^2$", "N/A", "None", "NaN", "x" * 3000, "tracekit:",
    "tracekit::", "tracekit:0", "tracekit:-1:a", "tracekit:99999999999999999999:a", "tracekit:1:layers.0",
    "tracekit:forward:x", "tracekit:lane", "nn.Module: ", "nn.Module: _0", "nn.Module: A_-1",
    "ProfilerStep#", "ProfilerStep#-1", "..", "a..b", "layers.0.mlp", ".", "9" * 400,
    "ncclDevKernel_AllReduce", "_ZN2at6native", "void f<", ">>>>", "(anonymous namespace)::", "operator<",
    "Memcpy HtoD (Pageable -> Device)",
)  # fmt: skip
NAMES = {
    "cpu_op": (
        "aten::mm", "aten::linear", "aten::conv2d", "aten::_scaled_dot_product_flash_attention", "aten::add",
        "tracekit:0:", "tracekit:1:layers.0", "tracekit:2:layers.0.mlp", "tracekit:forward:0",
        "autograd::engine::evaluate_function: MmBackward0", "MmBackward0", "record_param_comms",
        "CompiledFunction", "Torch-Compiled Region: 0/0", "## Call CompiledFxGraph x ##",
    ),
    "runtime": (
        "cudaLaunchKernel", "cuLaunchKernelEx", "hipModuleLaunchKernel", "cudaGraphLaunch", "cudaMemcpyAsync",
    ),
    "python_function": ("nn.Module: Linear_0", "nn.Module: Model_0", "torch/nn/linear.py(1): forward"),
    "user_annotation": (
        "ProfilerStep#0", "ProfilerStep#1", "Optimizer.step", "nccl:all_reduce", "layers.0", "layers",
    ),
    "kernel": (
        "gemm", "void at::native::vectorized_elementwise_kernel<4>(int)", "flash_fwd", "triton_poi_fused_0",
    ),
}  # fmt: skip
_DTYPES = ("float", "c10::BFloat16", "c10::Half", "double", "int", "long int", "", "Scalar", "ScalarList")

texts = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(codec="utf-8"), max_size=8))
numbers = st.one_of(
    st.integers(-3, 200),
    st.sampled_from((2**31, 2**53 + 1, 2**62 + 1, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**30, -(10**400))),
    st.floats(allow_nan=False, allow_infinity=False),
)
odd: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(texts, st.sampled_from(KEYS)), inner, max_size=4),
    ),
    max_leaves=8,
)
_times = st.one_of(
    st.integers(0, 300),
    st.integers(0, 300_000).map(lambda number: number / 1000),
    st.integers(0, 300_000).map(lambda number: 1735689600000000 + number / 8),
)
_ids = st.one_of(st.integers(0, 3), st.sampled_from(("1", "thread 1", "stream 7", -1, 2**40)))
_dims = st.lists(
    st.one_of(
        st.lists(st.integers(-1, 70), max_size=4),
        st.lists(st.lists(st.integers(0, 9), max_size=2), max_size=2),
    ),
    max_size=5,
)


@st.composite
def _events(draw: st.DrawFn) -> Event:
    """An event as profilers write them, with odd values in some fields of every fourth or so."""
    category = draw(st.sampled_from(CATEGORIES))
    names = NAMES.get(category) or NAMES["kernel" if category.lower() in plain.GPU_CATEGORIES else "runtime"]
    event: Event = {
        "ph": "X",
        "cat": category,
        "name": draw(st.one_of(st.sampled_from(names), st.sampled_from(names), texts)),
        "pid": draw(_ids),
        "tid": draw(_ids),
        "ts": draw(_times),
        "dur": draw(st.integers(0, 900)) / draw(st.sampled_from((1, 8, 1000))),
        "args": draw(_args(category)),
    }
    if category in ("fwdbwd", "forward_backward", "ac2g", "async_gpu"):
        event |= {"ph": draw(st.sampled_from("sft")), "id": draw(_ids), "bp": "e"}
        del event["dur"]
    return draw(_broken(event)) if draw(st.integers(0, 3)) == 0 else event


@st.composite
def _args(draw: st.DrawFn, category: str) -> dict[str, Any]:
    if category in ("cpu_op", "operator", "Operator"):
        args: dict[str, Any] = {
            "Input Dims": draw(_dims),
            "Input type": draw(st.lists(st.sampled_from(_DTYPES), max_size=5)),
            "Concrete Inputs": draw(
                st.lists(st.sampled_from(("", "1", "[1, 2]", "True", "None", "-1.5")), max_size=5)
            ),
        }
        if draw(st.booleans()):
            args |= {"Sequence number": draw(st.integers(0, 4)), "Fwd thread id": draw(st.integers(0, 2))}
        if draw(st.integers(0, 5)) == 0:
            args |= {
                "Collective name": "allreduce",
                "In msg nelems": 6,
                "dtype": "Float",
                "Group size": draw(odd),
            }
        return args
    return {"correlation": draw(st.integers(0, 6)), "device": draw(st.integers(0, 2)), "stream": draw(_ids)}


@st.composite
def _broken(draw: st.DrawFn, event: Event) -> Event:
    """The event without some of its fields, or with odd values in them."""
    event = copy.deepcopy(event)
    for _ in range(draw(st.integers(1, 3))):
        inner = event.get("args")
        where = inner if isinstance(inner, dict) and inner and draw(st.booleans()) else event
        key = draw(st.sampled_from(sorted(where))) if where else "name"
        if draw(st.integers(0, 3)) == 0:
            where.pop(key, None)
        else:
            where[key] = draw(odd)
    return event


@st.composite
def _metadata(draw: st.DrawFn) -> dict[str, Any]:
    """The keys that traces have, with what they hold or anything, and any other key."""
    found: dict[str, Any] = {}
    if draw(st.booleans()):
        found["deviceProperties"] = [
            {"id": 0, "name": draw(st.sampled_from(("NVIDIA H100 80GB HBM3", "AMD MI300X", "x")))}
        ]
    if draw(st.booleans()):
        found |= full(draw(st.sampled_from((captures.generate, captures.train)))())
        for key in draw(st.lists(st.sampled_from(sorted(found["tracekit"])), max_size=3)):
            found["tracekit"][key] = draw(odd)
        del found["traceEvents"]
    keys = st.one_of(st.sampled_from(KEYS), texts)
    found |= draw(st.dictionaries(keys, odd, max_size=3))
    found.pop("traceEvents", None)
    return found


_BASES = (
    list,
    lambda: sound_trace(2).events,
    lambda: captures.generate().events,
    lambda: captures.train().events,
)


@dataclass(frozen=True)
class Written:
    """A document, and the events in it."""

    text: bytes
    events: list[Any]


@st.composite
def documents(draw: st.DrawFn) -> Written:
    """An object or a list, in any spacing, of a miniature trace and odd events among its own."""
    events: list[Any] = list(draw(st.sampled_from(_BASES))())
    for event in draw(st.lists(_events(), max_size=12)):
        events.insert(draw(st.integers(0, len(events))), event)
    for _ in range(draw(st.integers(0, 3)) if events else 0):
        at = draw(st.integers(0, len(events) - 1))
        events[at] = draw(_broken(events[at]))
    before, behind = draw(_metadata()), draw(_metadata())
    whole: Any = {**before, "traceEvents": events, **{k: v for k, v in behind.items() if k not in before}}
    return Written(_written(events if draw(st.integers(0, 4)) == 0 else whole, draw), events)


def _written(value: Any, draw: st.DrawFn) -> bytes:
    """JSON in one of the ways to write it; lone halves of surrogate pairs as they come."""
    comma, colon = (
        draw(st.sampled_from((",", ", ", " ,\n", ",\r\n\t"))),
        draw(st.sampled_from((":", ": ", " :\n "))),
    )
    text = json.dumps(
        value,
        ensure_ascii=draw(st.booleans()),
        separators=(comma, colon),
        indent=draw(st.sampled_from((None, None, 0, 1))),
    )
    start, end = draw(st.sampled_from((("", ""), ("\ufeff", ""), (" \n", "\n"), ("", "\0\0"))))
    return (start + text + end).encode(errors="surrogatepass")
