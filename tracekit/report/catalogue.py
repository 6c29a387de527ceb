"""The catalogues behind `Locale`: extracts the texts of the program, merges and compiles the translations.

    python -m tracekit.report.catalogue    after a text was added or changed; names what lacks a translation

Needs Babel's tools and the source tree; nothing of the program imports this module.
"""

from __future__ import annotations

import ast
import io
import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, Any

from babel.messages.catalog import Catalog
from babel.messages.catalog import Message as CatalogueMessage
from babel.messages.extract import extract_from_dir
from babel.messages.jslexer import unquote_string
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from tracekit.report.i18n import DOMAIN, LANGUAGES, LOCALE_DIRECTORY, PAGE_MESSAGES

SOURCE = Path(__file__).parents[1]
METHODS = [
    ("**.py", "tracekit.report.catalogue:extract_python"),
    ("**.j2", "jinja2"),
    # Libraries of others that the page brings along have functions of the same names.
    ("**/vendor/**.js", "ignore"),
    ("report/page/**.js", "tracekit.report.catalogue:extract_script"),
]
KEYWORDS = {"_": None, "N_": None, "ngettext": (1, 2)}
_LITERAL = r"""(?:"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\$]|\\.|\$(?!\{))*`)"""
_TEXT = rf"({_LITERAL}(?:\s*\+\s*{_LITERAL})*)"
_SCRIPT_CALL = re.compile(rf"(?<![\w$])(\w+)\(\s*{_TEXT}\s*(?:,\s*{_TEXT})?", re.DOTALL)
TRANSLATED = tuple(lang for lang in LANGUAGES if lang != "en")


def extract(source: Path = SOURCE) -> Catalog:
    """Every text of the program that a user may read, with the files that it stands in."""
    template = Catalog(domain=DOMAIN, project="tracekit", charset="utf-8")
    found = extract_from_dir(source, METHODS, {"**.j2": {"encoding": "utf-8"}}, KEYWORDS)
    for name, _line, text, comments, context in sorted(found, key=lambda one: (one[0], one[1])):
        template.add(text, locations=[(f"tracekit/{name}", 0)], auto_comments=comments, context=context)
    return template


def extract_python(
    file: IO[bytes], keywords: Collection[str], comment_tags: Collection[str], options: dict[str, Any]
) -> Iterator[tuple[int, str, Any, list[str]]]:
    """Babel's extraction of Python, but by syntax tree: its own sees no f-string before Python 3.12."""
    for node in ast.walk(ast.parse(file.read())):
        if not isinstance(node, ast.Call):
            continue
        name = str(getattr(node.func, "attr", None) or getattr(node.func, "id", None))
        texts = [arg.value if isinstance(arg, ast.Constant) else None for arg in node.args]
        if name in keywords and texts and isinstance(texts[0], str):
            yield node.lineno, name, tuple(texts) if len(texts) > 1 else texts[0], []


def extract_script(
    file: IO[bytes], keywords: Collection[str], comment_tags: Collection[str], options: dict[str, Any]
) -> Iterator[tuple[int, str, Any, list[str]]]:
    """Calls with literal texts, wherever they stand: Babel's lexer of JavaScript loses those in templates.

    It takes the quotes of an HTML attribute around `${_("…")}` for a string of the script. A call in a
    comment is extracted too, which does no harm.
    """
    source = file.read().decode("utf-8")
    for call in _SCRIPT_CALL.finditer(source):
        name, *texts = call.groups()
        if name in keywords:
            found = tuple(_joined(text) for text in texts if text is not None)
            yield source.count("\n", 0, call.start()) + 1, name, found, []


def _joined(literals: str) -> str:
    return "".join(unquote_string(literal) for literal in re.findall(_LITERAL, literals, re.DOTALL))


def path(lang: str, suffix: str) -> Path:
    """The `.po` (to be edited) or `.mo` (to be read by gettext) of a language."""
    return LOCALE_DIRECTORY / lang / "LC_MESSAGES" / f"{DOMAIN}{suffix}"


def load(lang: str) -> Catalog:
    """The catalogue of a language as it was committed; an empty one for a new language."""
    if not path(lang, ".po").exists():
        return Catalog(
            locale=lang,
            domain=DOMAIN,
            header_comment=f"# Texts of tracekit: {lang}",
            project="tracekit",
            version="1",
            msgid_bugs_address="tracekit",
            last_translator="tracekit",
            language_team="tracekit",
            charset="utf-8",
            fuzzy=False,
        )
    with path(lang, ".po").open("rb") as file:
        return read_po(file, locale=lang, domain=DOMAIN)


def untranslated(lang: str) -> list[str]:
    """Texts of the program whose translation is missing or marked fuzzy."""
    catalogue = load(lang)
    missing = []
    for message in extract():
        known = catalogue.get(message.id, message.context) if message.id else None
        if message.id and (known is None or known.fuzzy or not _is_whole(known.string)):
            missing.append(message.id if isinstance(message.id, str) else message.id[0])
    return missing


def _is_whole(translation: str | tuple[str, ...]) -> bool:
    return bool(translation) if isinstance(translation, str) else all(translation)


def compiled(catalogue: Catalog) -> bytes:
    """The contents of the `.mo` of a catalogue."""
    buffer = io.BytesIO()
    write_mo(buffer, catalogue)
    return buffer.getvalue()


def page_json(lang: str) -> str:
    """What `page.json` of a language holds: the texts of the page's scripts that are translated."""
    catalogue = load(lang)
    found: dict[str, str | list[str]] = {}
    for message in extract():
        known = catalogue.get(message.id)
        if in_script(message) and known is not None and _is_whole(known.string):
            if isinstance(known.string, str):
                found[message.id] = known.string
            else:
                found[message.id[0]] = list(known.string)
    return json.dumps(found, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def in_script(message: CatalogueMessage) -> bool:
    """Whether it stands in a script of the page, perhaps beside other places."""
    return any(name.endswith(".js") for name, _line in message.locations)


def update(lang: str) -> None:
    """Merges new texts into the `.po`, drops those that are gone, and writes what is read at run time."""
    catalogue = load(lang)
    created = catalogue.creation_date
    catalogue.update(extract(), no_fuzzy_matching=True)
    catalogue.obsolete.clear()
    # A date in the file would change with every run.
    catalogue.creation_date = created
    path(lang, ".po").parent.mkdir(parents=True, exist_ok=True)
    with path(lang, ".po").open("wb") as file:
        write_po(file, catalogue, width=0, include_lineno=False, sort_output=True, omit_header=False)
    path(lang, ".mo").write_bytes(compiled(load(lang)))
    path(lang, ".po").with_name(PAGE_MESSAGES).write_text(page_json(lang), encoding="utf-8")


def _report() -> Iterator[str]:
    for lang in TRANSLATED:
        update(lang)
        yield from (f"{lang}: not translated: {text!r}" for text in untranslated(lang))


if __name__ == "__main__":
    print("\n".join(_report()) or "every text is translated")
