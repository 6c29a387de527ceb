"""Text for people that is written in one place and translated in another.

A layer that has something to say builds a `Message`: an English template and the values for it. The
JSON report prints it in English, the other renderers look the template up in a catalogue first.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Message(msgspec.Struct, frozen=True):
    """An English `str.format` template (the catalogue's key) and the values of its fields."""

    template: str
    values: dict[str, Any] = {}

    def __str__(self) -> str:
        lists = {
            name: ", ".join(map(str, v)) for name, v in self.values.items() if isinstance(v, list | tuple)
        }
        return self.template.format(**{**self.values, **lists})


def N_(template: str, **values: Any) -> Message:
    """A `Message`; the name marks the template for the extraction of translatable texts."""
    return Message(template, values)


class UserError(Exception):
    """What a user can cause and mend: printed as one line, exit code 2, never a traceback."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message
