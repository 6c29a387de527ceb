"""Markdown tables that are aligned as plain text too, also with wide (Chinese, say) characters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len


def table(headers: Sequence[str], rows: Iterable[Sequence[str]], align: str) -> str:
    """A Markdown table of escaped cells, padded to read as plain text; `align` has l or r for each column."""
    lines = [headers, *rows]
    widths = [max(3, *(cell_len(row[i]) for row in lines)) for i in range(len(headers))]

    def line(row: Sequence[str]) -> str:
        padded = []
        for text, width, side in zip(row, widths, align, strict=True):
            padding = " " * (width - cell_len(text))
            padded.append(padding + text if side == "r" else text + padding)
        return f"| {' | '.join(padded)} |"

    rules = [
        f"{'-' * (width + 1)}{':' if side == 'r' else '-'}" for width, side in zip(widths, align, strict=True)
    ]
    return "\n".join([line(lines[0]), f"|{'|'.join(rules)}|", *map(line, lines[1:])])
