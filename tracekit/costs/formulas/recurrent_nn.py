"""Recurrent layers and products with a vector.

Matrix FLOPs of a layer: every weight matrix meets every row of [steps · batch] once, 2 FLOPs per element.
`torch.utils.flop_counter` knows no such op; it counts no `mv`, `addmv` or `addr` either, which therefore have
vector FLOPs, by the same arithmetic 2 · m · n.
"""

from __future__ import annotations

from math import prod

from tracekit.costs.formulas.tensors import (
    bytes_of,
    elements,
    flag,
    list_elements,
    moved,
    number,
    shape_of,
    sized,
)
from tracekit.costs.registry import Call, Cost, Shape, UnknownCostError, register, total


def recurrent_flops(rows: int, weights: tuple[Shape, ...]) -> int:
    """2 · rows · elements of all matrices among `weights`; vectors are biases.

    A second layer's rows are those of the first: [steps · batch].
    """
    return 2 * rows * sum(prod(weight) for weight in weights if len(weight) == 2)


def _rows(call: Call) -> int:
    """Steps · batch of [steps, batch, features]; of packed [tokens, features] the tokens."""
    return prod(shape_of(call, 0)[:-1])


@register("aten::_cudnn_rnn", "aten::miopen_rnn")
def cudnn_rnn(call: Call) -> Cost:
    """(input, weights, weight_stride0, weight_buf, hx, cx, mode, hidden_size, proj_size, num_layers, …,
    bidirectional): the weights as a list. MIOpen has neither weight_buf nor proj_size."""
    at = 4 if call.name == "aten::_cudnn_rnn" else 3
    matrix = recurrent_flops(_rows(call), call.shape_list(1))
    states = bytes_of(call, at, at + 1)
    weights = (
        bytes_of(call, 3) if call.name == "aten::_cudnn_rnn" and call.is_tensor(3) else _weights(call, 1)
    )
    # h_n is [directions · layers, batch, hidden]; each direction's part of the output is as wide.
    hidden = shape_of(call, at)
    both = 2 if _is_bidirectional(call) else 1
    written = sized(_rows(call) * hidden[-1] * both, call.dtype(0))
    return Cost(matrix, total(bytes_of(call, 0), weights, states, written, states), call.dtype(0))


def _weights(call: Call, index: int) -> int | None:
    """Bytes of a list of weights, which are of the input's type."""
    return sized(list_elements(call, index), call.dtype(0))


def _is_bidirectional(call: Call) -> bool:
    """cuDNN has it as input 13, MIOpen as input 11."""
    return flag(call, 13 if call.name == "aten::_cudnn_rnn" else 11, False)


@register("aten::_cudnn_rnn_backward", "aten::miopen_rnn_backward")
def cudnn_rnn_backward(call: Call) -> Cost:
    """(input, weights, …): gradients of the input and of the weights, each as many FLOPs as forward."""
    return Cost(2 * recurrent_flops(_rows(call), call.shape_list(1)), None, call.dtype(0))


@register("aten::lstm", "aten::gru", "aten::rnn_tanh", "aten::rnn_relu", wrapper=True)
def recurrent_layer(call: Call) -> Cost:
    """(input, hx, weights, has_biases, …); of packed sequences (data, batch_sizes, hx, weights, …).

    lstm has (h, c) as a list. Its ops count where they are recorded.
    """
    packed = call.is_tensor(1) and call.dtype(1) == "long int" and call.dtype(3) == "TensorList"
    weights = call.shape_list(3 if packed else 2)
    return Cost(recurrent_flops(_rows(call), weights), None, call.dtype(0))


@register("aten::mkldnn_rnn_layer")
def mkldnn_rnn_layer(call: Call) -> Cost:
    """(input [steps, batch, f], w_ih, w_hh, b_ih, b_hh, hx, cx, …) → output, h, c; a workspace uncounted."""
    rows, hidden = _rows(call), shape_of(call, 5)
    matrix = recurrent_flops(rows, (shape_of(call, 1), shape_of(call, 2)))
    read = bytes_of(call, *range(7))
    written = sized(rows * hidden[-1] + 2 * prod(hidden), call.dtype(0))
    return Cost(matrix, total(read, written), call.dtype(0))


@register("aten::mkldnn_rnn_layer_backward")
def mkldnn_rnn_layer_backward(call: Call) -> Cost:
    """(input, w_ih, w_hh, …): gradients of the input and of the weights."""
    return Cost(2 * recurrent_flops(_rows(call), (shape_of(call, 1), shape_of(call, 2))), None, call.dtype(0))


@register("aten::_thnn_fused_lstm_cell")
def lstm_cell(call: Call) -> Cost:
    """(input_gates [b, 4h], hidden_gates [b, 4h], cx [b, h], biases) → hy, cy, gates [b, 4h].

    Per unit: 4 gates, each added (1, with biases 3) and activated, f · c + i · g 3, tanh and times o 2.
    """
    units = elements(call, 2)
    adds = 3 if call.is_tensor(3) else 1
    read = bytes_of(call, *range(5))
    return moved(call, units * (4 * (adds + 1) + 5), read, sized(6 * units, call.dtype(2)))


@register("aten::_thnn_fused_lstm_cell_backward_impl", "aten::_thnn_fused_lstm_cell_backward")
def lstm_cell_backward(call: Call) -> Cost:
    """(grad_hy, grad_cy, cx, cy, gates [b, 4h], has_bias) → gradients of gates and cx.

    Per unit: tanh; of o 2 and 3 for its sigmoid; of c 4; of i, f 1 + 3 each, of g 1 + 3; of cx 1.
    """
    units = elements(call, 2)
    return moved(call, 23 * units, bytes_of(call, *range(5)), sized(5 * units, call.dtype(2)))


@register("aten::_thnn_fused_gru_cell")
def gru_cell(call: Call) -> Cost:
    """(input_gates [b, 3h], hidden_gates [b, 3h], hx [b, h], biases) → hy, workspace [b, 5h].

    Per unit: 3 gates, each added (1, with biases 3) and activated, r · h 1, n + z · (h − n) 3.
    """
    units = elements(call, 2)
    adds = 3 if call.is_tensor(3) else 1
    read = bytes_of(call, *range(5))
    return moved(call, units * (3 * (adds + 1) + 4), read, sized(6 * units, call.dtype(2)))


@register("aten::_thnn_fused_gru_cell_backward")
def gru_cell_backward(call: Call) -> Cost:
    """(grad_hy, workspace [b, 5h], has_bias) → gradients of both kinds of gates [b, 3h], of hx [b, h]: 16."""
    units = elements(call, 0)
    return moved(call, 16 * units, bytes_of(call, 0, 1), sized(7 * units, call.dtype(0)))


@register("aten::mv")
def mv(call: Call) -> Cost:
    """[m, n] @ [n]: 2 · m · n."""
    m, n = call.shape(0, 2)
    if shape_of(call, 1) != (n,):
        raise UnknownCostError
    return moved(call, 2 * m * n, bytes_of(call, 0, 1), sized(m, call.dtype(0)))


@register("aten::addmv", "aten::addmv_")
def addmv(call: Call) -> Cost:
    """(self, [m, n], [n], beta, alpha): 2 · m · n, m for the sum; beta 0 leaves self unread."""
    m, n = call.shape(1, 2)
    adds = number(call, 3, 1) != 0
    read = bytes_of(call, 0, 1, 2) if adds else bytes_of(call, 1, 2)
    return moved(call, 2 * m * n + adds * m, read, sized(m, call.dtype(1)), dtype=call.dtype(1))


@register("aten::ger", "aten::outer", wrapper=True)
def outer(call: Call) -> Cost:
    """[m] ⊗ [n]: m · n multiplications."""
    (m,), (n,) = call.shape(0, 1), call.shape(1, 1)
    return moved(call, m * n, bytes_of(call, 0, 1), sized(m * n, call.dtype(0)))


@register("aten::addr", "aten::addr_")
def addr(call: Call) -> Cost:
    """(self, [m], [n], beta, alpha): multiply, add: 2 · m · n."""
    (m,), (n,) = call.shape(1, 1), call.shape(2, 1)
    return moved(call, 2 * m * n, bytes_of(call, 0, 1, 2), sized(m * n, call.dtype(1)), dtype=call.dtype(1))
