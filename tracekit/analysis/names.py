"""What the names of a trace's events say: asked of each distinct name once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tracekit.attribution import Mask
from tracekit.trace import Ints, Trace


def holds_for_names(codes: Ints, trace: Trace, condition: Callable[[str], bool]) -> Mask:
    """Per entry of a column of names whether `condition` holds; each distinct name is looked at once."""
    holds = np.zeros(len(trace.names), np.bool_)
    for code in np.flatnonzero(np.bincount(codes, minlength=len(trace.names))).tolist():
        holds[code] = condition(trace.names[code])
    return np.asarray(holds[codes], np.bool_)
