"""The structure of a C++ function's name as demanglers write it: components, template arguments, lambdas.

Reads whatever stands there in one pass without recursion: a name from a trace may be cut off or malicious.
It must not know what a kernel is; `tracekit.report.kernel_names` decides what of a name is shown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

LONGEST = 8192  # characters that are looked at
DEEPEST = 64  # levels of brackets

# Words first that hold brackets which don't nest.
_TOKEN = re.compile(
    r"""\(anonymous\ namespace\) | \{(?:lambda|unnamed\ type) | '(?:lambda|unnamed)\d*' | \#?\d+\}
    | operator(?:\(\)|\[\]|->\*?|<=>|<<=?|>>=?|[-+*/%^&|~!=<>]=?)
    | [^\W\d][\w$]* | \$[\w$]* | -?\d[\w.]* | :: | [<>(),*&}]""",
    re.VERBOSE,
)
_QUALIFIERS = {"const", "volatile", "noexcept"}
_MODIFIERS = {"unsigned", "signed", "long", "short"}
_CLOSER = {"<": ">", "(": ")"}

Path: TypeAlias = "list[Component]"


@dataclass(slots=True, eq=False)
class Component:
    """What stands between two `::`: a name, its template arguments and, of a function, its parameters.

    Both are None where there are no brackets. `const` and `&` are left out everywhere.
    """

    name: str
    arguments: list[Path] | None = None
    parameters: list[Path] | None = None

    @property
    def is_lambda(self) -> bool:
        return self.name[0] in "{'$"

    @property
    def is_local(self) -> bool:
        """Whether it is nameless code of the function before it."""
        return self.is_lambda or self.name.startswith("operator")


def function_path(name: str) -> Path:
    """The components of the function of a demangled name, without its return type and parameters.

    Empty where none can be made out. Brackets that are never closed end with the name.
    """
    path: Path = []
    outer: list[tuple[Path, list[Path], str]] = []  # path, list being filled, what closes it
    round_brackets = 0
    is_joined = False
    for match in _TOKEN.finditer(name, 0, LONGEST):
        token = match.group()
        if token == "::":
            is_joined = True
            continue
        if token in _CLOSER:
            if token == "(" and not outer and path and not path[-1].is_lambda:
                break
            if len(outer) == DEEPEST:
                return []
            filled: list[Path] = []
            if path and token == "<":
                path[-1].arguments = filled
            elif path:
                path[-1].parameters = filled
                round_brackets += 1
            else:
                round_brackets += token == "("
            outer.append((path, filled, _CLOSER[token]))
            path = []
        elif token in ">),":
            # A `<` that no `>` closes was a comparison.
            while token == ")" and round_brackets and outer[-1][2] != ")":
                path = outer.pop()[0]
            if not outer or (token != "," and outer[-1][2] != token):
                continue
            if path:
                outer[-1][1].append(path)
            path = []
            if token != ",":
                round_brackets -= token == ")"
                path = outer.pop()[0]
        elif token in "*&":
            if token == "*" and path and path[-1].arguments is None:
                path[-1].name += token
        elif token[-1] == "}":
            if path:
                path[-1].name += token[:-1]
        elif token in _QUALIFIERS:
            continue
        elif path and not is_joined and path[-1].name in _MODIFIERS:
            path[-1].name += f" {token}"
        elif is_joined and path:
            path.append(Component(token))
        else:
            # What stood before a space is the type that is returned, or a cast.
            path = [Component(token)]
        is_joined = False
    if outer:
        path = outer[0][0]
    return path
