import math

import pytest

from tests.report import build
from tracekit.analysis.schema import KernelRow, ModuleRow, Timeline, TimelineEvents, TimelineStream
from tracekit.report.i18n import Locale
from tracekit.report.tables.columns import fields_of, table_of, written_tables


def timeline(*streams):
    """Two kernels of the in_proj, three of nobody as one, on two streams of two devices."""
    return Timeline(
        pass_index=0,
        start_us=100.0,
        wall_us=50.0,
        streams=streams or (TimelineStream(0, 7), TimelineStream(1, 13)),
        kernels=("gemm", "copy"),
        events=TimelineEvents(
            start_us=(0.0, 10.5, 20.0),
            duration_us=(10.0, 5.0, 2.5),
            stream=(0, 0, 1),
            module=(1, 1, None),
            kernel=(0, 1, 1),
            count=(1, 1, 3),
        ),
    )


def columns(table):
    return {one.name: (one.kind, list(one.values)) for one in table.columns}


def test_the_timeline_is_a_row_per_event():
    table = table_of(build.changed(build.hybrid(), timeline=timeline()), "timeline")
    path = "backbone.layers.0.mixer.in_proj"
    assert columns(table) == {
        "start_us": (float, [0.0, 10.5, 20.0]),
        "duration_us": (float, [10.0, 5.0, 2.5]),
        "device": (int, [0, 0, 1]),
        "stream": (int, [7, 7, 13]),
        "module": (str, [path, path, None]),
        "kernel": (str, ["gemm", "copy", "copy"]),
        "count": (int, [1, 1, 3]),
    }


def test_a_timeline_with_a_named_stream_names_them_all():
    named = timeline(TimelineStream(0, 7), TimelineStream(0, "stream of mine"))
    table = table_of(build.changed(build.hybrid(), timeline=named), "timeline")
    assert columns(table)["stream"] == (str, ["7", "7", "stream of mine"])


def test_without_a_timeline_there_are_the_columns():
    assert len(table_of(build.hybrid(), "timeline")) == 0
    assert len(table_of(build.hybrid(), "timeline").columns) == 7


def test_fields_that_hold_rows_are_no_columns():
    names = [one.name for one in fields_of(ModuleRow)]
    assert names == [name for name in ModuleRow.__struct_fields__ if name != "phases"]


def test_what_is_no_number_is_unknown():
    row = KernelRow("k", "kernel", 1, math.nan, math.inf, -math.inf, 2.0)
    (table,) = [table_of(build.changed(build.hybrid(), kernels=(row,)), "kernels")]
    assert [columns(table)[f"{name}_us"][1] for name in ("gpu_time", "mean", "min", "max")] == [
        *([None], [None], [None]),
        [2.0],
    ]


@pytest.mark.parametrize(
    ("flops", "kind", "value"),
    [
        (2**63 - 1, int, 2**63 - 1),
        (-(2**63), int, -(2**63)),
        (2**63, float, 2.0**63),
        (10**30, float, 1e30),
        (10**400, float, None),
    ],
)
def test_integers_beyond_64_bits(flops, kind, value):
    op = build.changed(build.hybrid().ops[0], matrix_flops=flops)
    table = table_of(build.changed(build.hybrid(), ops=(op,)), "ops")
    assert columns(table)["matrix_flops"] == (kind, [value])


def test_texts_can_be_encoded():
    op = build.changed(build.hybrid().ops[0], name="a\ud800b", shapes="\udfff")
    table = table_of(build.changed(build.hybrid(), ops=(op,)), "ops")
    assert (columns(table)["name"][1], columns(table)["shapes"][1]) == (["a\\ud800b"], ["\\udfff"])


def test_messages_are_in_the_language_that_is_asked_for():
    table = table_of(build.hybrid(), "findings", Locale("ru").message)
    assert columns(table)["evidence"][1][0].startswith("один из вызовов (всего 20)")


def test_nested_tables_are_written_where_they_have_rows():
    assert [name for name in written_tables(build.hybrid()) if "_p" in name] == ["block_parts"]
    nested = ["module_phases", "block_phases", "block_parts", "type_phases"]
    assert written_tables(build.phases())[-4:] == nested
