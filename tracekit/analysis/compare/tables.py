"""The rows of a comparison: modules, places, types, ops and kernels of the passes of one phase."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from tracekit.analysis.compare.align import Pair
from tracekit.analysis.compare.drafts import Draft
from tracekit.analysis.compare.noise import Sample, summed
from tracekit.analysis.compare.schema import (
    KernelChange,
    ModuleChange,
    OpChange,
    PlaceChange,
    TypeChange,
)
from tracekit.analysis.compare.sides import BACKWARD, FORWARD, Passes, common_phase
from tracekit.analysis.module_rows import type_label
from tracekit.analysis.schema import KernelUse, ModuleRow, OpRow, Report

MODULES, MODULES_BACKWARD = "modules", "modules_backward"
OUTSIDE = ("outside_modules", "launched_before_trace")  # the rows of the table "outside"
MOST_KERNELS = 5

Sides = tuple[Passes, Passes]


def module_drafts(pairs: Sequence[Pair], sides: Sides, with_outside: bool) -> list[Draft]:
    """A row per module and kind, and what is in no module: they add up to the passes."""
    quantity = sides[0].quantity
    names = [_kernels_of_rows(one.report, one.report.module_kernels) for one in sides]
    drafts: list[Draft] = []
    for kind, self_time in ((MODULES, FORWARD[quantity]), (MODULES_BACKWARD, BACKWARD[quantity])):
        own = [_samples(pair, sides, self_time) for pair in pairs]
        inclusive = _with_children(pairs, own)
        for pair, (before, after), (all_before, all_after) in zip(pairs, own, inclusive, strict=True):
            rows = [
                one.report.modules[of[0]] if of else None
                for one, of in zip(sides, (pair.before, pair.after), strict=True)
            ]
            kernels = [_used(of, used) for of, used in zip((pair.before, pair.after), names, strict=True)]
            fields = {
                "phase": common_phase(*sides),
                "kind": kind,
                "key": pair.key,
                "path_before": rows[0].path if rows[0] else None,
                "path_after": rows[1].path if rows[1] else None,
                "type_before": rows[0].type if rows[0] else None,
                "type_after": rows[1].type if rows[1] else None,
                "place": pair.place,
                "folded": pair.folded,
                "inclusive_before_us": all_before,
                "inclusive_after_us": all_after,
                "inclusive_difference_us": (all_after or 0.0) - (all_before or 0.0),
            }
            if kind == MODULES:
                fields |= _kernel_fields(kernels)
            drafts.append(Draft(ModuleChange, fields, before, after))
    if with_outside:
        drafts += _outside(sides)
    # A module without any time of its own or of its children says nothing.
    return [one for one in drafts if not one.says_nothing or one.fields.get("inclusive_difference_us")]


def _samples(pair: Pair, sides: Sides, quantity: str) -> tuple[Sample | None, Sample | None]:
    before, after = (
        one.sum_of("modules", quantity, rows) if rows else None
        for one, rows in zip(sides, (pair.before, pair.after), strict=True)
    )
    return before, after


def _with_children(
    pairs: Sequence[Pair], own: Sequence[tuple[Sample | None, Sample | None]]
) -> list[tuple[float | None, float | None]]:
    """Means with those of all that is below, of both sides."""
    sums = [[one.mean_us if one else None for one in sample] for sample in own]
    for pair, of in zip(reversed(pairs), reversed(sums), strict=True):
        if pair.parent is not None:
            above = sums[pair.parent]
            for side, value in enumerate(of):
                if value is not None:
                    above[side] = (above[side] or 0.0) + value
    return [(before, after) for before, after in sums]


def _outside(sides: Sides) -> Iterator[Draft]:
    quantity = FORWARD[sides[0].quantity]
    for row, kind in enumerate(OUTSIDE):
        fields: dict[str, Any] = {"phase": common_phase(*sides), "kind": kind, "key": "", "place": ""}
        fields |= dict.fromkeys(("path_before", "path_after", "type_before", "type_after"))
        samples = [one.sum_of("outside", quantity, (row,)) for one in sides]
        fields["inclusive_before_us"], fields["inclusive_after_us"] = (one.mean_us for one in samples)
        fields["inclusive_difference_us"] = samples[1].mean_us - samples[0].mean_us
        yield Draft(ModuleChange, fields, *samples)


def place_drafts(modules: Sequence[Draft], sides: Sides) -> list[Draft]:
    """Modules that are alike together."""
    groups: dict[tuple[str, str], list[Draft]] = defaultdict(list)
    for one in modules:
        groups[one.fields["kind"], one.fields["place"]].append(one)
    drafts: list[Draft] = []
    for (kind, place), members in groups.items():
        types = (one.fields["type_before"] or one.fields["type_after"] for one in members)
        known = [
            [sample for sample in of if sample is not None]
            for of in zip(*((one.before, one.after) for one in members), strict=True)
        ]
        fields = {
            "phase": common_phase(*sides),
            "kind": kind,
            "place": place,
            "type": next((one for one in types if one), None),
            "modules_before": 0 if kind in OUTSIDE else len(known[0]),
            "modules_after": 0 if kind in OUTSIDE else len(known[1]),
            "kernels_changed": any(one.fields.get("kernels_changed") for one in members),
        }
        samples = [summed(of, one.count) if of else None for of, one in zip(known, sides, strict=True)]
        drafts.append(Draft(PlaceChange, fields, *samples))
    return [one for one in drafts if not one.says_nothing]


def type_drafts(modules: Sequence[Draft], sides: Sides) -> list[Draft]:
    """Modules of one type together, whatever they are aligned with."""
    quantity = sides[0].quantity
    of_label = [_rows_by(one.report.modules, type_label) for one in sides]
    labels = dict.fromkeys((*of_label[0], *of_label[1]))
    drafts: list[Draft] = []
    for kind, self_time in ((MODULES, FORWARD[quantity]), (MODULES_BACKWARD, BACKWARD[quantity])):
        for label in labels:
            rows = [of.get(label, []) for of in of_label]
            samples = [
                one.sum_of("modules", self_time, of) if of else None
                for one, of in zip(sides, rows, strict=True)
            ]
            drafts.append(_type_draft(sides, kind, label, rows, samples))
    for one in modules:
        kind = one.fields["kind"]
        if kind in OUTSIDE:
            drafts.append(_type_draft(sides, kind, kind, ([], []), (one.before, one.after)))
    return [one for one in drafts if not one.says_nothing]


def _type_draft(
    sides: Sides,
    kind: str,
    label: str,
    rows: Sequence[Sequence[int]],
    samples: Sequence[Sample | None],
) -> Draft:
    fields = {
        "phase": common_phase(*sides),
        "kind": kind,
        "type": label,
        "modules_before": len(rows[0]),
        "modules_after": len(rows[1]),
    }
    return Draft(TypeChange, fields, *samples)


def op_drafts(sides: Sides, totals: tuple[Sample, Sample]) -> list[Draft]:
    """A row per op with shapes, and what is in no op: they add up to `totals`."""
    quantity = FORWARD[sides[0].quantity]
    names = [_kernels_of_rows(one.report, one.report.op_kernels) for one in sides]
    drafts: list[Draft] = []
    for pair in _matched_ops(sides, quantity):
        of = [() if row is None else (row,) for row in pair]
        rows = [None if row is None else one.report.ops[row] for one, row in zip(sides, pair, strict=True)]
        first, second = rows
        shown = first or second
        assert shown is not None  # one of the two is there
        differ = first is not None and second is not None
        fields = {
            "phase": common_phase(*sides),
            "name": shown.name,
            "shapes": shown.shapes,
            "dtypes": shown.dtypes,
            "shapes_after": second.shapes if differ and second and second.shapes != shown.shapes else None,
            "dtypes_after": second.dtypes if differ and second and second.dtypes != shown.dtypes else None,
            **_kernel_fields([_used(one, used) for one, used in zip(of, names, strict=True)]),
        }
        samples = [
            one.sum_of("ops", quantity, row) if row else None for one, row in zip(sides, of, strict=True)
        ]
        drafts.append(Draft(OpChange, fields, *samples))
    fields = {"phase": common_phase(*sides), "name": None, "shapes": None, "dtypes": None}
    rest = (
        [
            _without(total, [one for one in of if one is not None])
            for total, of in zip(
                totals, zip(*((one.before, one.after) for one in drafts), strict=True), strict=True
            )
        ]
        if drafts
        else list(totals)
    )
    drafts.append(Draft(OpChange, fields, *rest))
    return [one for one in drafts if not one.says_nothing]


def _without(total: Sample, parts: Sequence[Sample]) -> Sample:
    """What is left of the total; its spread is at most that of all of these together."""
    known = summed(parts, total.passes)
    rest = total.mean_us - known.mean_us
    if abs(rest) < 1e-9 * total.mean_us:  # what floats leave of a difference of sums
        rest = 0.0
    spread = None if total.std_us is None else total.std_us + (known.std_us or 0.0)
    return Sample(rest, spread, total.passes, total.median_us - known.median_us)


def _matched_ops(sides: Sides, quantity: str) -> list[tuple[int | None, int | None]]:
    """Rows of the same name, shapes and types; then those that are the only ones of a name and place."""
    ran = [{row: one.report.ops[row] for row in one.rows("ops", quantity)} for one in sides]
    found: list[tuple[int | None, int | None]] = []
    for identity in (_same, _alike):
        of_key = [_rows_by_key(of, identity) for of in ran]
        for key, first in of_key[0].items():
            second = of_key[1].get(key, [])
            if len(first) == len(second) == 1:
                found.append((first[0], second[0]))
                del ran[0][first[0]], ran[1][second[0]]
    return found + [(row, None) for row in ran[0]] + [(None, row) for row in ran[1]]


def _same(row: OpRow) -> Any:
    return row.name, row.shapes, row.dtypes


def _alike(row: OpRow) -> Any:
    return row.name, row.launched_by, row.place


def _rows_by_key(rows: Mapping[int, OpRow], key: Callable[[OpRow], Any]) -> dict[Any, list[int]]:
    found: dict[Any, list[int]] = defaultdict(list)
    for number, row in rows.items():
        found[key(row)].append(number)
    return found


def _rows_by(rows: Sequence[ModuleRow], key: Callable[[ModuleRow], str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        found[key(row)].append(number)
    return found


def kernel_drafts(sides: Sides) -> list[Draft]:
    """A row per kernel and kind of copy."""
    of_key = []
    for one in sides:
        rows = one.report.kernels
        known = one.rows("kernels", FORWARD[one.quantity])
        of_key.append({(rows[number].kind, rows[number].name): sample for number, sample in known.items()})
    drafts = [
        Draft(
            KernelChange,
            {"phase": common_phase(*sides), "kind": kind, "name": name},
            of_key[0].get((kind, name)),
            of_key[1].get((kind, name)),
        )
        for kind, name in dict.fromkeys((*of_key[0], *of_key[1]))
    ]
    return [one for one in drafts if not one.says_nothing]


def _kernels_of_rows(report: Report, use: KernelUse) -> dict[int, list[tuple[float, str]]]:
    """Time and name of the kernels that each row launched; copies are none."""
    found: dict[int, list[tuple[float, str]]] = defaultdict(list)
    for row, kernel, us in zip(use.row, use.kernel, use.gpu_time_us, strict=True):
        if report.kernels[kernel].kind == "kernel":
            found[row].append((us, report.kernels[kernel].name))
    return found


def _used(rows: Iterable[int], kernels: Mapping[int, list[tuple[float, str]]]) -> dict[str, float]:
    """The time of each kernel that any of the rows launched, longest first."""
    time: dict[str, float] = defaultdict(float)
    for row in rows:
        for us, name in kernels.get(row, ()):
            time[name] += us
    return dict(sorted(time.items(), key=lambda item: -item[1]))


def _kernel_fields(used: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    before, after = used
    return {
        "kernels_before": tuple(before)[:MOST_KERNELS],
        "kernels_after": tuple(after)[:MOST_KERNELS],
        "kernels_changed": bool(before and after and set(before) != set(after)),
    }
