"""Names of kernels as engineers say them: demangled, without what most of them have in common.

A function keeps its own name; of its template arguments stay the types it computes with and what it is
told to compute: `vectorized_elementwise_kernel · CUDAFunctor_add<float>`. `short_names` adds what else
tells the kernels of one report apart. Files that programs read hold names whole.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import islice

from tracekit.report.cxx_name import LONGEST, Path, function_path
from tracekit.report.escape import clean, elide

WIDTH = 80
_LEAST_WIDTH = 68  # of a name that is followed by what tells it apart
_DISTINCTION_WIDTH = 26
_LONGEST_MANGLED = 8192
_MANY = 500  # kernels of one short name whose differences are looked for
_CLASSES = 3  # of template arguments that are shown
_ARGUMENTS = 100  # of a template that are looked at
_DIFFERENCES = 2000

_NAMESPACES = re.compile(
    r"at|native|c10|cuda|hip|std|torch|detail|impl|internal|at_cuda_detail|at_hip_detail"
    r"|\(anonymous namespace\)|[A-Z]+_[\dA-Z_]+"
)
# Classes that say how data are reached, not what is done with them.
_PLUMBING = re.compile(
    r".*(?:OffsetCalculator|WithCast|WithoutCast|Metadata|Params|Kargs|Accessor|TensorInfo|TileState|Iterator"
    r"|Policy\d*|_config|_selector)|[Aa]rray|integral_constant|decltype|void\**|type"
    r"|(?:float|double|u?int|long)[1234]"
)
# Functions and classes that only pass on what they are given as a template argument.
_ADAPTORS = re.compile(
    r"(?:gpu|opmath|enable)_.*|_cuda_.*_internal_kernel|func_wrapper_t|ReduceOp|(?:Binary|AUnary|BUnary)Functor"
)
_FLOAT = re.compile(
    r"(?:float|double|_Float16|tfloat32_t|.*[hH]alf(?:_t)?|.*[bB][fF]loat16(?:_t)?|.*[fF](?:loat|p)8_?e\dm\d.*)\**"
)
_INTEGER = re.compile(r"(?:(?:unsigned|signed|long|short) ?)*(?:int|long|short|char)?\**|u?int\d+_t|bool\**")
_NUMBER = re.compile(r"(-?\d[\d.]*)[uUlL]*")
# Of a library whose kernels are classes, the class is the kernel.
_VAGUE = {"Kernel", "kernel", "globalKernel"}
_WRAPPERS = {"Kernel", "Kernel2", "device_kernel"}
# `Memcpy HtoD (Pageable -> Device)` is no C++.
_PLAIN = re.compile(r"[\w ]* \((?!anonymous namespace\))")
# Of names that generators make: up to the tile, where settings begin that nobody reads.
_GENERATED = re.compile(
    r"(Cijk_.*?_MT[\dx]+(?:_MI[\dx]+)?|sm\d+_xmma_.*?_tilesize[\dx]+(?:_stage\d+)?"
    r"|igemm_.*?_bt[\dx]+(?:_wt[\dx]+)?)_"
)

Key = tuple[int | str, ...]


def short_name(name: str) -> str:
    """`name` for a reader: printable, at most `WIDTH` characters; what cannot be understood is only cut.

    >>> short_name("void at::native::(anonymous namespace)::softmax_warp_forward<float, float, 10>(float*)")
    'softmax_warp_forward<float>'
    """
    return _read(name).short


def short_names(names: Iterable[str]) -> dict[str, str]:
    """`short_name` of every name, no two alike; what tells names apart stands in square brackets if need be.

    The brackets take up to 30 characters more.
    """
    alike: dict[str, list[_Kernel]] = defaultdict(list)
    for name in dict.fromkeys(names):
        kernel = _read(name)
        alike[kernel.short].append(kernel)
    shown: dict[str, str] = {}
    taken = {short for short, kernels in alike.items() if len(kernels) == 1}
    copies: Counter[str] = Counter()
    for short, kernels in alike.items():
        if len(kernels) == 1:
            shown[kernels[0].name] = short
            continue
        for kernel, text in zip(kernels, _told_apart(kernels), strict=True):
            unique = text
            while unique in taken:
                copies[text] += 1
                unique = f"{text} ({copies[text] + 1})"
            taken.add(unique)
            shown[kernel.name] = unique
    return shown


@dataclass(frozen=True)
class _Kernel:
    """A name, demangled, and the components of its function; none where it is no C++."""

    name: str
    readable: str
    path: Path

    @cached_property
    def short(self) -> str:
        return self.text(WIDTH) if self.path else elide(_flat(self.readable), WIDTH)

    def text(self, width: int, told: Collection[Key] = ()) -> str:
        """The name in `width` characters, with the plain template arguments that `told` asks for."""
        function, namespace = self.path[-1], _namespace(self.path[:-1])
        without = namespace if function.name in _VAGUE else []
        text = ""
        for detail, most in ((2, _CLASSES), (1, _CLASSES), (0, _CLASSES), (0, 1)):
            for namespaces in (namespace, without):
                head = [*namespaces, function.name]
                text = _composed(head, (function.arguments or [])[:_ARGUMENTS], told, detail, most)
                if len(text) <= width:
                    return text
        return elide(text, width)

    def leaves(self) -> dict[Key, str]:
        """Everything by its place that may tell the name from another one of the same function."""
        found: dict[Key, str] = {(-1, at): part.name for at, part in enumerate(self.path[:-1])}
        found.update(islice(_leaves(self.path[-1].arguments or [], ()), _DIFFERENCES))
        return found

    def words(self) -> list[str]:
        return re.findall(r"[^\W_]+", self.readable[:LONGEST])[:_DIFFERENCES]


def _composed(
    head: Sequence[str], arguments: Sequence[Path], told: Collection[Key], detail: int, most: int
) -> str:
    """With `most` classes: bare (`detail` 0), with their types (1), or with their numbers too (2)."""
    classes = _classes(arguments, detail)[:most]
    if head[-1] in _WRAPPERS and classes and classes[0].startswith("cutlass"):
        return ", ".join(classes)
    types = _types(arguments, told, " ".join(classes), bool(classes))
    text = "::".join(head) + (f"<{', '.join(types)}>" if types else "")
    return f"{text} · {', '.join(classes)}" if classes else text


@lru_cache(maxsize=4096)
def _read(name: str) -> _Kernel:
    readable = clean(_demangled(name))
    is_code = ("<" in readable or "(" in readable) and not _PLAIN.match(readable)
    return _Kernel(name, readable, function_path(readable) if is_code else [])


def _demangled(name: str) -> str:
    if not name.startswith("_Z") or len(name) > _LONGEST_MANGLED:
        return name
    try:
        from demangle import demangle
    except ImportError:  # it does not exist for Python 3.10
        return name
    return demangle(name, language="itanium")


def _flat(name: str) -> str:
    """A name that is no C++, up to where the settings of its generator begin."""
    generated = _GENERATED.match(name, 0, LONGEST)
    return generated[1] if generated else name.removesuffix(".kd")


def _namespace(path: Path) -> list[str]:
    """The outermost namespace that says something: `vllm`, `ck`, `cub`."""
    return [part.name for part in path if not _NAMESPACES.fullmatch(part.name)][:1]


def _is_plain(path: Path) -> bool:
    """Whether it is a type of numbers, a number or a flag."""
    return _kind(path) in ("number", "flag", "float", "integer")


def _is_class(path: Path) -> bool:
    return _kind(path) == "class"


def _kind(path: Path) -> str:
    kind = _kind_of(path[-1].name)
    is_bare = path[-1].arguments is None and not any(part.is_local for part in path)
    return kind if is_bare or kind == "plumbing" else "class"


@lru_cache(maxsize=4096)
def _kind_of(name: str) -> str:
    if name in ("true", "false"):
        return "flag"
    if _NUMBER.fullmatch(name):
        return "number"
    if _FLOAT.fullmatch(name):
        return "float"
    if _INTEGER.fullmatch(name):
        return "integer"
    return "plumbing" if _PLUMBING.fullmatch(name) else "class"


def _types(arguments: Sequence[Path], told: Collection[Key], said: str, has_classes: bool) -> list[str]:
    """Types of numbers among template arguments, if not said already; and those that are asked for."""
    plain = [(at, path[-1].name, _kind(path)) for at, path in enumerate(arguments) if _is_plain(path)]
    floats = any(kind == "float" for _at, _name, kind in plain)
    shown: list[str] = []
    words = set(re.findall(r"\w+", said))
    for at, name, kind in plain:
        is_new = name not in shown and name not in words
        is_type = kind == "float" or (kind == "integer" and not floats and not has_classes)
        if (at, 0) in told or (is_type and is_new):
            shown.append(_plain_text(name))
    return shown


def _plain_text(name: str) -> str:
    number = _NUMBER.fullmatch(name)
    return number[1] if number else name


def _told_to(path: Path, detail: int) -> list[str]:
    """What a function is told to do by a template argument: the innermost class or function that says so."""
    local = next((at for at, part in enumerate(path) if part.is_local), len(path))
    owner = path[max(local - 1, 0)]
    more = [text for part in path[local:] for text in _classes(part.arguments, detail)]
    if _ADAPTORS.fullmatch(owner.name) and (inner := _classes(owner.arguments, detail) + more):
        return inner
    text = "lambda" if owner.is_lambda else owner.name
    if owner.arguments is not None:
        text += _told_with(owner.arguments, detail)
    elif detail:
        # A lambda in a function computes with the types that it takes.
        taken = next((part.parameters for part in reversed(path[local:]) if part.is_lambda), None)
        text += f"({', '.join(_distinct(one[-1].name for one in taken))})" if taken else ""
    return [text, *more]


def _classes(arguments: Sequence[Path] | None, detail: int) -> list[str]:
    some = (arguments or [])[:_ARGUMENTS]
    return _distinct(text for path in some if _is_class(path) for text in _told_to(path, detail))


def _told_with(arguments: Sequence[Path], detail: int) -> str:
    """`<float, 2>`: types and numbers; where there are no types, the names of classes."""
    if not detail:
        return ""
    plain = [(_plain_text(path[-1].name), _kind(path)) for path in arguments[:_ARGUMENTS] if _is_plain(path)]
    types = _distinct(text for text, kind in plain if kind in ("float", "integer"))
    if not types:
        types = _classes(arguments, 0)
    numbers = [text for text, kind in plain if kind == "number"] if detail > 1 else []
    shown = [*types, *numbers]
    return f"<{', '.join(shown)}>" if shown else ""


def _distinct(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def _leaves(arguments: Sequence[Path], at: Key) -> Iterator[tuple[Key, str]]:
    """Every component inside template arguments, by its place."""
    for position, path in enumerate(arguments):
        for part_at, part in enumerate(path):
            place = (*at, position, part_at)
            yield place, part.name
            yield from _leaves(part.arguments or [], place)
            if part.is_lambda:
                yield from _leaves(part.parameters or [], (*place, -1))


def _told_apart(kernels: Sequence[_Kernel]) -> Iterator[str]:
    """Texts of kernels whose short names are the same, with the fewest differences that tell them apart."""
    compared = kernels[:_MANY]
    every = _differences(compared)
    told = _fewest(every)
    for kernel, differences in zip(compared, every, strict=True):
        arguments = kernel.path[-1].arguments or [] if kernel.path else []
        inline = {key for key in told if len(key) == 2 and _is_inline(arguments, key)}
        deep = [_difference(differences[key]) for key in told if key in differences and key not in inline]
        suffix = f" [{elide(', '.join(deep), _DISTINCTION_WIDTH)}]" if deep else ""
        width = max(WIDTH - len(suffix), _LEAST_WIDTH)
        yield (kernel.text(width, inline) if kernel.path else elide(kernel.short, width)) + suffix
    yield from (kernel.short for kernel in kernels[_MANY:])


def _differences(kernels: Sequence[_Kernel]) -> list[dict[Key, str]]:
    """Of every kernel what may tell it apart, by its place in the name."""
    functions = {kernel.path[-1].name if kernel.path else None for kernel in kernels}
    if len(functions) == 1 and None not in functions:
        return [kernel.leaves() for kernel in kernels]
    words = [kernel.words() for kernel in kernels]
    if len({len(own) for own in words}) == 1:
        return [{(at,): word for at, word in enumerate(own)} for own in words]
    return [{(word,): word for word in own} for own in words]


def _is_inline(arguments: Sequence[Path], key: Key) -> bool:
    at, part = key
    return isinstance(at, int) and part == 0 and 0 <= at < len(arguments) and _is_plain(arguments[at])


def _difference(name: str) -> str:
    return _plain_text(name.lstrip("{'").rstrip("'"))


def _fewest(every: Sequence[dict[Key, str]]) -> list[Key]:
    """Keys, the outer ones first, whose values together are as different as all values are."""
    keys = sorted(dict.fromkeys(key for one in every for key in one), key=len)
    groups: list[int] = [0] * len(every)
    known, told = 1, []
    for key in keys:
        if known == len(every):
            break
        numbers: dict[tuple[int, str | None], int] = {}
        finer = [
            numbers.setdefault((group, one.get(key)), len(numbers))
            for group, one in zip(groups, every, strict=True)
        ]
        if len(numbers) > known:
            known, groups = len(numbers), finer
            told.append(key)
    return told
