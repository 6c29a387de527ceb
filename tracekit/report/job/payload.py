"""What the scripts of the page of a job draw: its tables as columns, its heat map as bytes, and words.

Numbers are those of job.json, unrounded; names are cleaned of what is not visible.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from tracekit.analysis.ranks.schema import CollectiveRow, HeatMap, Job
from tracekit.messages import Message
from tracekit.report.escape import elide
from tracekit.report.i18n import Locale, page_messages
from tracekit.report.job.figures import PARTS, Rank, by_imbalance, longest_steps, ranks_of, steps_of
from tracekit.report.job.words import CAUSES, Words
from tracekit.report.job.words import PARTS as PART_WORDS
from tracekit.report.page.payload import clean, columns
from tracekit.report.page.texts import SENTENCE
from tracekit.report.view import TABLE_ROWS

UNKNOWN = 255  # a byte of the heat map
_WARNINGS = 5  # of a rank


def payload(job: Job, locales: Mapping[str, Locale], lang: str) -> dict[str, Any]:
    """Everything that the scripts need, as plain values."""
    words = {name: Words(job, locale) for name, locale in locales.items()}
    ranks = ranks_of(job)[:TABLE_ROWS]
    collectives = job.collectives[:TABLE_ROWS]
    return {
        "lang": lang,
        "messages": {name: page_messages(name) for name in locales},
        "phases": [],
        "main_phase": None,
        "part_names": {name: _texts(PART_WORDS, locale) for name, locale in locales.items()},
        "causes": {name: _texts(CAUSES, locale) for name, locale in locales.items()},
        "parts": PARTS,
        "ranks": _ranks(ranks, words),
        "collectives": {
            **columns(collectives, ("group", "start_skew_mean_us")),
            "group_name": [words[lang].group(row.group) for row in collectives],
            "members": [_members(job, row) for row in collectives],
        },
        "modules": _modules(job),
        "steps": _columns([vars(one) for one in longest_steps(steps_of(job), TABLE_ROWS)]),
        "heat": None if job.heat_map is None else _heat(job.heat_map),
    }


def left_out(job: Job) -> dict[str, int]:
    """How many rows the page lacks, by the id of a view."""
    counts = {
        "ranks": len(job.ranks),
        "collectives": len(job.collectives),
        "modules": len(by_imbalance(job)),
        "steps": len(steps_of(job)),
    }
    return {name: count - TABLE_ROWS for name, count in counts.items() if count > TABLE_ROWS}


def _texts(words: Mapping[str, Message], locale: Locale) -> dict[str, str]:
    return {name: locale.message(message) for name, message in words.items()}


def _ranks(ranks: Sequence[Rank], words: Mapping[str, Words]) -> dict[str, Any]:
    """The step of each rank, and how it is late."""
    rows = []
    for one in ranks:
        row, step, late = one.row, one.step, one.late
        place = {
            name: own.late_place(late, one.straggler) if late else ("", None) for name, own in words.items()
        }
        lost_us = next(iter(place.values()))[1]
        has_delay = late is not None and late.delay_us > 0
        rows.append(
            {
                "rank": row.rank,
                "host": clean(row.host) if row.host else None,
                "device": clean(row.device) if row.device else None,
                "path": clean(row.path),
                "steps": row.steps,
                **{f"{part}_us": None if step is None else getattr(step, part) for part in PARTS},
                "wall_us": None if step is None else step.wall,
                "overlapped_us": None if step is None else step.overlapped,
                "waiting_us": None if step is None else step.waiting,
                "last_share": one.last_share,
                "delay_us": None if late is None else late.delay_us,
                "place": {name: text for name, (text, _us) in place.items()} if has_delay else None,
                "lost_us": lost_us if has_delay else None,
                "is_straggler": one.straggler is not None,
                "clock_offset_us": row.clock_offset_us,
                "warnings": _warnings(one, words) if row.warnings else None,
            }
        )
    return _columns(rows)


def _warnings(one: Rank, words: Mapping[str, Words]) -> dict[str, str]:
    return {
        name: "\n".join(
            elide(own.locale.message(warning), SENTENCE) for warning in one.row.warnings[:_WARNINGS]
        )
        for name, own in words.items()
    }


def _members(job: Job, row: CollectiveRow) -> int:
    size = job.groups[row.group].size if row.group < len(job.groups) else None
    return size if size is not None else row.ranks


def _modules(job: Job) -> dict[str, Any]:
    return _columns(
        [
            {
                "path": clean(row.path),
                "type": clean(row.type) if row.type else None,
                "ranks": row.ranks,
                "min_us": row.own.min_us,
                "median_us": row.own.median_us,
                "mean_us": row.own.mean_us,
                "max_us": row.own.max_us,
                "above_us": row.own.max_us - row.own.mean_us,
                "imbalance": row.own.imbalance,
                "max_rank": row.own.max_rank,
                "total_us": row.total.median_us,
            }
            for row in by_imbalance(job)[:TABLE_ROWS]
        ]
    )


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any] | None]:
    """A list of values per key; None where nothing in it is known."""
    if not rows:
        return {}
    found = {name: [row[name] for row in rows] for name in rows[0]}
    return {
        name: None if all(value is None for value in values) else values for name, values in found.items()
    }


def _heat(heat: HeatMap) -> dict[str, Any]:
    """Of each part but idle, which is the rest to 100, a byte per rank and bin."""
    return {
        "bin_us": heat.bin_us,
        "bins": heat.bins,
        "ranks": list(heat.ranks),
        **{part: _bytes(getattr(heat, part)) for part in PARTS if part != "idle"},
    }


def _bytes(rows: Sequence[Sequence[int | None]]) -> str:
    flat = bytes(UNKNOWN if value is None else value for row in rows for value in row)
    return base64.b64encode(flat).decode()
