"""The tables and lists of the Markdown comparison; each function returns finished Markdown of one section.

Every table of changes ends in what it leaves out and in the total, so that it adds up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic

from tracekit.analysis.compare.schema import (
    Change,
    Comparison,
    KernelChange,
    ModuleChange,
    OpChange,
    PhaseChange,
    PlaceChange,
    TypeChange,
)
from tracekit.messages import N_, Message
from tracekit.report.comparison.facts import method_lines, totals_of
from tracekit.report.comparison.figures import (
    AnyChange,
    Sum,
    cut,
    relative_change,
    share_percent,
    signed_milliseconds,
    sum_of,
)
from tracekit.report.comparison.words import (
    Words,
    of_phase,
    phase_name,
    ranked_places,
    side_names,
)
from tracekit.report.escape import markdown_cell_code, markdown_cell_name, markdown_name, markdown_quote
from tracekit.report.i18n import DASH, Locale
from tracekit.report.markdown_table import table
from tracekit.report.sections import shapes_cell

KINDS_OF_EVENTS = {"memcpy": N_("copy"), "memset": N_("fill")}


@dataclass(frozen=True)
class _Column(Generic[AnyChange]):
    """A column beside the figures that all tables have."""

    header: str
    cell: Callable[[AnyChange], str]
    right: bool = False


class Sections:
    """The sections of one comparison in one language; `top` rows of each table are shown."""

    def __init__(self, comparison: Comparison, locale: Locale, top: int) -> None:
        self._comparison = comparison
        self.locale = locale
        self._top = top
        self._words = Words(comparison, locale, markdown_cell_code, markdown_cell_name)
        self._in_text = Words(comparison, locale, markdown_quote)

    def title(self) -> str:
        return " → ".join(map(markdown_name, side_names(self._comparison)))

    def headline(self) -> str:
        return self._list(self._comparison.summary)

    def totals(self) -> str:
        """Times of a pass, phase by phase."""
        _, phases = self.locale._, self._comparison.phases
        if not phases:
            return self._nothing()
        with_phase = len(phases) > 1
        rows = []
        for phase in phases:
            for label, change, verdicts in totals_of(self._words, phase):
                name = [markdown_cell_name(phase_name(phase))] if with_phase else []
                cells = [*name, label, *_times(self.locale, change)]
                percent = relative_change(self.locale, change.relative)
                rows.append([*cells, percent, self._words.verdict(change, verdicts)])
        headers = [*([_("Phase")] if with_phase else []), _("Of a pass"), *self._time_headers(), "%"]
        text = table([*headers, _("Verdict")], rows, "l" * (1 + with_phase) + "rrrrl")
        return text + self._note(*self._passes())

    def _passes(self) -> Iterator[str]:
        _ = self.locale._
        for phase in self._comparison.phases:
            text = _("mean over passes: {before} before, {after} after").format(
                before=self.locale.count(phase.passes_before), after=self.locale.count(phase.passes_after)
            )
            name = phase_name(phase)
            yield f"{markdown_name(name)}: {text}" if name else text

    def places(self) -> str:
        """What explains the difference, in the order of the picture."""

        def explained(phase: PhaseChange) -> list[str]:
            count = len(phase.explained_by)
            if not count or phase.explained_share is None:
                return []
            share = share_percent(self.locale, phase.explained_share)
            text = self.locale._("the first {n}, together: {share} of the difference")
            return [text.format(n=self.locale.count(count), share=share)]

        columns: list[_Column[PlaceChange]] = [
            _Column(self.locale._("Place"), self._words.place),
            _Column(
                self.locale._("Type"), lambda row: self._words.quoted_type(row.type) if row.type else DASH
            ),
            _Column(self.locale._("Modules"), self._modules_cell, right=True),
        ]
        changed: list[_Column[PlaceChange]] = [
            _Column(self.locale._("Kernels"), lambda row: self._changed(row.kernels_changed))
        ]
        basis = self.locale._("modules alike in all layers together; `*` stands for the number of a layer")
        places = [
            place for phase in self._comparison.phases for place in ranked_places(self._comparison, phase)
        ]
        return self._changes(places, columns, changed, lambda phase: [*explained(phase), basis])

    def modules(self) -> str:
        columns: list[_Column[ModuleChange]] = [
            _Column(self.locale._("Module"), self._words.module),
            _Column(self.locale._("Type"), lambda row: self._words.module_type(row) or DASH),
        ]
        more: list[_Column[ModuleChange]] = [
            _Column(self.locale._("With modules inside (ms)"), self._inclusive, right=True),
            _Column(self.locale._("Kernels"), self._kernels_cell),
        ]
        basis = self.locale._("self time, without that of modules inside")
        return self._changes(self._comparison.modules, columns, more, lambda _phase: [basis])

    def _inclusive(self, row: ModuleChange) -> str:
        if row.inclusive_before_us is None and row.inclusive_after_us is None:
            return DASH
        return signed_milliseconds(self.locale, row.inclusive_difference_us)

    def _kernels_cell(self, row: ModuleChange) -> str:
        if not row.kernels_changed:
            return ""
        before, after = self._words.kernel_change(row.kernels_before, row.kernels_after, most=1)
        return f"{before or DASH} → {after or DASH}"

    def only_on_one_side(self) -> str:
        """Modules that appeared, and those that are gone."""
        rows = [row for row in self._comparison.modules if row.verdict in ("appeared", "vanished")]
        if not rows:
            return self.locale._("Every module is on both sides.")
        columns: list[_Column[ModuleChange]] = [
            _Column(self.locale._("Module"), self._words.module),
            _Column(self.locale._("Type"), lambda row: self._words.module_type(row) or DASH),
        ]
        return self._changes(rows, columns, [], self._sums_of_verdicts, with_total=False)

    def _sums_of_verdicts(self, phase: PhaseChange) -> Iterator[str]:
        """How many modules appeared and vanished, and what these make."""
        own = of_phase(self._comparison.modules, phase)
        for verdict in ("appeared", "vanished"):
            if found := [row for row in own if row.verdict == verdict]:
                difference = signed_milliseconds(self.locale, sum_of(found).difference_us)
                text = self.locale._("{verdict}: {n}, together {difference} ms")
                yield text.format(
                    verdict=self._words.verdict(found[0]),
                    n=self.locale.count(len(found)),
                    difference=difference,
                )

    def changed_kernels(self) -> str:
        """Modules whose kernels are others, those alike as one row."""
        groups = [
            (phase, _alike(of_phase(self._comparison.modules, phase))) for phase in self._comparison.phases
        ]
        if not any(own for _phase, own in groups):
            return self.locale._("No module that is on both sides launches other kernels.")
        return self._by_phase(groups, self._changed_table)

    def _changed_table(self, _phase: PhaseChange, groups: Sequence[Sequence[ModuleChange]]) -> str:
        _ = self.locale._
        if not groups:
            return DASH
        ranked = sorted(groups, key=lambda rows: -abs(sum_of(rows).difference_us))
        lines = []
        for rows in ranked[: self._top]:
            first, whole = rows[0], sum_of(rows)
            place = self._words.place_of(first.kind, first.place)
            name = self._words.module(first) if len(rows) == 1 else place
            kernels = self._words.kernel_change(first.kernels_before, first.kernels_after)
            figures = (whole.before_us, whole.after_us)
            lines.append(
                [
                    name,
                    self.locale.count(len(rows)),
                    *(kernel or DASH for kernel in kernels),
                    *(self.locale.milliseconds(us) for us in figures),
                    signed_milliseconds(self.locale, whole.difference_us),
                ]
            )
        rest = ranked[self._top :]
        if rest:
            whole = sum_of([row for rows in rest for row in rows])
            lines.append([*self._more(len(rest), 3), *_times(self.locale, whole)])
        headers = [_("Place"), _("Modules"), _("Kernels before"), _("Kernels after"), *self._time_headers()]
        return table(headers, lines, "lrllrrr")

    def types(self) -> str:
        columns: list[_Column[TypeChange]] = [
            _Column(self.locale._("Type"), self._words.type),
            _Column(self.locale._("Modules"), self._modules_cell, right=True),
        ]
        return self._changes(self._comparison.types, columns)

    def ops(self) -> str:
        columns: list[_Column[OpChange]] = [
            _Column(self.locale._("Operator"), lambda row: self._words.op(row.name)),
            _Column(self.locale._("Shapes"), self._shapes),
        ]
        changed: list[_Column[OpChange]] = [
            _Column(self.locale._("Kernels"), lambda row: self._changed(row.kernels_changed))
        ]
        basis = self.locale._("self time, without that of operators inside")
        return self._changes(self._comparison.ops, columns, changed, lambda _phase: [basis])

    def _shapes(self, row: OpChange) -> str:
        shapes = [row.shapes, *([row.shapes_after] if row.shapes_after is not None else [])]
        return " → ".join(map(shapes_cell, shapes))

    def kernels(self) -> str:
        columns: list[_Column[KernelChange]] = [
            _Column(self.locale._("Kernel"), self._kernel_name),
        ]
        return self._changes(self._comparison.kernels, columns)

    def _kernel_name(self, row: KernelChange) -> str:
        kind = KINDS_OF_EVENTS.get(row.kind)
        name = self._words.kernel(row.name)
        return name if kind is None else f"{name} ({self.locale.message(kind)})"

    def differences(self) -> str:
        """What the two were taken of and on, where that differs."""
        if not self._comparison.differences:
            return self.locale._("Nothing that is known of them.")
        _ = self.locale._
        rows = [
            [
                self._words.quoted(row.field),
                *(DASH if value is None else self._words.quoted(value) for value in (row.before, row.after)),
            ]
            for row in self._comparison.differences
        ]
        return table([_("Field"), _("Before"), _("After")], rows, "lll")

    def left_out(self) -> str:
        """GPU time that is in no pass, and so in no table."""
        rows = [row for row in self._comparison.left_out if row.before_us or row.after_us]
        if not rows:
            return self.locale._("Nothing.")
        lines = [
            [self._words.left_out(row.kind), *map(self.locale.milliseconds, (row.before_us, row.after_us))]
            for row in rows
        ]
        _ = self.locale._
        before, after = (self._side_header(word) for word in (_("Before"), _("After")))
        return table([self._words.quantity, before, after], lines, "lrr") + self._note(
            _("over the whole trace, in no table above")
        )

    def method(self) -> str:
        """How a change was told from noise."""
        return "\n".join(f"- {text}" for text in method_lines(self._comparison, self.locale, markdown_quote))

    def notes(self) -> str:
        return self._list(self._comparison.notes)

    def _list(self, messages: Iterable[Message]) -> str:
        return "\n".join(f"- {self._in_text.message(message)}" for message in messages)

    def _changed(self, changed: bool) -> str:
        return self.locale._("changed") if changed else ""

    def _modules_cell(self, row: PlaceChange | TypeChange) -> str:
        if row.kind not in ("modules", "modules_backward"):
            return DASH
        counts = dict.fromkeys((row.modules_before, row.modules_after))
        return " → ".join(map(self.locale.count, counts))

    def _note(self, *notes: str) -> str:
        return f"\n\n*{'; '.join(notes)}.*" if notes else ""

    def _nothing(self) -> str:
        return f"{DASH} ({self.locale._('there is nothing to compare')})"

    def _side_header(self, word: str) -> str:
        return f"{word} ({self.locale._('ms')})"

    def _time_headers(self) -> list[str]:
        _ = self.locale._
        return [self._side_header(word) for word in (_("Before"), _("After"), _("Difference"))]

    def _more(self, count: int, blanks: int) -> list[str]:
        return [self.locale.ngettext("{n} more", "{n} more", count), *[""] * blanks]

    def _changes(
        self,
        rows: Sequence[AnyChange],
        columns: Sequence[_Column[AnyChange]],
        more: Sequence[_Column[AnyChange]] = (),
        notes: Callable[[PhaseChange], Iterable[str]] = lambda _phase: (),
        *,
        with_total: bool = True,
    ) -> str:
        if not rows:
            return self._nothing()
        groups = [(phase, of_phase(rows, phase)) for phase in self._comparison.phases]

        def of_one(phase: PhaseChange, own: Sequence[AnyChange]) -> str:
            if not own:
                return self._nothing()
            total = phase.total if with_total else None
            return self._change_table(own, columns, more, total) + self._note(*notes(phase))

        return self._by_phase(groups, of_one)

    def _by_phase(
        self, groups: Sequence[tuple[PhaseChange, Any]], show: Callable[[PhaseChange, Any], str]
    ) -> str:
        """What is shown of each phase, under its name where there are several."""
        if len(groups) == 1:
            return show(*groups[0])
        return "\n\n".join(
            f"### {markdown_name(phase_name(phase))}\n{show(phase, own)}" for phase, own in groups
        )

    def _change_table(
        self,
        rows: Sequence[AnyChange],
        columns: Sequence[_Column[AnyChange]],
        more: Sequence[_Column[AnyChange]],
        total: Change | None,
    ) -> str:
        _ = self.locale._
        found = cut(rows, self._top)
        lines = [
            [
                *(column.cell(row) for column in columns),
                *self._figures(row),
                self._words.verdict(row),
                *(column.cell(row) for column in more),
            ]
            for row in found.shown
        ]
        blanks, ends = len(columns) - 1, [""] * (1 + len(more))
        if found.rest is not None:
            lines.append([*self._more(found.rest.rows, blanks), *self._figures(found.rest), *ends])
        if total is not None:
            lines.append([f"**{_('Total')}**", *[""] * blanks, *self._figures(_whole(total)), *ends])
        headers = [
            *(column.header for column in columns),
            *self._time_headers(),
            "%",
            _("Share of the difference"),
            _("Verdict"),
            *(column.header for column in more),
        ]
        align = "".join("r" if column.right else "l" for column in columns) + "rrrrrl"
        align += "".join("r" if column.right else "l" for column in more)
        return table(headers, lines, align)

    def _figures(self, row: Change | Sum) -> list[str]:
        locale = self.locale
        return [
            *_times(locale, row),
            relative_change(locale, row.relative),
            share_percent(locale, row.share),
        ]


def _whole(total: Change) -> Sum:
    """The total as all rows together, which make all of the difference if there is one."""
    share = 1.0 if total.difference_us else None
    return Sum(0, total.before_us or 0.0, total.after_us or 0.0, total.difference_us, share)


def _times(locale: Locale, row: Change | Sum) -> list[str]:
    before, after = (locale.milliseconds(us) for us in (row.before_us, row.after_us))
    return [before, after, signed_milliseconds(locale, row.difference_us)]


def _alike(rows: Iterable[ModuleChange]) -> list[list[ModuleChange]]:
    """Modules of one place whose kernels changed in the same way, together."""
    groups: dict[tuple[str, str, frozenset[str], frozenset[str]], list[ModuleChange]] = {}
    for row in rows:
        if row.kernels_changed:
            # Which of them takes most time may differ from layer to layer.
            key = (row.kind, row.place, frozenset(row.kernels_before), frozenset(row.kernels_after))
            groups.setdefault(key, []).append(row)
    return list(groups.values())
