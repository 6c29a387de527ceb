"""`report.json`: the fields of `Report` as they are, and the JSON Schema that they follow.

    python -m tracekit.report.json      writes report.schema.json anew, after a change of `Report`

Needs msgspec only: a program that wants the numbers pays for neither pandas nor matplotlib.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec

from tracekit.analysis.schema import SCHEMA, Report
from tracekit.analysis.schema.base import Row
from tracekit.messages import Message
from tracekit.report.escape import encodable

# So many rows of a table are copied at a time.
ROWS_AT_ONCE = 4096
_ENCODER = msgspec.json.Encoder()

SCHEMA_PATH = Path(__file__).with_name("report.schema.json")


def render_json(document: Row) -> bytes:
    """A report as UTF-8 JSON, a row of a table per line; texts are English, the unknown is null."""
    text = BytesIO()  # grows in place, where parts would be there twice when they are joined
    text.writelines(json_pieces(document))
    return text.getvalue()


def json_pieces(document: Row) -> Iterator[bytes]:
    """`render_json` in pieces: a report may be of a million rows."""
    before = b"{\n  "
    for name, key in zip(document.__struct_fields__, document.__struct_encode_fields__, strict=True):
        yield before + _encode(key) + b": "
        yield from _entry(getattr(document, name))
        before = b",\n  "
    yield b"\n}\n"


def _entry(value: Any) -> Iterator[bytes]:
    if not isinstance(value, list | tuple) or not value:
        yield from _lines([value])
        return
    for first in range(0, len(value), ROWS_AT_ONCE):
        yield b",\n    " if first else b"[\n    "
        yield b",\n    ".join(_lines(value[first : first + ROWS_AT_ONCE]))
    yield b"\n  ]"


def _lines(rows: Sequence[Any]) -> list[bytes]:
    """The rows, each as JSON; msgspec writes them all at once where they hold nothing but what it knows."""
    if all(_is_plain(kind) for kind in {*map(type, rows)}):
        with suppress(UnicodeEncodeError):  # a lone surrogate
            return _ENCODER.encode_lines(rows).splitlines()
    return [_encode(plain(row)) for row in rows]


def _encode(value: Any) -> bytes:
    return _ENCODER.encode(value)


@cache
def _is_plain(kind: type) -> bool:
    """Whether msgspec writes rows of this type as `plain` would: none of their fields is a `Message`."""
    return issubclass(kind, msgspec.Struct) and "Message" not in msgspec.json.schema_components((kind,))[1]


def plain(value: Any) -> Any:
    """`value` of dicts, lists and numbers: messages in English, no NaN or infinity, no lone surrogate."""
    if isinstance(value, Message):
        return plain(str(value))
    if isinstance(value, msgspec.Struct):
        fields = zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True)
        return {encoded: plain(getattr(value, name)) for name, encoded in fields}
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return encodable(value) if isinstance(value, str) else value


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of `report.json`."""
    return schema_of(
        Report,
        SCHEMA,
        f"A tracekit report, schema {SCHEMA}",
        "Durations are in microseconds (_us), totals over the whole trace unless the name ends in "
        "_per_pass_us; FLOPs and bytes are integers. What is unknown is null, never 0.",
    )


def schema_of(document: type[Row], version: str, title: str, description: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of what `render_json` makes of a `document`, messages being texts.

    `version` is what stands in its field `schema`.
    """
    schema = msgspec.json.schema(document, ref_template="#/$defs/{name}")
    definitions = schema["$defs"]
    definitions["Message"] = {"title": "Message", "description": "A text in English.", "type": "string"}
    for definition in definitions.values():
        if "description" in definition:  # not every version of msgspec takes the indentation away
            definition["description"] = inspect.cleandoc(definition["description"])
        if "properties" in definition:
            # A field with a default is written as well: readers may rely on every key.
            definition["required"] = list(definition["properties"])
            for field in definition["properties"].values():
                field.pop("default", None)
    definitions[document.__name__]["properties"]["schema"] = {"const": version}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "description": description,
        "$ref": schema["$ref"],
        "$defs": definitions,
    }


def schema_text(schema: dict[str, Any] | None = None) -> str:
    """What the file of a schema holds, by default report.schema.json."""
    encoded = msgspec.json.encode(schema or json_schema())
    return msgspec.json.format(encoded, indent=2).decode() + "\n"


if __name__ == "__main__":
    SCHEMA_PATH.write_text(schema_text(), encoding="utf-8")
