"""Rows of a comparison before noise is known: what is in them, and the two samples that they are about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tracekit.analysis.compare.noise import Sample, corrected, p_values
from tracekit.analysis.compare.schema import Change, Method


@dataclass
class Draft:
    """A row of type `row` with these `fields`; a side is None where the thing is not there."""

    row: type[Change]
    fields: dict[str, Any]
    before: Sample | None
    after: Sample | None
    total_us: float = field(default=0.0, init=False)  # the difference that its share is of
    passes: tuple[int, int] = field(default=(1, 1), init=False)  # of the two sides

    @property
    def difference_us(self) -> float:
        return (self.after.mean_us if self.after else 0.0) - (self.before.mean_us if self.before else 0.0)

    @property
    def says_nothing(self) -> bool:
        """Whether it takes no time on either side."""
        return not any(one is not None and one.mean_us for one in (self.before, self.after))


def finish(drafts: Sequence[Draft], method: Method) -> list[Any]:
    """The rows, with verdicts; p-values are corrected over all of them."""
    before, after = (
        [side or Sample(0.0, 0.0, one.passes[at], 0.0) for one, side in zip(drafts, of, strict=True)]
        for at, of in enumerate(([one.before for one in drafts], [one.after for one in drafts]))
    )
    values = corrected(p_values(before, after, method))
    return [_row(draft, p, method) for draft, p in zip(drafts, values, strict=True)]


def _row(draft: Draft, p: float | None, method: Method) -> Change:
    before, after, difference = draft.before, draft.after, draft.difference_us
    return draft.row(
        before_us=before.mean_us if before else None,
        after_us=after.mean_us if after else None,
        difference_us=difference,
        relative=difference / before.mean_us if before and before.mean_us else None,
        share=difference / draft.total_us if draft.total_us else None,
        p_value=p,
        verdict=_verdict(draft, p, method),
        **draft.fields,
    )


def _verdict(draft: Draft, p: float | None, method: Method) -> str:
    difference = draft.difference_us
    if not difference or (p is not None and p >= method.level):
        return "same"
    if draft.before is None or draft.after is None:
        return "appeared" if draft.before is None else "vanished"
    if p is None:
        return "unknown"
    return "slower" if difference > 0 else "faster"
