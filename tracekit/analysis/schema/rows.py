"""The rows of a report's tables."""

from __future__ import annotations

from tracekit.analysis.schema.base import Row
from tracekit.messages import Message


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

    `roofline_intensity` and `roofline_tflops` are the place in a roofline diagram, of the ops that have a
    bound: their FLOPs ÷ their bytes, and ÷ their GPU time. FLOPs are here those that bound an op: its matrix
    FLOPs, as a causal mask leaves them, or its vector FLOPs where these take longer at their peak. So nothing
    stands above the roof (`Flops.roofs`) unless it beats its bound. None where there are no FLOPs or bytes.
    """

    vector_flops: int | None = None
    bytes: int | None = None
    network_bytes: int | None = None  # that one device sends in collectives
    gbs: float | None = None  # bytes of what launched GPU events ÷ GPU time of that, GB/s
    arithmetic_intensity: float | None = None  # matrix and vector FLOPs ÷ bytes
    bound_us: float | None = None
    bounded_gpu_time_us: float | None = None
    bound_share: float | None = None  # bound ÷ bounded GPU time
    beats_bound: bool = False
    limited_by: str | None = None  # "compute", "memory", "latency", "host", "network", "transfer"
    headroom_us: float | None = None
    roofline_intensity: float | None = None  # FLOP/byte
    roofline_tflops: float | None = None


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
    order: int | None = None  # its position among all modules by their first calls


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


class PartTime(Row, frozen=True):
    part: str  # as in `BlockPart`
    gpu_time_per_pass_us: float
    cpu_time_per_pass_us: float


class BlockPhase(ModulePhase, frozen=True):
    attention_flops_per_pass: int | None
    ffn_flops_per_pass: int | None
    mixer_flops_per_pass: int | None
    cpu_gflops: float | None
    parts: tuple[PartTime, ...] = ()


class PartFigures(Roofline, frozen=True, kw_only=True):
    gpu_time_us: float
    gpu_time_per_pass_us: float | None  # median over passes
    cpu_time_us: float
    matrix_flops: int | None
    matrix_flops_per_pass: int | None
    tflops: float | None
    headroom_per_pass_us: float | None = None
    cpu_time_per_pass_us: float | None = None


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

    # "modules", "modules_backward", "outside_modules"; while no kernel runs: "launches", "synchronisation",
    # "queued" (between kernels that are)
    kind: str
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
    # What launched most of its GPU time (without any: ran most of its CPU time), in the words of
    # `HeadroomRow.kind` and `.place`; of a backward it is the place of the module that is differentiated.
    launched_by: str | None = None
    place: str | None = None


class TimelineEvents(Row, frozen=True):
    """GPU events as columns of one length, by start. Events are merged where there are too many to draw."""

    start_us: tuple[float, ...] = ()  # since the timeline's start
    duration_us: tuple[float, ...] = ()  # in which it computes: what is merged may pause in between
    stream: tuple[int, ...] = ()  # position in `Timeline.streams`
    module: tuple[int | None, ...] = ()  # position in `Report.modules`; None: outside modules
    kernel: tuple[int, ...] = ()  # position in `Timeline.kernels`
    count: tuple[int, ...] = ()  # how many events of one module and stream stand here as one


class TimelineStream(Row, frozen=True):
    device: int
    stream: int | str


class TimelineGap(Row, frozen=True):
    """While nothing runs on a device. `cause` in the words of `HeadroomRow.kind`."""

    start_us: float
    duration_us: float
    device: int
    cause: str  # "launches", "synchronisation", "queued"
    module: int | None  # position in `Report.modules`: whose code launched what ends the gap
    call: str | None  # the call that waited for the device, of cause "synchronisation"


class Timeline(Row, frozen=True):
    """The GPU in one pass: that of the main phase whose wall time is the median (the lower of two).

    Without passes it is the whole trace. Backward events stand at the module whose backward they are.
    """

    pass_index: int | None
    start_us: float  # since the first event of the trace
    wall_us: float
    streams: tuple[TimelineStream, ...] = ()
    kernels: tuple[str, ...] = ()
    events: TimelineEvents = TimelineEvents()
    gaps: tuple[TimelineGap, ...] = ()  # the longest, by start
    gaps_left_out: int = 0  # shorter ones
    gaps_left_out_us: float = 0.0


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
