import os
import threading

import pytest

from tests.report import build
from tracekit import report as renderers
from tracekit.messages import UserError
from tracekit.report import save as save_function

PICTURES = ("layer_time", "type_time", "block_time", "roofline", "headroom")
PNG, SVG = ({f"{name}.{kind}" for name in PICTURES} for kind in ("png", "svg"))
TABLES = (
    *("modules", "types", "blocks", "block_kinds", "block_parts", "headroom", "kernels", "ops", "uncosted"),
    *("phases", "passes", "regions", "findings"),
)
CSV = {f"{table}.csv" for table in TABLES}
MARKER = ".tracekit-report"


def names(directory):
    return set(os.listdir(directory))


def test_every_format(tmp_path):
    path = renderers.save(build.hybrid(), tmp_path / "a" / "out", lang="ru")
    assert path == tmp_path / "a" / "out"
    assert names(path) == {"report.md", "report.html", "report.json", MARKER} | PNG | CSV
    assert names(tmp_path / "a") == {"out"}


@pytest.mark.parametrize(
    ("formats", "expected"),
    [
        (["json"], {"report.json"}),
        (["md"], {"report.md"}),
        (["md", "png"], {"report.md"} | PNG),
        (["md", "svg"], {"report.md"} | SVG),
        (["png", "svg"], PNG | SVG),
        (["csv"], CSV),
    ],
)
def test_only_what_was_asked_for(tmp_path, formats, expected):
    path = renderers.save(build.hybrid(), tmp_path / "out", formats)
    assert names(path) == expected | {MARKER}
    if "md" in formats:
        for kind in ("png", "svg"):
            assert (f"layer_time.{kind}" in (path / "report.md").read_text()) == (kind in formats)


@pytest.mark.parametrize("formats", [["pdf"], [], ["md", ""]])
def test_unknown_format(tmp_path, formats):
    with pytest.raises(UserError, match="md, png, html, json, csv"):
        renderers.save(build.hybrid(), tmp_path / "out", formats)
    assert names(tmp_path) == set()


def test_a_rewrite_drops_our_files_and_keeps_those_of_the_user(tmp_path):
    out = tmp_path / "out"
    renderers.save(build.hybrid(), out, ["json", "csv"])
    (out / "notes.txt").write_text("mine")
    (out / "report.md").write_text("mine too")
    (out / "more").mkdir()
    (out / "more" / "deep.txt").write_text("also mine")
    renderers.save(build.hybrid(), out, ["json", "md"])
    assert names(out) == {"report.json", "report.md", "report.1.md", "notes.txt", "more", MARKER}
    assert (out / "report.1.md").read_text() == "mine too"
    assert (out / "more" / "deep.txt").read_text() == "also mine"
    renderers.save(build.hybrid(), out, ["json"])
    assert names(out) == {"report.json", "report.1.md", "notes.txt", "more", MARKER}
    assert names(tmp_path) == {"out"}


def test_a_directory_of_the_users_is_not_touched(tmp_path):
    (tmp_path / "report.json").write_text("{}")
    with pytest.raises(UserError, match="holds other files"):
        renderers.save(build.hybrid(), tmp_path, ["json"])
    assert names(tmp_path) == {"report.json"}


def test_an_empty_directory_and_a_link_are_fine(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    renderers.save(build.hybrid(), tmp_path / "link", ["json"])
    renderers.save(build.hybrid(), tmp_path / "link", ["json"])
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "report.json").exists()
    assert names(tmp_path) == {"real", "link"}


def test_a_file_and_the_current_directory_are_refused(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="is a file"):
        renderers.save(build.hybrid(), tmp_path / "file", ["json"])
    with pytest.raises(UserError, match="cannot be written"):
        renderers.save(build.hybrid(), tmp_path / "file" / "out", ["json"])
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(UserError, match="current directory"):
        renderers.save(build.hybrid(), ".", ["json"])
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
@pytest.mark.parametrize("call", [1, 2])
def test_interrupted_at_a_rename_leaves_the_old_report(tmp_path, monkeypatch, error, call):
    out = tmp_path / "out"
    renderers.save(build.hybrid(), out, ["csv"])
    before = names(out)
    rename, calls = os.rename, []

    def failing(*arguments):
        calls.append(arguments)
        if len(calls) == call:
            raise error
        rename(*arguments)

    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises((KeyboardInterrupt, UserError)):
        renderers.save(build.hybrid(), out, ["json"])
    assert names(out) == before
    assert names(tmp_path) == {"out"}


def test_interrupted_while_writing_leaves_nothing(tmp_path, monkeypatch):
    def failing(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.write_text", failing)
    with pytest.raises(KeyboardInterrupt):
        renderers.save(build.hybrid(), tmp_path / "new" / "parents" / "out", ["json"])
    assert names(tmp_path) == set()


def test_many_writers_at_once(tmp_path):
    report, failures = build.hybrid(), []

    def write():
        try:
            for _ in range(10):
                renderers.save(report, tmp_path / "out", ["json"])
        except BaseException as error:
            failures.append(error)

    writers = [threading.Thread(target=write) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert failures == []
    assert names(tmp_path) == {"out"}
    assert names(tmp_path / "out") == {"report.json", MARKER}


def test_mode_follows_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        renderers.save(build.hybrid(), tmp_path / "out", ["json"])
    finally:
        os.umask(old)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o750


def test_names_are_lazy():
    assert callable(save_function)
    with pytest.raises(AttributeError, match="nothing"):
        renderers.nothing  # noqa: B018
