"""Tiny configurations, and a reading of a trace's scopes that shares no code with tracekit."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from .tiny_decoders import DECODERS

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 100,
}
NEMOTRON_H = DECODERS["nemotron_h"]


@dataclass(frozen=True)
class Scope:
    """One range named `tracekit:<key>:<rest>`, in integer nanoseconds."""

    key: str
    rest: str
    start: int
    end: int

    def encloses(self, other: Scope) -> bool:
        return self is not other and self.start <= other.start and other.end <= self.end


@dataclass(frozen=True)
class Trace:
    content: dict[str, Any]
    passes: list[Scope]
    calls: list[Scope]

    @property
    def metadata(self) -> dict[str, Any]:
        metadata: dict[str, Any] = self.content["tracekit"]
        return metadata

    def parent(self, scope: Scope) -> Scope | None:
        """The innermost scope around `scope`, a pass among them."""
        around = [other for other in self.passes + self.calls if other.encloses(scope)]
        return min(around, key=lambda other: other.end - other.start, default=None)


def read_trace(path: Path) -> Trace:
    content = json.loads(gzip.decompress(path.read_bytes()), parse_float=Decimal)
    scopes = []
    for event in content["traceEvents"]:
        prefix, _, name = event["name"].partition(":")
        if event.get("ph") == "X" and prefix == "tracekit":
            key, _, rest = name.partition(":")
            start = int(event["ts"] * 1000)
            scopes.append(Scope(key, rest, start, start + int(event["dur"] * 1000)))
    return Trace(
        content,
        passes=[scope for scope in scopes if scope.key == "forward"],
        calls=[scope for scope in scopes if scope.key != "forward"],
    )
