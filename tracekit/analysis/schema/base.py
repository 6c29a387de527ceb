"""What all of a report is made of."""

from __future__ import annotations

import msgspec


class Row(msgspec.Struct, frozen=True, gc=False):
    """Base of everything in a report: immutable, and so in no cycle that the collector would have to find.

    It would look at millions of rows again and again.
    """
