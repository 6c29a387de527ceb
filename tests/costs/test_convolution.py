"""Convolutions against arithmetic on paper: FLOPs, bytes and vector FLOPs of every form."""

from __future__ import annotations

from typing import Any

import pytest

from tests.costs.calls import FP32, cost, known, tensor

# 2 images of 3 × 8 × 8, 6 filters of 3 × 3 × 3, stride 2, padding 1: 4 × 4 outputs of 6 channels, each of 27
# products.
X, W, OUT = 2 * 3 * 8 * 8, 6 * 27, 2 * 6 * 4 * 4
FLOPS = 2 * OUT * 27
IMAGE, FILTERS, BIAS = tensor(2, 3, 8, 8), tensor(6, 3, 3, 3), tensor(6)
STRIDE, PADDING, DILATION = [2, 2], [1, 1], [1, 1]

# 2 images of 6 × 4 × 4 spread by 6 filters of 3 × 2 × 2, stride 2: 8 × 8 outputs of 3 channels. Each of 192
# inputs makes 12 products.
SMALL, SPREAD = tensor(2, 6, 4, 4), tensor(6, 3, 2, 2)
SPREAD_OUT, SPREAD_FLOPS = 2 * 3 * 8 * 8, 2 * 192 * 12

CASES: dict[str, tuple[str, list[Any], int, int, int]] = {
    # name: op, arguments, matrix FLOPs, bytes, vector FLOPs
    "with a bias": (
        "aten::convolution",
        [IMAGE, FILTERS, BIAS, STRIDE, PADDING, DILATION, False, [0, 0], 1],
        FLOPS,
        2 * (X + W + 6 + OUT),
        OUT,
    ),
    "cuDNN, without": (
        "aten::cudnn_convolution",
        [IMAGE, FILTERS, PADDING, STRIDE, DILATION, 1, False, False, True],
        FLOPS,
        2 * (X + W + OUT),
        0,
    ),
    "cuDNN with bias and ReLU": (
        "aten::cudnn_convolution_relu",
        [IMAGE, FILTERS, BIAS, STRIDE, PADDING, DILATION, 1],
        FLOPS,
        2 * (X + W + 6 + OUT),
        2 * OUT,
    ),
    "cuDNN with a residual, bias and ReLU": (
        "aten::cudnn_convolution_add_relu",
        [IMAGE, FILTERS, tensor(2, 6, 4, 4), 1.0, BIAS, STRIDE, PADDING, DILATION, 1],
        FLOPS,
        2 * (X + W + 6 + OUT + OUT),
        3 * OUT,
    ),
    "MIOpen": (
        "aten::miopen_convolution",
        [IMAGE, FILTERS, None, PADDING, STRIDE, DILATION, 1, False, False],
        FLOPS,
        2 * (X + W + OUT),
        0,
    ),
    "oneDNN": (
        "aten::mkldnn_convolution",
        [IMAGE, FILTERS, BIAS, PADDING, STRIDE, DILATION, 1],
        FLOPS,
        2 * (X + W + 6 + OUT),
        OUT,
    ),
    "oneDNN pointwise": (
        "mkldnn::_convolution_pointwise",
        [IMAGE, FILTERS, None, PADDING, STRIDE, DILATION, 1, "none", None, ""],
        FLOPS,
        2 * (X + W + OUT),
        0,
    ),
    "oneDNN pointwise with another tensor": (
        "mkldnn::_convolution_pointwise",
        [IMAGE, tensor(2, 6, 4, 4), FILTERS, BIAS, PADDING, STRIDE, DILATION, 1, "add"],
        FLOPS,
        2 * (X + OUT + W + 6 + OUT),
        2 * OUT,
    ),
    "slow": (
        "aten::_slow_conv2d_forward",
        [IMAGE, FILTERS, [3, 3], BIAS, STRIDE, PADDING],
        FLOPS,
        2 * (X + W + 6 + OUT),
        OUT,
    ),
    # a filter of 3 × 3 for each of 3 channels: outputs of 3 channels, 9 products each
    "depthwise": (
        "aten::_conv_depthwise2d",
        [IMAGE, tensor(3, 1, 3, 3), [3, 3], None, STRIDE, PADDING, DILATION],
        2 * (OUT // 2) * 9,
        2 * (X + 27 + OUT // 2),
        0,
    ),
    "depthwise by MIOpen": (
        "aten::miopen_depthwise_convolution",
        [IMAGE, tensor(3, 1, 3, 3), tensor(3), PADDING, STRIDE, DILATION, 3, False, False],
        2 * (OUT // 2) * 9,
        2 * (X + 27 + 3 + OUT // 2),
        OUT // 2,
    ),
    "transposed": (
        "aten::convolution",
        [SMALL, SPREAD, None, [2, 2], [0, 0], [1, 1], True, [0, 0], 1],
        SPREAD_FLOPS,
        2 * (192 + 72 + SPREAD_OUT),
        0,
    ),
    "transposed by its own op": (
        "aten::conv_transpose2d",
        [SMALL, SPREAD, tensor(3), [2, 2], [0, 0], [0, 0], 1, [1, 1]],
        SPREAD_FLOPS,
        2 * (192 + 72 + 3 + SPREAD_OUT),
        SPREAD_OUT,
    ),
    "transposed by cuDNN": (
        "aten::cudnn_convolution_transpose",
        [SMALL, SPREAD, [0, 0], [0, 0], [2, 2], [1, 1], 1, False, False, True],
        SPREAD_FLOPS,
        2 * (192 + 72 + SPREAD_OUT),
        0,
    ),
    "transposed by MIOpen": (
        "aten::miopen_convolution_transpose",
        [SMALL, SPREAD, None, [0, 0], [0, 0], [2, 2], [1, 1], 1, False, False],
        SPREAD_FLOPS,
        2 * (192 + 72 + SPREAD_OUT),
        0,
    ),
    "transposed slowly": (
        "aten::slow_conv_transpose2d",
        [SMALL, SPREAD, [2, 2], None, [2, 2], [0, 0], [0, 0], [1, 1]],
        SPREAD_FLOPS,
        2 * (192 + 72 + SPREAD_OUT),
        0,
    ),
    # 1 × 2 × 4³, 4 filters of 2 × 3³: 2³ positions
    "three axes": (
        "aten::conv3d",
        [tensor(1, 2, 4, 4, 4), tensor(4, 2, 3, 3, 3), None, [1, 1, 1], [0, 0, 0], [1, 1, 1], 1],
        2 * 32 * 54,
        2 * (128 + 216 + 32),
        0,
    ),
    "one axis, dilated by 2, without a batch": (
        "aten::conv1d",
        [tensor(4, 20, dtype=FP32), tensor(8, 4, 3, dtype=FP32), None, [1], [0], [2], 1],
        2 * 8 * 16 * 12,
        4 * (80 + 96 + 8 * 16),
        0,
    ),
    # 10 steps, window 3, padding 1: 10 steps again
    "time first": (
        "aten::conv_tbc",
        [tensor(10, 2, 4), tensor(3, 4, 5), tensor(5), 1],
        2 * (10 * 2 * 5) * 12,
        2 * (80 + 60 + 5 + 100),
        100,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_cost(name: str) -> None:
    op, arguments, matrix, size, vector = CASES[name]
    found = known(op, *arguments)
    assert (found.matrix, found.bytes, found.vector) == (matrix, size, vector)


GRADIENT = tensor(2, 6, 4, 4)


@pytest.mark.parametrize(
    ("wanted", "products", "moved", "vector"),
    [
        # reads the gradient and the filters, writes a gradient of the images
        ([True, False, False], 1, OUT + W + X, 0),
        # reads the gradient and the images, writes a gradient of the filters
        ([False, True, False], 1, OUT + X + W, 0),
        ([True, True, False], 2, OUT + (W + X) + (X + W), 0),
        ([True, True, True], 2, OUT + (W + X) + (X + W) + 6, OUT),
        ([False, False, True], 0, OUT + 6, OUT),
    ],
)
def test_backward(wanted: list[bool], products: int, moved: int, vector: int) -> None:
    rest = [[6], STRIDE, PADDING, DILATION, False, [0, 0], 1, wanted]
    found = known("aten::convolution_backward", GRADIENT, IMAGE, FILTERS, *rest)
    assert (found.matrix, found.bytes, found.vector) == (products * FLOPS, 2 * moved, vector)
    overrideable = known("aten::convolution_backward_overrideable", GRADIENT, IMAGE, FILTERS, *rest[1:])
    assert overrideable == found


def test_padding_by_name_has_no_cost() -> None:
    """It is text, which a trace does not hold; the convolution within tells it in numbers."""
    assert cost("aten::conv2d", IMAGE, FILTERS, None, STRIDE, "same", DILATION, 1) is None
