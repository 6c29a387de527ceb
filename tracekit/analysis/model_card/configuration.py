"""Reads a configuration of transformers: which part of it is the model's own, and each fact under any name.

It knows nothing of modules or traces. A configuration may hold anything; a fact that is none is None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tracekit.analysis.checked import as_count, as_list, as_number, as_object, as_text
from tracekit.analysis.model_card import names

_DEEPEST_PART = 4
MOST_STAGES = 64


@dataclass(frozen=True)
class Part:
    """The configuration of one model, which may stand within another's.

    `side` is "encoder" or "decoder" for one of the two that share a configuration, else None.
    """

    values: Mapping[str, Any]
    around: Mapping[str, Any] | None = None  # the configuration that it stands in
    side: str | None = None

    @property
    def model_type(self) -> str | None:
        return as_text(self.values.get("model_type"))

    def aliases(self, fact: str) -> Sequence[str]:
        """The names of `fact` in this architecture, best first."""
        own = names.OWN_NAMES.get(self.model_type or "", {}).get(fact)
        if own is not None:
            return own
        # A model with an encoder and a decoder may be asked for either: then the other's size is better
        # than none, since few have two sizes.
        sides = [self.side] if self.side else ["decoder", "encoder"]
        of_sides = [name for side in sides for name in names.SIDES[side].get(fact, ())]
        general = names.ALIASES.get(fact, ())
        return (*of_sides, *general) if self.side else (*general, *of_sides)

    def count(self, fact: str) -> int | None:
        """The number under the first of its names that holds one; 0 counts as none."""
        groups = [as_object(self.values.get(name)) for name in names.GROUPS]
        around = (self.around or {}) if fact in names.OF_THE_WHOLE else {}
        for values in (self.values, *groups, around):
            for name in self.aliases(fact):
                if value := _uniform(values.get(name)):
                    return value
        return None

    def says(self, fact: str) -> bool:
        """Whether any of the names of `fact` holds anything, be it one number or several."""
        return any(self.values.get(name) is not None for name in self.aliases(fact))

    def is_true(self, name: str) -> bool:
        return self.values.get(name) is True

    def is_false(self, name: str) -> bool:
        return self.values.get(name) is False

    def layer_types(self) -> list[str]:
        """What each layer is, where the configuration lists it."""
        return [kind for kind in as_list(self.values.get("layer_types")) if isinstance(kind, str)]

    def stage_sizes(self) -> list[int]:
        """Hidden size of each stage of a model that becomes narrower in space and wider in channels."""
        if self.model_type in names.DOUBLING_STAGES:
            first, depths = as_count(self.values.get("embed_dim")), self.per_stage("depths")
            sizes = (
                [as_count(first << stage) for stage in range(len(depths))]
                if first and len(depths) < 16
                else []
            )
            return [size for size in sizes if size]
        for name in names.STAGE_SIZES:
            sizes = [as_count(size) for size in as_list(self.values.get(name))]
            if sizes and all(sizes) and len(sizes) <= MOST_STAGES:
                return [size for size in sizes if size]
        return []

    def per_stage(self, name: str) -> list[int]:
        """The counts in a list, one for each stage; empty unless all are."""
        counts = [as_count(value) for value in as_list(self.values.get(name))]
        return [count for count in counts if count] if all(counts) else []

    def hidden_size(self) -> int | None:
        """Of a model in stages that of the last one, as transformers defines it there."""
        stages = self.stage_sizes()
        return stages[-1] if stages else self.count("hidden_size")

    def ffn_size(self) -> int | None:
        """The value under the names of the FFN's inner size, or what the code makes of its absence.

        Of an architecture with experts it may be theirs: `tracekit.analysis.model_card.experts` knows.
        """
        if self.stage_sizes():
            return None
        return self.ffn_of(self.hidden_size())

    def ffn_of(self, hidden: int | None) -> int | None:
        """The FFN's inner size where the residual stream has `hidden` channels."""
        kind = self.model_type or ""
        if hidden is not None:
            if multiple := names.FIXED_FFN_MULTIPLES.get(kind):
                return as_count(multiple * hidden)
            ratio = as_number(self.values.get("mlp_ratio"))
            if kind in names.FFN_BY_RATIO and ratio and hidden * ratio < 1 << 53:
                size = int(hidden * ratio)
                # A gated FFN has a third matrix: two thirds of the size, to the next multiple of 8 (DINOv2).
                return (size * 2 // 3 + 7) // 8 * 8 if self.is_true("use_swiglu_ffn") else size
        size_stated = self.count("intermediate_size")
        if size_stated is not None:
            return self._rounded(size_stated) if self.is_true("block_auto_adjust_ff_dim") else size_stated
        multiple = names.FFN_MULTIPLES.get(kind)
        return as_count(multiple * hidden) if multiple and hidden else None

    def _rounded(self, size: int) -> int:
        """LFM2's: two thirds, times a factor, to the next multiple (`Lfm2MLP`)."""
        size = 2 * size // 3
        factor, multiple = (
            as_number(self.values.get("block_ffn_dim_multiplier")),
            self.count("block_multiple_of"),
        )
        if factor is None or not multiple or factor * size >= 1 << 53:
            return size
        return -(-int(factor * size) // multiple) * multiple


def main_part(config: Mapping[str, Any], module_paths: Sequence[str]) -> Part:
    """The part that the card is about: of a multimodal model the language model, of two sides the decoder.

    `module_paths` tell which sides were built; without any, those that the configuration speaks of were.
    """
    values, around = config, None
    for _depth in range(_DEEPEST_PART):
        inner = next((part for name in names.MAIN_PARTS if (part := as_object(values.get(name)))), None)
        if inner is None and Part(values).hidden_size() is None:
            inner = next((part for name in names.TOWERS if (part := as_object(values.get(name)))), None)
        if inner is None:
            break
        values, around = inner, values
    return Part(values, around, _side(values, module_paths, "decoder"))


def tower_parts(config: Mapping[str, Any], main: Part, module_paths: Sequence[str]) -> list[tuple[str, Part]]:
    """The other parts with their names: vision and audio towers, encoders."""
    towers = []
    values: Mapping[str, Any] | None = config
    for _depth in range(_DEEPEST_PART):
        if values is None or values is main.values:
            break
        for key, name in names.TOWERS.items():
            part = as_object(values.get(key))
            if part and part is not main.values:
                towers.append((name, Part(part, side=_side(part, (), "encoder"))))
        values = next((part for name in names.MAIN_PARTS if (part := as_object(values.get(name)))), None)
    if main.side == "decoder" and (not module_paths or _has_side(module_paths, "encoder")):
        towers.append(("encoder", Part(main.values, side="encoder")))
    return towers


def _side(values: Mapping[str, Any], module_paths: Sequence[str], preferred: str) -> str | None:
    """Which side of a configuration that both share is meant."""
    aliases = {
        side: {name for of_fact in by_fact.values() for name in of_fact}
        for side, by_fact in names.SIDES.items()
    }
    named = [side for side in (preferred, *names.SIDES) if aliases[side] & set(values)]
    if values.get("is_encoder_decoder") is not True and not named:
        return None
    built = [side for side in ("decoder", "encoder") if _has_side(module_paths, side)]
    return (built or named or [preferred])[0]


def _has_side(module_paths: Sequence[str], side: str) -> bool:
    return any(side in path.split(".") for path in module_paths)


def _uniform(value: object) -> int | None:
    """A count, or that which a list holds once for each layer."""
    if isinstance(value, list) and value and all(item == value[0] for item in value):
        value = value[0]
    return as_count(value)
