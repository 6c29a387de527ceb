"""A file that ends too early: all whole events before its end are read, and nothing else is lost.

What stands before a cut is found with the standard library's `json` and `zlib`.
"""

from __future__ import annotations

import bisect
import gzip
import io
import json
import os
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tests.trace.contents import rows, rows_of
from tests.trace.damage import Sound, sound_trace, whole_events
from tracekit.analysis import analyze
from tracekit.messages import UserError
from tracekit.trace import Trace, read
from tracekit.trace.columns import Intervals

SOUND = sound_trace()
READ = {"cpu_op", "cuda_runtime", "cuda_driver", "kernel", "gpu_memcpy", "gpu_memset", "user_annotation"}
SAMPLE = Path(__file__).parents[2] / "sample_traces" / "llama_small.json.gz"
CORPUS = os.environ.get("TRACEKIT_CORPUS")
REAL = [
    SAMPLE,
    pytest.param(
        Path(CORPUS or "") / "h100_bert_small.json.gz",
        marks=pytest.mark.skipif(not CORPUS, reason="TRACEKIT_CORPUS names no folder of traces"),
    ),
]


class Whole:
    """A sound document, and what a part of it from its start holds."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.events, self.spans = whole_events(text)
        self.ends = [end for _, end in self.spans]

    def count(self, cut: int) -> int:
        """The number of whole events before a cut."""
        return bisect.bisect_right(self.ends, cut)

    def skipped(self, cut: int) -> int:
        """1 where the cut leaves a part of an event."""
        count = self.count(cut)
        return int(count < len(self.spans) and self.spans[count][0] < cut)

    def sound(self, count: int) -> bytes:
        """A sound document of the first events."""
        return self.text[: self.ends[count - 1]] + b"]}"

    def is_trace(self, count: int) -> bool:
        """Whether there is one among the first events that tells something."""
        return any(map(_tells, self.events[:count]))


def _tells(event: dict[str, Any]) -> bool:
    is_frame = event.get("cat") == "python_function" and event["name"].startswith("nn.Module: ")
    return event.get("ph") == "X" and (event.get("cat") in READ or is_frame)


def read_or_refused(path: Path) -> Trace | None:
    """The trace, or None where it is refused in one line that names the file."""
    try:
        return read(path)
    except UserError as error:
        message = str(error)
    assert str(path) in message
    assert "\n" not in message
    return None


def assert_refused(path: Path) -> None:
    assert read_or_refused(path) is None


def assert_says_where(trace: Trace, begin: int, end: int) -> None:
    """A warning of a cut names a place between two byte offsets."""
    said = [str(warning) for warning in trace.warnings if "cut off" in str(warning)]
    places = [int(digits.replace(",", "")) for text in said for digits in re.findall(r"\d+(?:,\d{3})*", text)]
    assert any(begin <= place <= end for place in places), (begin, end, list(map(str, trace.warnings)))


def tables(trace: Trace) -> list[Intervals]:
    return [trace.ops, trace.launches, trace.gpu_events, trace.frames, trace.annotations]


FORMS = {
    "object": SOUND.document(),
    "list": json.dumps(SOUND.events).encode(),
    "metadata only before": Sound(SOUND.events, SOUND.texts, tail=b"]}").document(),
    "pretty": json.dumps({"traceEvents": SOUND.events, "traceName": "x"}, indent=2).encode(),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("chunk_bytes", [700, 1 << 20])
def test_cut_at_every_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, chunk_bytes: int
) -> None:
    """Inside a string, a number, a keyword, a bracket; between events; in the metadata on both sides."""
    monkeypatch.setattr("tracekit.trace.cut.CHUNK_BYTES", chunk_bytes)
    whole = Whole(FORMS[form])
    path = tmp_path / "t.json"
    expected = rows_of(SOUND.events)
    assert len(whole.events) == len(SOUND.events)
    for cut in range(1, len(whole.text.rstrip())):
        path.write_bytes(whole.text[:cut])
        count = whole.count(cut)
        if count == 0:
            assert_refused(path)
            continue
        trace = read(path)
        assert (trace.event_count, trace.skipped_count) == (count, whole.skipped(cut)), cut
        assert_says_where(trace, whole.ends[count - 1], cut)
        found = rows(trace)
        for kind, table in expected.items():
            assert found[kind] == table[: len(found[kind])], (cut, kind)
        assert sum(map(len, found.values())) == count, cut


def test_document_without_its_last_newline_is_not_cut(tmp_path: Path) -> None:
    for form, text in FORMS.items():
        path = tmp_path / "t.json"
        path.write_bytes(text.rstrip())
        assert read(path).warnings == (), form


def test_gzip_file_cut_at_every_byte(tmp_path: Path) -> None:
    whole = Whole(FORMS["object"])
    compressed = gzip.compress(whole.text, mtime=0)
    path = tmp_path / "t.json.gz"
    for cut in range(1, len(compressed)):
        path.write_bytes(compressed[:cut])
        there = len(zlib.decompressobj(31).decompress(compressed[:cut]))
        count = whole.count(there)
        if count == 0:
            assert_refused(path)
            continue
        trace = read(path)
        assert (trace.event_count, trace.skipped_count) == (count, whole.skipped(there)), cut
        assert any("cut off" in str(warning) for warning in trace.warnings), cut


def reported(path: Path) -> Any:
    """What `analyze` says of a trace's time, or None where it refuses it."""
    try:
        report = analyze(path)
    except UserError:
        return None
    return report.accounting, report.modules, report.kernels, report.ops, report.regions


def assert_read_up_to(whole: Whole, sound: Trace, path: Path, length: int) -> None:
    """`path` holds the first bytes of a document: its events are columns and report of those alone."""
    count = whole.count(length)
    if not whole.is_trace(count):
        assert_refused(path)
        return
    trace = read(path)
    assert (trace.event_count, trace.skipped_count) == (count, whole.skipped(length))
    assert any("cut off" in str(warning) for warning in trace.warnings)
    assert sum(map(len, tables(trace))) == sum(map(_tells, whole.events[:count]))
    for table, full in zip(tables(trace), tables(sound), strict=True):
        assert (table.start == full.start[: len(table)]).all()
        assert (table.end == full.end[: len(table)]).all()
        assert [trace.names[code] for code in table.name] == [
            sound.names[code] for code in full.name[: len(table)]
        ]


def assert_reported_up_to(whole: Whole, path: Path, length: int) -> None:
    """`path` holds the first bytes of a document: `analyze` says of it what it says of its whole events."""
    count = whole.count(length)
    if not whole.is_trace(count):
        assert reported(path) is None
        return
    prefix = path.with_name("prefix.json")
    prefix.write_bytes(whole.sound(count))
    assert reported(path) == reported(prefix) is not None


@pytest.fixture(scope="module", params=REAL, ids=["sample", "corpus"])
def real(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Whole, Trace]:
    return request.param, Whole(gzip.decompress(request.param.read_bytes())), read(request.param)


def test_real_trace_cut_at_every_hundredth(tmp_path: Path, real: tuple[Path, Whole, Trace]) -> None:
    _, whole, sound = real
    path = tmp_path / "t.json"
    for percent in range(100):
        cut = len(whole.text) * percent // 100
        path.write_bytes(whole.text[:cut])
        assert_read_up_to(whole, sound, path, cut)
        assert_reported_up_to(whole, path, cut)


def test_real_gzip_file_cut_at_every_hundredth(tmp_path: Path, real: tuple[Path, Whole, Trace]) -> None:
    compressed, whole, sound = real[0].read_bytes(), *real[1:]
    path = tmp_path / "t.json.gz"
    for percent in range(100):
        part = compressed[: len(compressed) * percent // 100]
        path.write_bytes(part)
        length = len(zlib.decompressobj(31).decompress(part))
        assert_read_up_to(whole, sound, path, length)
        assert_reported_up_to(whole, path, length)


@pytest.mark.parametrize("processes", [1, 2])
def test_cut_in_one_of_many_chunks(tmp_path: Path, processes: int) -> None:
    whole = Whole(sound_trace(4000).document())
    path = tmp_path / "t.json"
    for cut in (1 << 20, 2_000_001, 3_000_000):
        path.write_bytes(whole.text[:cut])
        trace = read(path, processes=processes)
        assert (trace.event_count, trace.skipped_count) == (whole.count(cut), whole.skipped(cut))
        assert rows(trace) == rows_of(whole.events[: whole.count(cut)])


def test_flipped_byte_in_a_gzip_stream_costs_nothing_before_it(tmp_path: Path) -> None:
    """Disks and copies that fail silently: `gzip -t` complains."""
    whole = Whole(sound_trace(400).document())
    compressed = gzip.compress(whole.text, mtime=0)
    path = tmp_path / "t.json.gz"
    for percent in range(10, 100, 3):
        place = len(compressed) * percent // 100
        path.write_bytes(compressed[:place] + bytes([compressed[place] ^ 0xFF]) + compressed[place + 1 :])
        count = whole.count(len(zlib.decompressobj(31).decompress(compressed[:place])))
        trace = read(path)
        assert trace.event_count >= count
        found = rows(trace)
        assert all(
            found[kind][: len(table)] == table for kind, table in rows_of(whole.events[:count]).items()
        )
        assert trace.warnings


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_gzip_members_cut_inside_an_event_are_one_document(tmp_path: Path, share: float) -> None:
    """What appending to a `.gz` file makes, `pigz --independent` and `cat a.gz b.gz`."""
    text = SOUND.document()
    place = next(begin + 20 for begin, _ in Whole(text).spans if begin > share * len(text) - 250)
    path = tmp_path / "t.json.gz"
    path.write_bytes(b"".join(gzip.compress(part) for part in (text[:place], b"", text[place:])))
    trace = read(path)
    assert rows(trace) == rows_of(SOUND.events)
    assert (trace.skipped_count, trace.warnings) == (0, ())


@pytest.mark.parametrize(
    ("name", "is_gzip"),
    [("t.json", True), ("t.json.gz", False), ("t.gz", False), ("trace", True), ("t.txt", False)],
)
def test_what_a_file_is_called_does_not_matter(tmp_path: Path, name: str, is_gzip: bool) -> None:
    """Browsers unpack `.gz` and keep the name, or the other way round."""
    path = tmp_path / name
    text = SOUND.document()
    path.write_bytes(gzip.compress(text) if is_gzip else text)
    trace = read(path)
    assert rows(trace) == rows_of(SOUND.events)
    assert (trace.skipped_count, trace.warnings) == (0, ())


def zipped(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def test_zip_of_one_trace_is_read(tmp_path: Path) -> None:
    """What a browser makes of a trace attached to an issue, and a desktop of a folder to send."""
    path = tmp_path / "t.json.zip"
    path.write_bytes(zipped({"run/trace.json": SOUND.document()}))
    trace = read(path)
    assert rows(trace) == rows_of(SOUND.events)
    assert (trace.skipped_count, trace.warnings) == (0, ())


@pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
def test_zip_that_is_cut_is_read_or_refused(tmp_path: Path, share: float) -> None:
    """Its directory stands at its end."""
    path = tmp_path / "t.zip"
    data = zipped({"trace.json": sound_trace(400).document()})
    path.write_bytes(data[: round(share * len(data))])
    trace = read_or_refused(path)
    assert trace is None or any("cut off" in str(warning) for warning in trace.warnings)


def test_zip_of_several_files_is_read_or_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "t.zip"
    path.write_bytes(zipped({"a.json": SOUND.document(), "b.json": SOUND.document()}))
    assert_refused(path)


def test_zstd_is_read_like_gzip(tmp_path: Path) -> None:
    path = tmp_path / "t.json.zst"
    path.write_bytes(zstandard.ZstdCompressor().compress(SOUND.document()))
    trace = read(path)
    assert rows(trace) == rows_of(SOUND.events)
    assert (trace.skipped_count, trace.warnings) == (0, ())


def test_zstd_file_that_is_cut_is_read_up_to_the_cut(tmp_path: Path) -> None:
    whole = Whole(sound_trace(4000).document())
    compressed = zstandard.ZstdCompressor().compress(whole.text)
    path = tmp_path / "t.json.zst"
    for percent in range(20, 100, 10):
        part = compressed[: len(compressed) * percent // 100]
        path.write_bytes(part)
        there = len(zstandard.ZstdDecompressor().decompressobj().decompress(part))
        if whole.count(there) == 0:
            assert_refused(path)
            continue
        trace = read(path)
        assert (trace.event_count, trace.skipped_count) == (whole.count(there), whole.skipped(there))
        assert any("cut off" in str(warning) for warning in trace.warnings)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_other_encodings_are_read_or_refused(tmp_path: Path, encoding: str) -> None:
    """What PowerShell's `>` writes."""
    path = tmp_path / "t.json"
    path.write_bytes(SOUND.document().decode().encode(encoding))
    trace = read_or_refused(path)
    assert trace is None or (rows(trace) == rows_of(SOUND.events) and trace.skipped_count == 0)


def test_byte_order_mark_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    for text in FORMS.values():
        path.write_bytes(b"\xef\xbb\xbf" + text)
        trace = read(path)
        assert rows(trace) == rows_of(SOUND.events)
        assert (trace.skipped_count, trace.warnings) == (0, ())
