"""What rows of a comparison are called: modules, places, types, operators, kernels, verdicts, phases."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import PurePath
from typing import Protocol, TypeVar

from tracekit.analysis.compare.schema import (
    Change,
    Comparison,
    ModuleChange,
    OpChange,
    PhaseChange,
    PlaceChange,
    TypeChange,
)
from tracekit.messages import N_, Message
from tracekit.report import view
from tracekit.report.escape import clean, elide
from tracekit.report.i18n import Locale
from tracekit.report.kernel_names import short_name, short_names
from tracekit.report.phase_view import plain_name

VERDICTS = {
    "slower": N_("slower"),
    "faster": N_("faster"),
    "same": N_("within noise"),
    "unknown": N_("noise unknown"),
    "appeared": N_("appeared"),
    "vanished": N_("vanished"),
}
# Of time in which nothing runs.
IDLE_VERDICTS = VERDICTS | {"slower": N_("more"), "faster": N_("less")}

QUANTITIES = {"gpu_time": N_("GPU time"), "cpu_time": N_("CPU time")}

LEFT_OUT = {
    "launched_before_trace": N_("launched before the trace began"),
    "before_first_pass": N_("before the first pass"),
    "outlier_passes": N_("passes that take far longer than the others"),
}

NAME_WIDTH = 96
KERNELS_SHOWN = 3  # of a module's


class _OfPhase(Protocol):
    @property
    def phase(self) -> str | None: ...


RowOfPhase = TypeVar("RowOfPhase", bound=_OfPhase)


def of_phase(rows: Iterable[RowOfPhase], phase: PhaseChange) -> list[RowOfPhase]:
    """The rows of one phase."""
    return [row for row in rows if row.phase == phase.phase]


def ranked_places(comparison: Comparison, phase: PhaseChange) -> list[PlaceChange]:
    """The places of one phase, those first that explain its difference."""
    explained = set(phase.explained_by)
    others = [
        place
        for at, place in enumerate(comparison.places)
        if place.phase == phase.phase and at not in explained
    ]
    return [*(comparison.places[at] for at in phase.explained_by), *others]


def side_names(comparison: Comparison) -> tuple[str, str]:
    """The names of both files, with the directories that these are in where they are the same. Cleaned."""
    before, after = PurePath(comparison.before.path), PurePath(comparison.after.path)
    parts = 1 if before.name != after.name else 2
    return _end(before, parts), _end(after, parts)


def _end(path: PurePath, parts: int) -> str:
    return clean("/".join(path.parts[-parts:]) or str(path))


def phase_name(phase: PhaseChange) -> str:
    """Its name, or both where the sides call it differently; empty where passes have no phases. Cleaned."""
    before, after = phase.before_phase, phase.after_phase
    if before and after and before != after:
        return f"{plain_name(before)} → {plain_name(after)}"
    return plain_name(phase.phase or "")


class Words:
    """The names of one comparison in one language.

    `quote` makes of a cleaned name what is shown of it; `quote_type` of that of a type.
    """

    def __init__(
        self,
        comparison: Comparison,
        locale: Locale,
        quote: Callable[[str], str] | None = None,
        quote_type: Callable[[str], str] | None = None,
    ) -> None:
        self.comparison = comparison
        self.locale = locale
        self._quote_in_message = quote or clean  # others are clean before
        self._quote = quote or str
        self._quote_type = quote_type or self._quote

    def quoted(self, name: str) -> str:
        """A name from a trace."""
        return self._quote(elide(clean(name), NAME_WIDTH))

    def quoted_type(self, name: str) -> str:
        return self._quote_type(elide(clean(name), NAME_WIDTH))

    def message(self, message: Message) -> str:
        return self.locale.message(message, self._quote_in_message)

    @property
    def quantity(self) -> str:
        known = QUANTITIES.get(self.comparison.quantity)
        return self.quoted(self.comparison.quantity) if known is None else self.locale.message(known)

    def quantity_in_ms(self) -> str:
        return f"{self.quantity} ({self.locale._('ms')})"

    def verdict(self, change: Change, verdicts: Mapping[str, Message] = VERDICTS) -> str:
        known = verdicts.get(change.verdict)
        return self.quoted(change.verdict) if known is None else self.locale.message(known)

    def module(self, row: ModuleChange) -> str:
        """Its path, or both where it moved; what it is of the module where it is not its own forward."""
        paths = dict.fromkeys(path for path in (row.path_before, row.path_after) if path is not None)
        name = " → ".join(map(self._path, paths)) if paths else self._path(row.key)
        remark = self.locale._("with all inside") if row.folded else ""
        return self._of_kind(row.kind, name, remark)

    def place(self, row: PlaceChange) -> str:
        return self.place_of(row.kind, row.place)

    def place_of(self, kind: str, place: str) -> str:
        return self._of_kind(kind, self._path(place))

    def type(self, row: TypeChange) -> str:
        return self._of_kind(row.kind, self.quoted_type(row.type))

    def module_type(self, row: ModuleChange) -> str:
        types = dict.fromkeys(name for name in (row.type_before, row.type_after) if name)
        return " → ".join(map(self.quoted_type, types))

    def _path(self, path: str) -> str:
        return self.quoted(path) if path else f"({self.locale._('the whole model')})"

    def _of_kind(self, kind: str, name: str, remark: str = "") -> str:
        if kind == "modules":
            return f"{name} ({remark})" if remark else name
        if kind == "modules_backward":
            remarks = [self.locale._("backward"), remark]
            return f"{name} ({', '.join(filter(None, remarks))})"
        label = view.KIND_LABELS.get(kind)
        return f"({self.locale.message(label)})" if label is not None else f"{name} ({self.quoted(kind)})"

    def op(self, name: str | None) -> str:
        return self.quoted(name) if name else f"({self.locale._('outside operators')})"

    @cached_property
    def _short(self) -> dict[str, str]:
        one = self.comparison
        rows: list[ModuleChange | OpChange] = [*one.modules[: view.TABLE_ROWS], *one.ops[: view.TABLE_ROWS]]
        return short_names(
            [
                *(row.name for row in one.kernels[: view.TABLE_ROWS]),
                *(name for row in rows for name in (*row.kernels_before, *row.kernels_after)),
            ]
        )

    def short_kernel(self, name: str) -> str:
        """Its short name, which no other kernel of the comparison has. Not quoted."""
        return self._short.get(name) or short_name(name)

    def kernel(self, name: str) -> str:
        return self._quote(self.short_kernel(name))

    def kernels(self, names: Sequence[str], most: int = KERNELS_SHOWN) -> str:
        """The first of several, and how many more."""
        shown = [self.kernel(name) for name in names[:most]]
        rest = len(names) - len(shown)
        if rest > 0:
            shown.append(self.locale.ngettext("{n} more", "{n} more", rest))
        return ", ".join(shown)

    def kernel_change(
        self, before: Sequence[str], after: Sequence[str], most: int = KERNELS_SHOWN
    ) -> tuple[str, str]:
        """Those that only one side launched; all of a side that has no others."""
        gone = [name for name in before if name not in set(after)]
        new = [name for name in after if name not in set(before)]
        return self.kernels(gone or before, most), self.kernels(new or after, most)

    def left_out(self, kind: str) -> str:
        known = LEFT_OUT.get(kind)
        return self.quoted(kind) if known is None else self.locale.message(known)
