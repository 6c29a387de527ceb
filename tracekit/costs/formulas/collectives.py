"""Collectives: the bytes that one device must send, whatever the hardware between the devices.

By the bandwidth-optimal algorithms, in which no switch computes: with n devices, S bytes of the whole
message,

    all-reduce                          2·(n−1)/n·S
    all-gather, reduce-scatter          (n−1)/n·S, S of the gathered side
    all-to-all, scatter                 (n−1)/n·S of the input
    broadcast, reduce, gather, send     S of one device's input

(Patarasuk & Yuan 2009, "Bandwidth optimal all-reduce algorithms for clusters of workstations"; the bus
bandwidth factors of NVIDIA's nccl-tests, doc/PERFORMANCE.md). Additions of a reduction are not counted. A
group whose size was not recorded has at least two devices. Memory traffic is left out: no bound of the
memory applies to what waits for a network.
"""

from __future__ import annotations

from math import prod

from tracekit.costs.formulas.traffic import size
from tracekit.costs.registry import Call, Collective, Cost, UnknownCostError, register

# Names in the order in which one is sought in another: "allgather" holds "gather".
_KINDS = (
    "allreduce",
    "allgather",
    "reducescatter",
    "alltoall",
    "broadcast",
    "scatter",
    "gather",
    "reduce",
    "send",
    "recv",
    "barrier",
    "wait",
)

# Scalar types as the collective's metadata spells them: how Kineto spells them elsewhere, bytes.
DTYPES = {
    "Double": ("double", 8),
    "Float": ("float", 4),
    "Half": ("c10::Half", 2),
    "BFloat16": ("c10::BFloat16", 2),
    "Float8_e4m3fn": ("c10::Float8_e4m3fn", 1),
    "Float8_e4m3fnuz": ("c10::Float8_e4m3fnuz", 1),
    "Float8_e5m2": ("c10::Float8_e5m2", 1),
    "Float8_e5m2fnuz": ("c10::Float8_e5m2fnuz", 1),
    "Long": ("long int", 8),
    "Int": ("int", 4),
    "Short": ("short", 2),
    "Char": ("signed char", 1),
    "Byte": ("unsigned char", 1),
    "Bool": ("bool", 1),
    "ComplexFloat": ("c10::complex<float>", 8),
    "ComplexDouble": ("c10::complex<double>", 16),
}


def collective_kind(name: str) -> str:
    """ "allreduce" of "allreduce_", "all_reduce_coalesced", …; raises `UnknownCostError` for another name."""
    plain = name.rpartition(":")[2].replace("_", "").lower()
    for kind in _KINDS:
        if kind in plain:
            return kind
    raise UnknownCostError


def sent_bytes(kind: str, size_in: int | None, size_out: int | None, group_size: int | None) -> int:
    """Bytes that one device sends at least (for "recv": receives) of its input and output in bytes."""
    sizes = [known for known in (size_in, size_out) if known is not None]
    if kind in ("barrier", "wait"):
        return 0
    if not sizes:
        raise UnknownCostError
    n = group_size or 2
    if kind in ("allgather", "reducescatter"):
        if len(sizes) == 2:
            n = group_size or max(1, max(sizes) // max(1, min(sizes)))
        knows_shard_only = (size_out if kind == "allgather" else size_in) is None
        return sizes[0] * (n - 1) if knows_shard_only else max(sizes) * (n - 1) // n
    sent = size_in if size_in is not None else sizes[0]
    if kind == "allreduce":
        return 2 * sent * (n - 1) // n
    if kind in ("alltoall", "scatter"):
        return sent * (n - 1) // n
    return 0 if n == 1 else sent


def _cost(kind: str, size_in: int | None, size_out: int | None, n: int | None, dtype: str | None) -> Cost:
    return Cost(bytes=sent_bytes(kind, size_in, size_out, n), dtype=dtype, over_network=True)


def _of_metadata(collective: Collective) -> Cost:
    kind = collective_kind(collective.name)
    dtype, element = DTYPES.get(collective.dtype or "", (None, None))
    size_in, size_out = (
        None if count is None or element is None else count * element
        for count in (collective.in_elements, collective.out_elements)
    )
    return _cost(kind, size_in, size_out, collective.group_size, dtype)


def _bytes(call: Call, index: int) -> int | None:
    """Bytes of the tensor or of the list of tensors that is input `index`; None where unknown."""
    element = call.element_bytes(index)
    try:
        shapes = call.shape_list(index) if call.dtype(index) == "TensorList" else (call.shape(index),)
    except UnknownCostError:
        return None
    return None if element is None else sum(map(prod, shapes)) * element


def _dtype(call: Call, index: int) -> str | None:
    return call.dtype(index) if call.is_tensor(index) else None


@register("record_param_comms")
def recorded_collective(call: Call) -> Cost:
    """What `torch.distributed` records of every collective of a process group beside its inputs.

    (torch/csrc/distributed/c10d/ParamCommsUtils.hpp: name, elements in and out, type, group size.)
    """
    if call.collective is None:
        raise UnknownCostError
    return _of_metadata(call.collective)


@register(
    "c10d::allreduce_",
    "c10d::allreduce_coalesced_",
    "c10d::broadcast_",
    "c10d::reduce_",
    "c10d::send",
    "c10d::recv_",
    "c10d::recv_any_source_",
    "c10d::barrier",
    "nccl:*",
    wrapper=True,
)
def of_one_operand(call: Call) -> Cost:
    """(tensors, process group, …): the tensor or list goes in and comes out.

    The `c10d` ops hold a `record_param_comms`, which knows the group's size and counts instead where it
    is known. `nccl:…` is the range that old profilers record with the flattened input (ProcessGroupNCCL).
    """
    both = _bytes(call, 0)
    return _cost(collective_kind(call.name), both, both, None, _dtype(call, 0))


@register(
    "c10d::_allgather_base_",
    "c10d::_reduce_scatter_base_",
    "c10d::allgather_into_tensor_coalesced_",
    "c10d::reduce_scatter_tensor_coalesced_",
    "c10d::alltoall_base_",
    "c10d::alltoall_",
    "c10d::allgather_",
    "c10d::allgather_coalesced_",
    "c10d::reduce_scatter_",
    "c10d::gather_",
    wrapper=True,
)
def of_two_operands(call: Call) -> Cost:
    """(output, input, process group, …).

    The group's size is that of the larger side over the smaller. Lists of lists are not recorded:
    `allgather_` and `gather_` tell their input only, `reduce_scatter_` its output only.
    """
    dtype = _dtype(call, 1) or _dtype(call, 0)
    return _cost(collective_kind(call.name), _bytes(call, 1), _bytes(call, 0), None, dtype)


@register(
    "_c10d_functional::all_reduce",
    "_c10d_functional::all_reduce_",
    "_c10d_functional::all_reduce_coalesced",
    "_c10d_functional::all_reduce_coalesced_",
    "_c10d_functional::all_to_all_single",
    "_c10d_functional::broadcast",
    "_c10d_functional::broadcast_",
    "_c10d_functional::isend",
    "_c10d_functional::irecv",
    wrapper=True,
)
def functional(call: Call) -> Cost:
    """(input, …, group name); its `c10d` op counts instead where it is known."""
    both = _bytes(call, 0)
    return _cost(collective_kind(call.name), both, both, None, _dtype(call, 0))


@register(
    "_c10d_functional::all_gather_into_tensor",
    "_c10d_functional::all_gather_into_tensor_out",
    "_c10d_functional::all_gather_into_tensor_coalesced",
    "_c10d_functional::reduce_scatter_tensor",
    "_c10d_functional::reduce_scatter_tensor_out",
    "_c10d_functional::reduce_scatter_tensor_coalesced",
    wrapper=True,
)
def functional_with_group_size(call: Call) -> Cost:
    """all_gather: (input, group size, …); reduce_scatter: (input, reduce op, group size, …)."""
    kind = collective_kind(call.name)
    n = _group_size(call, 1 if kind == "allgather" else 2)
    return _cost(kind, _bytes(call, 0), None, n, _dtype(call, 0))


@register(
    "symm_mem::one_shot_all_reduce",
    "symm_mem::one_shot_all_reduce_out",
    "symm_mem::two_shot_all_reduce_",
    "symm_mem::two_shot_all_reduce_out",
    "symm_mem::multimem_all_reduce_",
    "symm_mem::multimem_one_shot_all_reduce",
    "symm_mem::multimem_one_shot_all_reduce_out",
    "symm_mem::_low_contention_all_gather",
    "symm_mem::_low_contention_reduce_scatter",
    "symm_mem::nvshmem_all_to_all",
    "symm_mem::nvshmem_broadcast",
    "aiter::all_reduce_",
    "sglang::inplace_all_reduce",
)
def of_symmetric_memory(call: Call) -> Cost:
    """(input, …), of a group whose size is not among the inputs. A one-shot all-reduce sends more than the
    least, a multimem one (which lets the switch add) may send less.
    """
    kind = collective_kind(call.name)
    return _cost(kind, _bytes(call, 0), None, None, _dtype(call, 0))


@register(
    "vllm::all_reduce", "vllm::inplace_all_reduce", "vllm::outplace_all_reduce", "sglang::outplace_all_reduce"
)
def engine_all_reduce(call: Call) -> Cost:
    """(tensor, group name): vllm/distributed/parallel_state.py. Which library reduces is not recorded."""
    return of_symmetric_memory(call)


@register("vllm::all_gather", "vllm::reduce_scatter")
def engine_gather_or_scatter(call: Call) -> Cost:
    """(tensor, dim, world size, group name): vllm/distributed/parallel_state.py."""
    kind = collective_kind(call.name)
    return _cost(kind, _bytes(call, 0), None, _group_size(call, 2), _dtype(call, 0))


@register(
    "_C_custom_ar::all_reduce",
    "_C_custom_ar::qr_all_reduce",
    "sgl_kernel::all_reduce",
    "sgl_kernel::all_reduce_reg",
    "sgl_kernel::all_reduce_unreg",
    "sgl_kernel::mscclpp_allreduce",
)
def custom_all_reduce(call: Call) -> Cost:
    """(handle, input, output, …): vllm csrc/torch_bindings.cpp, sglang common_extension.cc."""
    return _cost("allreduce", _bytes(call, 1), None, None, _dtype(call, 1))


def _group_size(call: Call, index: int) -> int | None:
    try:
        return size(call, index)
    except UnknownCostError:
        return None
