"""The card that a notebook shows of a job: HTML without scripts, in the colours around it."""

from __future__ import annotations

from tracekit.analysis.ranks.schema import Job
from tracekit.report import shared_facts
from tracekit.report.escape import elide
from tracekit.report.html_templates import html_template
from tracekit.report.i18n import Locale
from tracekit.report.job.colours import COLOURS
from tracekit.report.job.facts import facts
from tracekit.report.job.figures import PARTS, by_delay, ranks_of, slowest_median_fastest
from tracekit.report.job.words import PARTS as PART_WORDS
from tracekit.report.job.words import Words
from tracekit.report.notebook import NAME_WIDTH, TEXT_WIDTH

LATE = 5
FINDINGS = 5


def render_card(job: Job, locale: Locale) -> str:
    """The step, three ranks of it, who is late and where, and the findings."""
    words = Words(job, locale)
    stragglers = {one.rank: one for one in job.stragglers}
    late = [row for row in by_delay(job) if row.delay_us > 0][:LATE]
    return html_template("job_card.html.j2").render(
        _=locale._,
        lang=locale.lang,
        title=words.title(),
        subject=elide(words.subject(), TEXT_WIDTH),
        facts=list(facts(job, locale)),
        ranks=[
            (
                locale.count(one.row.rank),
                [
                    (f"{100 * us / (one.step.wall or 1.0):.2f}", COLOURS[part])
                    for part, us in zip(PARTS, one.step.parts, strict=True)
                ],
                locale.duration(one.step.wall),
            )
            for one in slowest_median_fastest(ranks_of(job))
            if one.step is not None
        ],
        keys=[(COLOURS[part], locale.message(PART_WORDS[part])) for part in PARTS],
        late=[
            (
                locale.count(row.rank),
                locale.percent(row.last / row.collectives if row.collectives else None),
                locale.duration(row.delay_us),
                elide(words.late_place(row, stragglers.get(row.rank))[0], NAME_WIDTH),
            )
            for row in late
        ],
        findings=[
            tuple(elide(text, TEXT_WIDTH) for text in shared_facts.finding_words(finding, locale))
            for finding in job.findings[:FINDINGS]
        ],
        bar=COLOURS["compute"],
    )
