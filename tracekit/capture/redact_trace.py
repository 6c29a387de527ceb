"""Redact an exported trace: the text that Kineto writes, without what tells whose machine and model it is.

Works on the text as it streams by, a few megabytes of memory at most, and leaves every number as it was
written. Knows the shape of torch's exports, and nothing of modules beyond their pseudonyms.
"""

from __future__ import annotations

import getpass
import json
import os
import platform
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import torch

from tracekit.capture.errors import CaptureError
from tracekit.capture.redact import Pseudonyms

_TEXT = rb'"((?:[^"\\]|\\.)*)"'

# An event that ends, and the list of events that does: Kineto indents them by two spaces.
_EVENTS_BEGIN = re.compile(rb'"traceEvents"\s*:\s*\[')
_EVENT_ENDS = b"\n  },"
_EVENTS_END = re.compile(rb"\n {0,2}\](?=\s*[,}])")

_SCOPE = re.compile(rb'("name": )"tracekit:(\d+):(?:[^"\\]|\\.)*"')
_NAMED = re.compile(
    rb'("cat": "(user_annotation|gpu_user_annotation|python_function|cpu_op)"[^{}]*?"name": )' + _TEXT
)
_LABELLED = re.compile(
    rb'("name": "(?:process_name|thread_name|process_labels)"[^{}]*"args": \{\s*"(?:name|labels)": )' + _TEXT
)
_GROUP = re.compile(rb'("Process Group Description": )(?!"(?:default_pg|undefined)")' + _TEXT)
_KEY_OR_VALUE = re.compile(_TEXT + rb"(\s*:)?")

_LABELS = re.compile(
    r"python[\d.]*(\.exe)?|(GPU|stream|thread) -?\d+ ?|CPU|(?P<thread>thread \d+ )\((?P<name>.*)\)", re.DOTALL
)
_THREAD_NAMES = re.compile(r"python[\d.]*(\.exe)?|pt_\w+|cuda-\w+")
_FRAME = re.compile(r"nn\.Module: (.*)_(\d+)", re.DOTALL)
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")

# Ranges that the profiler, torch's optimizers, loaders and process groups, or tracekit open.
_OWN_REGION = re.compile(
    r"ProfilerStep#\d+|forward|backward|optimizer|tracekit:(forward|\d+):\d*"
    r"|(nccl|gloo|mpi|ucc|xccl|c10d):_?(all_?|reduce_?|gather|scatter|broadcast|send|recv|barrier|coalesce)"
    r"[a-z_]*( \d+(->|<-)\d+)?"
    r"|DistributedDataParallel\.forward"
    r"|enumerate\(DataLoader\)#_(SingleProcess|MultiProcessing)DataLoaderIter\.__next__"
    r"|Torch-Compiled Region: \d+/\d+|TorchDynamo Cache Lookup|Pregraph bytecode"
)
_OPTIMIZER = re.compile(r"(Optimizer\.(?:step|zero_grad)#)(\w+)(\.(?:step|zero_grad))")
_FSDP = re.compile(
    r"(FSDP::(?:\w*(?:forward|backward|unshard|reshard|reduce|gather|lazy_init|copy)\w*))( .*)?", re.DOTALL
)
# What stands among the operators without a namespace and stays: nodes of autograd, kernels of Triton.
_OWN_OPERATOR = re.compile(r".*::.*|detach|\w*Backward\d*|CompiledFunction|triton_\w+", re.DOTALL)
_COMPILED_GRAPH = re.compile(r"(## Call CompiledFxGraph )\w+( ##)")

# From where a path begins, since nobody can say where one with blanks in it ends.
_PATH = re.compile(
    r"""(?:^|(?<=[\s"'=([{<,:;|]))(?:file:/*|~[\w-]*(?=[/\\])|\.{1,2}(?=[/\\])|[A-Za-z]:(?=[/\\]))?[/\\]+[\w.~-].*"""
    r"|\S*(?:site-packages|dist-packages|home|Users)[/\\].*",
    re.DOTALL,
)
# Fields whose values torch makes up; a user who is called `float` must not become part of them.
_TORCH_KEYS = frozenset(
    (
        "name",
        "cat",
        "ph",
        "kernel",
        "Input type",
        "Output type",
        "Concrete Inputs",
        "dtype",
        "Collective name",
    )
)
_SHORTEST_IDENTITY = 3

_KEPT_OUTSIDE = (
    *("schemaVersion", "deviceProperties", "distributedInfo"),
    *("cupti_version", "cuda_runtime_version", "cuda_driver_version"),
    *("roctracer_version", "hip_runtime_version", "hip_driver_version"),
    *("record_shapes", "with_flops", "with_modules", "with_stack", "profile_memory"),
    *("displayTimeUnit", "baseTimeNanoseconds", "traceName"),
)
_DISTRIBUTED_TEXT = ("backend", "backend_config", "nccl_version")


def redacted_pieces(
    pieces: Iterable[bytes], metadata: Mapping[str, Any], names: Pseudonyms
) -> Iterator[bytes]:
    """An exported trace without its opening brace, redacted; `metadata` is the redacted one.

    Scopes take their paths from the module table; module frames the pseudonym of their type. Ranges of a
    user's become `region 1`, other Python frames than torch's `function 1`, the same one always the same.
    Paths of files go from wherever they begin; of what stands before and after the events stays only what
    torch is known to write. Names of operators in a namespace, autograd functions and kernels stay, custom
    ones too.

    Raises:
        CaptureError: this is not laid out as torch does it.
    """
    redaction = _Redaction(metadata, names)
    text = b""
    stream = iter(pieces)
    for piece in stream:
        text += piece
        if begin := _EVENTS_BEGIN.search(text):
            head = _outside(text[: begin.start()])
            yield (head + b"," if head else b"") + begin[0]
            text = text[begin.end() :]
            break
    else:
        yield (_outside(text.rstrip().removesuffix(b"}")) or b'"schemaVersion": 1') + b"}"
        return
    ended = _EVENTS_END.search(text)
    while not ended and (following := next(stream, None)) is not None:
        # The end may lie across the seam.
        seam = max(0, len(text) - len(b"\n  ]"))
        text += following
        ended = _EVENTS_END.search(text, seam)
        cut = text.rfind(_EVENT_ENDS) + len(_EVENT_ENDS)
        if not ended and cut >= len(_EVENT_ENDS):
            yield redaction.events(text[:cut])
            text = text[cut:]
    if not ended:
        raise CaptureError("the exported trace is not laid out as torch does, so it cannot be redacted")
    yield redaction.events(text[: ended.end()])
    tail = _outside(b"".join((text[ended.end() :], *stream)).strip().removeprefix(b",").removesuffix(b"}"))
    yield (b"," + tail if tail else b"") + b"}"


def _outside(members: bytes) -> bytes:
    """Members of the outermost object, those that may stay; none where they are no JSON."""
    try:
        content = json.loads(b"{" + members.strip().removesuffix(b",") + b"}", strict=False)
    except ValueError:
        content = {}
    kept = {key: content[key] for key in _KEPT_OUTSIDE if key in content}
    if "distributedInfo" in kept:
        kept["distributedInfo"] = _without_names(kept["distributedInfo"])
    return json.dumps(kept).encode("ascii")[1:-1]


def _without_names(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {inner: _without_names(part, inner) for inner, part in value.items()}
    if isinstance(value, list):
        return [_without_names(part, key) for part in value]
    return "" if isinstance(value, str) and key not in _DISTRIBUTED_TEXT else value


class _Redaction:
    """What is known while one trace streams by: which name stands for which."""

    def __init__(self, metadata: Mapping[str, Any], names: Pseudonyms) -> None:
        self._names = names
        self._paths = {str(row["index"]): str(row["path"]) for row in metadata.get("modules") or ()}
        self._regions: dict[str, str] = {}
        self._functions: dict[str, str] = {}
        words = _identities()
        self._needles = [b"/", b"\\", *(word.lower().encode() for word in words)]
        pattern = "|".join(map(re.escape, words))
        self._identity = re.compile(rf"(?<!\w)({pattern})(?!\w)", re.IGNORECASE) if words else None

    def events(self, text: bytes) -> bytes:
        text = _SCOPE.sub(self._scope, text)
        text = _NAMED.sub(self._named, text)
        text = _LABELLED.sub(lambda match: match[1] + _json(_label(_text(match[2]))), text)
        text = _GROUP.sub(rb'\1"group"', text)
        return b"".join(self._lines(text))

    def _scope(self, match: re.Match[bytes]) -> bytes:
        index = match[2].decode("ascii")
        return match[1] + _json(f"tracekit:{index}:{self._paths.get(index, '')}")

    def _named(self, match: re.Match[bytes]) -> bytes:
        name = _text(match[3])
        kinds = {b"python_function": self._frame, b"cpu_op": self._operator}
        return match[1] + _json(kinds.get(match[2], self._region)(name))

    def _operator(self, name: str) -> str:
        if match := _COMPILED_GRAPH.fullmatch(name):
            return f"{match[1]}(hash){match[2]}"
        return name if _OWN_OPERATOR.fullmatch(name) else self._region(name)

    def _region(self, name: str) -> str:
        if _OWN_REGION.fullmatch(name) or re.fullmatch(r"tracekit:\d+:[\w.]*", name):
            return name
        if match := _OPTIMIZER.fullmatch(name):
            is_torchs = hasattr(torch.optim, match[2])
            return f"{match[1]}{match[2] if is_torchs else 'Custom'}{match[3]}"
        if match := _FSDP.fullmatch(name):
            return match[1]
        return self._regions.setdefault(name, f"region {len(self._regions) + 1}")

    def _frame(self, name: str) -> str:
        if match := _FRAME.fullmatch(name):
            return f"nn.Module: {self._names.type(match[1])}_{match[2]}"
        if name.startswith("torch/"):
            return name
        function = _ADDRESS.sub("", name)
        return self._functions.setdefault(function, f"function {len(self._functions) + 1}")

    def _lines(self, text: bytes) -> Iterator[bytes]:
        """`text` with those lines cleaned that need a look; most do not, and looking takes time."""
        lowered = text.lower()
        lines = set()
        for needle in self._needles:
            found = lowered.find(needle)
            while found >= 0:
                end = text.find(b"\n", found)
                lines.add((text.rfind(b"\n", 0, found) + 1, len(text) if end < 0 else end))
                found = lowered.find(needle, end) if end >= 0 else -1
        done = 0
        for start, end in sorted(lines):
            yield text[done:start]
            yield self._line(text[start:end])
            done = end
        yield text[done:]

    def _line(self, line: bytes) -> bytes:
        key = ""

        def replaced(match: re.Match[bytes]) -> bytes:
            nonlocal key
            text = _text(match[1])
            if match[2] is not None:
                key = text
                return match[0]
            cleaned = _PATH.sub("(path)", text) if not text.startswith("torch/") else text
            if self._identity and key not in _TORCH_KEYS:
                cleaned = self._identity.sub("(name)", cleaned)
            return match[0] if cleaned == text else _json(cleaned)

        return _KEY_OR_VALUE.sub(replaced, line)


def _label(label: str) -> str:
    """The name of a process or thread: torch's and Python's own stay."""
    match = _LABELS.fullmatch(label)
    if match is None:
        return ""
    if match["thread"] and not _THREAD_NAMES.fullmatch(match["name"]):
        return match["thread"].rstrip()
    return label


def _identities() -> list[str]:
    """Who runs this and where, as far as the words are telling enough to be replaced."""
    host = platform.node()
    found = {host, host.partition(".")[0], os.path.basename(os.path.expanduser("~"))}
    with suppress(ImportError, KeyError, OSError):  # a container's user need not have a name
        found.add(getpass.getuser())
    return sorted((name for name in found if len(name) >= _SHORTEST_IDENTITY), key=len, reverse=True)


def _text(inner: bytes) -> str:
    """What stands between two quotes of a trace, which need not be quite JSON."""
    try:
        return str(json.loads(b'"' + inner + b'"', strict=False))
    except ValueError:
        return inner.decode("utf-8", "replace")


def _json(text: str) -> bytes:
    return json.dumps(text).encode("ascii")
