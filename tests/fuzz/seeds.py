"""Small traces for the reader's fuzzer to start from: sound ones, damaged ones, and the words of both."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests import captures
from tests.builder import TraceBuilder
from tests.fuzz.plain import packed
from tests.trace import test_damage
from tests.trace.damage import Sound, sound_trace

SAMPLES = Path(__file__).parents[2] / "sample_traces"
FORMS = ("plain", "gzip", "zstd", "zip")
EVENTS_OF_A_SAMPLE = 12

CATEGORIES = (
    "cpu_op", "operator", "Operator", "cuda_runtime", "cuda_driver", "hip_runtime", "Runtime", "kernel",
    "Kernel", "gpu_memcpy", "Memcpy", "gpu_memset", "Memset", "user_annotation", "gpu_user_annotation",
    "python_function", "fwdbwd", "forward_backward", "ac2g", "async_gpu", "Trace", "overhead",
    "tracekit:lane",
)  # fmt: skip
KEYS = (
    "ph", "cat", "name", "pid", "tid", "ts", "dur", "id", "bp", "s", "args", "correlation", "device",
    "stream", "External id", "Input Dims", "Input type", "Concrete Inputs", "Sequence number",
    "Fwd thread id", "Python id", "Collective name", "In msg nelems", "Out msg nelems", "dtype",
    "Group size", "traceEvents", "schemaVersion", "deviceProperties", "distributedInfo", "traceName",
    "displayTimeUnit", "tracekit", "baseTimeNanoseconds",
)  # fmt: skip
NAMES = (
    "aten::mm", "nn.Module: Linear_0", "tracekit:0:", "tracekit:1:layers.0", "tracekit:forward:0",
    "ProfilerStep#1", "cudaLaunchKernel", "cudaGraphLaunch", "hipLaunchKernel", "X", "M", "i", "s", "f",
)  # fmt: skip
NUMBERS = (
    "0", "-0", "1", "-1", "0.001", "1e3", "1.0", "1e400", "-1e400", "1e-400", "5e-324", "1e15", "1e12",
    "999999999999.9999", "1735689600123456.789", "8796093022207.9995", "8796093022208.0005", "9e15",
    "2147483648", "9007199254740993", "9223372036854775807", "9223372036854775808", "-9223372036854775808",
    "18446744073709551616", "4611686018427387905", "9" * 400, "NaN", "Infinity", "-Infinity", "nan", "0x1",
    "01",
)  # fmt: skip
PUNCTUATION = (
    "{", "}", "[", "]", ",", ":", '"', "\\", '\\"', "\\\\", "},{", "}, {", "]}", '"]}', "\\u0000", "\\ud800",
    "\\udc00", "\\u12", "\\U", "null", "true", "false", "\n", "\t", " ", "\r\n", "//", "/*", "*/", "'",
)  # fmt: skip
BYTES = (
    b"\0", b"\x1f", b"\x7f", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf0", b"\xe2\x82", "é€😀".encode(),
    b"\xef\xbb\xbf", b"\0" * 20, b"\x1f\x8b", b"PK\x03\x04", b"\x28\xb5\x2f\xfd",
)  # fmt: skip


def tokens() -> list[bytes]:
    """What JSON, Kineto and its accidents are made of."""
    words = [f'"{word}"' for word in (*CATEGORIES, *KEYS, *NAMES)] + [f'"{key}":' for key in KEYS]
    return [*(word.encode() for word in (*words, *NUMBERS, *PUNCTUATION)), *BYTES]


def dictionary() -> str:
    """The same as libFuzzer reads it."""
    lines = ("".join(f"\\x{byte:02x}" for byte in token) for token in tokens() if len(token) < 64)
    return "".join(f'"{line}"\n' for line in lines)


def seeds() -> Iterator[bytes]:
    """Files to start from, those of the most common forms first."""
    texts = list(_sound_texts())
    for form in FORMS:
        yield from (packed(text, form) for text in (texts if form == "plain" else texts[:3]))
    sound = sound_trace(1)
    damages = [*test_damage.SOUND_BUT_ODD, *test_damage.MENDED, *test_damage.SKIPPED, *test_damage.UNTIMED]
    for number, damaged in enumerate([*damages, *test_damage.EITHER]):
        position = number % len(sound.events)
        yield sound.document({position: damaged.damage(sound.texts[position])})
    document = sound.document()
    yield from (document[:cut] for cut in range(60, len(document), 97))
    for form in FORMS[1:]:
        file = packed(document, form)
        yield from (file[: len(file) * third // 3] for third in (1, 2))
        yield file[:40] + b"\0" * 8 + file[48:]
    yield packed(document, "gzip") * 2
    yield document * 2
    yield document + b"\n" + document[: len(document) // 2]


def _sound_texts() -> Iterator[bytes]:
    sound = sound_trace(2)
    yield sound.document()
    yield json.dumps(sound.events).encode()
    yield json.dumps({"traceEvents": sound.events, "traceName": "x"}, indent=1).encode()
    yield Sound(sound.events, sound.texts, tail=b"]}").document()
    yield json.dumps(
        {"traceName": {"traceEvents": []}, "traceEvents": sound.events}, separators=(",", ":")
    ).encode()
    yield json.dumps(_odd_kinds().document()).encode()
    for builder in (captures.generate(), captures.train()):
        small = {**builder.document(), "traceEvents": builder.events[:20]}
        yield json.dumps(small).encode()
    for path in sorted(SAMPLES.glob("*.json.gz")):
        yield json.dumps(_shortened(json.loads(gzip.decompress(path.read_bytes())))).encode()


def _odd_kinds() -> TraceBuilder:
    """One event of every category, and the forms that ids and times have in some traces."""
    builder = TraceBuilder(pid="python 1", tid="thread 1")
    for number, category in enumerate(CATEGORIES):
        builder.event(
            category, NAMES[number % 9], 10 * number, 10 * number + 5.5, args={"correlation": number}
        )
    builder.arrow(1, 10, 50).arrow("a", 20, 60)
    builder.op("nccl:all_reduce", 1735689600123456.5, 1735689600123460.75, [[2, 3]], ["float"], [""])
    args = {"Collective name": "allreduce", "In msg nelems": 6, "Out msg nelems": 6, "dtype": "Float"}
    builder.event("cpu_op", "record_param_comms", 1, 2, args={**args, "Group size": 8})
    builder.events.append({"ph": "M", "name": "process_name", "pid": 1, "args": {"name": "python"}})
    builder.events.append({"ph": "i", "name": "Iteration Start", "s": "g", "ts": 1})
    return builder


def _shortened(document: dict[str, Any]) -> dict[str, Any]:
    """The first events of each category of a sample, and its metadata without what is long."""
    kept: list[Any] = []
    for event in document["traceEvents"]:
        if sum(event.get("cat") == other.get("cat") for other in kept) < EVENTS_OF_A_SAMPLE // 4:
            kept.append(event)
    short = {key: value for key, value in document.items() if len(json.dumps(value)) < 400}
    return {**short, "traceEvents": kept[:EVENTS_OF_A_SAMPLE]}
