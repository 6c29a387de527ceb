"""`Report`: the value that analysis makes and that every renderer reads; its fields are `report.json`'s.

Durations are µs (`_us`), totals over the whole trace unless the name ends in `_per_pass_us`; FLOPs and
bytes are integers. What is unknown is None, never 0. Nothing here computes.
"""

from __future__ import annotations

import msgspec

from tracekit.messages import Message

SCHEMA = "tracekit.report/1"


class Row(msgspec.Struct, frozen=True):
    """Base of everything in a report: immutable."""


class TraceInfo(Row, frozen=True):
    path: str
    bytes: int  # size of the file as it is on disk
    events: int  # events read, of every category
    skipped_events: int  # events that could not be decoded
    warnings: tuple[Message, ...]
    module_source: str | None  # "scopes" (tracekit's), "frames" (nn.Module), "ranges" (user's), None


class GpuState(Row, frozen=True):
    """What the driver said of one GPU at one moment."""

    index: int | None
    sm_clock_mhz: float | None
    max_sm_clock_mhz: float | None
    memory_clock_mhz: float | None
    power_w: float | None
    power_limit_w: float | None
    performance_state: str | None  # "P0"
    temperature_c: float | None
    throttle_reasons: tuple[str, ...]
    source: str | None  # "nvml", "rocm_smi"


class Telemetry(Row, frozen=True):
    """The GPUs before and after the passes."""

    before: tuple[GpuState, ...]
    after: tuple[GpuState, ...]


class Device(Row, frozen=True):
    name: str | None
    kind: str | None  # "cuda", "hip", "cpu", …
    peaks: dict[str, float] | None  # dense TFLOP/s by dtype: "bf16", "fp16", "tf32", "fp32", "fp8", …
    bandwidth_gbs: float | None
    source: str | None  # where the figures come from
    note: Message | None  # why peaks are unknown, or not those of the device
    telemetry: Telemetry | None = None


class KindParameters(Row, frozen=True):
    """Parameters of the blocks of one kind in one stack."""

    stack: str
    kind: str
    blocks: int
    parameters: int | None  # of all of them, what they share counted once; None where that is not known
    parameters_per_block: int | None  # None where they differ


class Tower(Row, frozen=True):
    """A part of the model beside the one that the card is about, or one stage of it where stages differ."""

    name: str  # "vision", "audio", "encoder", "stage 1", …
    hidden_size: int | None = None
    intermediate_size: int | None = None
    num_attention_heads: int | None = None
    num_key_value_heads: int | None = None
    head_dim: int | None = None
    num_layers: int | None = None
    max_position_embeddings: int | None = None


class Model(Row, frozen=True, rename={"class_": "class"}):
    """The model card. What is unknown, or what the model does not have, is None.

    Of a multimodal model it is about the language model, of an encoder and a decoder about the decoder;
    the other parts are `towers`. A model in stages (Swin, ConvNeXt) has the hidden size of its last one.

    `attention_type` says what the layers that attend do: "MHA", "GQA", "MQA" by how many heads of queries
    share one of keys and values, "MLA" for multi-head latent attention, "linear" for attention without
    softmax (gated delta rule, RWKV), "GQA + linear" for layers of both, "none" where no layer attends.
    State-space and convolution layers are no attention: a hybrid has the type of its attention layers.

    `head_dim` is the size of a head of the queries, `value_head_dim` that of the values where it differs;
    under MLA the former is `qk_nope_head_dim` + `qk_rope_head_dim`, and the heads of keys are those that the
    latent vector is expanded to. `intermediate_size` is the inner size of a dense FFN, None where every FFN
    is made of experts.

    The `ssm_` fields are of state-space layers, and of linear attention in their words, which its recurrence
    shares: the state of a head is `ssm_state_size` (key head) × `ssm_head_dim` (value head), and a group
    (key head) is shared by several of the `ssm_num_heads` (value heads).

    `parameters` counts all, what modules share once. `active_parameters` are those that one token uses:
    without the routed experts that are not chosen, with the router, the shared experts and, as the cards of
    Mixtral and Qwen3-MoE count, the whole embedding and output matrices.
    """

    name: str | None = None
    class_: str | None = None
    parameters: int | None = None
    hidden_size: int | None = None
    intermediate_size: int | None = None
    num_attention_heads: int | None = None
    num_key_value_heads: int | None = None
    head_dim: int | None = None
    attention_type: str | None = None
    num_blocks: int | None = None
    vocab_size: int | None = None
    sequence_length: int | None = None
    batch_size: int | None = None
    dtype: str | None = None
    mode: str | None = None  # "forward", "prefill", "decode", "generate", "train", "loop"
    source: str | None = None  # of the sizes: "configuration", or "shapes" of the trace's ops
    value_head_dim: int | None = None
    kv_lora_rank: int | None = None
    q_lora_rank: int | None = None
    sliding_window: int | None = None  # tokens that one attends to, of both sides together
    sliding_window_layers: int | None = None  # how many layers have it
    max_position_embeddings: int | None = None  # longest context in tokens
    num_experts: int | None = None  # routed ones of a layer
    num_active_experts: int | None = None  # of those, how many a token is routed to
    expert_intermediate_size: int | None = None  # of one of them
    num_shared_experts: int | None = None
    shared_expert_intermediate_size: int | None = None  # of all shared ones together, one MLP in the code
    ssm_state_size: int | None = None
    ssm_num_heads: int | None = None
    ssm_head_dim: int | None = None
    ssm_groups: int | None = None
    ssm_expand: int | None = None  # inner size ÷ hidden size
    ssm_inner_size: int | None = None  # channels that go through the scan
    conv_kernel: int | None = None  # of the short convolution in a mixer, in tokens
    active_parameters: int | None = None
    parameters_by_kind: tuple[KindParameters, ...] = ()
    towers: tuple[Tower, ...] = ()


class Time(Row, frozen=True):
    """Where the passes are of several phases, what is said of a pass is said of those of `phase`."""

    passes: int  # of all phases
    pass_wall_us: float | None  # median over passes
    pass_wall_min_us: float | None
    pass_wall_max_us: float | None
    gpu_time_us: float  # sum of the durations of GPU events
    gpu_time_per_pass_us: float | None  # median over passes
    gpu_busy_us: float
    gpu_idle_us: float
    gpu_span_us: float
    latency_us: float | None  # median of passes timed without the profiler
    phase: str | None = None  # that with most wall time in total; None where capture names no phases
    latency_min_us: float | None = None
    latency_max_us: float | None = None
    latency_passes: int = 0  # how many were timed
    step_latency_us: float | None = None  # median of whole training steps without the profiler
    step_wall_us: float | None = None  # median of ProfilerStep regions, to the end of their last GPU event
    steps: int = 0  # ProfilerStep regions


class PhaseRow(Row, frozen=True):
    """The passes that ran the model in one way: prefill, decode, or forward. Times are medians of a pass."""

    name: str
    passes: int
    tokens: int | None  # new tokens of each sequence in one pass
    cache_length: int | None  # tokens in the cache before the pass
    latency_us: float | None  # without the profiler
    latency_min_us: float | None
    latency_max_us: float | None
    latency_passes: int
    pass_wall_us: float | None
    pass_wall_min_us: float | None
    pass_wall_max_us: float | None
    gpu_time_us: float | None
    gpu_busy_us: float | None
    matrix_flops: int | None
    counted_flops: int | None  # the same as torch.utils.flop_counter counted them
    headline_tflops: float | None  # matrix_flops ÷ latency or pass wall
    headline_basis: str | None  # "latency" or "pass_wall"
    tokens_per_second: float | None  # of all sequences ÷ latency (of a step, in training) or pass wall


class Share(Row, frozen=True):
    events: int
    us: float


class Accounting(Row, frozen=True):
    """Every GPU event once: the four shares add up to the totals."""

    gpu_events: int
    gpu_time_us: float
    modules_forward: Share
    modules_backward: Share
    outside_modules: Share
    launched_before_trace: Share


class Flops(Row, frozen=True):
    matrix: int | None  # None: no op of the trace has shapes, and nobody counted them
    vector: int | None
    bytes: int | None  # that a device's memory moves at least
    matrix_per_pass: int | None  # median over passes
    covered_gpu_time_share: float | None
    achieved_tflops: float | None  # matrix FLOPs of ops that launched GPU events ÷ GPU time of those
    matrix_gpu_time_us: float  # GPU time of the ops whose matrix FLOPs are known
    peak_share: float | None  # achieved_tflops ÷ the device's peak for the dtypes used
    headline_tflops: float | None  # matrix_per_pass ÷ latency or pass wall
    headline_basis: str | None  # "latency" or "pass_wall"
    source: str | None = None  # "shapes" of the trace's ops, or capture's "flop_counter"
    counted_per_pass: int | None = None  # by torch.utils.flop_counter, to check `matrix_per_pass` against
    matrix_per_step: int | None = None  # median over ProfilerStep regions, backward included
    step_tflops: float | None = None  # matrix_per_step ÷ step latency or step wall
    step_basis: str | None = None  # "latency" or "step_wall"
    causal_matrix: int | None = None  # what causal masks leave of `matrix`
    bound_us: float | None = None  # the sum of the bounds of all ops that have one …
    bounded_gpu_time_us: float | None = None  # … and their GPU time
    bound_share: float | None = None
    bound_per_pass_us: float | None = None  # median over passes


class Memory(Row, frozen=True):
    """Of the device's allocator, over the passes without the profiler."""

    peak_allocated_bytes: int | None = None
    peak_reserved_bytes: int | None = None
    allocated_before_bytes: int | None = None


class UsedWithoutCall(Row, frozen=True):
    module: str
    by: str | None  # the module whose code used it


class Capture(Row, frozen=True):
    """What capture noticed. Modules are named by path, one without a path by its type."""

    error: str | None = None  # what ended the capture early
    not_called: tuple[str, ...] = ()
    used_without_call: tuple[UsedWithoutCall, ...] = ()  # parameters used by code of another module
    compiled: tuple[str, ...] = ()  # one scope each, whatever is inside
    cuda_graph: bool = False
    redacted: bool = False
    notes: tuple[str, ...] = ()


class Pass(Row, frozen=True):
    index: int
    start_us: float  # since the first event of the trace
    wall_us: float
    cpu_time_us: float
    kernels: int  # GPU events
    gpu_time_us: float
    gpu_busy_us: float
    gpu_idle_us: float  # gaps between its own GPU events
    matrix_flops: int | None
    outlier: bool  # takes far longer than the others of its phase
    phase: str | None = None


class Roofline(Row, frozen=True, kw_only=True):
    """What work could take on this device; of GPU events launched in it, its children's included.

    FLOPs and bytes are of all that counts, launched or not. `bound_us` is the sum of the bounds of the ops
    that have one, and `bounded_gpu_time_us` the GPU time of just these; headroom is the difference. Where the
    bound is above the time, the data were in a cache.
    """

    vector_flops: int | None = None
    bytes: int | None = None
    gbs: float | None = None  # bytes of what launched GPU events ÷ GPU time of that, GB/s
    arithmetic_intensity: float | None = None  # matrix and vector FLOPs ÷ bytes
    bound_us: float | None = None
    bounded_gpu_time_us: float | None = None
    bound_share: float | None = None  # bound ÷ bounded GPU time
    beats_bound: bool = False
    limited_by: str | None = None  # "compute", "memory", "latency", "host", "network", "transfer"
    headroom_us: float | None = None


class ModulePhase(Row, frozen=True):
    """A module's calls in the passes of one phase; per pass: median over those passes."""

    phase: str
    calls: int
    gpu_time_per_pass_us: float
    gpu_self_time_per_pass_us: float
    cpu_time_per_pass_us: float
    cpu_self_time_per_pass_us: float
    slowest_call_us: float | None  # CPU time; None where it is not called
    median_call_us: float | None
    matrix_flops_per_pass: int | None
    tflops: float | None


class ModuleRow(Roofline, frozen=True):
    path: str
    name: str  # "Linear_75" for frames, the last part of the path otherwise
    type: str | None
    parent: str | None  # its path
    block: str | None  # path of the block that it is in
    depth: int
    calls: int
    kernels: int
    gpu_time_us: float
    gpu_self_time_us: float
    gpu_backward_time_us: float | None  # None: no backward in the trace, or none that is linked to forwards
    gpu_backward_self_time_us: float | None
    backward_kernels: int | None
    gpu_time_per_pass_us: float | None  # median over passes (of `time.phase` where there are several phases)
    gpu_self_time_per_pass_us: float | None
    gpu_backward_time_per_pass_us: float | None  # the pass whose forward is differentiated
    gpu_backward_self_time_per_pass_us: float | None
    cpu_time_us: float
    cpu_self_time_us: float
    cpu_time_per_pass_us: float | None
    cpu_self_time_per_pass_us: float | None
    slowest_call_us: float  # CPU time of its slowest call …
    median_call_us: float  # … and of its median call
    parameters: int | None  # its own and its children's
    matrix_flops: int | None
    backward_matrix_flops: int | None  # of ops in its backward
    tflops: float | None
    headroom_per_pass_us: float | None = None  # median over passes …
    headroom_share: float | None = None  # … and its share of the pass's wall time
    gpu_idle_us: float | None = None  # the GPU waits for the host while the module's code runs
    allocated_bytes: int | None = None  # in its calls in one pass, its children's included …
    allocated_self_bytes: int | None = None  # without those of its children
    net_bytes: int | None = None  # … and what of that was still held when they ended
    phases: tuple[ModulePhase, ...] = ()  # where there are several


class TypePhase(Row, frozen=True):
    phase: str
    gpu_self_time_per_pass_us: float
    cpu_self_time_per_pass_us: float


class TypeRow(Roofline, frozen=True):
    """One module type; or what is in no module's forward, so that `gpu_self_time_us` sums to the GPU time.

    The backward columns of the module types split the row of kind "modules_backward" once more.
    """

    type: str
    kind: str  # "modules", "outside_modules", "modules_backward", "launched_before_trace"
    modules: int
    calls: int
    kernels: int
    gpu_time_us: float
    gpu_self_time_us: float
    gpu_backward_time_us: float | None
    gpu_backward_self_time_us: float | None
    backward_kernels: int | None
    cpu_time_us: float
    cpu_self_time_us: float
    matrix_flops: int | None
    backward_matrix_flops: int | None
    phases: tuple[TypePhase, ...] = ()  # where there are several


class BlockPhase(ModulePhase, frozen=True):
    attention_flops_per_pass: int | None
    ffn_flops_per_pass: int | None
    mixer_flops_per_pass: int | None
    cpu_gflops: float | None


class PartFigures(Roofline, frozen=True, kw_only=True):
    gpu_time_us: float
    gpu_time_per_pass_us: float | None  # median over passes
    cpu_time_us: float
    matrix_flops: int | None
    matrix_flops_per_pass: int | None
    tflops: float | None
    headroom_per_pass_us: float | None = None


class BlockPart(PartFigures, frozen=True):
    """What is called in a block as a part of it; `residual` is the block without its other parts."""

    part: str  # "attention", "linear_attention", "mamba", "convolution", "mlp", "moe", "norm", "residual"


class BlockRow(Roofline, frozen=True):
    stack: str
    index: int
    path: str
    type: str | None
    kind: str  # "transformer", "attention", "mlp", "moe", "mamba", …
    calls: int
    parameters: int | None
    gpu_time_us: float
    gpu_backward_time_us: float | None
    gpu_time_per_pass_us: float | None
    cpu_time_us: float
    cpu_time_per_pass_us: float | None
    matrix_flops: int | None
    attention_flops: int | None
    ffn_flops: int | None
    mixer_flops: int | None  # Mamba, convolution, linear attention
    matrix_flops_per_pass: int | None
    attention_flops_per_pass: int | None
    ffn_flops_per_pass: int | None
    mixer_flops_per_pass: int | None
    tflops: float | None
    cpu_gflops: float | None  # matrix FLOPs ÷ CPU time, where the model ran on the CPU
    headroom_per_pass_us: float | None = None
    headroom_share: float | None = None
    gpu_idle_us: float | None = None
    parts: tuple[BlockPart, ...] = ()
    phases: tuple[BlockPhase, ...] = ()  # where there are several


class BlockKindRow(PartFigures, frozen=True):
    """A part of all blocks of one stack and kind; None: all of them together."""

    stack: str | None
    kind: str | None
    part: str | None
    blocks: int
    time_share: float | None  # of the GPU time of all blocks


class HeadroomRow(Row, frozen=True):
    """What would be won where: modules of the same place in all blocks together, without their children.

    `place`: a path with `*` for the numbers of blocks. Per pass (median), or over a trace without passes.
    """

    kind: str  # "modules"; "launches", "synchronisation": the GPU waits for the host
    place: str
    type: str | None
    modules: int
    gpu_time_us: float
    bound_us: float | None
    headroom_us: float
    share: float | None  # of the pass's wall time
    limited_by: str | None


class UncostedRow(Row, frozen=True):
    """GPU time without a known cost, by kernel and the op that launched it, over the whole trace."""

    kernel: str
    op: str | None
    calls: int
    gpu_time_us: float
    reason: str  # "launched_before_trace", "no_op", "no_shapes", "no_formula", "formula_lacks_inputs"


class KernelRow(Row, frozen=True):
    name: str
    kind: str  # "kernel", "memcpy", "memset"
    calls: int
    gpu_time_us: float
    mean_us: float
    min_us: float
    max_us: float


class OpRow(Roofline, frozen=True):
    name: str
    shapes: str | None  # JSON, one entry per input
    dtypes: str | None
    calls: int
    kernels: int
    gpu_time_us: float  # with the ops inside it
    gpu_self_time_us: float
    cpu_time_us: float
    matrix_flops: int | None  # all calls together; None where the op is not the one that counts
    tflops: float | None
    cpu_gflops: float | None  # matrix FLOPs ÷ CPU time, where the model ran on the CPU
    causal_matrix_flops: int | None = None  # what causal masks leave of them, where the op has one


class RegionRow(Row, frozen=True):
    name: str
    calls: int
    cpu_time_us: float
    gpu_time_us: float


class Finding(Row, frozen=True, kw_only=True):
    id: str
    severity: str  # "high", "medium", "low", "note"
    module: str | None = None
    evidence: Message
    gain_us: float | None = None  # per pass
    advice: Message


class Report(Row, frozen=True, kw_only=True):
    schema: str = SCHEMA
    trace: TraceInfo
    device: Device
    model: Model
    time: Time
    accounting: Accounting
    flops: Flops
    memory: Memory = Memory()
    capture: Capture = Capture()
    phases: tuple[PhaseRow, ...] = ()
    passes: tuple[Pass, ...]
    modules: tuple[ModuleRow, ...]
    types: tuple[TypeRow, ...]
    blocks: tuple[BlockRow, ...]
    kernels: tuple[KernelRow, ...]
    ops: tuple[OpRow, ...]
    regions: tuple[RegionRow, ...]
    block_kinds: tuple[BlockKindRow, ...] = ()
    headroom: tuple[HeadroomRow, ...] = ()
    uncosted: tuple[UncostedRow, ...] = ()
    findings: tuple[Finding, ...]
