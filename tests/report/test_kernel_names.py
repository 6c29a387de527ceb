"""Names as real traces write them; what is expected was written by reading the name."""

import random
import time

import pytest

from tracekit.report import kernel_names
from tracekit.report.cxx_name import function_path
from tracekit.report.kernel_names import WIDTH, short_name, short_names

COPY = (
    "at::native::direct_copy_kernel_cuda(at::TensorIteratorBase&)::{lambda()#3}::operator()() const"
    "::{lambda()#%d}::operator()() const::{lambda(%s)#1}"
)
IMPL = "at::native::gpu_kernel_impl_nocast<%s >(at::TensorIteratorBase&, %s const&)::{lambda(int)#1}"
FLASH = (
    "void %sflash_fwd_kernel<%sFlash_fwd_kernel_traits<128, 128, 64, 4, false, false, cutlass::bfloat16_t, "
    "%sFlash_kernel_traits<128, 128, 64, 4, cutlass::bfloat16_t> >, %s, false>(%sFlash_fwd_params)"
)
TENSILE = (
    "Cijk_Ailk_Bljk_BBS_BH_Bias_HA_S_SAV_UserArgs_MT256x160x64_MI16x16x1_SN_LDSB1_AFC1_AFEM1_CLR1_CADS0_DTVA0"
    "_EPS0_%s_GRPM1_GRVWA8_GRVWB8_ISA942_IU1_K1_LBSPPA512_LBSPPB256_LPA16_LPB16_LRVW8_WS64_WG64_4_1"
)


def elementwise(functor):
    nested = IMPL % (functor, functor)
    return f"void at::native::elementwise_kernel<128, 4, {nested}>(int, {nested})"


NAMES = {
    # PyTorch: the functor, not the namespaces, the vector width and the kinds of arrays
    "void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<float>, "
    "std::array<char*, 3ul> >(int, at::native::CUDAFunctor_add<float>, std::array<char*, 3ul>)": (
        "vectorized_elementwise_kernel · CUDAFunctor_add<float>"
    ),
    "void at::native::unrolled_elementwise_kernel<at::native::FillFunctor<c10::BFloat16>, "
    "at::detail::Array<char*, 1>, TrivialOffsetCalculator<0, unsigned int>, TrivialOffsetCalculator<1, "
    "unsigned int>, at::native::memory::LoadWithoutCast, at::native::memory::StoreWithoutCast>(int)": (
        "unrolled_elementwise_kernel · FillFunctor<BFloat16>"
    ),
    elementwise(COPY % (7, "float")): "elementwise_kernel · direct_copy_kernel_cuda(float)",
    elementwise(
        "at::native::BinaryFunctor<float, float, float, at::native::binary_internal::MulFunctor<float> >"
    ): "elementwise_kernel · MulFunctor<float>",
    "void at::native::reduce_kernel<512, 1, at::native::ReduceOp<c10::BFloat16, at::native::MeanOps<"
    "c10::BFloat16, float, float, c10::BFloat16>, unsigned int, c10::BFloat16, 4, 4> >(int)": (
        "reduce_kernel · MeanOps<BFloat16, float>"
    ),
    "void at::native::reduce_kernel<128, 4, at::native::ReduceOp<float, at::native::"
    "func_wrapper_t<float, at::native::sum_functor<float, float, float>::operator()("
    "at::TensorIterator&)::{lambda(float, float)#1}>, "
    "unsigned int, float, 4, 4> >(at::native::ReduceOp<float>)": "reduce_kernel · sum_functor<float>",
    "void (anonymous namespace)::softmax_warp_forward<c10::BFloat16, c10::BFloat16, float, 10, false, false>("
    "c10::BFloat16*, c10::BFloat16 const*, int, int, int, bool const*, int, bool)": (
        "softmax_warp_forward<BFloat16, float>"
    ),
    "void at::native::(anonymous namespace)::cunn_SoftMaxForward<4, float, float, float, "
    "at::native::(anonymous namespace)::SoftMaxForwardEpilogue>(float*, float const*, int)": (
        "cunn_SoftMaxForward<float> · SoftMaxForwardEpilogue"
    ),
    "void at::native::(anonymous namespace)::CatArrayBatchedCopy<at::native::(anonymous namespace)::"
    "OpaqueType<2u>, unsigned int, 3, 64, 64>(at::native::(anonymous namespace)::OpaqueType<2u>*)": (
        "CatArrayBatchedCopy · OpaqueType<2>"
    ),
    "void at::native::index_elementwise_kernel<128, 4, at::native::gpu_index_kernel<at::native::"
    "index_put_kernel_impl<at::native::OpaqueType<4> >(at::TensorIterator&, c10::ArrayRef<long>)"
    "::{lambda(char*, char*, long)#1}>(at::TensorIteratorBase&)::{lambda(int)#1}>(int)": (
        "index_elementwise_kernel · index_put_kernel_impl<OpaqueType>"
    ),
    "void at::native::(anonymous namespace)::multi_tensor_apply_kernel<at::native::(anonymous namespace)::"
    "TensorListMetadata<1>, at::native::(anonymous namespace)::BinaryOpScalarFunctor<float, 1, 1, 0>, "
    "std::multiplies<float>, float>(float)": (
        "multi_tensor_apply_kernel · BinaryOpScalarFunctor<float>, multiplies<float>"
    ),
    "void at::native::(anonymous namespace)::indexSelectLargeIndex<long, long, unsigned int, 1, 1, -2, true>("
    "at::cuda::detail::TensorInfo<long, unsigned int>)": "indexSelectLargeIndex<long, unsigned int>",
    "void vllm::rotary_embedding_kernel<c10::BFloat16, true>(long const*, c10::BFloat16*)": (
        "vllm::rotary_embedding_kernel<BFloat16>"
    ),
    "std::enable_if<!(false), void>::type internal::gemvx::kernel<int, int, float, float, float, "
    "float, false, true, true, false, 7, cublasGemvParams<"
    "cublasGemvTensorStridedBatched<float const>, float> >(int)": ("gemvx::kernel<float>"),
    "void at_cuda_detail::cub::DeviceScanKernel<at_cuda_detail::cub::AgentScanPolicy<128, 15, long>, "
    "long const*, long*, at_cuda_detail::cub::ScanTileState<long, true>, std::plus<long>, int>(long*)": (
        "cub::DeviceScanKernel · plus<long>"
    ),
    # kernels that are classes of a library
    "void cutlass::Kernel2<cutlass_80_wmma_tensorop_bf16_s161616gemm_bf16_16x16_128x2_tn_align8>("
    "cutlass_80_wmma_tensorop_bf16_s161616gemm_bf16_16x16_128x2_tn_align8::Params)": (
        "cutlass_80_wmma_tensorop_bf16_s161616gemm_bf16_16x16_128x2_tn_align8"
    ),
    "void cutlass::device_kernel<at::cuda::detail::enable_3x_kernel_for_sm9x<cutlass::gemm::"
    "kernel::GemmUniversal<cute::tuple<int, int, int, int>, cutlass::gemm::collective::CollectiveMma<int>, "
    "cutlass::epilogue::collective::CollectiveEpilogue<int> > > >(int)": (
        "cutlass::device_kernel · GemmUniversal<tuple, CollectiveMma, CollectiveEpilogue>"
    ),
    FLASH
    % ("", "", "", "false", ""): "flash_fwd_kernel · Flash_fwd_kernel_traits<bfloat16_t, 128, 128, 64, 4>",
    "void ck::kernel_gemm_xdl_cshuffle_v3<ck::GridwiseGemm_xdl_cshuffle_v3<ck::tensor_layout::gemm::"
    "RowMajor, unsigned short, 256, 16, 32, ck::Sequence<8, 32, 1> >, true>(int)": (
        "ck::kernel_gemm_xdl_cshuffle_v3 · GridwiseGemm_xdl_cshuffle_v3<unsigned short>"
    ),
    # names without structure
    "sm90_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize128x128x64_warpgroupsize1x1x1_execute_segment_k_off_kernel"
    "__5x_cublas": "sm90_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize128x128x64",
    "nvjet_tst_128x256_64x4_1x2_h_bz_coopA_NNT": "nvjet_tst_128x256_64x4_1x2_h_bz_coopA_NNT",
    "ampere_fp16_s16816gemm_fp16_128x64_ldg8_f2f_stages_64x3_tn": (
        "ampere_fp16_s16816gemm_fp16_128x64_ldg8_f2f_stages_64x3_tn"
    ),
    TENSILE % "FDSI0": "Cijk_Ailk_Bljk_BBS_BH_Bias_HA_S_SAV_UserArgs_MT256x160x64_MI16x16x1",
    "ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)": (
        "ncclDevKernel_AllReduce_Sum_bf16_RING_LL"
    ),
    "triton_poi_fused_add_mul_0": "triton_poi_fused_add_mul_0",
    "_fused_moe_kernel": "_fused_moe_kernel",
    "__amd_rocclr_copyBuffer.kd": "__amd_rocclr_copyBuffer",
    "Memcpy HtoD (Pageable -> Device)": "Memcpy HtoD (Pageable -> Device)",
    "Memset (Device)": "Memset (Device)",
    "": "",
}
MANGLED = {
    "_ZN5aiter24add_rmsnorm_quant_kernelIDF16bDF16bLi256ELi16ELb0ELb0ELb1ELi1EEEvPT0_PT_PfS4_S4_S4_"
    "diiiiiiib": ("aiter::add_rmsnorm_quant_kernel<bfloat16_t>"),
    "_ZN7sgl_hip10activation18act_and_mul_kernelI14__hip_bfloat16TnPFT_RKS3_EXadL_Z4siluIS2_ES3_S5_EEEEvP"
    "S3_PS4_i": ("sgl_hip::act_and_mul_kernel · silu<__hip_bfloat16>"),
    "_ZN2at6native29vectorized_elementwise_kernelILi4ENS0_15CUDAFunctor_addIfEESt5arrayIPcLm3EEEEviT0_T1_": (
        "vectorized_elementwise_kernel · CUDAFunctor_add<float>"
    ),
}


@pytest.mark.parametrize(("name", "expected"), NAMES.items())
def test_short_name(name, expected):
    assert short_name(name) == expected


@pytest.mark.parametrize(("name", "expected"), MANGLED.items())
def test_mangled_names_are_read(name, expected):
    pytest.importorskip("demangle")
    assert short_name(name) == expected


def test_mangled_names_stay_where_nothing_reads_them(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "demangle", None)
    kernel_names._read.cache_clear()
    assert short_name("_ZN3foo3barIfEEvT_") == "_ZN3foo3barIfEEvT_"
    kernel_names._read.cache_clear()
    assert short_name("_Zthis_is_not_mangled") == "_Zthis_is_not_mangled"


def short(*names):
    return list(short_names(names).values())


def test_what_tells_kernels_apart_is_added_and_nothing_else():
    add = "void at::native::vectorized_elementwise_kernel<%d, at::native::AddFunctor<float> >(int)"
    assert short(add % 4, add % 8, "other") == [
        "vectorized_elementwise_kernel<4> · AddFunctor<float>",
        "vectorized_elementwise_kernel<8> · AddFunctor<float>",
        "other",
    ]
    norm = "void at::native::layer_norm_kernel<float, float, %s, %s>(float*)"
    assert short(norm % ("true", "false"), norm % ("false", "false")) == [
        "layer_norm_kernel<float, true>",
        "layer_norm_kernel<float, false>",
    ]
    assert short(*(norm % pair for pair in (("true", "true"), ("true", "false"), ("false", "true")))) == [
        "layer_norm_kernel<float, true, true>",
        "layer_norm_kernel<float, true, false>",
        "layer_norm_kernel<float, false, true>",
    ]


def test_what_stands_deep_inside_follows_in_brackets():
    functor = "at::native::%s<float, float, float, at::native::MulFunctor<float> >"
    assert short(*(elementwise(functor % adaptor) for adaptor in ("BinaryFunctor", "BUnaryFunctor"))) == [
        "elementwise_kernel · MulFunctor<float> [BinaryFunctor]",
        "elementwise_kernel · MulFunctor<float> [BUnaryFunctor]",
    ]
    assert short(elementwise(COPY % (7, "float")), elementwise(COPY % (8, "float"))) == [
        "elementwise_kernel · direct_copy_kernel_cuda(float) [lambda#7]",
        "elementwise_kernel · direct_copy_kernel_cuda(float) [lambda#8]",
    ]
    gemm = "Cijk_Ailk_Bljk_BBS_BH_Bias_HA_S_SAV_UserArgs_MT256x160x64_MI16x16x1"
    assert short(TENSILE % "FDSI0", TENSILE % "FDSI1") == [f"{gemm} [FDSI0]", f"{gemm} [FDSI1]"]


def test_names_of_nothing_but_parameters_are_numbered():
    assert short("void f<float>(int)", "void f<float>(long)") == ["f<float>", "f<float> (2)"]
    assert short("f-", "f~", "f!", "f (2)") == ["f-", "f~", "f!", "f (2)"]
    assert short("g<1>(a)", "g<1>(b)", "g (2)") == ["g", "g (3)", "g (2)"]
    # of names without template arguments, words of the parameters say it better
    assert short("f", "f(int)", "f(long)") == ["f", "f [int]", "f [long]"]


def test_the_same_function_of_two_libraries():
    kernel = "rotary_embedding_kernel<c10::BFloat16, true>(long const*)"
    assert short(f"void {kernel}", f"void vllm::{kernel}") == [
        "rotary_embedding_kernel<BFloat16>",
        "vllm::rotary_embedding_kernel<BFloat16>",
    ]


def test_a_long_name_loses_its_middle():
    name = "".join(f"part{i:02}_" for i in range(40))
    assert len(short_name(name)) == WIDTH
    assert short_name(name).startswith("part00_part01_")
    assert short_name(name).endswith("part38_part39_")
    # two that differ in the middle alone
    one, other = short(name, name.replace("part20", "elsewhere"))
    assert (one[-9:], other[-12:]) == (" [part20]", " [elsewhere]")


def test_what_is_not_visible_is_shown_as_such():
    assert short_name("a\nb\x1b[31m\u202e\ud800") == r"a\nb\x1b[31m\u202e\ud800"


def test_function_path():
    path = function_path("void a::f<unsigned long, g<3>, (h)7>::k(int const*, b<c>)")
    assert [part.name for part in path] == ["a", "f", "k"]
    assert [[part.name for part in one] for one in path[1].arguments] == [["unsigned long"], ["g"], ["7"]]
    assert function_path("f<(1<2), 3>(int)")[0].name == "f"


HOSTILE = [
    "<" * 100_000,
    "f<" * 50_000,
    "f<a," + "b," * 50_000,
    "(" * 100_000,
    "f(" * 50_000,
    ">" * 100_000 + ")" * 100_000,
    "a::" * 40_000 + "<",
    "f<" + "<(>)" * 20_000,
    "f<a(" + "<" * 50 + ")" * 50_000,
    "{lambda(" * 20_000,
    "void " * 20_000 + "f<a>",
    "f<a" + "*" * 100_000,
    "f<" + "half" * 25_000 + "!>",
    "f<" + "f8_e1m1" * 15_000 + "!>",
    "Cijk_" + "_MT1x" * 20_000,
    "igemm_" + "_bt1x1" * 20_000,
    "sm90_xmma_" + "_tilesize" * 10_000,
    "_Z" + "\0" * 100_000,
    "_ZN" + "1aI" * 30_000,
    "_Z1f" + "P" * 8_000 + "i",
    "_Z1f1PIiiE" + "".join(f"S_I{s}{s}E" for s in ["S0_", *(f"S{i}_" for i in range(1, 10))] * 40),
    "\ud800" * 50_000,
]


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: repr(name[:12]))
def test_hostile_names_take_no_time(name):
    start = time.perf_counter()
    text = short_name(name)
    # A thousandth of what anything quadratic would take.
    assert time.perf_counter() - start < 2
    assert len(text) <= WIDTH
    assert text.isprintable()


def test_any_text_gets_a_name_of_its_own():
    draw = random.Random(1)
    pieces = [
        "<",
        ">",
        "(",
        ")",
        ",",
        "::",
        "{lambda(",
        "#1}",
        "operator",
        "()",
        "float",
        "void ",
        "f",
        "1",
        "_",
        "\n",
    ]
    for _ in range(300):
        names = {"".join(draw.choices(pieces, k=draw.randint(0, 25))) for _ in range(30)}
        shown = short_names(names)
        assert shown.keys() == names
        assert len(set(shown.values())) == len(names)
        assert all(len(text) <= WIDTH + 30 and text.isprintable() for text in shown.values())
