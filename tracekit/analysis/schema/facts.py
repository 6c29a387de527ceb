"""What a report says once: of trace, device, model, times and FLOPs."""

from __future__ import annotations

from tracekit.analysis.schema.base import Row
from tracekit.messages import Message


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


class Roof(Row, frozen=True):
    """A peak of the device that FLOPs of ops are held against."""

    dtype: str  # a key of `Device.peaks`
    tflops: float
    gpu_time_us: float  # of the ops whose bounding FLOPs it is the peak of


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
    costed_gpu_time_share: float | None = None  # of all GPU time of the trace, also that without an op
    causal_matrix: int | None = None  # what causal masks leave of `matrix`
    bound_us: float | None = None  # the sum of the bounds of all ops that have one …
    bounded_gpu_time_us: float | None = None  # … and their GPU time
    bound_share: float | None = None
    bound_per_pass_us: float | None = None  # median over passes …
    bound_share_per_pass: float | None = None  # … and of what they reach of it
    roofs: tuple[Roof, ...] = ()  # those with most GPU time first


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
