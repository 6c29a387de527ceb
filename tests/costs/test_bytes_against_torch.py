"""Bytes by formula equal those of the tensors that torch reads and returns, from a real profile on the CPU.

What is expected comes from the tensors themselves: `nbytes` of those read, and of those that torch returned.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tracekit.costs import cost_of

torch = pytest.importorskip("torch")
functional = torch.nn.functional
aten = torch.ops.aten


@dataclass(frozen=True)
class Case:
    op: str
    call: Callable[[], Any]
    read: tuple[Any, ...]
    written: Callable[[Any], Any] = lambda result: result  # of what the call returns


CASES: dict[str, Case] = {}


def case(name: str, call: Callable[[], Any], *read: Any, op: str = "", written: Any = None) -> None:
    """A call of aten::`name` (its first word); tensors `read`, and by default all it returns written."""
    label = name if name not in CASES else f"{name} #{len(CASES)}"
    CASES[label] = Case(f"aten::{op or name.split()[0]}", call, read, written or (lambda result: result))


def number(value: float) -> Any:
    """A Python number beside a tensor, which torch makes a tensor of one double or long of."""
    return torch.tensor(value, dtype=torch.float64 if isinstance(value, float) else torch.int64)


def some(*shape: int, dtype: Any = torch.float32) -> Any:
    values = torch.rand(shape) + 0.25
    return values.to(dtype) if dtype.is_floating_point or dtype.is_complex else (values * 4).to(dtype)


a, b, row, column = some(6, 8), some(6, 8), some(8), some(6, 1)
half, double, brain = (
    some(6, 8, dtype=torch.half),
    some(6, 8, dtype=torch.double),
    some(6, 8, dtype=torch.bfloat16),
)
long, int32, byte = some(6, 8, dtype=torch.long), some(6, 8, dtype=torch.int), some(6, 8, dtype=torch.uint8)
mask = a > b
cplx = some(6, 8, dtype=torch.complex64)
scalar = torch.tensor(3.0)
image = some(2, 4, 9, 8)
image1 = some(2, 4, 9)
image3 = some(2, 4, 6, 6, 6)
labels = torch.tensor([0, 3, 1, 7, 2, 2])
picks = torch.tensor([1, 0, 5, 2, 2])


def elementwise() -> None:
    case("add", lambda: a + b, a, b)
    case("add broadcast", lambda: a + row, a, row)
    case("add both broadcast", lambda: column + row, column, row)
    case("add of types", lambda: half + a, half, a)
    case("add of half types", lambda: half + brain, half, brain)
    case("add of integers", lambda: long + int32, long, int32)
    case("add of bytes", lambda: byte + byte.to(torch.int8), byte, byte.to(torch.int8))
    case("add of integer and half", lambda: long + half, long, half)
    case("add a number", lambda: half + 2.5, half, number(2.5))
    case("add a float to integers", lambda: int32 + 2.5, int32, number(2.5))
    case("add an integer to bools", lambda: mask + 1, mask, number(1))
    case("add a tensor without dimensions", lambda: half + scalar, half, scalar)
    case("add without dimensions", lambda: scalar + 1, scalar, number(1))
    case("add_", lambda: a.clone().add_(row), a, row)
    case("add out", lambda: torch.add(half, half, out=a.clone()), half, half)
    case("sub", lambda: a - b, a, b)
    case("mul", lambda: a * 2.0, a, number(2.0))
    case("mul complex", lambda: cplx * a, cplx, a)
    case("mul_", lambda: half.clone().mul_(scalar), half, scalar)
    case("div", lambda: a / column, a, column)
    case("div integers", lambda: long / int32, long, int32)
    case("div rounding", lambda: torch.div(long, int32 + 1, rounding_mode="floor"), long, int32)
    case("eq", lambda: a == b, a, b)
    case("lt", lambda: half < 1, half)
    case("ge", lambda: a >= row, a, row)
    case("logical_and", lambda: torch.logical_and(a, mask), a, mask)
    case("logical_not", lambda: torch.logical_not(a), a)
    case("bitwise_and", lambda: mask & mask, mask, mask)
    case("bitwise_not", lambda: ~mask, mask)
    case("isnan", lambda: torch.isnan(a), a)
    case("maximum", lambda: torch.maximum(a, row), a, row)
    case("pow", lambda: a.pow(2), a)
    case("pow of integers", lambda: long.pow(2), long)
    case("pow by tensor", lambda: torch.pow(a, b), a, b)
    case("exp", lambda: a.exp(), a)
    case("exp of integers", lambda: long.exp(), long)
    for name in (
        "log",
        "sqrt",
        "rsqrt",
        "sin",
        "cos",
        "tanh",
        "sigmoid",
        "erf",
        "reciprocal",
        "log1p",
        "expm1",
    ):
        case(name, lambda name=name: getattr(half.float(), name)(), a)
    case("neg", lambda: -half, half)
    case("abs", lambda: a.abs(), a)
    case("abs of complex", lambda: cplx.abs(), cplx)
    case("sign", lambda: a.sign(), a)
    case("floor", lambda: a.floor(), a)
    case("rsqrt_", lambda: a.clone().rsqrt_(), a)
    case("silu", lambda: functional.silu(half.float()), a)
    case("gelu", lambda: functional.gelu(brain), brain)
    case("relu", lambda: functional.relu(brain), brain)
    case("relu_", lambda: functional.relu_(a.clone()), a)
    case("leaky_relu", lambda: functional.leaky_relu(a), a)
    case("hardswish", lambda: functional.hardswish(a), a)
    case("hardtanh", lambda: functional.hardtanh(a), a)
    case("softplus", lambda: functional.softplus(a), a)
    case("elu", lambda: functional.elu(a), a)
    case("mish", lambda: functional.mish(a), a)
    case("threshold", lambda: functional.threshold(a, 0.1, 2.0), a)
    case("glu", lambda: functional.glu(a), a)
    case("clamp", lambda: a.clamp(0, 1), a)
    case("clamp by tensors", lambda: torch.clamp(a, row, column), a, row, column)
    case("clamp_min", lambda: a.clamp_min(0.5), a)
    case("where", lambda: torch.where(mask, half, a), mask, half, a)
    case("where a number", lambda: torch.where(mask, half, 2.0), mask, half)
    case("addcmul", lambda: torch.addcmul(a, b, row), a, b, row)
    case("addcdiv_", lambda: a.clone().addcdiv_(a, b), a, a, b)
    case("lerp", lambda: torch.lerp(a, b, 0.3), a, b)
    case("lerp by tensor", lambda: torch.lerp(a, b, column), a, b, column)
    case("masked_fill", lambda: half.masked_fill(mask, 1.0), half, mask)
    case("masked_fill_", lambda: half.clone().masked_fill_(mask, 1.0), half, mask)
    case("nan_to_num", lambda: a.nan_to_num(), a)
    case("tril", lambda: a.tril(), a)
    case("atan2", lambda: torch.atan2(a, b), a, b)
    case("linalg_cross", lambda: torch.linalg.cross(a[:, :3], b[:, :3]), a[:, :3], b[:, :3])
    case("remainder", lambda: a % b, a, b)
    for name in ("sigmoid_backward", "tanh_backward", "silu_backward", "gelu_backward", "mish_backward"):
        case(name, lambda name=name: getattr(aten, name)(a, b), a, b)
    case("threshold_backward", lambda: aten.threshold_backward(a, b, 0), a, b)
    case("leaky_relu_backward", lambda: aten.leaky_relu_backward(a, b, 0.1, False), a, b)
    case("hardswish_backward", lambda: aten.hardswish_backward(a, b), a, b)
    case("glu_backward", lambda: aten.glu_backward(some(6, 4), a, 1), some(6, 4), a)
    case("fake_quantize_per_tensor_affine_cachemask",
         lambda: aten.fake_quantize_per_tensor_affine_cachemask(a, 0.1, 0, 0, 255), a)  # fmt: skip


def generation() -> None:
    for name in ("zero_", "normal_", "uniform_", "random_", "exponential_"):
        case(name, lambda name=name: getattr(a.clone(), name)())
    case("fill_", lambda: half.clone().fill_(1))
    case("bernoulli_", lambda: a.clone().bernoulli_(0.5))
    case("bernoulli_ by tensor", lambda: a.clone().bernoulli_(row / 2), row)
    case("native_dropout", lambda: torch.native_dropout(a, 0.5, True), a)
    case("native_dropout_backward", lambda: aten.native_dropout_backward(a, mask, 2.0), a, mask)
    case("arange", lambda: torch.arange(11))
    case("arange of floats", lambda: torch.arange(1.0, 3.0, 0.25))
    case("linspace", lambda: torch.linspace(0, 1, 13))
    case("randperm", lambda: torch.randperm(17))
    case("eye", lambda: torch.eye(5, 3))
    case("tril_indices", lambda: torch.tril_indices(5, 4, 1))
    case("triu_indices", lambda: torch.triu_indices(5, 4, -1))
    case("multinomial", lambda: torch.multinomial(a, 3), a)


def reductions() -> None:
    case("sum", lambda: a.sum(), a)
    case("sum of integers", lambda: int32.sum(1), int32)
    case("sum of bools", lambda: mask.sum(), mask)
    case("sum along", lambda: image.sum((0, 2), keepdim=True), image)
    case("sum to double", lambda: a.sum(-1, dtype=torch.double), a)
    case("mean", lambda: a.mean(0), a)
    case("mean of all", lambda: half.mean(), half)
    case("prod", lambda: a.prod(1), a)
    case("amax", lambda: a.amax((0, 1)), a)
    case("max", lambda: half.max(), half)
    case("max along", lambda: half.max(1), half)
    case("max of two", lambda: torch.max(a, row), a, row)
    case("min along", lambda: long.min(0), long)
    case("aminmax", lambda: torch.aminmax(a, dim=1), a)
    case("argmax", lambda: half.argmax(1), half)
    case("argmin", lambda: half.argmin(), half)
    case("any", lambda: mask.any(1), mask)
    case("all", lambda: mask.all(), mask)
    case("all of bytes", lambda: byte.all(), byte)
    case("linalg_vector_norm", lambda: torch.linalg.vector_norm(a, dim=1), a)
    case("linalg_vector_norm to double", lambda: torch.linalg.vector_norm(a, dtype=torch.double), a)
    case("var", lambda: a.var(1), a)
    case("std", lambda: a.std(), a)
    case("var_mean", lambda: torch.var_mean(a, 1), a)
    case("cumsum", lambda: int32.cumsum(1), int32)
    case("cumsum of floats", lambda: half.cumsum(1), half)
    case("cumprod", lambda: a.cumprod(0), a)
    case("logcumsumexp", lambda: a.logcumsumexp(1), a)
    case("_cummax_helper", lambda: torch.cummax(a, 1), a)
    case("sort", lambda: half.sort(1), half)
    case("sort stable", lambda: a.sort(dim=0, stable=True), a)
    case("topk", lambda: half.topk(3), half)
    case("kthvalue", lambda: a.kthvalue(2, 1), a)
    case("mode", lambda: a.mode(1), a)
    case("count_nonzero", lambda: a.count_nonzero(1), a)
    case("searchsorted", lambda: torch.searchsorted(row.sort().values, a), row, a)
    case("bucketize", lambda: torch.bucketize(a, row.sort().values, out_int32=True), row, a)
    case("_softmax", lambda: half.softmax(1), half)
    case("_softmax to float", lambda: torch._softmax(a, 1, False), a)
    case("_log_softmax", lambda: a.log_softmax(1), a)
    case("_softmax_backward_data", lambda: aten._softmax_backward_data(a, b, 1, torch.float), a, b)
    case("_log_softmax_backward_data", lambda: aten._log_softmax_backward_data(a, b, 1, torch.float), a, b)
    case("dot", lambda: torch.dot(row, row), row, row)
    case("trace", lambda: a.trace(), a.diagonal())
    case("equal", lambda: torch.equal(a, b), a, b, written=lambda result: ())
    case("_local_scalar_dense", lambda: scalar.item(), scalar, written=lambda result: ())


def losses() -> None:
    case("mse_loss", lambda: functional.mse_loss(a, b), a, b)
    case("mse_loss unreduced", lambda: functional.mse_loss(a, b, reduction="none"), a, b)
    case("mse_loss_backward", lambda: aten.mse_loss_backward(scalar, a, b, 1), scalar, a, b)
    case("smooth_l1_loss", lambda: functional.smooth_l1_loss(a, b), a, b)
    case("huber_loss", lambda: functional.huber_loss(a, b, reduction="sum"), a, b)
    p, q = a / 2, b.round().clamp(0, 1)
    case("binary_cross_entropy", lambda: functional.binary_cross_entropy(p, q), p, q)
    case("binary_cross_entropy weighted",
         lambda: functional.binary_cross_entropy(p, q, weight=a, reduction="none"), p, q, a)  # fmt: skip
    case(
        "binary_cross_entropy_backward",
        lambda: aten.binary_cross_entropy_backward(scalar, p, q),
        scalar,
        p,
        q,
    )
    case("nll_loss_forward", lambda: aten.nll_loss_forward(a, labels, None, 1, -100), a[:, 0], labels)
    case(
        "nll_loss_forward unreduced", lambda: aten.nll_loss_forward(a, labels, None, 0, -100), a[:, 0], labels
    )
    case("nll_loss_forward weighted",
         lambda: aten.nll_loss_forward(a, labels, row, 1, -100), a[:, 0], labels, row[labels])  # fmt: skip
    case("nll_loss_backward",
         lambda: aten.nll_loss_backward(scalar, a, labels, None, 1, -100, scalar), scalar, labels, scalar,
    )  # fmt: skip
    spots = torch.zeros(2, 9, 8, dtype=torch.long)
    case(
        "nll_loss2d_forward", lambda: aten.nll_loss2d_forward(image, spots, None, 1, -100), image[:, 0], spots
    )


def normalizations() -> None:
    weight, bias = some(4), some(4)
    case("native_layer_norm", lambda: aten.native_layer_norm(a, [8], row, row, 1e-5), a, row, row)
    case("native_layer_norm plain", lambda: aten.native_layer_norm(image, [9, 8], None, None, 1e-5), image)
    _, mean, rstd = aten.native_layer_norm(a, [8], row, row, 1e-5)
    for flags in ([True, True, True], [True, False, False], [True, True, False]):
        case(f"native_layer_norm_backward {flags}",
             lambda flags=flags: aten.native_layer_norm_backward(a, b, [8], mean, rstd, row, row, flags),
             a, b, mean, rstd, row)  # fmt: skip
    group = aten.native_group_norm(image, weight, bias, 2, 4, 72, 2, 1e-5)
    case("native_group_norm", lambda: aten.native_group_norm(image, weight, bias, 2, 4, 72, 2, 1e-5),
         image, weight, bias)  # fmt: skip
    case("native_group_norm_backward",
         lambda: aten.native_group_norm_backward(
             image, image, group[1], group[2], weight, 2, 4, 72, 2, [True] * 3),
         image, image, group[1], group[2], weight)  # fmt: skip
    running = some(4), some(4)
    case("native_batch_norm",
         lambda: aten.native_batch_norm(image, weight, bias, *running, True, 0.1, 1e-5),
         image, weight, bias, *running, written=lambda result: (*result, *running))  # fmt: skip
    case("native_batch_norm without running statistics",
         lambda: aten.native_batch_norm(image, None, None, None, None, True, 0.1, 1e-5), image)  # fmt: skip
    case("native_batch_norm inference",
         lambda: aten.native_batch_norm(image, weight, bias, *running, False, 0.1, 1e-5),
         image, weight, bias, *running)  # fmt: skip
    case("_native_batch_norm_legit_no_training",
         lambda: aten._native_batch_norm_legit_no_training(image, weight, bias, *running, 0.1, 1e-5),
         image, weight, bias, *running)  # fmt: skip
    case("_native_batch_norm_legit",
         lambda: aten._native_batch_norm_legit(image, weight, bias, True, 0.1, 1e-5), image, weight, bias,
    )  # fmt: skip
    case("native_batch_norm_backward",
         lambda: aten.native_batch_norm_backward(
             image, image, weight, *running, *running, True, 1e-5, [True] * 3),
         image, image, weight, *running)  # fmt: skip
    case("_weight_norm_interface", lambda: aten._weight_norm_interface(a, column), a, column)
    case("_weight_norm_interface_backward",
         lambda: aten._weight_norm_interface_backward(a, b, column, column, 0), a, b, column, column,
    )  # fmt: skip
    case("renorm", lambda: torch.renorm(a, 2, 0, 1.0), a)


def pooling() -> None:
    pooled = functional.max_pool2d(image, 3, 2, 1, return_indices=True)
    case("max_pool2d_with_indices",
         lambda: functional.max_pool2d(image, 3, 2, 1, return_indices=True), image)  # fmt: skip
    case("max_pool2d_with_indices rounding up",
         lambda: functional.max_pool2d(image, 2, 2, 1, ceil_mode=True, return_indices=True), image,
    )  # fmt: skip
    case("max_pool2d_with_indices dilated",
         lambda: functional.max_pool2d(image, (3, 2), 1, 0, 2, return_indices=True), image)  # fmt: skip
    case("max_pool2d_with_indices_backward",
         lambda: aten.max_pool2d_with_indices_backward(
             pooled[0], image, [3, 3], [2, 2], [1, 1], [1, 1], False, pooled[1]), *pooled)  # fmt: skip
    case("max_pool3d_with_indices", lambda: functional.max_pool3d(image3, 2, return_indices=True), image3)
    case("avg_pool2d", lambda: functional.avg_pool2d(image, 3, 2, 1, ceil_mode=True), image)
    case("avg_pool2d_backward", lambda: aten.avg_pool2d_backward(pooled[0], image, [3, 3], [2, 2], [1, 1],
         False, True, None), pooled[0])  # fmt: skip
    case("_adaptive_avg_pool2d", lambda: functional.adaptive_avg_pool2d(image, (3, 2)), image)
    case("adaptive_max_pool2d", lambda: aten.adaptive_max_pool2d(image, [3, 2]), image)
    case("upsample_nearest2d", lambda: functional.interpolate(image, scale_factor=2), image)
    case("upsample_bilinear2d", lambda: functional.interpolate(image, size=(5, 20), mode="bilinear"), image)
    case("upsample_linear1d", lambda: functional.interpolate(image1, size=5, mode="linear"), image1)
    case("upsample_bicubic2d", lambda: functional.interpolate(image, size=(5, 20), mode="bicubic"), image)
    case("upsample_bilinear2d_backward",
         lambda: aten.upsample_bilinear2d_backward(some(2, 4, 5, 20), [5, 20], [2, 4, 9, 8], False),
         some(2, 4, 5, 20))  # fmt: skip
    grid = some(2, 5, 6, 2)
    case("grid_sampler_2d", lambda: aten.grid_sampler_2d(image, grid, 0, 0, False), image, grid)


def movement() -> None:
    case("copy_", lambda: torch.empty(6, 8).copy_(half), half)
    case("copy_ casting", lambda: a.to(torch.bfloat16), a)
    case("copy_ broadcasting", lambda: torch.empty(6, 8).copy_(row), row)
    case("clone", lambda: half.clone(), half)
    case("_to_copy", lambda: half.to(torch.double), half)
    case("flip", lambda: a.flip(0), a)
    case("roll", lambda: a.roll(2, 1), a)
    case("repeat", lambda: a.repeat(2, 3), a)
    case("repeat_interleave", lambda: torch.repeat_interleave(labels, output_size=15), labels)
    case("reflection_pad2d", lambda: functional.pad(image, (1, 2, 3, 0), mode="reflect"), image)
    case("replication_pad1d", lambda: functional.pad(image1, (1, 2), mode="replicate"), image1)
    case("constant_pad_nd", lambda: functional.pad(image, (1, -2, 0, 3)), image)
    case("reflection_pad1d_backward",
         lambda: aten.reflection_pad1d_backward(some(2, 4, 12), image1, [1, 2]), some(2, 4, 12))  # fmt: skip
    case("im2col", lambda: functional.unfold(image, (3, 2), padding=1, stride=2), image)
    case("col2im", lambda: functional.fold(some(2, 24, 49), (9, 8), (3, 2)), some(2, 24, 49))
    case("unfold_backward", lambda: aten.unfold_backward(some(6, 3, 4), [6, 8], 1, 4, 2), some(6, 3, 4))
    case("_fft_r2c", lambda: torch.fft.rfft2(a), a)
    case("_fft_c2r", lambda: torch.fft.irfft(cplx, n=14), cplx)
    case("_fft_c2c", lambda: torch.fft.fft(cplx), cplx)
    case("pixel_shuffle", lambda: functional.pixel_shuffle(image, 2), image)


def indexing() -> None:
    case("index_select", lambda: a.index_select(0, picks), a[picks], picks)
    case("index_select by column", lambda: half.index_select(1, picks), half[:, picks], picks)
    case("embedding", lambda: functional.embedding(picks, a), a[picks], picks)
    case(
        "embedding_dense_backward", lambda: aten.embedding_dense_backward(a, labels, 11, -1, False), a, labels
    )
    where = torch.zeros(3, 2, dtype=torch.long)
    case("gather", lambda: half.gather(1, where), half[:3, :2], where)
    case("take", lambda: half.take(where), half[:3, :2], where)
    case("scatter", lambda: a.scatter(1, where, b), a, where, b[:3, :2])
    case("scatter a number", lambda: a.scatter(1, where, 1.0), a, where)
    case("scatter_", lambda: a.clone().scatter_(1, where, b), where, b[:3, :2], written=lambda _: a[:3, :2])
    case("scatter_add_", lambda: a.clone().scatter_add_(1, where, b), where, b[:3, :2], a[:3, :2],
         written=lambda _: a[:3, :2])  # fmt: skip
    rows = some(5, 8)
    case(
        "index_add_", lambda: a.clone().index_add_(0, picks, rows), picks, rows, rows, written=lambda _: rows
    )
    case("index_add", lambda: a.index_add(0, picks, rows), a, picks, rows)
    case("index_copy_", lambda: a.clone().index_copy_(0, picks, rows), picks, rows, written=lambda _: rows)
    case("index_fill_", lambda: a.clone().index_fill_(0, picks, 1.0), picks, written=lambda _: rows)
    case("masked_scatter_", lambda: a.clone().masked_scatter_(mask, b), a, mask)
    # Indices are not recorded: the values, read and written.
    case("_index_put_impl_", lambda: a.clone().index_put_((picks,), rows), rows, written=lambda _: rows)
    case("_index_put_impl_ accumulating", lambda: a.clone().index_put_((picks,), rows, accumulate=True),
         rows, rows, written=lambda _: rows)  # fmt: skip


def recurrent() -> None:
    matrix = some(6, 8)
    case("mv", lambda: torch.mv(matrix, row), matrix, row)
    case("addmv", lambda: torch.addmv(some(6), matrix, row), some(6), matrix, row)
    case("addr", lambda: torch.addr(matrix, some(6), row), matrix, some(6), row)


for family in (
    elementwise, generation, reductions, losses, normalizations, pooling, movement, indexing, recurrent
):  # fmt: skip
    family()


def tensors(found: Any) -> Iterator[Any]:
    if isinstance(found, torch.Tensor):
        yield found
    elif isinstance(found, tuple | list):
        for each in found:
            yield from tensors(each)


@pytest.fixture(scope="module")
def profiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """What each case returned, and its ops as the trace has them."""
    returned = {}
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], record_shapes=True
    ) as profiler:
        for name, each in CASES.items():
            with torch.profiler.record_function(f"case {name}"):
                returned[name] = each.call()
    path: Path = tmp_path_factory.mktemp("trace") / "t.json"
    profiler.export_chrome_trace(str(path))
    events = [event for event in json.loads(path.read_text())["traceEvents"] if event.get("ph") == "X"]
    ops = [event for event in events if event.get("cat") == "cpu_op"]
    spans = [event for event in events if event["name"].startswith("case ")]
    found = {
        span["name"].removeprefix("case "): [
            op for op in ops if span["ts"] <= op["ts"] and op["ts"] + op["dur"] <= span["ts"] + span["dur"]
        ]
        for span in spans
    }
    return returned, found


@pytest.mark.parametrize("name", CASES)
def test_bytes_are_those_of_the_tensors(
    name: str, profiled: tuple[dict[str, Any], dict[str, list[Any]]]
) -> None:
    each = CASES[name]
    returned, ops = profiled
    costs = [
        cost_of(
            op["name"],
            *(
                json.dumps(op["args"].get(key, [])).encode()
                for key in ("Input Dims", "Input type", "Concrete Inputs")
            ),
        )
        for op in sorted(ops[name], key=lambda op: (op["ts"], -op["dur"]))
        if op["name"] == each.op
    ]
    known = [cost for cost in costs if cost is not None]
    assert known, f"no cost of {each.op} among {[op['name'] for op in ops[name]]}"
    read = sum(tensor.nbytes for tensor in tensors(each.read))
    written = sum(tensor.nbytes for tensor in tensors(each.written(returned[name])))
    assert known[0].bytes == read + written
