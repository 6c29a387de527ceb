"""The tables and lists of the Markdown report of a job; a function returns finished Markdown of a section.

A table ends in what it leaves out, and one whose rows add up in their mean or sum.
"""

from __future__ import annotations

import math
from pathlib import PurePath

from tracekit.analysis.ranks.schema import CollectiveRow, Job, ModuleSpread
from tracekit.report import shared_facts
from tracekit.report.comparison.figures import signed_milliseconds
from tracekit.report.escape import markdown_cell_code, markdown_cell_name, markdown_quote
from tracekit.report.i18n import DASH, Locale
from tracekit.report.job.facts import facts, gain_per_step, method_lines, notes_of
from tracekit.report.job.figures import (
    Rank,
    Split,
    StepFigures,
    by_delay,
    by_imbalance,
    extremes,
    longest_steps,
    mean_step,
    ranks_of,
    steps_of,
)
from tracekit.report.job.words import Words
from tracekit.report.markdown_table import table

PLACES_OF = 5  # late ranks, of which all places are listed


class Sections:
    """The sections of one job in one language; `top` rows of each table are shown."""

    def __init__(self, job: Job, locale: Locale, top: int) -> None:
        self.job = job
        self.locale = locale
        self._top = top
        self.words = Words(job, locale, markdown_cell_code)
        self.ranks = ranks_of(job)
        self._straggler = {one.rank: one for one in job.stragglers}

    def subject(self) -> str:
        return Words(self.job, self.locale, markdown_quote).subject()

    def facts(self) -> str:
        """How many ranks, and of a step what all of them have in common."""
        return "\n".join(f"- **{label}**: {value}" for label, value in facts(self.job, self.locale))

    def findings(self) -> str:
        """What should be known or could be changed, worst first."""
        locale, lines = self.locale, []
        for finding in self.job.findings:
            label, evidence, advice = shared_facts.finding_words(finding, locale, markdown_quote)
            gain = f" {gained}" if (gained := gain_per_step(finding.gain_us, locale)) else ""
            lines.append(f"- **{label}** — {evidence}. {advice}.{gain}")
        return "\n".join(lines) or locale._("Nothing stands out.")

    def split(self) -> str:
        """Where the time of a step goes on each rank."""
        _ = self.locale._
        shown = extremes(self.ranks, self._top)
        if not shown:
            return self._nothing()
        lines = [[self.locale.count(one.row.rank), *self._split(one.step), self._last(one)] for one in shown]
        left_out = len(self.ranks) - len(shown)
        if left_out:
            numbers = {one.row.rank for one in shown}
            rest = mean_step(one for one in self.ranks if one.row.rank not in numbers)
            lines.append([self._more(left_out, _("mean")), *self._split(rest), ""])
        if len(self.ranks) > 1:
            lines.append([f"**{_('Mean')}**", *self._split(mean_step(self.ranks)), ""])
        headers = [
            _("Rank"),
            *(
                self._ms(name)
                for name in (
                    _("Compute"),
                    _("Exposed communication"),
                    _("Copies"),
                    _("Idle"),
                    _("Step"),
                    _("Overlapped communication"),
                    _("Waiting for later ranks"),
                )
            ),
            _("Last to arrive"),
        ]
        notes = [
            _(
                "compute, exposed communication, copies and idle add up to the step: means over the steps "
                "and devices of a rank"
            ),
            _("overlapped communication is part of compute; waiting is part of communication"),
        ]
        if left_out:
            notes.append(_("shown: stragglers, and the ranks with the most and the least of something"))
        return table(headers, lines, "rrrrrrrrr") + self._note(*notes)

    def _split(self, step: Split | None) -> list[str]:
        if step is None:
            return [DASH] * 7
        figures = (*step.parts, step.wall, step.overlapped, step.waiting)
        return [self.locale.milliseconds(us) for us in figures]

    def _last(self, one: Rank) -> str:
        return self.locale.percent(one.last_share)

    def late(self) -> str:
        """Who comes last to collectives, what that costs, and where the time was lost."""
        locale, _ = self.locale, self.locale._
        rows = by_delay(self.job)
        if not self.job.late:
            return _("It is not known: no collective was found on several ranks.")
        if not rows:
            return _("No rank was ever the last: all arrive at the same time.")
        lines = []
        for row in rows[: self._top]:
            place, lost_us = self.words.late_place(row, self._straggler.get(row.rank))
            lines.append(
                [
                    locale.count(row.rank),
                    _("{last} of {all}").format(
                        last=locale.count(row.last), all=locale.count(row.collectives)
                    ),
                    locale.percent(row.last / row.collectives if row.collectives else None),
                    locale.milliseconds(row.delay_us),
                    locale.milliseconds(row.waited_us),
                    place,
                    locale.milliseconds(lost_us),
                ]
            )
        rest = rows[self._top :]
        if rest:
            sums = [math.fsum(getattr(row, name) for row in rest) for name in ("delay_us", "waited_us")]
            last = locale.count(sum(row.last for row in rest))
            lines.append([self._more(len(rest)), last, "", *map(locale.milliseconds, sums), "", ""])
        headers = [
            _("Rank"),
            _("Last to arrive"),
            "%",
            self._ms(_("Delay")),
            self._ms(_("Others waited for it")),
            _("Where it lost most"),
            self._ms(_("Lost there")),
        ]
        note = self._note(
            _(
                "over all steps; delay: by so much the collectives would have ended earlier, had the rank "
                "come with the last but one"
            ),
            _("others waited: the sum over all of them"),
        )
        return table(headers, lines, "rrrrrlr") + note

    def late_places(self) -> str:
        """All places where the worst of them lost time; empty where none is known."""
        _ = self.locale._
        rows = [
            (row, place) for row in by_delay(self.job)[:PLACES_OF] for place in row.places if row.delay_us
        ]
        if not rows:
            return ""
        lines = [
            [
                self.locale.count(row.rank),
                self.words.place(place.cause, place.module),
                markdown_cell_name(place.type) if place.type else DASH,
                *(
                    DASH if place.cause == "earlier_collective" else self.locale.milliseconds(us)
                    for us in (place.own_us, place.others_us)
                ),
                self.locale.milliseconds(place.lost_us),
            ]
            for row, place in rows
        ]
        headers = [
            _("Rank"),
            _("Place"),
            _("Type"),
            self._ms(_("This rank")),
            self._ms(_("Median of the others")),
            self._ms(_("Lost")),
        ]
        return table(headers, lines, "rllrrr") + self._note(
            _("over all steps, before the collectives to which the rank came last")
        )

    def collectives(self) -> str:
        """By group, operation and size, those first that take most time."""
        _, rows = self.locale._, self.job.collectives
        if not rows:
            return f"{DASH} ({_('no trace has a collective')})"
        headers = [
            _("Operation"),
            _("Called in"),
            _("Group"),
            _("Ranks"),
            _("Type"),
            _("Size"),
            _("Count"),
            _("Matched"),
            self._ms(_("Duration")),
            self._ms(_("Transfer")),
            self._ms(_("Waiting")),
            self._ms(_("Skew, mean")),
            self._ms(_("Skew, most")),
            f"{_('Algorithm bandwidth')} ({_('GB/s')})",
            f"{_('Bus bandwidth')} ({_('GB/s')})",
        ]
        lines = [self._collective(row) for row in rows[: self._top]]
        rest = rows[self._top :]
        if rest:
            waited = [row.waiting_us for row in rest if row.waiting_us is not None]
            counts = [
                self.locale.count(sum(getattr(row, name) for row in rest)) for name in ("count", "matched")
            ]
            waiting = self.locale.milliseconds(math.fsum(waited) if waited else None)
            lines.append([self._more(len(rest)), *[""] * 5, *counts, "", "", waiting, "", "", "", ""])
        note = self._note(
            _(
                "duration and transfer: medians; waiting: the sum over all ranks and steps; skew: the "
                "longest wait in each"
            ),
            _("size: of the whole message, as nccl-tests count it"),
        )
        return table(headers, lines, "lllrlrrrrrrrrrr") + note

    def _collective(self, row: CollectiveRow) -> list[str]:
        locale = self.locale
        size = self.job.groups[row.group].size if row.group < len(self.job.groups) else None
        return [
            markdown_cell_name(row.op),
            DASH if row.module is None else self.words.module(row.module),
            self.words.group(row.group),
            locale.count(size if size is not None else row.ranks),
            markdown_cell_name(row.dtype) if row.dtype else DASH,
            locale.bytes(row.bytes),
            locale.count(row.count),
            locale.count(row.matched),
            *(
                locale.milliseconds(us)
                for us in (
                    row.duration_us,
                    row.transfer_us,
                    row.waiting_us,
                    row.skew_mean_us,
                    row.skew_max_us,
                )
            ),
            locale.fixed(row.algorithm_gbs),
            locale.fixed(row.bus_gbs),
        ]

    def modules(self) -> str:
        """Modules whose own work differs most over the ranks."""
        _, rows = self.locale._, by_imbalance(self.job)
        if not rows:
            return f"{DASH} ({_('no module was found on several ranks')})"
        headers = [
            _("Module"),
            _("Type"),
            _("Ranks"),
            *(self._ms(name) for name in (_("Least"), _("Median"), _("Mean"), _("Most"))),
            _("Imbalance"),
            _("Slowest rank"),
            self._ms(_("With modules inside, median")),
        ]
        lines = [self._module(row) for row in rows[: self._top]]
        if rest := len(rows) - self._top:
            lines += [[self._more(rest), *[""] * 9]] if rest > 0 else []
        return table(headers, lines, "llrrrrrrrr") + self._note(
            _("self time of a step, over the ranks that ran the module; imbalance: most ÷ mean − 1")
        )

    def _module(self, row: ModuleSpread) -> list[str]:
        locale, own = self.locale, row.own
        return [
            self.words.module(row.path),
            markdown_cell_name(row.type) if row.type else DASH,
            locale.count(row.ranks),
            *(locale.milliseconds(us) for us in (own.min_us, own.median_us, own.mean_us, own.max_us)),
            locale.percent(own.imbalance),
            locale.count(own.max_rank),
            locale.milliseconds(row.total.median_us),
        ]

    def steps(self) -> str:
        """The steps, or the longest of them."""
        _, steps = self.locale._, steps_of(self.job)
        if not steps:
            return self._nothing()
        shown = longest_steps(steps, self._top)
        headers = [
            _("Step"),
            _("Ranks"),
            *(
                self._ms(name)
                for name in (_("Least"), _("Median"), _("Most"), _("Compute, median"), _("Compute, most"))
            ),
            _("Rank with most compute"),
            self._ms(_("Exposed communication, median")),
            self._ms(_("Idle, median")),
        ]
        lines = [self._step(one) for one in shown]
        notes = [_("wall time over the ranks and their devices")]
        if len(shown) < len(steps):
            lines.append([self._more(len(steps) - len(shown)), *[""] * 9])
            notes.append(_("shown: the longest"))
        return table(headers, lines, "r" * 10) + self._note(*notes)

    def _step(self, one: StepFigures) -> list[str]:
        locale = self.locale
        walls = (one.least_wall, one.median_wall, one.most_wall, one.median_compute, one.most_compute)
        return [
            str(one.step),
            locale.count(one.ranks),
            *map(locale.milliseconds, walls),
            locale.count(one.busiest),
            *map(locale.milliseconds, (one.median_communication, one.median_idle)),
        ]

    def groups(self) -> str:
        """The process groups."""
        _, rows = self.locale._, self.job.groups
        if not rows:
            return self._nothing()
        lines = [
            [
                markdown_cell_name(row.name) if row.name else DASH,
                markdown_cell_name(row.description) if row.description else DASH,
                self.locale.count(row.size),
                self.locale.count(len(row.ranks)),
            ]
            for row in rows[: self._top]
        ]
        if len(rows) > self._top:
            lines.append([self._more(len(rows) - self._top), "", "", ""])
        return table([_("Name"), _("Description"), _("Members"), _("With a trace")], lines, "llrr")

    def traces(self) -> str:
        """The files, where they come from, and how far apart their clocks are."""
        locale, _ = self.locale, self.locale._
        if not self.job.ranks:
            return self._nothing()
        lines = [
            [
                locale.count(row.rank),
                markdown_cell_code(PurePath(row.path).name or row.path),
                markdown_cell_name(row.host) if row.host else DASH,
                markdown_cell_name(row.device) if row.device else DASH,
                locale.bytes(row.bytes),
                locale.count(row.events),
                locale.count(row.steps),
                signed_milliseconds(locale, row.clock_offset_us),
            ]
            for row in self.job.ranks[: self._top]
        ]
        rest = self.job.ranks[self._top :]
        if rest:
            size, events = (sum(getattr(row, name) for row in rest) for name in ("bytes", "events"))
            more = [locale.bytes(size), locale.count(events), "", ""]
            lines.append([self._more(len(rest)), "", "", "", *more])
        headers = [
            *(_("Rank"), _("File"), _("Host"), _("Device"), _("Size"), _("Events"), _("Steps")),
            self._ms(_("Clock − that of the first rank")),
        ]
        return table(headers, lines, "rlllrrrr")

    def lost(self) -> str:
        """Traces of which nothing could be made; empty where there is none."""
        rows, _ = self.job.lost, self.locale._
        if not rows:
            return ""
        lines = [
            [
                self.locale.count(row.rank),
                markdown_cell_code(PurePath(row.path).name or row.path),
                self.locale.message(row.reason, markdown_cell_code),
            ]
            for row in rows[: self._top]
        ]
        if len(rows) > self._top:
            lines.append([self._more(len(rows) - self._top), "", ""])
        return table([_("Rank"), _("File"), _("Why")], lines, "rll")

    def notes(self) -> str:
        """What could not be known, and what was wrong with the traces."""
        messages = notes_of(self.job, self._top)
        texts = dict.fromkeys(self.locale.message(message, markdown_quote) for message in messages)
        return "\n".join(f"- {text}" for text in texts)

    def method(self) -> str:
        """How the figures were worked out."""
        return "\n".join(f"- {line}" for line in method_lines(self.job, self.locale))

    def _ms(self, name: str) -> str:
        return f"{name} ({self.locale._('ms')})"

    def _more(self, count: int, remark: str = "") -> str:
        text = self.locale.ngettext("{n} more", "{n} more", count)
        return f"{text} ({remark})" if remark else text

    def _note(self, *notes: str) -> str:
        return f"\n\n*{'; '.join(notes)}.*"

    def _nothing(self) -> str:
        return f"{DASH} ({self.locale._('no rank could be read')})"
