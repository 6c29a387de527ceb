"""The summaries of all ranks as one set of columns, with the same numbers for the same things."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tracekit.analysis.ranks.columns import RankSummary
from tracekit.analysis.ranks.rank_collectives import UNKNOWN, Group
from tracekit.attribution import NOBODY, Mask, depths
from tracekit.trace import Ints
from tracekit.trace.tables import Table


@dataclass(frozen=True)
class Modules:
    """The modules of all ranks, known by their paths; parents come before their children."""

    paths: Sequence[str]
    types: Sequence[str | None]
    parent: Ints
    level: Ints  # 0 for an outermost one
    of_place: Sequence[Ints]  # for each place: the numbers here of its modules, and `NOBODY` behind them


@dataclass(frozen=True)
class Joined:
    """Collectives of all ranks, one place after the other; a place is a position among the summaries.

    `start` and `end` are ns by the rank's own clock, since 1970 where the traces say so. A row is also the
    number of the window of work before that collective.
    """

    summaries: Sequence[RankSummary]
    ranks: Sequence[int]
    modules: Modules
    kinds: Sequence[str]
    groups: Sequence[Group]
    dtypes: Sequence[str]
    place: Ints
    start: Ints
    end: Ints
    kind: Ints
    group: Ints
    sequence: Ints
    step: Ints
    dtype: Ints
    bytes_in: Ints
    bytes_out: Ints
    module: Ints  # of `modules`, `NOBODY`
    first_row: Ints  # of each place, and behind the last

    def __len__(self) -> int:
        return len(self.place)

    @property
    def duration(self) -> Ints:
        return np.asarray(self.end - self.start, np.int64)


def join(summaries: Sequence[RankSummary], ranks: Sequence[int]) -> Joined:
    """`ranks`: of each summary."""
    kinds, groups, dtypes = Table(), Table(), Table()
    tables = [one.collectives for one in summaries]
    clock = np.array([(one.clock_base or 0) + one.origin for one in summaries], np.int64)
    place = np.repeat(np.arange(len(summaries), dtype=np.int32), [len(one) for one in tables])

    def column(name: str) -> Ints:
        return np.concatenate([np.empty(0, np.int64), *(getattr(one, name) for one in tables)])

    def renumbered(name: str, table: Table, values: str) -> Ints:
        own = [
            np.array([*(table[value] for value in getattr(one, values)), UNKNOWN], np.int32)[
                getattr(one, name)
            ]
            for one in tables
        ]
        return np.concatenate([np.empty(0, np.int32), *own])

    modules = _modules(summaries)
    callers = [of[one.module] for of, one in zip(modules.of_place, tables, strict=True)]
    return Joined(
        summaries=summaries,
        ranks=ranks,
        modules=modules,
        module=np.concatenate([np.empty(0, np.int32), *callers]),
        kind=renumbered("kind", kinds, "kinds"),
        group=renumbered("group", groups, "groups"),
        dtype=renumbered("dtype", dtypes, "dtypes"),
        kinds=kinds.listed(),
        groups=groups.listed(),
        dtypes=dtypes.listed(),
        place=place,
        start=column("start") + clock[place],
        end=column("end") + clock[place],
        sequence=column("sequence"),
        step=column("step"),
        bytes_in=column("bytes_in"),
        bytes_out=column("bytes_out"),
        first_row=np.concatenate(([0], np.cumsum([len(one) for one in tables], dtype=np.int64))),
    )


def _modules(summaries: Sequence[RankSummary]) -> Modules:
    """A module's type and parent are those of the first rank that has it."""
    numbers: dict[str, int] = {}
    types: list[str | None] = []
    parents: list[int] = []
    of_place = []
    before: tuple[tuple[str, ...], Ints] | None = None
    for one in summaries:
        if before is not None and one.module_paths == before[0]:  # as on most ranks of a job
            of_place.append(before[1])
            continue
        own: list[int] = []
        for path, kind, parent in zip(
            one.module_paths, one.module_types, one.module_parent.tolist(), strict=True
        ):
            number = numbers.setdefault(path, len(numbers))
            if number == len(types):
                types.append(kind)
                parents.append(own[parent] if 0 <= parent < len(own) and own[parent] != number else NOBODY)
            own.append(number)
        of_place.append(np.array([*own, NOBODY], np.int32))
        before = one.module_paths, of_place[-1]
    parent = np.array(parents, np.int64)
    return Modules(list(numbers), types, parent, depths(parent), of_place)


def lifted(modules: Modules, level: int) -> Ints:
    """For each module itself, or the one above that is no deeper than `level`; `NOBODY` behind them."""
    above = np.append(np.arange(len(modules.paths)), NOBODY)
    for number in np.flatnonzero(modules.level > level).tolist():  # parents come first
        above[number] = above[modules.parent[number]]
    return above


def groups_are_known(joined: Joined) -> Mask:
    """Per row."""
    return np.not_equal(joined.group, UNKNOWN)
