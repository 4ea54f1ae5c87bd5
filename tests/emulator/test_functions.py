"""CUDA's functions on the emulator: their types, which NVRTC confirms, and their values."""

import math

import numpy as np
import pytest

from gpucnn.backends.devices.cuda.nvrtc import compile_to_cubin
from gpucnn.backends.devices.emulator_device import why_unavailable
from gpucnn.backends.devices.source import KernelSource
from gpucnn.errors import BackendError

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())
ONE = (1, 1, 1)
MODES = ("fast", "race", "sanitize")

# The type of each expression, of b bool, s short, i int, u unsigned, l long, ll long long, f float,
# d double, h half, h2 half2 and so on.
TYPES = """
int: abs(i) abs(s) abs(b) min(i,i) min(b,b) min(s,s) ilogb(f) ilogb(d) isnan(f) isnan(d) isinf(f)
    isinf(d) isfinite(f) isfinite(d) signbit(f) signbit(d) __float2int_rn(f) __double2int_rz(d)
    __double2hiint(d) __double2loint(d) __float_as_int(f) __popc(u) __popcll(ull) __clz(i)
    __hadd(i,i) __rhadd(i,i)
    __clzll(ll) __ffs(i) __ffsll(ll) __mulhi(i,i) __mul24(i,i) __dp4a(i,i,i) __reduce_add_sync(u,i)
    __reduce_min_sync(u,i) __reduce_max_sync(u,i) __shfl_sync(u,b,i) __shfl_sync(u,s,i)
    __shfl_up_sync(u,s,u) __shfl_sync(u,i,i) __any_sync(u,i) __all_sync(u,i) atomicAdd(&i,u)
    atomicAdd_block(&i,i) atomicAdd_system(&i,i) __half2int_rn(h) printf("")
unsigned: min(i,u) min(u,i) max(i,u) umin(u,u) __float2uint_rd(f) __double2uint_ru(d) __brev(u)
    __byte_perm(u,u,u) __funnelshift_l(u,u,u) __funnelshift_r(u,u,u) __funnelshift_lc(u,u,u)
    __uhadd(u,u) __urhadd(u,u) __sad(i,i,u) __usad(u,u,u)
    __funnelshift_rc(u,u,u) __umulhi(u,u) __umul24(u,u) __dp4a(u,u,u) __match_any_sync(u,i)
    __match_any_sync(u,f) __match_any_sync(u,ull) __match_all_sync(u,i,&i) __reduce_add_sync(u,u)
    __reduce_and_sync(u,u) __reduce_or_sync(u,i) __reduce_xor_sync(u,u) __ballot_sync(u,i)
long: abs(l) min(l,l) lround(f) lrint(d) clock()
unsigned long: min(l,ul) max(ul,l)
long long: abs(ll) min(ll,ll) llround(f) llrint(d) llmin(ll,ll) clock64() __float2ll_ru(f)
    __mul64hi(ll,ll) __double_as_longlong(d) __shfl_xor_sync(u,ll,i)
unsigned long long: min(ll,ull) max(ull,ll) __float2ull_rz(f) __brevll(ull) __umul64hi(ull,ull)
float: abs(f) exp(f) exp2(f) exp10(f) expm1(f) log(f) log2(f) log10(f) log1p(f) sqrt(f) rsqrt(f)
    cbrt(f) rcbrt(f) sin(f) cos(f) tan(f) asin(f) acos(f) atan(f) sinh(f) cosh(f) tanh(f) asinh(f)
    acosh(f) atanh(f) floor(f) ceil(f) trunc(f) round(f) rint(f) nearbyint(f) fabs(f) erf(f) erfc(f)
    tgamma(f) lgamma(f) logb(f) pow(f,f) pow(f,i) pow(i,f) fmod(f,f) fmod(f,i) atan2(f,i) hypot(f,f)
    fmin(f,f) fmax(f,i) fdim(f,i) copysign(f,f) nextafter(f,i) remainder(f,i) fma(f,f,f) fma(f,f,i)
    ldexp(f,i) scalbn(f,i) frexp(f,&i) modf(f,&f) min(f,f) max(f,f) sinpi(f) cospi(f) normcdf(f)
    fdividef(f,f) rsqrtf(f) rcbrtf(f) rhypotf(f,f) normcdff(f) sinpif(f) cospif(f) j0(f) y1(f)
    scalbln(f,l) remquo(f,f,&i) exp10f(f) norm3df(f,f,f) norm4df(f,f,f,f) __expf(f) __exp10f(f)
    __logf(f) __log2f(f) __log10f(f) __sinf(f) __cosf(f) __tanf(f) __powf(f,f) __fdividef(f,f)
    __saturatef(f) __int2float_rn(i) __uint2float_rz(u) __ll2float_rd(ll) __ull2float_ru(ull)
    __double2float_rz(d) __frsqrt_rn(f) __ldcs(&f) __ldcg(&f) __ldca(&f) __ldlu(&f) __ldcv(&f)
double: abs(d) exp(d) sqrt(d) log(d) sin(d) floor(d) rsqrt(d) pow(d,d) pow(d,i) fmod(d,i) fma(d,d,i)
    copysign(d,f) copysign(f,d) min(f,d) max(d,f) min(d,d) exp10(d) sinpi(d) normcdf(d) rhypot(f,f)
    j1(d) y0(d) scalbln(d,l) norm3d(f,f,f) ldexp(d,i) __int2double_rn(i) __uint2double_rn(u)
    __ll2double_rn(ll) __hiloint2double(i,i) __dsub_rn(d,d) __ddiv_rn(d,d) __shfl_down_sync(u,d,u)
half: __shfl_sync(u,h,i) hexp(h) hsqrt(h) hrsqrt(h) hlog(h) hrcp(h) hfloor(h) __int2half_rn(i)
    __uint2half_rn(u) __low2half(h2)
half2: h2+h2 h2-h2 h2*h2 h2/h2 h2+=h2 -h2 __shfl_xor_sync(u,h2,i) h2exp(h2) __hmax2(h2,h2)
__nv_bfloat162: b2+b2 b2*b2 h2exp(b2)
void: sincos(f,&f,&f) sincos(d,&d,&d) sincospi(f,&f,&f) __sincosf(f,&f,&f) __stcs(&f,f) __stcg(&f,f)
    __stwt(&f,f) __stwb(&f,f) __trap() __nanosleep(u) __threadfence_system() __builtin_assume(b)
"""


def type_checks():
    """A file that compiles where every expression has its type."""
    checks = []
    for part in TYPES.strip().replace("\n    ", " ").split("\n"):
        kind, _, expressions = part.partition(": ")
        checks += [
            f"static_assert(same<remove<decltype({e})>, {kind}>, {e.split('(')[0]!r});".replace(
                "'", '"'
            )
            for e in expressions.split()
        ]
    return """
#include <cuda_fp16.h>
#include <cuda_bf16.h>
template <typename A, typename B> constexpr bool same = false;
template <typename A> constexpr bool same<A, A> = true;
template <typename T> struct removed { using type = T; };
template <typename T> struct removed<T&> { using type = T; };
template <typename T> using remove = typename removed<T>::type;
__global__ void k(float* y) {
    bool b; short s; int i; unsigned u; long l; unsigned long ul; long long ll;
    unsigned long long ull; float f; double d; half h; half2 h2; __nv_bfloat162 b2;
""" + "\n".join(checks).replace('""', '"text"') + "\n}\n"  # fmt: skip


def test_types(kernels):
    kernels(type_checks())


@pytest.mark.nvrtc
def test_types_are_nvrtcs(tmp_path):
    (tmp_path / "types.cu").write_text(type_checks())
    assert compile_to_cubin(KernelSource("types.cu", folder=tmp_path), "sm_90a").cubin


def values(kernels, expressions, inputs, dtype=np.float32, mode="fast", before=""):
    """What each expression of x, an element of the inputs, is: an array of them by inputs."""
    kind = {"f": "float", "d": "double", "i": "int", "I": "unsigned", "Q": "unsigned long long"}
    x = np.asarray(inputs)
    lines = "\n".join(f"y[{i} * n + j] = {e};" for i, e in enumerate(expressions))
    device, module = kernels(
        f"""{before}
        __global__ void k(const {kind[x.dtype.char]}* xs, {kind[np.dtype(dtype).char]}* y, int n) {{
            for (int j = threadIdx.x; j < n; j += blockDim.x) {{
                const auto x = xs[j];
                {lines}
            }}
        }}""",
        mode,
    )
    y = device.asarray(np.zeros((len(expressions), x.size), dtype))
    device.launch(module["k"], ONE, (32, 1, 1), 0, (device.asarray(x), y, np.int32(x.size)))
    return device.to_numpy(y)


FLOATS = {
    "abs(x - 8.0f)": lambda x: abs(x - 8),
    "exp(x)": np.exp,
    "exp10(x * 0.25f)": lambda x: 10 ** (x / 4),
    "sqrt(x)": np.sqrt,
    "rsqrt(x)": lambda x: 1 / np.sqrt(x),
    "rcbrtf(x)": lambda x: 1 / np.cbrt(x),
    "rhypotf(x, 3.0f)": lambda x: 1 / np.hypot(x, 3),
    "norm3df(x, 2.0f, 3.0f)": lambda x: np.sqrt(x * x + 13),
    "norm4df(x, 2.0f, 3.0f, 4.0f)": lambda x: np.sqrt(x * x + 29),
    "normcdff(x)": np.vectorize(lambda x: (1 + math.erf(x / math.sqrt(2))) / 2),
    "sinpif(x)": lambda x: np.sin(np.pi * x),
    "cospif(-x)": lambda x: np.cos(np.pi * x),
    "__expf(x) + __logf(x)": lambda x: np.exp(x) + np.log(x),
    "__log2f(x) + __log10f(x)": lambda x: np.log2(x) + np.log10(x),
    "__exp10f(x)": lambda x: 10**x,
    "__sinf(x) + __cosf(x) * __tanf(x)": lambda x: 2 * np.sin(x),
    "__powf(x, 2.5f)": lambda x: x**2.5,
    "__fdividef(x, 3.0f)": lambda x: x / 3,
    "__saturatef(x - 1.5f)": lambda x: np.clip(x - 1.5, 0, 1),
    "max(x, 2.0f) + min(x, 3.0f)": lambda x: np.maximum(x, 2) + np.minimum(x, 3),
    "pow(x, 3)": lambda x: x**3,
    "__half2float(hsqrt(__float2half(x))) + __low2float(h2exp(__float2half2_rn(0.0f)))": lambda x: (
        np.sqrt(x) + 1
    ),
}


def test_floats(kernels):
    x = np.array([0.25, 0.5, 1, 1.75, 2, 2.25, 3, 4.5, 6.25], np.float32)
    found = values(kernels, FLOATS, x, before="#include <cuda_fp16.h>")
    wide = x.astype(np.float64)
    for expression, got in zip(FLOATS, found, strict=True):
        bound = 1e-3 if "half" in expression else 1e-6
        expected = FLOATS[expression](wide)
        np.testing.assert_allclose(got, expected, bound, bound, err_msg=expression)


def test_whether_a_float_is_a_number(kernels):
    x = np.array([np.nan, np.inf, -np.inf, -0.0, 2.0], np.float32)
    text = ("isnan(x)", "isinf(x)", "isfinite(x)", "signbit(x)", "__saturatef(x)")
    found = values(kernels, text, x)
    np.testing.assert_array_equal(found[0], np.isnan(x))
    np.testing.assert_array_equal(found[1], np.isinf(x))
    np.testing.assert_array_equal(found[2], np.isfinite(x))
    np.testing.assert_array_equal(found[3][1:], np.signbit(x[1:]))
    np.testing.assert_array_equal(found[4], [0, 1, 0, 0, 1])


def signed(x, bits):
    return x - (1 << bits) if x >> (bits - 1) else x


def shifted(low, high, shift):
    return ((high << 32 | low) << shift >> 32) % 2**32


WORDS = {
    "__popc(x)": lambda x: bin(x).count("1"),
    "__brev(x)": lambda x: int(f"{x:032b}"[::-1], 2),
    "__clz(x)": lambda x: 32 - x.bit_length(),
    "__ffs(x)": lambda x: (x & -x).bit_length(),
    "__byte_perm(x, 0x11223344u, 0x6501u)": lambda x: int.from_bytes(
        bytes([x >> 8 & 255, x & 255, 0x33, 0x22]), "little"
    ),
    "__byte_perm(x, 0, 0x888bu)": lambda x: (
        (255 if x >> 31 else 0) | (0xFFFFFF00 if x >> 7 & 1 else 0)
    ),
    "__funnelshift_l(x, 5u, x)": lambda x: shifted(x, 5, x % 32),
    "__funnelshift_lc(x, 5u, x)": lambda x: shifted(x, 5, min(x, 32)),
    "__funnelshift_r(x, 5u, x)": lambda x: (5 << 32 | x) >> x % 32 & 0xFFFFFFFF,
    "__funnelshift_rc(x, 5u, x)": lambda x: (5 << 32 | x) >> min(x, 32) & 0xFFFFFFFF,
    "__umulhi(x, 0x89abcdefu)": lambda x: x * 0x89ABCDEF >> 32,
    "__mulhi((int)x, -77777)": lambda x: (signed(x, 32) * -77777 >> 32) % 2**32,
    "__umul24(x, 0xffabcdefu)": lambda x: (x % 2**24) * 0xABCDEF % 2**32,
    "__mul24((int)x, -3)": lambda x: signed(x % 2**24, 24) * -3 % 2**32,
    "__dp4a(x, 0x80017f02u, 7u)": lambda x: (
        sum((x >> 8 * i & 255) * b for i, b in enumerate((2, 127, 1, 128))) + 7
    ),
    "__dp4a((int)x, (int)0x80017f02u, 7)": lambda x: (
        (sum(signed(x >> 8 * i & 255, 8) * b for i, b in enumerate((2, 127, 1, -128))) + 7) % 2**32
    ),
    "__hadd((int)x, -77777)": lambda x: (signed(x, 32) - 77777 >> 1) % 2**32,
    "__rhadd((int)x, -77777)": lambda x: (signed(x, 32) - 77776 >> 1) % 2**32,
    "__uhadd(x, 0xffabcdefu)": lambda x: x + 0xFFABCDEF >> 1,
    "__urhadd(x, 0xffabcdefu)": lambda x: x + 0xFFABCDF0 >> 1,
    "__sad((int)x, -77777, 9u)": lambda x: (abs(signed(x, 32) + 77777) + 9) % 2**32,
    "__usad(x, 0x89abcdefu, 9u)": lambda x: (abs(x - 0x89ABCDEF) + 9) % 2**32,
    "min(x, -1)": lambda x: x,
    "abs((int)(x >> 1) - 99)": lambda x: abs((x >> 1) - 99),
}
LONG = {
    "__popcll(x)": lambda x: bin(x).count("1"),
    "__brevll(x)": lambda x: int(f"{x:064b}"[::-1], 2),
    "__clzll(x)": lambda x: 64 - x.bit_length(),
    "__ffsll(x)": lambda x: (x & -x).bit_length(),
    "__umul64hi(x, 0x123456789abcdefull)": lambda x: x * 0x123456789ABCDEF >> 64,
    "__mul64hi(x, -77777)": lambda x: (signed(x, 64) * -77777 >> 64) % 2**64,
    "max(x, -5ll)": lambda x: max(x, 2**64 - 5),
}


@pytest.mark.parametrize(("table", "bits"), [(WORDS, 32), (LONG, 64)], ids=["words", "long"])
@pytest.mark.parametrize("mode", MODES)
def test_bits(kernels, rng, table, bits, mode):
    drawn = [int.from_bytes(rng.bytes(bits // 8), "little") for _ in range(40)]
    x = [0, 1, 5, 31, 32, 33, 2 ** (bits - 1), 2**bits - 1, *drawn]
    dtype = np.uint32 if bits == 32 else np.dtype("Q")
    found = values(kernels, table, np.array(x, dtype), dtype, mode)
    for expression, got in zip(table, found.tolist(), strict=True):
        assert got == [table[expression](value) for value in x], expression


@pytest.mark.parametrize("mode", MODES)
def test_floats_become_integers(kernels, mode):
    """To the nearest, towards zero, down, up; what does not fit as near as there is."""
    x = np.array([2.5, -2.5, 3.7, -0.2, 1e30, -1e30, np.nan], np.float32)
    most, least = 2**31 - 1, -(2**31)
    expected = {
        "rn": [2, -2, 4, 0, most, least, 0],
        "rz": [2, -2, 3, 0, most, least, 0],
        "rd": [2, -3, 3, -1, most, least, 0],
        "ru": [3, -2, 4, 0, most, least, 0],
    }
    found = values(kernels, [f"__float2int_{how}(x)" for how in expected], x, np.int32, mode)
    assert found.tolist() == list(expected.values())
    unsigned = values(kernels, ["__float2uint_rn(x)"], x, np.uint32, mode)
    assert unsigned.tolist() == [[2, 0, 4, 0, 2**32 - 1, 0, 0]]
    wide = values(kernels, ["__double2ull_rz(x)"], x.astype(np.float64), np.dtype("Q"), mode)
    assert wide.tolist() == [[2, 0, 3, 0, 2**64 - 1, 0, 2**63]]


def test_integers_become_floats(kernels):
    """2^24 + 1 and 2^64 - 1 lie between two floats."""
    ways = ("rn", "rz", "rd", "ru")
    x = np.array([2**24 + 1, -(2**24) - 1, 7], np.int32)
    found = values(kernels, [f"__int2float_{how}(x)" for how in ways], x).tolist()
    even, odd = 2.0**24, 2.0**24 + 2
    assert found == [[even, -even, 7], [even, -even, 7], [even, -odd, 7], [odd, -even, 7]]
    x = np.array([2**64 - 1, 2**40], np.dtype("Q"))
    found = values(kernels, [f"__ull2float_{how}(x)" for how in ways], x).tolist()
    below = 2.0**64 - 2.0**40
    assert found == [[2.0**64, 2.0**40], [below, 2.0**40], [below, 2.0**40], [2.0**64, 2.0**40]]
    x = np.array([0.1, -0.1])
    found = values(kernels, [f"__double2float_{how}(x)" for how in ways], x)
    near = np.float32(0.1)
    below = np.nextafter(near, np.float32(0))
    assert found.tolist() == [[near, -near], [below, -below], [below, -near], [near, -below]]


LANES = """
#include <cuda_fp16.h>
__global__ void k(const float* x, float* y) {
    const int i = threadIdx.x;
    y[i] = __match_any_sync(~0u, i / 4);
    int all = -1;
    y[32 + i] = __match_all_sync(~0u, i < 40, &all) == ~0u && all;
    y[64 + i] = __reduce_add_sync(~0u, i - 3) + 1000 * __reduce_max_sync(~0u, -i);
    y[96 + i] = __reduce_xor_sync(~0u, 1u << i / 2) + __reduce_or_sync(~0u, 8u) +
        __reduce_and_sync(~0u, 15u - i % 2) + __reduce_min_sync(~0u, 40u - i);
    y[128 + i] = __half2float(__shfl_xor_sync(~0u, __float2half(x[i]), 1));
    y[160 + i] = __high2float(__shfl_up_sync(~0u, __floats2half2_rn(0.0f, x[i]), 2));
    y[192 + i] = __shfl_sync(~0u, i == 3, 3) + __shfl_down_sync(~0u, (short)-i, 1);
}
"""


@pytest.mark.parametrize("mode", MODES)
def test_lanes(kernels, mode):
    device, module = kernels(LANES, mode)
    x = np.arange(32, dtype=np.float32)
    y = device.asarray(np.zeros(7 * 32, np.float32))
    device.launch(module["k"], ONE, (32, 1, 1), 0, (device.asarray(x), y))
    found = device.to_numpy(y).reshape(7, 32)
    i = np.arange(32)
    np.testing.assert_array_equal(found[0], (0xF << (i // 4 * 4)).astype(np.float32))
    np.testing.assert_array_equal(found[1], 1)
    np.testing.assert_array_equal(found[2], 31 * 16 - 96)
    np.testing.assert_array_equal(found[3], 8 + 14 + 9)
    np.testing.assert_array_equal(found[4], i ^ 1)
    np.testing.assert_array_equal(found[5], np.where(i < 2, i, i - 2))
    np.testing.assert_array_equal(found[6], 1 - np.minimum(i + 1, 31))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("__shfl_sync(0xffffu, x, 20)", "lane 0 reads lane 20, which its mask 0x0000ffff does not"),
        ("__shfl_xor_sync(0xffffu, x, 16)", r"lane 0 reads lane (1[6-9]|[23]\d), which its mask"),
    ],
)
@pytest.mark.parametrize("mode", MODES)
def test_a_lane_outside_the_mask_is_not_read(kernels, call, words, mode):
    text = f"""__global__ void k(float* y) {{
        const float x = y[threadIdx.x];
        if (threadIdx.x < 16) y[threadIdx.x] = {call};  // here
    }}"""
    device, module = kernels(text, mode)
    y = device.asarray(np.zeros(32, np.float32))
    with pytest.raises(BackendError, match=words.replace("lane 0 ", r"lane \d+ ")) as caught:
        device.launch(module["k"], ONE, (32, 1, 1), 0, (y,))
    assert str(caught.value).endswith("at test.cu:3")


def test_sums_by_halves_within_a_mask(kernels):
    """What lanes get from beyond the mask is not wanted."""
    text = """__global__ void k(float* y) {
        if (threadIdx.x >= 16) return;
        float x = y[threadIdx.x];
        for (int i = 8; i > 0; i /= 2) x += __shfl_down_sync(0xffffu, x, i);
        if (threadIdx.x == 0) y[0] = x;
    }"""
    device, module = kernels(text)
    y = device.asarray(np.arange(32, dtype=np.float32))
    device.launch(module["k"], ONE, (32, 1, 1), 0, (y,))
    assert y[0] == 120


@pytest.mark.parametrize("mode", MODES)
def test_printf_goes_to_stderr(kernels, mode, capfd):
    device, module = kernels(
        '__global__ void k(float* y) { printf("%d is %.2f\\n", (int)threadIdx.x, y[0]); }', mode
    )
    device.launch(module["k"], ONE, (2, 1, 1), 0, (device.asarray(np.ones(1, np.float32)),))
    output, errors = capfd.readouterr()
    assert (output, sorted(errors.split("\n"))) == ("", ["", "0 is 1.00", "1 is 1.00"])


def test_clocks_and_caches(kernels):
    text = """__global__ void k(float* y) {
        const long long begin = clock64();
        const clock_t first = clock();
        __nanosleep(100);
        __threadfence_block();
        __stcs(y, 2.0);
        __stwt(y + 1, __ldcg(y) + 1);
        y[2] = clock64() >= begin && clock() >= first;
    }"""
    device, module = kernels(text)
    y = device.asarray(np.zeros(3, np.float32))
    device.launch(module["k"], ONE, ONE, 0, (y,))
    assert y.tolist() == [2, 3, 1]


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("__trap()", "__trap has ended the kernel at"),
        ("__builtin_assume(y[0] > 1.0f)", r"what is assumed is not so: y.0. > 1.0f at"),
    ],
)
def test_what_ends_a_kernel(kernels, statement, words):
    device, module = kernels(f"__global__ void k(float* y) {{ {statement}; }}")
    with pytest.raises(BackendError, match=f"{words} test.cu:1"):
        device.launch(module["k"], ONE, ONE, 0, (device.asarray(np.zeros(1, np.float32)),))


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("y[0] = __activemask()", "hand on the mask of the lanes that are meant"),
        ("atomicAdd(y, 1.0f)", "their sum depends on the order"),
        ("atomicAdd(y, 1)", "their sum depends on the order"),
        ("float4 v = __shfl_sync(~0u, float4{}, 0)", "take a structure apart"),
        ('unsigned i; asm("mov.u32 %0, %%laneid;" : "=r"(i))', r"test\.cu:1: inline assembly, of"),
    ],
)
def test_what_is_refused_says_why(kernels, statement, words):
    with pytest.raises(BackendError, match=words):
        kernels(f"__global__ void k(float* y) {{ {statement}; }}")


def test_empty_assembly_and_assembly_left_out(kernels):
    device, module = kernels("""
        #if __CUDA_ARCH__ < 800
        __device__ void old() { asm("membar.gl;"); }
        #endif
        __global__ void k(float* y) { y[0] = 1.0f; asm volatile("" ::: "memory"); y[0] += 1.0f; }
    """)
    y = device.asarray(np.zeros(1, np.float32))
    device.launch(module["k"], ONE, ONE, 0, (y,))
    assert y[0] == 2


@pytest.mark.parametrize("mode", MODES)
def test_what_nothing_defines_is_named(kernels, mode):
    for declared, used in (("float helper(float);", "helper"), ('extern "C" float far();', "far")):
        call = f"{used}({'1.0f' if used == 'helper' else ''})"
        with pytest.raises(BackendError, match=rf"test\.cu uses {used}.*, which is declared and"):
            kernels(f"{declared}\n__global__ void k(float* y) {{ y[0] = {call}; }}", mode)
