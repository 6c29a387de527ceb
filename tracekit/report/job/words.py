"""What rows of a job are called: the job, groups, operations, places, causes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from tracekit.analysis.ranks.schema import Job, LateRank, Straggler
from tracekit.messages import N_, Message
from tracekit.report.escape import clean, elide
from tracekit.report.i18n import DASH, Locale
from tracekit.report.job.figures import Curve

NAME_WIDTH = 160

CAUSES: dict[str, Message] = {
    "module": N_("work in a module"),
    "outside_modules": N_("work outside modules"),
    "waiting_for_host": N_("its device waits for the host"),
    "earlier_collective": N_("late since an earlier collective"),
}
PARTS: dict[str, Message] = {
    "compute": N_("compute"),
    "communication": N_("exposed communication"),
    "copy": N_("copies"),
    "idle": N_("idle"),
}
STEP_SOURCES: dict[str, Message] = {
    "steps": N_("steps of torch's profiler"),
    "passes": N_("passes of the model"),
    "trace": N_("the whole trace as one step"),
}
MATCHED_BY: dict[str, Message] = {
    "sequence": N_("sequence number"),
    "order": N_("order"),
}


class Words:
    """The names of one job in one language; `quote` makes of a cleaned name what is shown of it."""

    def __init__(self, job: Job, locale: Locale, quote: Callable[[str], str] | None = None) -> None:
        self.job = job
        self.locale = locale
        self._quote = quote or str

    def quoted(self, name: str) -> str:
        """A name from a trace."""
        return self._quote(elide(clean(name), NAME_WIDTH))

    def title(self) -> str:
        """How many ranks it is of."""
        job, locale = self.job, self.locale
        read, world = len(job.ranks), job.world_size
        if world is None or world <= read:
            return locale.ngettext("Job of {n} rank", "Job of {n} ranks", read)
        text = locale._("{read} of {size} ranks of a job")
        return text.format(read=locale.count(read), size=locale.count(world))

    def subject(self) -> str:
        """Its devices and hosts."""
        locale = self.locale
        devices = Counter(row.device for row in self.job.ranks if row.device)
        shown = [f"{locale.count(n)} × {self.quoted(name)}" for name, n in devices.most_common(3)]
        rest = len(devices) - len(shown)
        if rest > 0:
            shown.append(locale.ngettext("{n} more", "{n} more", rest))
        facts = [", ".join(shown)] if shown else []
        hosts = {row.host for row in self.job.ranks if row.host}
        if hosts:
            facts.append(locale.ngettext("{n} host", "{n} hosts", len(hosts)))
        return " · ".join(facts)

    def step_source(self) -> str:
        known = STEP_SOURCES.get(self.job.step_source or "")
        return self.locale.message(known) if known is not None else ""

    def group(self, at: int) -> str:
        """The description of a process group, else its name; and how many members it has."""
        row = self.job.groups[at] if 0 <= at < len(self.job.groups) else None
        if row is None or (row.name is None and row.description is None):
            return DASH
        texts = [text for text in (row.description, row.name) if text]
        return self.quoted(" ".join(dict.fromkeys(texts))) if texts else DASH

    def place(self, cause: str | None, module: str | None) -> str:
        """Where a late rank lost time, and how."""
        if cause is None:
            return DASH
        known = CAUSES.get(cause)
        text = self.quoted(cause) if known is None else self.locale.message(known)
        if module is None:
            return text
        name = self.quoted(module) if module else f"({self.locale._('the whole model')})"
        return name if cause == "module" else f"{name} ({text})"

    def module(self, path: str) -> str:
        return self.quoted(path) if path else f"({self.locale._('the whole model')})"

    def late_place(self, late: LateRank, straggler: Straggler | None) -> tuple[str, float | None]:
        """Where it lost most, and how much there."""
        if straggler is not None:
            return self.place(straggler.cause, straggler.module), straggler.lost_us
        if not late.places:
            return DASH, None
        worst = late.places[0]
        return self.place(worst.cause, worst.module), worst.lost_us


def curve_name(curve: Curve, locale: Locale) -> str:
    """The operation, and how many ranks do it together. Cleaned."""
    op = elide(clean(curve.op), NAME_WIDTH)
    if curve.group_size is None:
        return op
    return locale._("{op}, groups of {n}").format(op=op, n=locale.count(curve.group_size))
