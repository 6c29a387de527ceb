"""Which module is which: by path, and by nesting and order where there are frames only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.analysis.compare.models import Model
from tracekit.analysis.compare.align import Pair, align


def _pairs(tmp_path: Path, before: Model, after: Model) -> dict[str, Pair]:
    pairs = align(before.report(tmp_path, "a.json"), after.report(tmp_path, "b.json"))
    assert len({pair.key for pair in pairs}) == len(pairs)
    return {pair.key: pair for pair in pairs}


def _layers(count: int, **inner: Any) -> dict[str, Any]:
    return {f"layers.{number}:Layer": inner or {"up:Linear": 5, "down:Linear": 7} for number in range(count)}


def test_paths_are_aligned_whatever_runs_first(tmp_path: Path) -> None:
    pairs = _pairs(
        tmp_path, Model({"a:Linear": 1, "b:Linear": 2}), Model({"b:Linear": 2, "c:Linear": 3, "a:Linear": 1})
    )
    assert {key: (len(one.before), len(one.after)) for key, one in pairs.items()} == {
        "": (1, 1),
        "a": (1, 1),
        "b": (1, 1),
        "c": (0, 1),
    }


def test_a_deeper_model_has_more_layers_of_the_same_place(tmp_path: Path) -> None:
    pairs = _pairs(tmp_path, Model(_layers(2)), Model(_layers(4)))
    assert pairs["layers.1.up"].before
    assert pairs["layers.1.up"].after
    assert not pairs["layers.3.up"].before
    assert pairs["layers.3.up"].place == pairs["layers.1.up"].place == "layers.*.up"


def test_wrappers_of_the_model_are_one_with_it(tmp_path: Path) -> None:
    compiled = Model({"_orig_mod:Net": _layers(1)}, root="OptimizedModule")
    parallel = Model({"module:Net": _layers(1)}, root="DistributedDataParallel")
    plain = Model(_layers(1))
    for wrapped in (compiled, parallel):
        pairs = _pairs(tmp_path, plain, wrapped)
        assert set(pairs) == {"", "layers.0", "layers.0.up", "layers.0.down"}
        assert (len(pairs[""].before), len(pairs[""].after)) == (1, 2)
        assert all(one.before and one.after for one in pairs.values())


def test_what_one_side_does_not_look_into_is_folded(tmp_path: Path) -> None:
    opaque = {f"layers.{number}:Layer": 12 for number in range(2)}
    pairs = _pairs(tmp_path, Model(_layers(2)), Model(opaque))
    assert set(pairs) == {"", "layers.0", "layers.1"}
    assert (len(pairs["layers.0"].before), len(pairs["layers.0"].after)) == (3, 1)
    assert pairs["layers.0"].folded
    assert not pairs[""].folded


def test_frames_are_aligned_by_nesting_and_order(tmp_path: Path) -> None:
    before = Model({"embed:Embedding": 1, **_layers(3), "norm:Norm": 1}, frames=True)
    # Objects that ran before shift every number, and another implementation of attention has another type.
    after = Model({"embed:Embedding": 1, **_layers(5), "norm:Norm": 1}, frames=True)
    pairs = _pairs(tmp_path, before, after)
    assert set(pairs) >= {"Net.Embedding", "Net.Layer#3.Linear#1", "Net.Layer#5.Linear#2", "Net.Norm"}
    assert pairs["Net.Layer#3.Linear#2"].before
    assert pairs["Net.Layer#3.Linear#2"].after
    assert not pairs["Net.Layer#4.Linear#2"].before
    assert pairs["Net.Layer#3.Linear#2"].place == pairs["Net.Layer#5.Linear#2"].place == "Net.Layer.Linear#2"


def test_frames_of_other_types_at_the_same_place_are_one_module(tmp_path: Path) -> None:
    def block(attention: str) -> dict[str, Any]:
        return {"norm:Norm": 1, f"attn:{attention}": {"q:Linear": 2, "k:Linear": 3}, "mlp:Mlp": 4}

    before = Model(block("SdpaAttention"), frames=True)
    after = Model(block("FlashAttention"), frames=True)
    pairs = _pairs(tmp_path, before, after)
    assert all(one.before and one.after for one in pairs.values())
    assert "Net.SdpaAttention.Linear#2" in pairs


def test_the_frame_of_a_wrapper_is_one_with_the_model(tmp_path: Path) -> None:
    wrapped = Model({"module:Net": _layers(2)}, frames=True, root="OptimizedModule")
    pairs = _pairs(tmp_path, Model(_layers(2), frames=True), wrapped)
    assert all(one.before and one.after for one in pairs.values())


def test_frames_and_paths_meet_by_nesting(tmp_path: Path) -> None:
    pairs = _pairs(tmp_path, Model(_layers(2)), Model(_layers(2), frames=True))
    assert all(one.before and one.after for one in pairs.values())


def test_a_thousand_children_take_no_search(tmp_path: Path) -> None:
    before = Model({f"experts.{number}:Expert": 1 for number in range(500)}, passes=1, frames=True)
    after = Model({f"experts.{number}:Expert": 1 for number in range(501)}, passes=1, frames=True)
    pairs = _pairs(tmp_path, before, after)
    assert len(pairs) == 502
    assert [key for key, one in pairs.items() if not one.before] == ["Net.Expert#501"]
