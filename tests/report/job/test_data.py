"""What is written of a job: JSON that follows the published schema, and tables."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from tracekit.analysis.ranks.schema import (
    CollectiveRow,
    GroupRow,
    HeatMap,
    Job,
    JobTime,
    LatePlace,
    LateRank,
    LostRank,
    ModuleSpread,
    RankRow,
    Spread,
)
from tracekit.api_ranks import Job as ApiJob
from tracekit.messages import N_, UserError
from tracekit.report.job import save_job
from tracekit.report.job.json import SCHEMA_PATH, job_schema
from tracekit.report.json import render_json, schema_text
from tracekit.report.tables.job import HEAT_MAP, JOB_TABLES, LATE_PLACES

SPLIT = {
    "wall_us": 100.0,
    "compute_us": 60.0,
    "communication_exposed_us": 20.0,
    "communication_overlapped_us": 5.0,
    "copy_us": 0.0,
    "idle_us": 20.0,
}


def job() -> Job:
    spread = Spread(min_us=1.0, median_us=2.0, mean_us=2.0, max_us=3.0, min_rank=0, max_rank=1)
    return Job(
        world_size=4,
        missing_ranks=(3,),
        ranks=tuple(
            RankRow(
                rank=rank,
                path=f"rank{rank}.json",
                bytes=10,
                events=5,
                skipped_events=0,
                warnings=(N_("{count} events are odd", count=2),),
                steps=1,
                **SPLIT,
            )
            for rank in (0, 1)
        ),
        lost=(LostRank(path="rank2.json", rank=2, reason=N_("{path}: is empty", path="rank2.json")),),
        time=JobTime(steps=1, **SPLIT),
        groups=(GroupRow(name="0", size=4, ranks=(0, 1)),),
        collectives=(
            CollectiveRow(
                group=0,
                op="allreduce",
                count=2,
                matched=1,
                complete=0,
                ranks=2,
                matched_by="order",
                duration_us=4.0,
                transfer_us=float("nan"),
            ),
        ),
        late=(
            LateRank(
                rank=1,
                collectives=1,
                last=1,
                waited_us=7.0,
                delay_us=7.0,
                places=(
                    LatePlace(cause="module", module="model.mlp", lost_us=6.0, own_us=9.0, others_us=3.0),
                ),
            ),
        ),
        modules=(ModuleSpread(path="model.mlp", ranks=2, total=spread, own=spread),),
        heat_map=HeatMap(
            bin_us=50.0,
            bins=2,
            ranks=(0, 1),
            compute=((100, 20), (None, 60)),
            communication=((0, 20), (None, 20)),
            copy=((0, 0), (None, 0)),
            idle=((0, 60), (None, 20)),
        ),
    )


EMPTY = Job(ranks=())


@pytest.mark.parametrize("data", [job(), EMPTY])
def test_documents_follow_the_published_schema(data: Job, tmp_path: Path) -> None:
    directory = save_job(data, tmp_path / "out")
    document = json.loads((directory / "job.json").read_text())
    jsonschema.Draft202012Validator(json.loads(SCHEMA_PATH.read_text())).validate(document)
    assert document == json.loads(render_json(data))
    assert document["schema"] == "tracekit.job/1"


def test_published_schema_is_that_of_the_code() -> None:
    assert SCHEMA_PATH.read_text() == schema_text(job_schema()), "run: python -m tracekit.report.job.json"


def test_messages_are_english_and_the_unknown_is_null() -> None:
    document = json.loads(render_json(job()))
    assert document["lost"][0]["reason"] == "rank2.json: is empty"
    assert document["ranks"][0]["warnings"] == ["2 events are odd"]
    assert document["collectives"][0]["transfer_us"] is None
    assert document["heat_map"]["compute"] == [[100, 20], [None, 60]]


def test_other_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="format 'pdf' is not known; choose some of: md, png"):
        save_job(job(), tmp_path / "out", ["pdf"])
    assert not list(tmp_path.iterdir())


def test_tables_are_frames() -> None:
    tables = ApiJob(job())
    assert repr(tables) == "<tracekit.Job: 2 ranks, 1 lost, 1 missing, 0 stragglers>"
    assert list(tables.ranks["rank"]) == [0, 1]
    assert list(tables.lost["reason"]) == ["rank2.json: is empty"]
    assert tables.modules.loc[0, ["total_max_us", "own_min_rank"]].to_list() == [3.0, 0]
    assert list(tables.collectives["matched_by"]) == ["order"]
    assert tables.collectives["transfer_us"].isna().all()
    assert tables.late_places.loc[0, ["rank", "cause", "module"]].to_list() == [1, "module", "model.mlp"]
    heat = tables.heat_map
    assert list(heat["rank"]) == [0, 0, 1, 1]
    assert list(heat["start_us"]) == [0.0, 50.0, 0.0, 50.0]
    assert heat["idle"].to_list()[:2] == [0, 60]
    assert heat["idle"].isna().to_list() == [False, False, True, False]


@pytest.mark.parametrize("name", [*JOB_TABLES, LATE_PLACES, HEAT_MAP])
def test_a_table_without_rows_has_its_columns(name: str) -> None:
    frame = getattr(ApiJob(EMPTY), name)
    assert len(frame) == 0
    assert len(frame.columns) > 1
