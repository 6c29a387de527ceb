"""What the scripts of the page of a comparison draw: its tables as columns, and the words for them.

Numbers are those of comparison.json, unrounded; names are cleaned of what is not visible.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tracekit.analysis.compare.schema import Comparison, ModuleChange, OpChange, PhaseChange
from tracekit.report.comparison.figures import AnyChange, Cut, cut
from tracekit.report.comparison.words import VERDICTS, Words, phase_name
from tracekit.report.i18n import Locale, page_messages
from tracekit.report.page.payload import clean, columns
from tracekit.report.view import TABLE_ROWS

Label = str | dict[str, str] | None

TABLES = ("places", "modules", "types", "ops", "kernels")


def payload(comparison: Comparison, words: Mapping[str, Words], lang: str) -> dict[str, Any]:
    """Everything that the scripts need, as plain values; `words` of each language."""
    names = [phase_id(phase) for phase in comparison.phases] if len(comparison.phases) > 1 else []
    kernels = _Kernels(words[lang])
    modules, ops = cut(comparison.modules, TABLE_ROWS).shown, cut(comparison.ops, TABLE_ROWS).shown
    places, types = cut(comparison.places, TABLE_ROWS).shown, cut(comparison.types, TABLE_ROWS).shown
    launched = cut(comparison.kernels, TABLE_ROWS).shown
    tables = {
        "places": {
            **columns(places),
            "label": _labels(words, places, Words.place),
            "type_label": [None if row.type is None else clean(row.type) for row in places],
        },
        "modules": {
            **columns(modules),
            **kernels.columns(modules),
            "label": _labels(words, modules, Words.module),
            "type_label": _labels(words, modules, lambda own, row: own.module_type(row) or None),
        },
        "types": {**columns(types), "label": _labels(words, types, Words.type)},
        "ops": {
            **columns(ops),
            **kernels.columns(ops),
            "label": _labels(words, ops, lambda own, row: own.op(row.name)),
        },
        "kernels": {
            **columns(launched),
            "label": [words[lang].short_kernel(row.name) for row in launched],
            "whole": [clean(row.name) for row in launched],
        },
    }
    return {
        "lang": lang,
        "messages": {name: page_messages(name) for name in words},
        "phases": names,
        "main_phase": names[0] if names else None,
        "phase_names": {phase_id(phase): phase_name(phase) for phase in comparison.phases},
        "verdicts": {name: _verdicts(own.locale) for name, own in words.items()},
        "kernel_names": kernels.names,
        **tables,
    }


def phase_id(phase: PhaseChange) -> str:
    """What rows of the payload call their phase."""
    return clean(phase.phase or "")


def left_out(comparison: Comparison) -> dict[str, Cut[Any]]:
    """The tables of which the page does not have all rows."""
    cuts = {name: cut(getattr(comparison, name), TABLE_ROWS) for name in TABLES}
    return {name: one for name, one in cuts.items() if one.rest is not None}


def _verdicts(locale: Locale) -> dict[str, str]:
    return {name: locale.message(word) for name, word in VERDICTS.items()}


def _labels(
    words: Mapping[str, Words], rows: Iterable[AnyChange], label: Callable[[Words, AnyChange], str | None]
) -> list[Label]:
    """The label of each row: one text, or one in each language where they differ."""
    found: list[Label] = []
    for row in rows:
        texts = {name: label(own, row) for name, own in words.items()}
        distinct = set(texts.values())
        found.append(
            distinct.pop() if len(distinct) == 1 else {name: text or "" for name, text in texts.items()}
        )
    return found


class _Kernels:
    """The kernels that rows name, each once."""

    def __init__(self, words: Words) -> None:
        self._words = words
        self._position: dict[str, int] = {}

    @property
    def names(self) -> list[str]:
        return [self._words.short_kernel(name) for name in self._position]

    def columns(self, rows: Sequence[ModuleChange | OpChange]) -> dict[str, list[list[int]]]:
        return {
            "kernels_before": [self._positions(row.kernels_before) for row in rows],
            "kernels_after": [self._positions(row.kernels_after) for row in rows],
        }

    def _positions(self, names: Iterable[str]) -> list[int]:
        return [self._position.setdefault(name, len(self._position)) for name in names]
