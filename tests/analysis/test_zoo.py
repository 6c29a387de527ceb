"""Tiny models of all kinds of architectures, captured, analysed, and held against torch's own counter.

What `torch.utils.flop_counter` does not count is counted by the formulas in `BEYOND_THE_COUNTER`, written
down here from the operator's definition; `flop_counter` still says within which modules it ran.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="models are run by torch")
transformers = pytest.importorskip("transformers", reason="models are built by transformers")

from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from tests.analysis.zoo import BATCH, BLOCKS, EXPERTS, GLUE, GROUPED, LENGTH  # noqa: E402
from tests.capture.tiny import MODELS  # noqa: E402
from tracekit.analysis import Report, analyze  # noqa: E402
from tracekit.attribution import NOBODY, Block, Module, attribute, find_blocks  # noqa: E402
from tracekit.attribution.modules import Table  # noqa: E402
from tracekit.capture.build import build_workload  # noqa: E402
from tracekit.capture.modes import scenario  # noqa: E402
from tracekit.capture.record import Plan, capture_scenario  # noqa: E402
from tracekit.report.i18n import Locale  # noqa: E402
from tracekit.report.markdown import render_markdown  # noqa: E402
from tracekit.trace import read  # noqa: E402


def grouped_mm_flops(rows: Sequence[int], matrices: Sequence[int], *_: Any, **__: Any) -> int:
    """[rows, k] × [groups, k, n]: each row meets the one matrix of its group."""
    (count, k), (_, k_of_matrix, n) = rows, matrices
    assert k == k_of_matrix
    return 2 * count * k * n


def attention_core_flops(q: Sequence[int], k: Sequence[int], v: Sequence[int], *_: Any, **__: Any) -> int:
    """Q Kᵀ and A V of [batch, heads, length, width], for every query head and without a causal discount."""
    batch, heads, queries, width = q
    return 2 * batch * heads * queries * k[2] * width + 2 * batch * heads * queries * k[2] * v[3]


# Operator → (formula, why `flop_counter` lacks it).
BEYOND_THE_COUNTER = {
    torch.ops.aten._grouped_mm: (
        grouped_mm_flops,
        "experts as grouped GEMMs: the registry of the counter has no formula for them",
    ),
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: (
        attention_core_flops,
        "what `sdpa` runs on a CPU: the registry has the attention kernels of CUDA only",
    ),
}


@dataclass(frozen=True)
class Captured:
    name: str
    report: Report
    modules: Sequence[Module]
    table: Table
    blocks: Sequence[Block]
    flops: dict[str, int]  # by the module's first path, as torch counts them
    called: Counter[str]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as fast as several for what is so small, and others run beside it
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", params=BLOCKS)
def captured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Captured:
    name: str = request.param
    folder = tmp_path_factory.mktemp(name)
    config, path = folder / f"{name}.json", folder / f"{name}.json.gz"
    config.write_text(json.dumps(MODELS[name]))
    work = build_workload(
        str(config),
        is_config_file=True,
        random_weights=True,
        name=None,
        batch_size=BATCH,
        sequence_length=LENGTH,
        dtype=None,
        device=torch.device("cpu"),
    )
    model = work.model.requires_grad_(False)  # the counter cannot follow gradients through views of weights
    capture_scenario(scenario(work, "forward"), path, Plan(warmup=0, rounds=1, count_flops=False), options={})
    called: Counter[str] = Counter()
    hooks = [
        module.register_forward_hook(lambda *_, at=at: called.update([at]))
        for at, module in model.named_modules()
    ]
    formulas = {op: formula for op, (formula, _) in BEYOND_THE_COUNTER.items()}
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=formulas) as counter:
        work.run()
    for hook in hooks:
        hook.remove()
    trace = read(path)
    tree = attribute(trace).tree
    return Captured(
        name,
        analyze(path),
        tree.modules,
        tree.table,
        find_blocks(tree.modules, numbered=True),
        _by_first_path(model, counter),
        called,
    )


def _by_first_path(model: Any, counter: FlopCounterMode) -> dict[str, int]:
    """The counts by the path that `named_modules` gives a module; the counter may know it by another."""
    first = {module: path for path, module in model.named_modules()}
    paths = {path: first[module] for path, module in model.named_modules(remove_duplicate=False)}
    root = type(model).__name__
    flops: dict[str, int] = defaultdict(int)
    for name, ops in counter.get_flop_counts().items():
        if name == root or name.startswith(f"{root}."):
            flops[paths[name[len(root) + 1 :]]] += sum(ops.values())
    return dict(flops)


def test_the_zoo_is_large() -> None:
    assert BLOCKS.keys() == MODELS.keys()
    assert len(BLOCKS) >= 40


def test_modules_are_those_that_were_called(captured: Captured) -> None:
    assert {row.path: row.calls for row in captured.report.modules} == captured.called
    assert all(row.type for row in captured.report.modules)
    assert [row.path for row in captured.report.modules if row.parent is None] == [""]


def test_flops_of_every_module_are_those_that_torch_counts(captured: Captured) -> None:
    ours = {row.path: row.matrix_flops for row in captured.report.modules}
    assert ours == {path: captured.flops.get(path, 0) for path in ours}
    assert captured.flops.keys() <= ours.keys()
    assert sum(flops > 0 for flops in captured.flops.values()) >= 10
    assert captured.report.flops.matrix == captured.report.flops.matrix_per_pass == captured.flops[""]


def test_experts_on_paper(captured: Captured) -> None:
    ops = {row.name for row in captured.report.ops}
    assert ("aten::_grouped_mm" in ops) == (captured.name in GROUPED)
    if captured.name in EXPERTS:
        path, flops = EXPERTS[captured.name]
        assert {row.path: row.matrix_flops for row in captured.report.modules}[path] == flops


def test_blocks_are_of_the_kinds_that_the_configuration_says(captured: Captured) -> None:
    found: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for block in captured.blocks:
        assert block.index == len(found[block.stack])
        found[block.stack].append((block.kind, list(block.parts.values()).count("norm")))
    assert found == BLOCKS[captured.name]
    rows = captured.report.blocks
    assert [(row.stack, row.kind) for row in rows] == [(one.stack, one.kind) for one in captured.blocks]


def test_frames_tell_the_same_kinds(captured: Captured) -> None:
    """A trace without capture's scopes: `nn.Module: Type_n` frames, which know no attribute names."""
    counts: Counter[str | None] = Counter()
    frames: list[Module] = []
    for module in captured.modules:
        name = f"{module.type}_{counts[module.type]}"
        counts[module.type] += 1
        path = name if module.parent == NOBODY else f"{frames[module.parent].path}.{name}"
        frames.append(Module(path, name, module.type, module.parent))
    kinds = Counter(block.kind for block in find_blocks(frames, numbered=False))
    assert kinds == Counter(kind for stack in BLOCKS[captured.name].values() for kind, _ in stack)


def test_the_module_table_tells_the_same_kinds(captured: Captured) -> None:
    """A trace with `--scopes blocks`: nothing inside them has a scope."""
    own = {block.module for block in captured.blocks}
    kept = [
        index for index, _ in enumerate(captured.modules) if not own & set(_above(captured.modules, index))
    ]
    modules = [replace(captured.modules[index], parent=NOBODY) for index in kept]
    blocks = find_blocks(modules, numbered=True, table=captured.table)
    assert [(one.stack, one.kind) for one in blocks] == [(one.stack, one.kind) for one in captured.blocks]
    assert not any(block.parts or block.knows_parts for block in blocks)


def _above(modules: Sequence[Module], index: int) -> Iterator[int]:
    while (index := modules[index].parent) != NOBODY:
        yield index


def test_parts_are_within_their_block_and_not_within_each_other(captured: Captured) -> None:
    for block in captured.blocks:
        for part in block.parts:
            above = set(_above(captured.modules, part))
            assert block.module in above
            assert not above & block.parts.keys()


def test_matrix_products_of_a_block_are_all_in_its_parts(captured: Captured) -> None:
    for row in captured.report.blocks:
        flops = (row.matrix_flops, row.attention_flops, row.ffn_flops, row.mixer_flops)
        whole, attention, ffn, mixer = (value or 0 for value in flops)
        assert whole - attention - ffn - mixer == GLUE.get((captured.name, row.index), 0)
        assert (attention > 0) == (row.kind == "transformer" or row.kind.startswith("attention"))
        assert (ffn > 0) == (row.kind == "transformer" or row.kind.endswith(("mlp", "moe")))
        assert (mixer > 0) == bool(re.search("mamba|linear_attention|convolution", row.kind))


def test_sums_add_up(captured: Captured) -> None:
    report = captured.report
    (root,) = (row for row in report.modules if row.parent is None)
    # Every nanosecond of the pass is some type's own; each time is rounded to one of its own.
    assert sum(row.cpu_self_time_us for row in report.types) == pytest.approx(root.cpu_time_us, abs=0.5)
    within: Counter[str] = Counter()
    for row in report.modules:
        if row.parent is not None:
            within[row.parent] += row.matrix_flops or 0
    for row in report.modules:
        assert row.matrix_flops is not None
        assert within[row.path] <= row.matrix_flops
    accounting = report.accounting
    shares = (
        accounting.modules_forward,
        accounting.modules_backward,
        accounting.outside_modules,
        accounting.launched_before_trace,
    )
    assert sum(share.events for share in shares) == accounting.gpu_events == 0
    assert (report.model.batch_size, report.time.passes) == (BATCH, 1)


def test_the_report_says_what_it_does_not_know(captured: Captured) -> None:
    text = render_markdown(captured.report, Locale("en"), pictures=False)
    assert not re.findall(r".*\b(?:None|nan|inf|null)\b.*", text)
    assert all(row.path in text for row in captured.report.blocks)


# What transformers calls the same in every configuration, through the `attribute_map` of each class.
NOT_USED = {
    ("nemotron_h", "num_active_experts"): "its pattern has no layer of experts",
    ("nemotron_h", "num_experts"): "its pattern has no layer of experts",
}
BY_STAGE = ("convnext",)  # sizes that differ by stage, which transformers has no common name for
CARD_FIELDS = {
    "hidden_size": ("hidden_size",),
    "num_attention_heads": ("num_attention_heads",),
    "num_key_value_heads": ("num_key_value_heads",),
    "vocab_size": ("vocab_size",),
    "num_active_experts": ("num_experts_per_tok",),
    "num_experts": ("num_local_experts", "num_experts", "n_routed_experts"),
}


def test_the_card_is_that_of_the_configuration(captured: Captured) -> None:
    values = dict(MODELS[captured.name])
    config = transformers.CONFIG_MAPPING[values.pop("model_type")](**values).get_text_config()
    card = captured.report.model
    attends = any("attention" in row.kind or row.kind == "transformer" for row in captured.report.blocks)
    compared = 0
    for field, names in CARD_FIELDS.items():
        wanted = next(
            (value for name in names if isinstance(value := getattr(config, name, None), int)), None
        )
        if wanted is None or (field.endswith("heads") and not attends) or (captured.name, field) in NOT_USED:
            continue
        assert getattr(card, field) == wanted, field
        compared += 1
    assert compared >= 1 or captured.name in BY_STAGE
    assert card.parameters == sum(
        row.parameters or 0 for row in captured.report.modules if row.parent is None
    )
    assert card.num_blocks == len(captured.report.blocks)
