"""What one report says of the passes that are compared, row by row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

from tracekit.analysis.compare.noise import CPU_TIME, GPU_TIME, Sample, summed
from tracekit.analysis.schema import PassStatistics, Report

FORWARD = {GPU_TIME: "gpu_self", CPU_TIME: "cpu_self"}
BACKWARD = {GPU_TIME: "gpu_backward_self", CPU_TIME: "cpu_backward_self"}


class Passes:
    """The passes of one phase of a report. `quantity`: `GPU_TIME` or `CPU_TIME`."""

    def __init__(self, report: Report, phase: str | None, quantity: str) -> None:
        self.report = report
        self.phase = phase
        self.quantity = quantity

    @cached_property
    def _statistics(self) -> dict[tuple[str, str], PassStatistics]:
        return {(one.table, one.quantity): one for one in self.report.statistics if one.phase == self.phase}

    @cached_property
    def _samples(self) -> dict[tuple[str, str], dict[int, Sample]]:
        return {
            key: {
                row: Sample(mean, None if one.std_us is None else one.std_us[at], one.passes, typical)
                for at, (row, mean, typical) in enumerate(
                    zip(one.row, one.mean_us, one.median_us, strict=True)
                )
            }
            for key, one in self._statistics.items()
        }

    @property
    def count(self) -> int:
        """How many passes are compared; 1 for a trace without any, which is taken for one."""
        return max((one.passes for one in self._statistics.values() if one.table != "passes"), default=1)

    def rows(self, table: str, quantity: str) -> dict[int, Sample]:
        """What is known of each row; those that are left out are 0."""
        return self._samples.get((table, quantity), {})

    def of_pass(self, quantity: str) -> Sample | None:
        """A quantity of the passes themselves: "wall", "latency", "gpu_time" …"""
        return self.rows("passes", quantity).get(0)

    def sum_of(self, table: str, quantity: str, rows: Iterable[int]) -> Sample:
        """Of several rows together; of those that took no time 0."""
        known = self.rows(table, quantity)
        return summed((known[row] for row in rows if row in known), self.count)


def common_phase(before: Passes, after: Passes) -> str | None:
    """What the phase is called in a comparison; None where each side calls it differently."""
    return before.phase if before.phase == after.phase else None


def phases_of(report: Report) -> list[str | None]:
    """The phases that there are statistics of, in the report's order."""
    return list(dict.fromkeys(one.phase for one in report.statistics if one.table != "left_out"))


def matched_phases(before: Report, after: Report) -> list[tuple[str | None, str | None]]:
    """The phases to compare with each other: those of one name.

    Where no name is common, the two whose passes have the most similar matrix FLOPs (a forward is more like a
    prefill than like a decode); the main ones where these are not known.
    """
    names: tuple[Sequence[str | None], Sequence[str | None]] = phases_of(before), phases_of(after)
    common = [name for name in names[0] if name in names[1]]
    if common:
        return [(name, name) for name in common]
    flops = [{row.name: row.matrix_flops for row in report.phases} for report in (before, after)]
    pairs = [
        (max(first, second) / min(first, second), (name, other))
        for name in names[0]
        for other in names[1]
        if name and other and (first := flops[0].get(name)) and (second := flops[1].get(other))
    ]
    if pairs:
        return [min(pairs)[1]]
    main = [
        one.time.phase if one.time.phase in of else of[0]
        for one, of in zip((before, after), names, strict=True)
    ]
    return [(main[0], main[1])]
