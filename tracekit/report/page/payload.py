"""What the page's scripts draw: rows of the `Report` as columns, and the words and colours for them.

Numbers are those of report.json, unrounded; names are whole, unless they are too long to read, and cleaned of
what is not visible. Modules are referred to by their position in `view.shown_modules`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from tracekit.analysis.schema import ModuleRow, Report, Row
from tracekit.messages import Message
from tracekit.report import escape, palette, view
from tracekit.report.escape import elide
from tracekit.report.i18n import Locale, page_messages
from tracekit.report.json import plain
from tracekit.report.phase_view import plain_name, side_by_side
from tracekit.report.tables.columns import fields_of

# What a module's columns do not repeat: its place in the tree, and texts that are known otherwise.
_TREE_FIELDS = {"path", "name", "type", "parent", "block", "phases"}

NAME_CHARACTERS = 10_000

Columns = dict[str, list[Any] | None]


def payload(report: Report, locales: Mapping[str, Locale], lang: str) -> dict[str, Any]:
    """Everything that the scripts need, as plain values.

    Columns are lists of one length, or null where nothing in them is known.
    """
    modules, passes = view.shown_modules(report), view.shown_passes(report)
    position = {row.path: i for i, row in enumerate(modules)}
    phases = side_by_side(report)
    shorts = view.kernel_names(report)
    kernels, blocks = report.kernels[: view.TABLE_ROWS], report.blocks[: view.PAGE_BLOCKS]
    return {
        "lang": lang,
        "messages": {name: page_messages(name) for name in locales},
        "on_gpu": view.has_gpu(report),
        "per_pass": view.is_per_pass(report),
        "has_backward": view.has_backward(report),
        "phases": [clean(name) for name in phases if name is not None],
        "main_phase": None if report.time.phase is None else clean(report.time.phase),
        "phase_names": {clean(name): plain_name(name) for name in phases if name is not None},
        "phase_rows": columns(report.phases),
        "basis": {
            name: {clean(phase or ""): view.per_pass_text(report, locale, phase) for phase in [None, *phases]}
            for name, locale in locales.items()
        },
        "time": {name: column[0] if column else None for name, column in columns([report.time]).items()},
        "flops": plain(report.flops),
        "device": {
            "name": clean(report.device.name or ""),
            "peaks": report.device.peaks,
            "bandwidth_gbs": report.device.bandwidth_gbs,
            "note": _note(report, locales),
        },
        "palette": {
            "series": palette.SERIES,
            "grey": palette.GREY,
            "limits": palette.LIMITS,
            "parts": palette.PARTS,
        },
        "limits": _words(view.LIMITS, locales),
        "parts": _words(view.PARTS, locales),
        "modules": _modules(report, modules, position),
        "types": columns(report.types[: view.TABLE_ROWS]),
        "blocks": {
            **columns(blocks),
            "module": [position.get(row.path) for row in blocks],
            "parts": [_cleaned(plain(row.parts)) for row in blocks],
            "phases": [_cleaned(plain(row.phases)) for row in blocks],
        },
        "kernels": {
            **columns(kernels),
            "short": [shorts[row.name] for row in kernels],
        },
        "ops": columns(report.ops[: view.TABLE_ROWS]),
        "passes": columns(passes),
        # Of all passes, by phase, where not all are here.
        "spread": _spread(report, phases) if len(passes) < len(report.passes) else {},
        "timeline": _timeline(report, shorts, position),
    }


def clean(text: str) -> str:
    """`text` without what is not visible, and without its middle where nobody would read it."""
    return escape.clean(elide(text, NAME_CHARACTERS))


def columns(rows: Sequence[Row], without: Collection[str] = ()) -> Columns:
    """A list of values per field of `rows`; texts cleaned, messages left out."""
    if not rows:
        return {}
    fields = [field for field in fields_of(type(rows[0])) if field.kind is not Message]
    return {
        field.name: _column([getattr(row, field.name) for row in rows])
        for field in fields
        if field.name not in without
    }


def _column(values: list[Any]) -> list[Any] | None:
    if all(value is None for value in values):
        return None
    return [clean(value) if isinstance(value, str) else plain(value) for value in values]


def _spread(report: Report, phases: Iterable[str | None]) -> dict[str, Any]:
    """`view.Spread` of the passes of each phase; that of all has no name."""
    found = {
        phase: view.spread([row for row in report.passes if phase is None or row.phase == phase])
        for phase in (None, *phases)
    }
    return {clean(phase or ""): vars(spread) for phase, spread in found.items() if spread is not None}


def _modules(report: Report, rows: Sequence[ModuleRow], position: Mapping[str, int]) -> dict[str, Any]:
    """The tree: of each module its parent, its type and the part of its path that its parent's lacks."""
    parents = [None if row.parent is None else position.get(row.parent) for row in rows]
    types = {
        name: i for i, name in enumerate(dict.fromkeys(row.type for row in rows if row.type is not None))
    }
    return {
        "count": len(rows),
        "parent": parents,
        "label": [clean(_label(row, rows, parent)) for row, parent in zip(rows, parents, strict=True)],
        # Modules whose path does not begin with their parent's: it is their label.
        "elsewhere": [
            i
            for i, (row, parent) in enumerate(zip(rows, parents, strict=True))
            if parent is not None and rows[parent].path and _label(row, rows, parent) == row.path
        ],
        "types": [clean(name) for name in types],
        "type": [None if row.type is None else types[row.type] for row in rows],
        "block": [None if row.block is None else position.get(row.block) for row in rows],
        "columns": columns(rows, _TREE_FIELDS),
        "phases": {clean(name): _of_phase(rows, name) for name in side_by_side(report) if name is not None},
    }


def _label(row: ModuleRow, rows: Sequence[ModuleRow], parent: int | None) -> str:
    prefix = "" if parent is None else rows[parent].path
    return row.path[len(prefix) + 1 :] if prefix and row.path.startswith(f"{prefix}.") else row.path


def _of_phase(rows: Sequence[ModuleRow], phase: str) -> Columns:
    found = [next((one for one in row.phases if one.phase == phase), None) for row in rows]
    fields = next((one.__struct_fields__ for one in found if one is not None), ())
    return {
        name: _column([None if one is None else getattr(one, name) for one in found])
        for name in fields
        if name != "phase"
    }


def _note(report: Report, locales: Mapping[str, Locale]) -> dict[str, str] | None:
    """What there is to know of the device's figures, by language."""
    note = report.device.note
    return None if note is None else {name: clean(locale.message(note)) for name, locale in locales.items()}


def _timeline(
    report: Report, shorts: Mapping[str, str], position: Mapping[str, int]
) -> dict[str, Any] | None:
    timeline = report.timeline
    if timeline is None:
        return None
    found: dict[str, Any] = _cleaned(plain(timeline))
    found["short"] = [shorts[name] for name in timeline.kernels]
    if len(position) < len(report.modules):
        shown = _shown_around(report, position)
        found["events"]["module"] = [None if at is None else shown[at] for at in timeline.events.module]
        for gap, row in zip(found["gaps"], timeline.gaps, strict=True):
            gap["module"] = None if row.module is None else shown[row.module]
    return found


def _shown_around(report: Report, position: Mapping[str, int]) -> list[int | None]:
    """For each module of the report the position of the innermost shown one that it is or is in."""
    parents = {row.path: row.parent for row in report.modules}
    found: list[int | None] = []
    for row in report.modules:
        path: str | None = row.path
        while path is not None and path not in position:
            path = parents.get(path)
        found.append(None if path is None else position[path])
    return found


def _cleaned(value: Any) -> Any:
    """`value` of dicts, lists and numbers with its texts cleaned."""
    if isinstance(value, dict):
        return {key: _cleaned(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    return clean(value) if isinstance(value, str) else value


def _words(words: Mapping[str, Message], locales: Mapping[str, Locale]) -> dict[str, dict[str, str]]:
    return {
        name: {key: locale.message(word) for key, word in words.items()} for name, locale in locales.items()
    }


def encode(data: Mapping[str, Any]) -> str:
    """`data` as JSON that stands in a script element of HTML: it holds no `<`, `>` or `&`, nor U+2028."""
    text = msgspec.json.encode(data).decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
