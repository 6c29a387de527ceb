"""The colours of the parts of a step, the same in pictures and on the page."""

from __future__ import annotations

from tracekit.report import palette

COLOURS = {
    "compute": palette.BLUE,
    "communication": palette.ORANGE,
    "copy": palette.PURPLE,
    "idle": "#d5dade",
}
PARTS_STYLE = f":root {{ {' '.join(f'--part-{name}: {colour};' for name, colour in COLOURS.items())} }}"
