"""Which rank of the job each trace is of: what the trace says, else what tells the names of the files apart.

A number is never made up: where neither says it, the job is refused, with a hint how to name the files.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from tracekit.messages import N_, Message, UserError

MOST_RANKS = 1 << 20
"""A larger number is none of a rank; in the name of a file it is a date or a time."""

# The last one in a path is believed, so that of a file before that of its directory. `local_rank` counts
# within a machine.
_LABELS = (
    re.compile(r"(?<!local_)(?<!local-)(?<!local)(?<![a-z])rank[ _.=-]?([0-9]+)", re.IGNORECASE),
    re.compile(r"(?<![a-z0-9])r([0-9]+)(?![a-z0-9])", re.IGNORECASE),
)
_NUMBER = re.compile(r"([0-9]+)")


class Told(NamedTuple):
    """What a trace says of itself, in `distributedInfo`; None for what is not there."""

    rank: int | None = None
    world_size: int | None = None

    @classmethod
    def of(cls, rank: int | None, world_size: int | None) -> Told:
        """Without numbers that cannot be."""
        return cls(_possible(rank, 0), _possible(world_size, 1))


def _possible(number: int | None, least: int) -> int | None:
    return number if number is not None and least <= number <= MOST_RANKS else None


def rank_numbers(names: Sequence[str], told: Sequence[Told | None]) -> list[int | None]:
    """The rank of each file; `told` is None of one that could not be read.

    Only such a file can be left without a number. Raises `UserError` where a number is not known, two files
    have the same one, or traces of several jobs are mixed.
    """
    _check_one_job(names, told)
    own = [None if one is None else one.rank for one in told]
    if own.count(0) > 1:
        # Of any single process old versions of torch write that it is rank 0, and of no job.
        alone = [one is not None and one.rank == 0 and one.world_size in (None, 1) for one in told]
        own = [None if is_alone else rank for rank, is_alone in zip(own, alone, strict=True)]
    named: Sequence[int | None] = [None] * len(names)
    if None in own:
        named = numbers_in(names) or _numbers_of_read(names, told)
        # Names that contradict a trace count something else.
        if any(a != b for a, b in zip(own, named, strict=True) if a is not None and b is not None):
            named = [None] * len(names)
    ranks = [name if rank is None else rank for rank, name in zip(own, named, strict=True)]
    for name, one, rank in zip(names, told, ranks, strict=True):
        if rank is None and one is not None:
            raise _unknown(name)
    _check_distinct(names, ranks)
    return ranks


def _numbers_of_read(names: Sequence[str], told: Sequence[Told | None]) -> list[int | None]:
    """What `numbers_in` says of the traces that could be read: others may be no traces at all."""
    was_read = [one is not None for one in told]
    found = iter(numbers_in([name for name, is_one in zip(names, was_read, strict=True) if is_one]) or ())
    return [next(found, None) if is_one else None for is_one in was_read]


def numbers_in(names: Sequence[str]) -> list[int] | None:
    """The numbers that names give: that after "rank", that after "r", or that at the one varying place.

    None where not every name has one.
    """
    for label in _LABELS:
        found = [label.findall(name) for name in names]
        if all(found):
            return _small([int(numbers[-1]) for numbers in found])
    parts = [_NUMBER.split(name) for name in names]
    if len({tuple(one[::2]) for one in parts}) != 1:
        return None
    varying = [column for column in zip(*(one[1::2] for one in parts), strict=True) if len(set(column)) > 1]
    return _small([int(number) for number in varying[0]]) if len(varying) == 1 else None


def _small(numbers: list[int]) -> list[int] | None:
    return numbers if max(numbers) < MOST_RANKS else None


def missing_note(missing: Sequence[int], size: int) -> Message:
    """What to tell of them."""
    return N_(
        "of {count} of the {size} ranks of the job there is no trace: {ranks}",
        count=len(missing),
        size=size,
        ranks=", ".join(_spans(missing)),
    )


def _spans(numbers: Sequence[int]) -> list[str]:
    """ "3", "5-9": sorted numbers, with those that follow each other as one."""
    spans: list[tuple[int, int]] = []
    for number in numbers:
        if spans and spans[-1][1] == number - 1:
            spans[-1] = (spans[-1][0], number)
        else:
            spans.append((number, number))
    return [str(first) if first == last else f"{first}-{last}" for first, last in spans]


def _check_one_job(names: Sequence[str], told: Sequence[Told | None]) -> None:
    sizes: dict[int, str] = {}
    for name, one in zip(names, told, strict=True):
        if one is not None and one.world_size is not None:
            sizes.setdefault(one.world_size, name)
    if len(sizes) > 1:
        (size, first), (other, second) = list(sizes.items())[:2]
        raise UserError(
            N_(
                "{path} is of a job of {size} ranks and {other_path} of one of {other_size}; "
                "name the traces of one job",
                path=first,
                size=size,
                other_path=second,
                other_size=other,
            )
        )


def _check_distinct(names: Sequence[str], ranks: Sequence[int | None]) -> None:
    owners: dict[int, str] = {}
    for name, rank in zip(names, ranks, strict=True):
        if rank is None:
            continue
        if rank in owners:
            raise UserError(
                N_(
                    "{path} and {other_path} are both of rank {rank}; "
                    "name one file of each rank (several steps of one are not merged)",
                    path=owners[rank],
                    other_path=name,
                    rank=rank,
                )
            )
        owners[rank] = name


def _unknown(name: str) -> UserError:
    return UserError(
        N_(
            "{path}: neither the trace nor its name says its rank; "
            "name the files after their ranks, as in {example}",
            path=name,
            example=f"rank0{_ending(name)}",
        )
    )


def _ending(name: str) -> str:
    """What a trace of that name ends in."""
    found = re.search(r"\.json(\.[a-z0-9]+)?$", name)
    return found[0] if found else ".json"
