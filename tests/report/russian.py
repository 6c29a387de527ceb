"""Finds what a Russian text still says in English: for reports of every kind, the page and the terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from tracekit.analysis.schema import Report
from tracekit.messages import Message
from tracekit.report.kernel_names import short_name

# Words that Russian engineers use as they are. The predecessor's report has the first line.
WORDS = """
    FLOPs attention FFN Transformer K V GF TFLOPs
    kF MF TF PF kFLOPs MFLOPs GFLOPs PFLOPs CPU GPU SM CUDA JIT SSM Mamba MoE Roofline mixer
    tracekit capture transformers PyTorch GEMM TunableOp cuBLASLt hipBLASLt eager prefill decode
    JavaScript Enter stream max-autotune fp bf tf int
"""
TECHNICAL = frozenset(WORDS.split())
_PHRASE = re.compile(
    r"forward-pass|FLOPs / forward|[kMGTP]?FLOP(?:/s|/байт)|\bm × n × k|\bn или k\b|°C|torch\.\w+(?:\.\w+)*"
)
_CODE = re.compile(r"(`+)(?:(?!`).)+?\1", re.DOTALL)
_ADDRESS = re.compile(r"\]\([^)]*\)")
# Options, arguments and dotted or underscored names are names wherever they stand.
_IDENTIFIER = re.compile(r"--[\w-]+|[\w.:…/\[\]()*#-]*[A-Za-z0-9](?:[_…=#]|::|\.(?=\w))[\w.:…/=*#'-]*")
_WORD = re.compile(r"[A-Za-z]+(?:-[A-Za-z]+)*")


def names_of(report: Report) -> set[str]:
    """Texts of the trace that a report shows outside code spans, as they are."""
    model, device = report.model, report.device
    names = {model.name, model.class_, model.mode, model.dtype, model.attention_type, device.name}
    names |= {row.type for row in report.modules} | {row.type for row in report.types}
    names |= {one for row in report.blocks for one in (row.stack, row.kind)}
    names |= {one for row in report.block_kinds for one in (row.stack, row.kind)}
    names |= {row.kind for row in model.parameters_by_kind} | {tower.name for tower in model.towers}
    names |= {row.name for row in report.phases}
    names |= {row.path for row in report.modules}
    states = [*device.telemetry.before, *device.telemetry.after] if device.telemetry else []
    names |= {state.performance_state for state in states}
    for finding in report.findings:
        names |= {finding.module, *_texts(finding.evidence), *_texts(finding.advice)}
    return {name for name in names if name and re.search("[A-Za-z]", name)}


def _texts(value: Any) -> Iterator[str]:
    """The texts among the values of a message, which come from the trace."""
    if isinstance(value, Message):
        value = list(value.values.values())
    if isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, str) and re.search("[A-Za-z]", value):
        yield from (value, short_name(value))


def english_words(text: str, names: Iterable[str] = ()) -> list[str]:
    """The words of a Russian `text`, Markdown or plain, that are in Latin letters and no names."""
    text = _PHRASE.sub(" ", _ADDRESS.sub("]", _CODE.sub(" ", text)))
    for name in sorted(names, key=len, reverse=True):
        text = re.sub(rf"(?<![A-Za-z]){re.escape(name)}(?![A-Za-z])", " ", text)
    text = _IDENTIFIER.sub(" ", text)
    return [word for word in _WORD.findall(text) if word not in TECHNICAL]
