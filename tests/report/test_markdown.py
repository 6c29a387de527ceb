import re

import cmarkgfm
import pytest
from rich.cells import cell_len

from tests.report import build
from tests.report.rendered import Rendered
from tracekit.report.i18n import Locale
from tracekit.report.markdown import render_markdown

NBSP = "\N{NO-BREAK SPACE}"

# The headings, pictures and bullet labels of reference/seed_report.md, in its order.
SEED_HEADINGS = [
    "## Общие параметры",
    "## Графики",
    "## Transformer-блоки",
    "### Эффективность по блокам",
    "## Сводная таблица времени по типам модулей",
    "## Самые медленные модули (20)",
]
SEED_PICTURES = ["layer_time.png", "type_time.png", "block_time.png"]
SEED_LABELS = [
    "Время forward-pass",
    "Размер скрытого пространства",
    "Длина входной последовательности",
    "Количество Transformer-блоков",
    "Количество параметров",
    "FLOPs / forward",
    "Эффективная производительность",
    "Размер внутреннего пространства FFN",
    "Количество голов внимания",
    "Количество K/V голов",
    "Размер головы",
    "Тип внимания",
    "Количество параметров в блоке",
    "FLOPs attention",
    "FLOPs FFN",
]


def markdown(report, lang="en", top=20):
    return render_markdown(report, Locale(lang), top)


def section(text, heading):
    return re.split(r"^##+ ", text.partition(f"{heading}\n")[2], maxsplit=1, flags=re.M)[0].strip()


def rows(text):
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def value(text, label):
    return re.search(rf"^- {re.escape(label)}: (.*)$", text, re.M).group(1)


@pytest.mark.parametrize("name", build.ALL)
def test_skeleton_is_the_predecessors(name):
    text = markdown(build.ALL[name](), "ru")
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings[0].startswith("# ")
    known = [heading for heading in headings if heading in SEED_HEADINGS]
    assert known == SEED_HEADINGS
    new = [heading for heading in headings[1:] if heading not in SEED_HEADINGS and heading.startswith("## ")]
    assert headings.index(new[0]) > headings.index(SEED_HEADINGS[-1])
    assert re.findall(r"!\[.*\]\((.*)\)", text)[:3] == SEED_PICTURES
    labels = list(dict.fromkeys(re.findall(r"^- ([^:—]+):", text, re.M)))
    assert [label for label in labels if label in SEED_LABELS] == SEED_LABELS


@pytest.mark.parametrize("lang", ["en", "ru"])
@pytest.mark.parametrize("name", build.ALL)
def test_the_unknown_is_never_spelled_out(name, lang):
    text = markdown(build.ALL[name](), lang)
    assert not re.search(r"\bNone\b|\bnan\b|\binf\b|\b0[.,]0+\b(?!\d)", text)


@pytest.mark.parametrize("name", build.ALL)
def test_every_table_is_aligned_as_plain_text(name):
    for lang in ("en", "ru"):
        tables = re.findall(r"(?:^\|.*\n)+", markdown(build.ALL[name](), lang), re.M)
        for table in tables:
            assert len({cell_len(line) for line in table.splitlines()}) == 1


def test_pictures_stand_where_they_belong():
    text = markdown(build.costed())
    assert re.findall(r"\((\w+\.png)\)", section(text, "## Charts")) == SEED_PICTURES
    won, roofline = (
        section(text, f"## {name}") for name in ("What would be won (20)", "Roofline by module type")
    )
    assert won.startswith("![What would be won, by place in the model](headroom.png)\n\n| Where")
    assert roofline.startswith("![Roofline of the operators](roofline.png)\n\n| Type")


def test_pictures_of_bounds_are_not_shown_where_there_are_none():
    assert re.findall(r"\((\w+\.png)\)", markdown(build.cpu_only())) == SEED_PICTURES


def test_pictures_are_of_the_kind_that_was_asked_for():
    text = render_markdown(build.costed(), Locale("en"), pictures="svg")
    assert len(re.findall(r"!\[[^]]+\]\(\w+\.svg\)", text)) == 5
    text = render_markdown(build.costed(), Locale("en"), pictures=None)
    assert "![" not in text
    assert "Pictures were not asked for: add png to the formats." in text


def test_facts():
    text = markdown(build.hybrid(), "ru")
    assert text.startswith(
        "# NVIDIA-Nemotron-Nano-9B-v2\n\n## Общие параметры\n- Время forward-pass: 5,00 мс ("
    )
    assert value(text, "Количество параметров") == f"8{NBSP}888{NBSP}227{NBSP}328"
    assert value(text, "FLOPs / forward") == "1,012 TFLOPs"
    assert value(text, "Тип внимания") == "GQA"
    assert "6,792 GF" in value(text, "FLOPs attention")
    assert "17,140 GF" in value(text, "FLOPs FFN")
    parameters = value(text, "Количество параметров в блоке")
    for number in ("147 450 624", "140 497 280", "55 054 720"):
        assert number.replace(" ", NBSP) in parameters


def test_latency_wall_and_gpu_time_stand_in_this_order():
    lines = section(markdown(build.hybrid()), "## General").splitlines()
    start = lines.index("- Latency without the profiler: 5.00 ms (median of 3 passes; 4.90 ms – 5.30 ms)")
    assert lines[start + 1 : start + 3] == [
        "- Wall time of a pass under the profiler: 6.00 ms (median of 2 passes; 5.90 ms – 6.10 ms)",
        "- GPU time per pass: 5.50 ms (median of 2 passes)",
    ]


def test_phases_are_shown_apart():
    text = markdown(build.phases(), "ru")
    assert value(text, "Время forward-pass") == (
        "prefill: 5,00 мс; decode: 500,00 мкс (задержка, измерена без профилировщика)"
    )
    assert value(text, "FLOPs / forward") == "prefill: 1,000 TFLOPs; decode: 20,000 GFLOPs"
    assert value(text, "Эффективная производительность").startswith(
        "prefill: 200,00 TFLOP/s; decode: 40,00 TFLOP/s ("
    )
    text = markdown(build.phases())
    assert value(text, "Wall time of a pass under the profiler") == (
        "prefill: 10.00 ms (one pass); decode: 1.00 ms (median of 2 passes; 1.00 ms – 1.50 ms)"
    )
    assert value(text, "New tokens per sequence and pass") == (
        "prefill: 61 (in the cache before: 0); decode: 1 (in the cache before: 61)"
    )
    table = {row[0]: row[1:] for row in rows(section(text, "## Phases"))}
    assert table["Median of a pass"] == ["prefill", "decode"]
    assert table["Passes"] == ["1", "2"]
    assert table["Tokens per second"] == ["24,400.0", "4,000.0"]


def test_tables_have_a_column_or_a_list_per_phase():
    text = markdown(build.phases())
    table = rows(section(text, "### Efficiency by block"))
    assert table[0] == ["Block number", "prefill (TFLOP/s)", "decode (TFLOP/s)"] * 2
    assert table[2] == ["0", "5.14", "0.51", "1", "17.14", "1.71"]
    kinds = rows(section(text, "### Kinds of blocks"))
    assert [(row[0], row[3], row[-1]) for row in kinds[2:4]] == [
        ("mamba", "prefill", "3.500"),
        ("mamba", "decode", "0.350"),
    ]
    types = rows(section(text, "## Summary of time by module type"))
    assert types[2] == ["Linear", "2", "6.000", "1.5000", "3.000", "0.0070"]
    assert section(text, "### decode").startswith("- 0.200 ms — `backbone.layers.0.mixer.in_proj` (Linear)")
    assert [row[1] for row in rows(section(text, "## Passes"))[2:]] == ["prefill", "decode", "decode"]
    assert "## Phases" not in markdown(build.hybrid())


def test_training_steps():
    text = markdown(build.training())
    assert value(text, "Step without the profiler") == "20.00 ms"
    assert value(text, "Step under the profiler") == "25.00 ms (`ProfilerStep`, median of 5 steps)"
    assert value(text, "FLOPs / step") == "3.000 TFLOPs"
    assert value(text, "Achieved performance of a step") == (
        "150.00 TFLOP/s (matrix FLOPs of a step ÷ its time without the profiler)"
    )


def test_state_of_the_device_and_memory():
    text = markdown(build.training())
    assert value(text, "GPU 0, before → after the passes") == (
        "SM 1,980 → 1,500 of 1,980 MHz, memory 2,619 MHz, 41 → 78 °C, 120 → 699 of 700 W, state P0"
    )
    assert value(text, "Peak of the device memory") == (
        "17.800 GB allocated, 20.000 GB reserved, 16.000 GB allocated before the passes"
    )
    table = rows(section(text, "## Memory by module (20)"))[2:]
    assert table[0] == ["`lm_head`", "Head", "400 B", "1.996 kB", "4 B"]
    assert "## Memory by module" not in markdown(build.hybrid())


def test_what_capture_noticed_stands_under_what_the_trace_lacks():
    text = section(markdown(build.training()), "## What the trace lacks")
    few = "`backbone.experts.0`, `backbone.experts.1`, `backbone.experts.2`, …"
    assert f"never called: 7 ({few}); that is ordinary for experts" in text
    for part in ("ended early: `out of memory`", "not called: 1 (`lm_head`)", "compiled regions: 1 (`"):
        assert part in text
    for part in ("a CUDA graph", "was redacted", "note of the capture: `the sequence was shortened`"):
        assert part in text


def test_flops_that_were_counted_at_capture_say_so():
    report = build.hybrid()
    report = build.changed(report, flops=build.changed(report.flops, source="flop_counter"))
    text = markdown(report)
    assert value(text, "FLOPs / forward") == "1.012 TFLOPs (counted by torch.utils.flop_counter at capture)"
    assert "FLOPs were counted at capture" in section(text, "## What the trace lacks")


def test_time_of_a_pass_says_what_it_is():
    report = build.hybrid()
    assert (
        value(markdown(report), "Time of the forward pass")
        == "5.00 ms (latency, measured without the profiler)"
    )
    report = build.changed(report, time=build.changed(report.time, latency_us=None))
    text = markdown(report)
    assert (
        value(text, "Time of the forward pass")
        == "6.00 ms (wall time under the profiler, median of 2 passes)"
    )
    assert "no latency without the profiler" in section(text, "## What the trace lacks")


def test_efficiency_of_every_block_two_a_row():
    table = rows(section(markdown(build.hybrid(), "ru"), "### Эффективность по блокам"))
    assert table[0] == ["Номер блока", "Эффективность (TFLOP/s)"] * 2
    assert table[2:] == [["0", "5,14", "1", "17,14"], ["2", "0,021", "", ""]]


def test_efficiency_of_126_blocks_in_two_stacks():
    text = section(markdown(build.large()), "### Efficiency by block")
    table = rows(text)[2:]
    assert len(table) == 63
    assert table[0] == ["`model.decoder.layers` 0", "5.00", "`model.decoder.layers` 1", "6.00"]
    assert table[-1][2:] == ["`model.vision_tower.encoder.layers` 31", "—"]
    assert "*—: " in text


def test_cpu_times_are_named_and_efficiency_is_of_cpu_time():
    text = markdown(build.cpu_only())
    table = rows(section(text, "### Efficiency by block"))
    assert table[0][1] == "Efficiency (GFLOP/s, CPU time)"
    # 1 000 000 FLOPs in 4 ms
    assert table[2][:2] == ["0", "0.25"]
    # 2 ms a pass, of which 1.5 in the child
    slowest = section(text, "## Slowest modules (20)")
    assert slowest.startswith("- 1.500 ms — `layers.0.fc` (Linear)\n- 0.500 ms — `layers.0` (Block)")
    assert "no GPU in the trace" in slowest
    assert "no GPU events" in section(text, "## Where the GPU time went")
    assert not re.search("GPU time \\(ms\\)", text)


def test_types_sum_to_the_gpu_time():
    table = rows(section(markdown(build.hybrid()), "## Summary of time by module type"))[2:]
    assert table[0] == ["Linear", "2", "6.000", "1.5000"]
    assert ["launched before the trace began", "—", "0.500", "—"] in table
    assert table[-1] == ["**Total**", "", "12.000", ""]
    assert sum(float(row[2]) for row in table[:-1]) == float(table[-1][2])


def test_backward_stands_beside_forward():
    report = build.hybrid()
    types = (
        build.type_row("Linear", 6000.0, modules=2, calls=4, backward_us=420.0),
        build.type_row("MambaRMSNormGated", 3000.0, backward_us=80.0),
        build.type_row("Head", 1000.0, backward_us=0.0),
        *report.types[3:],
    )
    modules = (
        build.module("a", "Linear", 2000.0, gpu_backward_self_time_per_pass_us=210.0),
        build.module("b", "Head", 500.0, gpu_backward_self_time_per_pass_us=0.0),
    )
    report = build.changed(report, types=types, modules=modules)
    text = markdown(report)
    table = rows(section(text, "## Summary of time by module type"))
    assert table[0][-1] == "Backward GPU time (ms)"
    assert [row[-1] for row in table[2:]] == ["0.420", "0.080", "0", "—", "—", "—", "0.500"]
    assert sum(float(row[2]) for row in table[2:-1]) == float(table[-1][2])
    assert "“modules, backward” split by type" in text
    assert section(text, "## Slowest modules (20)").startswith(
        "- 2.000 ms — `a` (Linear), backward 0.210 ms\n- 0.500 ms — `b` (Head)\n"
    )
    assert ", обратный проход 0,210 мс" in markdown(report, "ru")


def test_slowest_modules_are_modules_with_their_own_time():
    text = section(markdown(build.hybrid(), "ru"), "## Самые медленные модули (20)")
    assert [line for line in text.splitlines() if line.startswith("-")] == [
        "- 2,000 мс — `backbone.layers.0.mixer.in_proj` (Linear)",
        "- 1,500 мс — `backbone.layers.0.mixer.norm` (MambaRMSNormGated)",
        "- 1,000 мс — `backbone.layers.1.mixer.up_proj` (Linear)",
        "- 0,500 мс — `lm_head` (Head)",
    ]
    assert (
        len(re.findall("^- ", section(markdown(build.large(), top=7), "## Slowest modules (7)"), re.M)) == 7
    )


def test_accounting_adds_up_to_a_hundred_percent():
    report = build.hybrid()
    third = build.Share(1, 1.0)
    split = build.Accounting(3, 3.0, third, third, third, build.Share(0, 0.0))
    table = rows(section(markdown(build.changed(report, accounting=split)), "## Where the GPU time went"))[2:]
    shares = [float(row[3].rstrip("%")) for row in table]
    assert sorted(shares[:4]) == [0.0, 33.3, 33.3, 33.4]
    assert table[-1][1:] == ["3", "0.0030", "100.0%"]


def test_a_tiny_share_is_not_nothing():
    report = build.hybrid()
    nothing = build.Share(0, 0.0)
    split = build.Accounting(2, 1000.01, build.Share(1, 1000.0), nothing, build.Share(1, 0.01), nothing)
    table = rows(section(markdown(build.changed(report, accounting=split)), "## Where the GPU time went"))[2:]
    assert [row[3] for row in table] == ["100.0%", "0%", "<0.1%", "0%", "100.0%"]


def test_a_module_outside_every_pass_is_not_listed_per_pass():
    report = build.hybrid()
    loose = build.module("loose", "Linear", 9.0, gpu_time_per_pass_us=None, gpu_self_time_per_pass_us=None)
    text = markdown(build.changed(report, modules=(*report.modules, loose)))
    assert "`loose`" not in section(text, "## Slowest modules (20)")


def test_many_passes_are_folded_but_no_outlier_is_lost():
    table = rows(section(markdown(build.large()), "## Passes"))[2:]
    assert len(table) <= 22
    assert ["31", "60.000", "5.000", "4.900", "0.100", "outlier"] in table
    hidden = sum(int(row[-1].split()[0]) for row in table if row[0] == "…")
    assert hidden + sum(row[0] != "…" for row in table) == 50


def test_missing_shapes_have_a_reason():
    text = markdown(build.no_shapes())
    why = "the trace has no shapes: capture it with record_shapes=True"
    assert value(text, "FLOPs / forward") == f"— ({why})"
    assert value(text, "FLOPs attention") == f"— ({why})"
    assert why in section(text, "### Efficiency by block")
    assert why in section(text, "## What the trace lacks")
    assert section(text, "## Operators with the most matrix FLOPs (10)") == f"— ({why})"


def test_kernels_have_short_names_that_no_two_share():
    report = build.hybrid()
    name = "void at::native::vectorized_elementwise_kernel<%d, at::native::FillFunctor<int> >(int)"
    kernels = tuple(build.changed(report.kernels[0], name=name % width) for width in (2, 4))
    uncosted = (build.changed(report.uncosted[0], kernel=name % 4),)
    text = markdown(build.changed(report, kernels=kernels, uncosted=uncosted))
    short = "`vectorized_elementwise_kernel<%d> · FillFunctor<int>`"
    assert [row[0] for row in rows(section(text, "## Longest kernels (10)"))[2:]] == [short % 2, short % 4]
    assert rows(section(text, "## Kernels without a known cost"))[2][0] == short % 4


def test_findings():
    text = section(markdown(build.hybrid(), "ru"), "## Выводы")
    assert text == (
        "- **заметно** — `backbone.layers.0.mixer.norm`: один из вызовов (всего 20) занимает 404,2 мс "
        "времени CPU, медианный — 0,8 мс. Обычно это первый вызов (JIT-компиляция, автонастройка): "
        "прогревайте модель перед профилированием. Выигрыш: до 2,50 мс."
    )


def on_github(text):
    """What GitHub's own reader makes of a report."""
    return Rendered(cmarkgfm.github_flavored_markdown_to_html(text))


PLAIN_TAGS = {"h1", "h2", "h3", "p", "ul", "li", "em", "strong", "code", "img"}
TABLE_TAGS = {"table", "thead", "tbody", "tr", "th", "td"}
INVISIBLE = r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\ud800]"


def check_harmless(text, mark, tables):
    """That names show as they are, in code, and that nothing in the report is anything but text.

    GitHub and GitLab make mentions, references, formulas and emoji of what stands outside code only.
    """
    assert not re.search(INVISIBLE, text)
    page = on_github(text)
    assert page.tags == PLAIN_TAGS | TABLE_TAGS
    assert page.addresses == [*SEED_PICTURES, "headroom.png", "roofline.png"]
    assert mark not in page.outside_code
    rules = re.findall(r"^\|[-:|]+\|$", text, re.M)
    assert page.all_tags.count("table") == len(rules) == tables
    return page


@pytest.mark.parametrize("lang", ["en", "ru"])
def test_hostile_names_are_shown_and_not_obeyed(lang):
    page = check_harmless(markdown(build.hostile(), lang), "alert", 12)
    # As written in the trace, with what cannot be seen made visible.
    shown = r"a|b`c\n<script>alert(1)</script>\x1b[31m$x^2$ [bold]\u202e*_ \ud800"
    assert page.text.count(shown) >= 12


def test_hostile_facts_of_a_capture_are_shown_and_not_obeyed():
    check_harmless(markdown(build.hostile_capture()), "alert", 14)


# Each with what of it must not stand outside code.
HOSTILE_NAMES = {
    "||a|b||": "|",
    "```": "`",
    "``a` b``": "`",
    "$e = m$ and $`c`$": "$",
    "$$x$$": "$",
    "@torvalds": "@",
    "#123 GH-1 !1 ~2 %3 &4 owner/repo#5": "GH",
    "GH-12": "GH",
    "da39a3ee5e6b4b0d3255bfef95601890afd80709": "da39",
    "<details open><summary>s</summary>": "details",
    "<!-- comment": "comment",
    "<img src=x onerror=alert(1)>": "onerror",
    ":tada: :+1:": ":tada",
    "http://example.org/a_b ftp://x.yz mailto:a@b.cd": "example",
    "www.example.org": "www",
    "someone@example.org": "@",
    "[^1]: note": "^",
    "[text](http://example.org)": "(http",
    "![p](http://example.org/p.png)": "p.png",
    "- [ ] task": "[ ]",
    "\n\n# heading\n\n===\n\n---\n\n> quote\n\n1. one\n\n    code": "quote",
    "\t\ttabs": "tabs",
    "~~gone~~ **bold** _it_ ***": "~",
    "\u202egnp.exe\u2066": "exe",
    "zero\u200bwidth\u200d\ufeff": "width",
    "\0\ud800\udfff\x9b": "x9b",
    "&lt;&amp;&#0;&copy;": "&",
    "\\|\\`\\": "\\",
    "x" * 5000: "xxxxxxxx",
    "имя модуля 模块": "имя",
}


@pytest.mark.parametrize("build_with", [build.hostile, build.hostile_capture])
@pytest.mark.parametrize(("name", "mark"), HOSTILE_NAMES.items(), ids=lambda text: repr(text[:16]))
def test_no_name_is_anything_but_a_name(name, mark, build_with):
    text = markdown(build_with(name), "ru" if name.isascii() else "en")
    check_harmless(text, mark, 12 if build_with is build.hostile else 14)
    assert max(map(len, text.splitlines())) < 2000
    for table in re.findall(r"(?:^\|.*\n)+", text, re.M):
        assert len({cell_len(line) for line in table.splitlines()}) == 1


def test_headings_are_anchors_of_their_own():
    """Forges make an anchor of a heading's letters and digits: none may be empty or come twice."""
    for lang in ("en", "ru"):
        headings = re.findall(r"^#+ (.*)$", markdown(build.phases(), lang), re.M)
        anchors = [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]
        assert all(re.search(r"\w", anchor) for anchor in anchors)
        assert len(set(anchors)) == len(anchors)
