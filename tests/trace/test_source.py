"""What a trace may be packed in: the text comes out exactly, or as far as it is sound."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import random
import subprocess
import sys
import threading
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tracekit.messages import UserError
from tracekit.trace import source as source_module
from tracekit.trace.source import PIECE_BYTES, Source, open_source

_random = random.Random(1)
TEXT = json.dumps(
    {"traceEvents": [{"ph": "X", "name": f"é {_random.random()}", "ts": n} for n in range(8000)]},
    ensure_ascii=False,
).encode()
HALF = len(TEXT) // 2


class Pipe(io.BytesIO):
    """What a zip file can be written to, but not anywhere in it."""

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        raise OSError


def zipped(
    files: dict[str, bytes],
    method: int = zipfile.ZIP_DEFLATED,
    into: type[io.BytesIO] = io.BytesIO,
    zip64: bool = False,
) -> bytes:
    buffer = into()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            with archive.open(info, "w", force_zip64=zip64) as file:
                file.write(content)
    return buffer.getvalue()


def zstd(text: bytes, **options: Any) -> bytes:
    return zstandard.ZstdCompressor(**options).compress(text)


def zstd_of_unknown_size(text: bytes) -> bytes:
    packer = zstandard.ZstdCompressor(write_checksum=True).compressobj()
    return packer.compress(text) + packer.flush()


def gzip_with_all_fields(text: bytes) -> bytes:
    plain = gzip.compress(text)
    header = plain[:3] + bytes([2 | 4 | 8 | 16]) + plain[4:10]
    header += b"\x03\x00abc" + b"name\0" + b"comment\0"
    return header + (zlib.crc32(header) & 0xFFFF).to_bytes(2, "little") + plain[10:]


SKIPPABLE = b"\x55\x2a\x4d\x18\x05\0\0\0hello"
IGNORED = {"folder/": b"", "__MACOSX/._t.json": b'{"a"', "README.txt": b"Read me"}

CUTTABLE: dict[str, Callable[[], bytes]] = {
    "gzip": lambda: gzip.compress(TEXT),
    "gzip with all fields": lambda: gzip_with_all_fields(TEXT),
    "zstd": lambda: zstd(TEXT, write_checksum=True),
    "zstd of unknown size": lambda: zstd_of_unknown_size(TEXT),
    "bzip2": lambda: bz2.compress(TEXT, 1),
    "xz": lambda: lzma.compress(TEXT),
    "deflated zip": lambda: zipped({"t": TEXT}),
    "stored zip": lambda: zipped({"t": TEXT}, zipfile.ZIP_STORED),
    "zip with sizes behind": lambda: zipped({"t": TEXT}, into=Pipe),
    "zip64 with sizes behind": lambda: zipped({"t": TEXT}, into=Pipe, zip64=True),
    "zip of gzip": lambda: zipped({"t": gzip.compress(TEXT)}, zipfile.ZIP_STORED),
    "zip of zstd": lambda: zipped({"t": zstd(TEXT)}),
    "gzip of gzip": lambda: gzip.compress(gzip.compress(TEXT)),
    "gzip of zip": lambda: gzip.compress(zipped({"t": TEXT})),
}
WHOLE: dict[str, Callable[[], bytes]] = CUTTABLE | {
    "plain": lambda: TEXT,
    "gzip members and padding": lambda: (
        gzip.compress(TEXT[:HALF])
        + bytes(700_000)
        + gzip.compress(b"")
        + gzip.compress(TEXT[HALF:])
        + bytes(9)
    ),
    "gzip members of a block each": lambda: b"".join(
        gzip.compress(TEXT[begin : begin + 1000]) for begin in range(0, len(TEXT), 1000)
    ),
    "zstd frames": lambda: SKIPPABLE + zstd(TEXT[:HALF]) + SKIPPABLE + zstd(b"") + zstd(TEXT[HALF:]),
    "zstd without size or checksum": lambda: zstd(TEXT, write_content_size=False),
    "bzip2 streams": lambda: bz2.compress(TEXT[:HALF]) + bz2.compress(TEXT[HALF:]),
    "xz streams": lambda: lzma.compress(TEXT[:HALF]) + bytes(8) + lzma.compress(TEXT[HALF:]),
    "zip with other files": lambda: zipped({**IGNORED, "a/t.json": TEXT}),
    "zip with metadata": lambda: zipped({"metadata.json": b'{"run": 1}', "t.json": TEXT}),
    "zip64": lambda: zipped({"t.json": TEXT}, zip64=True),
    "zip of UTF-16": lambda: zipped({"t.json": TEXT.decode().encode("utf-16")}),
    "gzip of gzip of gzip": lambda: gzip.compress(gzip.compress(gzip.compress(TEXT))),
    "UTF-16, little end first": lambda: b"\xff\xfe" + TEXT.decode().encode("utf-16-le"),
    "UTF-16, big end first": lambda: b"\xfe\xff" + TEXT.decode().encode("utf-16-be"),
    "gzip of UTF-16": lambda: gzip.compress(TEXT.decode().encode("utf-16")),
}


def written(folder: Path, content: bytes) -> Source:
    path = folder / "named.wrongly"
    path.write_bytes(content)
    return open_source(path)


def text_of(source: Source) -> bytes:
    return b"".join(source.pieces())


@pytest.mark.parametrize("form", WHOLE)
def test_the_text_is_exact_and_all_bytes_are_told(tmp_path: Path, form: str) -> None:
    content = WHOLE[form]()
    source = written(tmp_path, content)
    told: list[int] = []
    pieces = list(source.pieces(told.append))
    assert b"".join(pieces) == TEXT
    assert source.problem is None
    assert max(map(len, pieces)) <= PIECE_BYTES
    assert sum(told) == len(content) == source.size_bytes


@pytest.mark.parametrize("form", WHOLE)
def test_small_pieces(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_module, "PIECE_BYTES", 1000)
    source = written(tmp_path, WHOLE[form]())
    pieces = list(source.pieces())
    assert b"".join(pieces) == TEXT
    assert source.problem is None
    assert max(map(len, pieces)) <= 1000


@pytest.mark.parametrize("form", WHOLE)
def test_through_a_pipe_that_is_opened_once(tmp_path: Path, form: str) -> None:
    content = WHOLE[form]()
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(content,), daemon=True)
    source = open_source(path)
    assert (source.is_regular, source.size_bytes) == (False, 0)
    writer.start()
    told: list[int] = []
    text = b"".join(source.pieces(told.append))
    writer.join(10)
    assert text == TEXT
    assert source.problem is None
    assert sum(told) == len(content)


def test_an_empty_pipe_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    source = open_source(path)
    threading.Thread(target=path.write_bytes, args=(b"",), daemon=True).start()
    with pytest.raises(UserError, match="is empty"):
        list(source.pieces())


@pytest.mark.parametrize("form", CUTTABLE)
def test_cut_off_anywhere(tmp_path: Path, form: str) -> None:
    content = CUTTABLE[form]()
    lengths = []
    for percent in range(2, 100, 2):
        source = written(tmp_path, content[: len(content) * percent // 100])
        text = text_of(source)
        assert TEXT.startswith(text)
        assert "cut off" in str(source.problem)
        lengths.append(len(text))
    assert lengths == sorted(lengths)
    assert lengths[-1] > 0.7 * len(TEXT)  # of bzip2 and zstd, blocks of 100 kB and 128 KiB
    last_byte = written(tmp_path, content[:-1])
    assert text_of(last_byte) == TEXT
    assert "cut off" in str(last_byte.problem)


def test_a_cut_gzip_stream_gives_what_zlib_makes_of_it(tmp_path: Path) -> None:
    cut = gzip.compress(TEXT)[:50_000]
    assert text_of(written(tmp_path, cut)) == zlib.decompressobj(31).decompress(cut)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (gzip.compress(TEXT)[:-8] + bytes(4) + gzip.compress(TEXT)[-4:], "checksum"),
        (gzip.compress(TEXT)[:-4] + bytes(4), "checksum"),
        (zstd(TEXT, write_checksum=True)[:-4] + bytes(4), "checksum"),
        (gzip.compress(TEXT) + b"garbage", "no part of it"),
        (gzip.compress(TEXT) + bytes(5) + b"garbage", "no part of it"),
        (zstd(TEXT) + b"garbage", "no part of it"),
        (bz2.compress(TEXT) + b"garbage", "no part of it"),
        (lzma.compress(TEXT) + b"garbage", "no part of it"),
        (gzip.compress(TEXT) + gzip.compress(TEXT)[:1], "cut off"),
        (gzip.compress(TEXT) + gzip.compress(TEXT)[:9], "cut off"),
        (zstd(TEXT) + zstd(TEXT)[:3], "cut off"),
        (zipped({"t": gzip.compress(TEXT) + b"garbage"}), "no part of it"),
        (TEXT.decode().encode("utf-16") + b"\0", "cut off"),
    ],
)
def test_all_of_the_text_before_a_problem_at_its_end(tmp_path: Path, content: bytes, says: str) -> None:
    source = written(tmp_path, content)
    told: list[int] = []
    assert b"".join(source.pieces(told.append)) == TEXT
    assert says in str(source.problem)
    assert sum(told) == len(content)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_wrong_checksum_in_a_zip(tmp_path: Path, method: int) -> None:
    content = zipped({"t": TEXT}, method)
    crc = zlib.crc32(TEXT).to_bytes(4, "little")
    assert content.count(crc) == 2  # before the file and in the directory
    source = written(tmp_path, content.replace(crc, b"abcd"))
    assert text_of(source) == TEXT
    assert "checksum" in str(source.problem)


@pytest.mark.parametrize("form", [form for form in CUTTABLE if form != "gzip with all fields"])
@pytest.mark.parametrize("percent", [30, 60, 90])
def test_a_damaged_block_costs_little_of_what_stands_before_it(
    tmp_path: Path, form: str, percent: int
) -> None:
    content = bytearray(CUTTABLE[form]())
    position = len(content) * percent // 100
    content[position : position + 40] = b"\xff" * 40
    source = written(tmp_path, bytes(content))
    text = text_of(source)
    assert source.problem is not None
    sound = next((n for n, pair in enumerate(zip(text, TEXT, strict=False)) if pair[0] != pair[1]), len(text))
    assert sound > len(TEXT) * percent / 100 * 0.95 - (1 << 17)  # the largest block is of 128 KiB


def test_a_zip_whose_directory_is_damaged_is_read_from_its_beginning(tmp_path: Path) -> None:
    content = bytearray(zipped({"t": TEXT}))
    end = content.index(b"PK\5\6")
    content[end + 16] ^= 1  # where the directory is
    source = written(tmp_path, bytes(content))
    assert text_of(source) == TEXT
    assert str(source.problem) == "the zip file is damaged"


def test_two_traces_in_a_zip_are_named(tmp_path: Path) -> None:
    source = written(tmp_path, zipped({"a.json": TEXT, "b.gz": gzip.compress(TEXT), "c.txt": b"no"}))
    with pytest.raises(UserError, match=r"\(a\.json, b\.gz\)"):
        list(source.pieces())


def test_two_traces_in_a_zip_that_is_cut_off(tmp_path: Path) -> None:
    source = written(tmp_path, zipped({"a.json": TEXT, "b.gz": gzip.compress(TEXT)})[:-30])
    with pytest.raises(UserError, match=r"\(a\.json, b\.gz\)"):
        list(source.pieces())


def encrypted(content: bytes) -> bytes:
    """With the flag set in the file's header and in the directory's, 6 and 8 bytes in."""
    flagged = bytearray(content)
    flagged[content.index(b"PK\3\4") + 6] |= 1
    flagged[content.index(b"PK\1\2") + 8] |= 1
    return bytes(flagged)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (encrypted(zipped({"t.json": b"{}"})), "t.json in it is encrypted"),
        (encrypted(zipped({"t.json": b"{}"}))[:-5], "t.json in it is encrypted"),
        (zipped({"t.json": b"{}"}, zipfile.ZIP_LZMA), "packed by method 14"),
        (encrypted(zipped({"a\nb": b"{}"})), "a\ufffdb in it is encrypted"),
        (zipped(IGNORED), "without a trace"),
        (gzip.compress(zipped(IGNORED)), "without a trace"),
        (zipped({}), "without a trace"),
        (gzip.compress(gzip.compress(gzip.compress(gzip.compress(b"{}")))), "more than 3 times"),
        (zipped({"t": gzip.compress(gzip.compress(gzip.compress(b"{}")))}), "more than 3 times"),
        (gzip.compress(gzip.compress(gzip.compress(zipped({"t": b"{}"})))), "more than 3 times"),
    ],
)
def test_what_cannot_be_unpacked_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        list(written(tmp_path, content).pieces())
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_half_a_surrogate_pair_is_left_to_be_mended(tmp_path: Path) -> None:
    text = text_of(written(tmp_path, b"\xff\xfe" + '{"a": "\ud800"}'.encode("utf-16-le", "surrogatepass")))
    assert text.decode("utf-8", "replace") == '{"a": "' + 3 * "\ufffd" + '"}'


@pytest.mark.parametrize("byte_count", [1, 2, 3])
def test_files_shorter_than_what_they_are_recognised_by(tmp_path: Path, byte_count: int) -> None:
    assert text_of(written(tmp_path, b"[ ]"[:byte_count])) == b"[ ]"[:byte_count]


BOMBS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstd,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zip": lambda text: zipped({"t": b"{" + text[1:]}),
    "gzip of gzip": lambda text: gzip.compress(gzip.compress(text)),
}
_READ = """
import resource, sys
from tracekit.trace.source import PIECE_BYTES, open_source
import zstandard, bz2, lzma, zipfile
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
sizes = [len(piece) for piece in open_source(sys.argv[1]).pieces()]
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(sum(sizes), max(sizes) <= PIECE_BYTES, (after - before) / 1024)
"""


@pytest.mark.parametrize("form", BOMBS)
def test_memory_does_not_depend_on_the_ratio(tmp_path: Path, form: str) -> None:
    size = 200 << 20
    path = tmp_path / "bomb"
    path.write_bytes(BOMBS[form](bytes(size)))
    run = subprocess.run([sys.executable, "-c", _READ, path], capture_output=True, text=True, check=True)
    total, is_bounded, growth_mb = run.stdout.split()
    assert (int(total), is_bounded) == (size, "True")
    assert float(growth_mb) < 50
