"""`report.html`: the Markdown report as one file that needs no network: pictures and style are inside."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape

from markdown_it import MarkdownIt
from markdown_it.token import Token

_STYLE = """
:root { color-scheme: light dark; --text: #1f2328; --muted: #59636e; --line: #d1d9e0; --stripe: #f6f8fa; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6edf3; --muted: #9198a1; --line: #3d444d; --stripe: #151b23; }
  body { background: #0d1117; }
}
body { color: var(--text); font: 16px/1.55 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
       max-width: 80rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1, h2 { line-height: 1.25; border-bottom: 1px solid var(--line); padding-bottom: .3em; }
h1, h2, li { overflow-wrap: anywhere; }
h2 { margin-top: 2.2em; }
table { display: block; width: max-content; max-width: 100%; overflow-x: auto; border-collapse: collapse; }
th, td { border: 1px solid var(--line); padding: .35em .8em; font-variant-numeric: tabular-nums; }
tbody tr:nth-child(even) { background: var(--stripe); }
code { background: var(--stripe); border-radius: 4px; padding: .1em .35em; overflow-wrap: anywhere;
       font: .875em ui-monospace, "DejaVu Sans Mono", monospace; }
img { max-width: 100%; background: #fff; border-radius: 6px; }
em { color: var(--muted); }
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; }
  table { display: table; width: 100%; } img, tr { break-inside: avoid; } h2, h3 { break-after: avoid; }
}
"""


def render_html(markdown: str, title: str, lang: str, pictures: Mapping[str, bytes]) -> str:
    """The page of a Markdown report; `pictures` are the PNG files that it refers to, by name.

    HTML in the Markdown is shown, not obeyed: trace text cannot become markup.
    """
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = reader.parse(markdown)
    for token in tokens:
        for child in token.children or ():
            _embed(child, pictures)
    body = reader.renderer.render(tokens, reader.options, {})
    return (
        f'<!DOCTYPE html>\n<html lang="{escape(lang)}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )


def _embed(token: Token, pictures: Mapping[str, bytes]) -> None:
    source = token.attrs.get("src")
    if token.type == "image" and source in pictures:
        encoded = base64.b64encode(pictures[str(source)]).decode("ascii")
        token.attrs["src"] = f"data:image/png;base64,{encoded}"
