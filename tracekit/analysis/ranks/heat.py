"""Rank × time: what each rank did when, on one axis of time."""

from __future__ import annotations

import numpy as np

from tracekit.analysis.ranks.clocks import Clocks
from tracekit.analysis.ranks.columns import RankSummary
from tracekit.analysis.ranks.joined import Joined
from tracekit.analysis.ranks.schema import HeatMap
from tracekit.attribution import Floats

_PARTS = ("compute", "exposed", "copy", "idle")
_MOST_CELLS = 200_000
_MOST_BINS, _FEWEST_BINS = 200, 48


def heat_map(joined: Joined, clocks: Clocks) -> HeatMap | None:
    """None where no rank has any time. Ranks of unknown clock begin with the first one."""
    starts = _starts(joined, clocks)
    spans = np.array([one.span for one in joined.summaries], np.float64)
    if not len(spans) or not spans.any():
        return None
    first, last = starts.min(), (starts + spans).max()
    bins = min(_MOST_BINS, max(_FEWEST_BINS, _MOST_CELLS // len(spans)))
    edges = np.linspace(first, last, bins + 1)
    rows = [_percent(one, start, edges) for one, start in zip(joined.summaries, starts, strict=True)]
    parts = [tuple(tuple(row[part]) for row in rows) for part in range(len(_PARTS))]
    return HeatMap(
        bin_us=float(edges[1] - edges[0]) / 1000,
        bins=bins,
        ranks=tuple(joined.ranks),
        compute=parts[0],
        communication=parts[1],
        copy=parts[2],
        idle=parts[3],
    )


def _starts(joined: Joined, clocks: Clocks) -> Floats:
    """Of each rank by the first one's clock, ns since the first one's start."""
    own = np.array([(one.clock_base or 0) + one.origin for one in joined.summaries], np.int64)
    since = (own - clocks.offset - own[:1]).astype(np.float64)
    return np.where(clocks.known, since, 0.0)


def _percent(one: RankSummary, start: float, edges: Floats) -> list[list[int | None]]:
    """Of each part and bin; a bin of which the rank recorded less than half has None."""
    count = len(one.bins.compute)
    at = start + one.span * np.arange(count + 1) / count
    done = [
        np.interp(edges, at, np.concatenate(([0], np.cumsum(getattr(one.bins, part))))) for part in _PARTS
    ]
    parts = np.diff(np.array(done), axis=1)
    recorded = parts.sum(axis=0)
    # Rounded sums, so that the parts of a bin make up 100.
    shares = np.rint(100 * np.cumsum(parts, axis=0) / np.maximum(recorded, 1e-9)).astype(np.int64)
    percent = np.diff(shares, axis=0, prepend=0)
    is_known = recorded >= (edges[1] - edges[0]) / 2
    return [
        [value if known else None for value, known in zip(row, is_known.tolist(), strict=True)]
        for row in percent.tolist()
    ]
