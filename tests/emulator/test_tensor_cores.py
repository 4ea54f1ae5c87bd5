"""The host's versions of mma, ldmatrix and of 16-bit floats, against NumPy and PTX's tables.

Matrices have small integers, so every product and sum is exact and layouts are tested to the bit. A
GPU must give the same, or else the emulator plays another machine.
"""

from fractions import Fraction

import numpy as np
import pytest

from gpucnn.errors import BackendError

GPU = pytest.param("cuda", marks=pytest.mark.gpu)
PTX = pytest.param("ptx", marks=[pytest.mark.nvrtc, pytest.mark.cuda_headers])
MODES = ["fast", "race", "sanitize", PTX, GPU]
on_both = pytest.mark.parametrize("mode", ["fast", PTX, GPU])
ONE = (1, 1, 1)

# C (M, N) = A (M, K) · B (K, N): a warp a tile of 16×8, several warps a block, several blocks.
# Fragments are read from global memory element by element, as PTX's tables have them.
PRODUCT = """
#include <cuda_fp16.h>
#include <cuda_bf16.h>
#include "ptx/mma.cuh"

template <int DEPTH, typename Pack, typename Multiply>
__device__ void product(const float* a, const float* b, float* c, int N, int K, Pack pack,
                        Multiply multiply) {
    const int warp = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
    const int lane = threadIdx.x % 32, g = lane >> 2, t = lane & 3;
    const int row = warp / (N / 8) * 16, column = warp % (N / 8) * 8;
    float d[4] = {};
    for (int k = 0; k < K; k += DEPTH) {
        unsigned fa[4], fb[2];
        for (int i = 0; i < 4; ++i) {
            const int r = row + (i & 1 ? g + 8 : g);
            fa[i] = DEPTH == 16
                ? pack(a[r * K + k + 2 * t + (i & 2) * 4], a[r * K + k + 2 * t + 1 + (i & 2) * 4])
                : pack(a[r * K + k + t + (i & 2) * 2], 0.0f);
        }
        for (int i = 0; i < 2; ++i) {
            fb[i] = DEPTH == 16 ? pack(b[(k + 2 * t + 8 * i) * N + column + g],
                                       b[(k + 2 * t + 8 * i + 1) * N + column + g])
                                : pack(b[(k + t + 4 * i) * N + column + g], 0.0f);
        }
        multiply(d, fa, fb);
    }
    for (int i = 0; i < 4; ++i) {
        c[(row + (i < 2 ? g : g + 8)) * N + column + 2 * t + (i & 1)] = d[i];
    }
}

__device__ unsigned pair(unsigned short low, unsigned short high) {
    return low | static_cast<unsigned>(high) << 16;
}

__global__ void bf16(const float* a, const float* b, float* c, int N, int K) {
    product<16>(a, b, c, N, K, [](float x, float y) {
        return pair(__bfloat16_as_ushort(__float2bfloat16(x)),
                    __bfloat16_as_ushort(__float2bfloat16(y)));
    }, mma_m16n8k16_bf16);
}

__global__ void fp16(const float* a, const float* b, float* c, int N, int K) {
    product<16>(a, b, c, N, K, [](float x, float y) {
        return pair(__half_as_ushort(__float2half(x)), __half_as_ushort(__float2half(y)));
    }, mma_m16n8k16_fp16);
}

__global__ void tf32(const float* a, const float* b, float* c, int N, int K) {
    product<8>(a, b, c, N, K, [](float x, float) { return float_to_tf32(x); }, mma_m16n8k8_tf32);
}

__global__ void part_of_a_warp(float* y) {
    float d[4] = {};
    unsigned a[4] = {}, b[2] = {};
    mma_m16n8k16_fp16(d, a, b);
    y[0] = d[0];
}

__global__ void divergent(float* y) {
    float d[4] = {};
    unsigned a[4] = {}, b[2] = {};
    if (threadIdx.x % 32 != 7) {
        mma_m16n8k16_fp16(d, a, b);
    }
    y[threadIdx.x] = d[0];
}
"""


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kernel", ["bf16", "fp16", "tf32"])
def test_products_of_several_tiles(kernels, rng, kernel, mode):
    M, N, K = 64, 48, 48
    device, module = kernels(PRODUCT, mode)
    a, b = (rng.integers(-8, 9, shape).astype(np.float32) for shape in ((M, K), (K, N)))
    c = device.asarray(np.full((M, N), 99.0, np.float32))
    arguments = (device.asarray(a), device.asarray(b), c, np.int32(N), np.int32(K))
    device.launch(module[kernel], (M * N // 128 // 4, 1, 1), (128, 1, 1), 0, arguments)
    np.testing.assert_array_equal(device.to_numpy(c), a @ b)


@on_both
def test_tf32_counts_10_bits_of_the_mantissa(kernels, mode):
    """1 + 2⁻¹¹ is a tie, which rounds away from zero; 1 + 2⁻¹² rounds down."""
    device, module = kernels(PRODUCT, mode)
    for x, expected in ((1 + 2**-11, 1 + 2**-10), (1 + 2**-12, 1), (-1 - 2**-11, -1 - 2**-10)):
        a = np.zeros((16, 8), np.float32)
        a[3, 5] = x
        b = np.eye(8, dtype=np.float32)
        c = device.asarray(np.zeros((16, 8), np.float32))
        arguments = (device.asarray(a), device.asarray(b), c, np.int32(8), np.int32(8))
        device.launch(module["tf32"], ONE, (32, 1, 1), 0, arguments)
        assert device.to_numpy(c)[3, 5] == expected


@pytest.mark.parametrize(
    ("kernel", "threads", "words"),
    [
        ("part_of_a_warp", 40, "needs all 32 lanes of a warp, this one has 8"),
        ("divergent", 64, "lane 7, which has left|for others that never come"),
    ],
)
def test_products_need_a_whole_warp(kernels, kernel, threads, words):
    device, module = kernels(PRODUCT)
    y = device.asarray(np.zeros(64, np.float32))
    with pytest.raises(BackendError, match=words) as caught:
        device.launch(module[kernel], ONE, (threads, 1, 1), 0, (y,))
    assert "mma.cuh:" in str(caught.value)


LOADS = """
#include "ptx/ldmatrix.cuh"

template <int COUNT, bool TRANSPOSED>
__device__ void load(const unsigned short* x, unsigned* y) {
    // Rows of 8 elements, 16 bytes, with a gap, and not in the order of their use.
    __shared__ __align__(16) unsigned short rows[2][32][16];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    for (int i = 0; i < 8; ++i) {
        rows[warp][31 - lane][i] = x[(warp * 32 + lane) * 8 + i];
    }
    __syncthreads();
    unsigned d[COUNT];
    // Lanes beyond the last row may point anywhere.
    const void* row = lane < 8 * COUNT ? &rows[warp][31 - lane][0] : nullptr;
    if (TRANSPOSED) {
        load_matrix_transposed(d, row);
    } else {
        load_matrix(d, row);
    }
    for (int i = 0; i < COUNT; ++i) {
        y[(warp * 4 + i) * 32 + lane] = d[i];
    }
}
"""
LOADS += "".join(
    f"__global__ void {prefix}x{count}(const unsigned short* x, unsigned* y) "
    f"{{ load<{count}, {'true' if prefix else 'false'}>(x, y); }}\n"
    for prefix in ("", "transposed_")
    for count in (1, 2, 4)
)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("transposed", [False, True])
def test_matrices_from_shared_memory(kernels, count, transposed, mode):
    device, module = kernels(LOADS, mode)
    x = np.arange(2 * 32 * 8, dtype=np.uint16).reshape(2, 4, 8, 8)
    y = device.asarray(np.zeros((2, 4, 32), np.uint32))
    name = f"{'transposed_' if transposed else ''}x{count}"
    device.launch(module[name], ONE, (64, 1, 1), 0, (device.asarray(x), y))
    result = device.to_numpy(y).view(np.uint16).reshape(2, 4, 8, 8)
    expected = x.swapaxes(2, 3) if transposed else x
    np.testing.assert_array_equal(result[:, :count], expected[:, :count])


CONVERSIONS = """
#include <cuda_fp16.h>
#include <cuda_bf16.h>

__global__ void to_half(const float* x, unsigned short* y, int count) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) y[i] = __half_as_ushort(__float2half_rn(x[i]));
}
__global__ void from_half(const unsigned short* x, float* y, int count) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) y[i] = __half2float(__ushort_as_half(x[i]));
}
__global__ void to_bfloat16(const float* x, unsigned short* y, int count) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) y[i] = __bfloat16_as_ushort(__float2bfloat16_rn(x[i]));
}
__global__ void from_bfloat16(const unsigned short* x, float* y, int count) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) y[i] = __bfloat162float(__ushort_as_bfloat16(x[i]));
}
__global__ void arithmetic(const half* a, const half* b, const half* c, half* y, int count) {
    const int i = threadIdx.x;
    if (i < count) {
        y[4 * i] = a[i] + b[i];
        y[4 * i + 1] = a[i] * b[i];
        y[4 * i + 2] = a[i] / b[i];
        y[4 * i + 3] = __hfma(a[i], b[i], c[i]);
    }
}
__global__ void fused(
    const __nv_bfloat16* a, const __nv_bfloat16* b, const __nv_bfloat16* c, __nv_bfloat16* y) {
    y[threadIdx.x] = __hfma(a[threadIdx.x], b[threadIdx.x], c[threadIdx.x]);
}
__global__ void pairs(const half2* x, half2* y, float2* z, __nv_bfloat162* w) {
    y[0] = __hfma2(x[0], __float2half2_rn(2.0f), __floats2half2_rn(1.0f, -1.0f));
    z[0] = __half22float2(__hadd2(x[0], x[0]));
    w[0] = __float22bfloat162_rn(z[0]);
}
"""


def launch_over(device, kernel, x, dtype):
    y = device.asarray(np.zeros(x.shape, dtype))
    arguments = (device.asarray(x), y, np.int32(x.size))
    device.launch(kernel, (-(-x.size // 256), 1, 1), (256, 1, 1), 0, arguments)
    return device.to_numpy(y)


@on_both
def test_every_half_to_float_and_back(kernels, mode):
    device, module = kernels(CONVERSIONS, mode)
    bits = np.arange(2**16, dtype=np.uint16)
    floats = launch_over(device, module["from_half"], bits, np.float32)
    np.testing.assert_array_equal(floats, bits.view(np.float16).astype(np.float32))
    back = launch_over(device, module["to_half"], floats, np.uint16)
    number = ~np.isnan(floats)
    np.testing.assert_array_equal(back[number], bits[number])
    assert set(back[~number]) == {0x7FFF}


@on_both
def test_rounding_to_half_at_and_beside_every_tie(kernels, mode):
    """Midpoints between neighbours, and the floats on both sides of them, denormals included."""
    device, module = kernels(CONVERSIONS, mode)
    halves = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float64)
    ties = np.append((halves[:-1] + halves[1:]) / 2, [65520.0, 2.0**-26, 1e-40, 3e38])
    ties = ties.astype(np.float32)
    beside = [np.nextafter(ties, np.float32(limit)) for limit in (np.inf, 0)]
    x = np.concatenate([ties, *beside, [np.float32(np.inf)]])
    x = np.concatenate([x, -x])
    with np.errstate(over="ignore"):
        expected = x.astype(np.float16).view(np.uint16)
    np.testing.assert_array_equal(launch_over(device, module["to_half"], x, np.uint16), expected)


@on_both
def test_rounding_to_bfloat16(kernels, rng, mode):
    """To the nearest, ties to even: adding just under half a unit carries where it must."""
    device, module = kernels(CONVERSIONS, mode)
    bits = rng.integers(0, 2**32, 200_000, dtype=np.uint64).astype(np.uint32)
    bits[::3] = bits[::3] & 0xFFFF0000 | 0x8000
    bits[:4] = [0x7F800000, 0xFF800000, 0x7F7FFFFF, 1]
    x = bits.view(np.float32)
    result = launch_over(device, module["to_bfloat16"], x, np.uint16)
    wide = bits.astype(np.uint64)
    rounded = ((wide + 0x7FFF + (wide >> 16 & 1)) >> 16).astype(np.uint16)
    expected = np.where(np.isnan(x), np.uint16(0x7FFF), rounded)
    np.testing.assert_array_equal(result, expected)
    back = launch_over(device, module["from_bfloat16"], expected, np.float32)
    np.testing.assert_array_equal(back, (expected.astype(np.uint32) << 16).view(np.float32))


@on_both
def test_arithmetic_of_halves_is_rounded_once(kernels, rng, mode):
    """In exact arithmetic, rounded by NumPy; products of two halves and a half fit 128 bits."""
    device, module = kernels(CONVERSIONS, mode)
    exponents = rng.integers(-6, 6, (3, 250)).astype(float)
    a, b, c = (rng.uniform(0.1, 1.0, (3, 250)) * 2.0**exponents).astype(np.float16)
    # Where the product alone is a tie, what is added decides, however small it is.
    a[:4], b[:4] = 1 + 2**-10, 1 + 2**-1
    c[:4] = [2**-24, -(2**-24), 0, 2**-20]
    y = device.asarray(np.zeros((250, 4), np.float16))
    arguments = (*map(device.asarray, (a, b, c)), y, np.int32(250))
    device.launch(module["arithmetic"], ONE, (256, 1, 1), 0, arguments)
    result = device.to_numpy(y)
    for i in range(250):
        p, q, r = (Fraction(float(v)) for v in (a[i], b[i], c[i]))
        exact = (p + q, p * q, p / q, p * q + r)
        assert [float(v) for v in result[i]] == [rounded_to_half(v) for v in exact]


def rounded_to_half(x):
    """The nearest half of a fraction, ties to even."""
    if x == 0:
        return 0.0
    exponent = -14
    size = abs(x)
    while size >= Fraction(2) ** (exponent + 1):
        exponent += 1
    unit = Fraction(2) ** (exponent - 10)
    return float(round(size / unit) * unit) * (1 if x > 0 else -1)


@on_both
def test_pairs(kernels, mode):
    device, module = kernels(CONVERSIONS, mode)
    x = device.asarray(np.array([1.5, -3.0], np.float16).view(np.uint32))
    y, w = (device.asarray(np.zeros(1, np.uint32)) for _ in range(2))
    z = device.asarray(np.zeros(1, np.float64))
    device.launch(module["pairs"], ONE, ONE, 0, (x, y, z, w))
    np.testing.assert_array_equal(device.to_numpy(y).view(np.float16), [4.0, -7.0])
    np.testing.assert_array_equal(device.to_numpy(z).view(np.float32), [3.0, -6.0])
    np.testing.assert_array_equal(device.to_numpy(w).view(np.uint16), [0x4040, 0xC0C0])


@on_both
def test_what_is_added_to_a_tie_decides_however_small(kernels, mode):
    """(1 + 2⁻⁷) · 1.5 lies between two bfloat16s, 0x3FC1 and 0x3FC2; a double has lost 2⁻⁸⁰."""
    device, module = kernels(CONVERSIONS, mode)
    a, b = np.full(3, 1 + 2**-7, np.float32), np.full(3, 1.5, np.float32)
    c = np.array([2.0**-80, 0.0, -(2.0**-80)], np.float32)
    short = [device.asarray((x.view(np.uint32) >> 16).astype(np.uint16)) for x in (a, b, c)]
    y = device.asarray(np.zeros(3, np.uint16))
    device.launch(module["fused"], ONE, (3, 1, 1), 0, (*short, y))
    np.testing.assert_array_equal(device.to_numpy(y), [0x3FC2, 0x3FC2, 0x3FC1])
