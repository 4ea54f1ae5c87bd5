"""How mma adds up products: against exact fractions, to the bit, and how accurate long sums are."""

import numpy as np
import pytest
from exact_tensor_core import CORES, NAN, exact_product

from gpucnn.backends.devices.cuda.device import CudaDevice
from gpucnn.backends.devices.emulator_device import EmulatorDevice, why_unavailable
from gpucnn.backends.devices.source import KERNELS, KernelSource
from gpucnn.emulator import RawKernel
from gpucnn.emulator.engine import Emulator
from gpucnn.emulator.errors import LaunchError
from gpucnn.emulator.launch import Launch
from gpucnn.errors import BackendError
from gpucnn.launch.machine import MACHINES

without_gpu = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())
KINDS = {"fp16": 16, "bf16": 16, "tf32": 8}
"""How many products an instruction has."""
WITH_MMA = tuple(name for name, machine in MACHINES.items() if machine.compute_capability >= 80)

# D (tiles, 16, 8) += A (tiles, 16, K) · B (tiles, K, 8), a warp a tile; A and B in their own bits.
# After `promoted` products, if it is not 0, the sums go to FP32 registers and begin again.
PRODUCT = r"""
#include "ptx/mma.cuh"

template <int DEPTH, typename Bits, typename Multiply>
__device__ void product(const Bits* a, const Bits* b, float* d, int K, int promoted,
                        Multiply multiply) {
    constexpr int PACKED = 4 / sizeof(Bits);
    const int lane = threadIdx.x, g = lane >> 2, t = lane & 3;
    a += blockIdx.x * 16 * K;
    b += blockIdx.x * K * 8;
    d += blockIdx.x * 16 * 8;
    float sums[4], promoted_sums[4] = {};
    for (int i = 0; i < 4; ++i) {
        sums[i] = d[(g + i / 2 * 8) * 8 + 2 * t + i % 2];
    }
    for (int k = 0; k < K; k += DEPTH) {
        unsigned fa[4] = {}, fb[2] = {};
        for (int i = 0; i < 4; ++i) {
            for (int j = 0; j < PACKED; ++j) {
                const int row = g + i % 2 * 8, column = PACKED * t + i / 2 * 4 * PACKED + j;
                fa[i] |= static_cast<unsigned>(a[row * K + k + column]) << 16 * j;
            }
        }
        for (int i = 0; i < 2; ++i) {
            for (int j = 0; j < PACKED; ++j) {
                const int row = PACKED * t + i * 4 * PACKED + j;
                fb[i] |= static_cast<unsigned>(b[(k + row) * 8 + g]) << 16 * j;
            }
        }
        multiply(sums, fa, fb);
        if (promoted != 0 && (k + DEPTH) % promoted == 0) {
            for (int i = 0; i < 4; ++i) {
                promoted_sums[i] += sums[i];
                sums[i] = 0.0f;
            }
        }
    }
    for (int i = 0; i < 4; ++i) {
        d[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = promoted != 0 ? promoted_sums[i] : sums[i];
    }
}

extern "C" __global__ void fp16(
    const unsigned short* a, const unsigned short* b, float* d, int K, int promoted) {
    product<16>(a, b, d, K, promoted, mma_m16n8k16_fp16);
}
extern "C" __global__ void bf16(
    const unsigned short* a, const unsigned short* b, float* d, int K, int promoted) {
    product<16>(a, b, d, K, promoted, mma_m16n8k16_bf16);
}
extern "C" __global__ void tf32(
    const unsigned* a, const unsigned* b, float* d, int K, int promoted) {
    product<8>(a, b, d, K, promoted, mma_m16n8k8_tf32);
}
"""


@pytest.fixture
def compiled(tmp_path):
    """The kernels on a device."""
    (tmp_path / "test.cu").write_text(PRODUCT)
    return lambda device: device.compile(KernelSource("test.cu", (), tmp_path))


@pytest.fixture
def gpu():
    """One that has mma."""
    device = CudaDevice()
    if device.machine.compute_capability not in CORES or device.machine.compute_capability < 80:
        pytest.skip(f"no model of {device.machine.architecture} is known here")
    return device


def multiplied(device, kernel, a, b, c, promoted=0):
    """The sums that a kernel leaves, of operands in their own bits."""
    d = device.asarray(c)
    depth = np.int32(a.shape[2])
    arguments = (device.asarray(a), device.asarray(b), d, depth, np.int32(promoted))
    device.launch(kernel, (len(a), 1, 1), (32, 1, 1), 0, arguments)
    return device.to_numpy(d)


def decoded(kind, bits):
    """The numbers that bits are; of TF32 the last 13 do not count."""
    if kind == "fp16":
        return bits.view(np.float16).astype(np.float64)
    wide = bits.astype(np.uint32) << 16 if kind == "bf16" else bits & np.uint32(0xFFFFE000)
    return wide.view(np.float32).astype(np.float64)


def encoded(kind, numbers):
    """The bits of numbers, cut off."""
    with np.errstate(over="ignore"):
        if kind == "fp16":
            return numbers.astype(np.float16).view(np.uint16)
        bits = numbers.astype(np.float32).view(np.uint32)
    return (bits >> 16).astype(np.uint16) if kind == "bf16" else bits


SCALES = {
    "alike": (((0, 1), (0, 1), (0, 1)), ((0, 1), (0, 1), (0, 1))),
    "far apart": (((-14, 14), (-7, 7), (-21, 21)), ((-40, 40), (-30, 30), (-70, 70))),
    "tiny": (((-18, -8), (-18, -8), (-36, -16)), ((-81, -68), (-81, -68), (-160, -140))),
    "subnormal": (((-24, -12), (0, 8), (-24, -4)), ((-149, -124), (90, 110), (-50, -20))),
    "large": (((7, 14), (7, 14), (16, 28)), ((59, 63), (59, 63), (119, 126))),
}
"""From which to which exponents A, B and C are drawn, in the range of FP16 and of FP32."""


def operands(kind, rng, instructions):
    """A, B and C for many tiles: three of each scale, of which two are not all finite."""
    depth = KINDS[kind] * instructions
    tiles = []
    for of_fp16, of_fp32 in SCALES.values():
        for signs, odd in ((True, False), (False, True), (True, True)):
            exponents = of_fp16 if kind == "fp16" else of_fp32
            shapes = ((16, depth), (depth, 8), (16, 8))
            tile = [
                np.ldexp(rng.standard_normal(shape), rng.integers(*each, shape))
                for each, shape in zip(exponents, shapes, strict=True)
            ]
            tile[2] *= rng.random(tile[2].shape) < 0.7
            if not signs:
                tile = [*map(abs, tile)]
            if odd:
                for numbers in tile:
                    chance = rng.random(numbers.shape)
                    numbers[chance < 0.2] = 0.0
                    numbers[chance < 0.02] = np.inf
                    numbers[chance < 0.01] *= -1
                    numbers[chance < 0.002] = np.nan
            tiles.append(tile)
    a, b, c = (np.stack([tile[i] for tile in tiles]) for i in range(3))
    return encoded(kind, a), encoded(kind, b), c.astype(np.float32)


def expected_bits(machine, kind, a, b, c):
    core = CORES[machine.compute_capability]
    a, b = decoded(kind, a).tolist(), decoded(kind, b.swapaxes(1, 2)).tolist()
    return np.array(
        [
            [
                [exact_product(core, kind, row, column, float(c[tile, i, j]))
                 for j, column in enumerate(b[tile])]
                for i, row in enumerate(a[tile])
            ]
            for tile in range(len(a))
        ],
        np.uint32,
    )  # fmt: skip


@without_gpu
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("mode", "architecture"),
    [
        *(("fast", architecture) for architecture in WITH_MMA),
        ("race", "sm_90a"),
        ("sanitize", "sm_80"),
        *(pytest.param("ptx", name, marks=pytest.mark.nvrtc) for name in ("sm_80", "sm_90a")),
    ],
)
def test_sums_to_the_bit(compiled, rng, kind, mode, architecture):
    device = EmulatorDevice(mode, machine=MACHINES[architecture])
    a, b, c = operands(kind, rng, 2)
    result = multiplied(device, compiled(device)[kind], a, b, c).view(np.uint32)
    expected = expected_bits(device.machine, kind, a, b, c)
    np.testing.assert_array_equal(result, expected)
    sums = expected.view(np.float32)
    finite = sums[np.isfinite(sums)]
    assert (expected == NAN).any() and np.isposinf(sums).any() and np.isneginf(sums).any()
    assert finite.size > sums.size / 2
    assert kind == "fp16" or (0 < abs(finite[finite != 0]).min() < 2.0**-126)


@pytest.mark.gpu
@pytest.mark.parametrize("kind", KINDS)
def test_a_gpu_sums_as_its_model_to_the_bit(compiled, gpu, rng, kind):
    """Apart from zeros, whose sign the sources of the model do not tell."""
    a, b, c = operands(kind, rng, 2)
    result = multiplied(gpu, compiled(gpu)[kind], a, b, c)
    expected = expected_bits(gpu.machine, kind, a, b, c).view(np.float32)
    differs = (result.view(np.uint32) != expected.view(np.uint32)) & (result != expected)
    assert not differs.any(), (result[differs], expected[differs])


def one_sum(device, kernel, pairs, c=0.0):
    """c + the products at the given places of the inner axis, in one row and column."""
    a, b = np.zeros((1, 16, 16), np.float32), np.zeros((1, 16, 8), np.float32)
    for k, (x, y) in pairs.items():
        a[0, 3, k], b[0, k, 5] = x, y
    of_c = np.zeros((1, 16, 8), np.float32)
    of_c[0, 3, 5] = c
    return multiplied(device, kernel, encoded("bf16", a), encoded("bf16", b), of_c)[0, 3, 5]


@without_gpu
@pytest.mark.parametrize(
    ("pairs", "c", "ampere", "hopper"),
    [
        # Two more bits than FP32 has, or one: four quarters of its last place.
        (dict.fromkeys(range(4), (2.0**-25, 1.0)), 1.0, 1.0, 1 + 2**-23),
        (dict.fromkeys(range(2), (2.0**-24, 1.0)), 1.0, 1 + 2**-23, 1 + 2**-23),
        # Sixteen products at once, or eight: what is small is added while a large sum is there.
        ({0: (2.0**30, 1.0), 1: (-(2.0**30), 1.0), 8: (1.0, 1.0)}, 0.0, 1.0, 0.0),
        ({0: (2.0**30, 1.0), 1: (-(2.0**30), 1.0), 7: (1.0, 1.0)}, 0.0, 0.0, 0.0),
        # Towards zero, whatever the sign; to nearest it would be one place more.
        ({0: (1.5 * 2.0**-23, 1.0)}, 1.0, 1 + 2**-23, 1 + 2**-23),
        ({0: (1.5 * 2.0**-23, -1.0)}, -1.0, -1 - 2**-23, -1 - 2**-23),
        # 2.25 is a product with the exponent 0, so that the last place is that of 1.
        ({0: (1.5, 1.5), 1: (2.0**-24, 1.0), 2: (2.0**-24, 1.0), 3: (2.0**-24, 1.0),
          4: (2.0**-24, 1.0)}, 0.0, 2.25 + 2**-22, 2.25 + 2**-22),
        # A sum that is too large is infinite, though it is cut off; a product alone is not.
        ({0: (2.0**127, 1.0), 1: (2.0**127, 1.0)}, 0.0, np.inf, np.inf),
        ({0: (2.0**100, 2.0**100), 1: (2.0**100, -(2.0**100))}, 0.0, 0.0, 0.0),
    ],
)  # fmt: skip
def test_examples_that_tell_architectures_apart(compiled, pairs, c, ampere, hopper):
    for architecture, expected in (("sm_80", ampere), ("sm_89", ampere), ("sm_90a", hopper)):
        device = EmulatorDevice(machine=MACHINES[architecture])
        assert one_sum(device, compiled(device)["bf16"], pairs, c) == np.float32(expected)


@without_gpu
@pytest.mark.parametrize(("architecture", "last"), [("sm_80", -156), ("sm_90a", -158)])
def test_the_last_place_of_sums_of_tiny_products(compiled, architecture, last):
    """Products that add up to the least number of FP32, 2⁻¹⁴⁹, if nothing of them is cut off."""
    device = EmulatorDevice(machine=MACHINES[architecture])
    for place in range(last - 1, last + 3):
        rest = 2.0 ** (-151 - place) - 1
        tiny = dict.fromkeys(range(3), (2.0**-100, 2.0**-51))
        tiny |= {3: (rest * 2.0**-90, 2.0 ** (place + 90)), 4: (2.0**-90, 2.0 ** (place + 90))}
        sum_of_all = one_sum(device, compiled(device)["bf16"], tiny)
        assert sum_of_all == (0.0 if place < last else np.float32(2.0**-149))


@without_gpu
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "mode", ["fast", "race", "sanitize", pytest.param("ptx", marks=pytest.mark.nvrtc)]
)
def test_ieee_rounds_each_addition_to_nearest(compiled, rng, kind, mode):
    device = EmulatorDevice(mode, accumulation="ieee")
    depth = KINDS[kind] * 2
    a, b, c = (rng.standard_normal(shape) for shape in ((3, 16, depth), (3, depth, 8), (3, 16, 8)))
    a, b, c = encoded(kind, a), encoded(kind, b), c.astype(np.float32)
    result = multiplied(device, compiled(device)[kind], a, b, c)
    exact_a, exact_b = (decoded(kind, each).astype(np.float32) for each in (a, b))
    for k in range(depth):
        c = c + exact_a[:, :, k, None] * exact_b[:, None, k, :]
    np.testing.assert_array_equal(result, c)


LONG = 4608


@pytest.fixture
def error_of_long_sums(compiled, rng):
    """The mean error of sums of positive products, as a share of the sum, in units of 2⁻²⁴."""
    shapes = ((4, 16, LONG), (4, LONG, 8))
    a, b = (encoded("tf32", abs(rng.standard_normal(shape))) for shape in shapes)
    exact = decoded("tf32", a) @ decoded("tf32", b)

    def error(accumulation, architecture="sm_90a", promoted=0):
        device = EmulatorDevice(machine=MACHINES[architecture], accumulation=accumulation)
        c = np.zeros((4, 16, 8), np.float32)
        sums = multiplied(device, compiled(device)["tf32"], a, b, c, promoted)
        return np.mean(abs(sums - exact) / exact) * 2**24

    return error


@without_gpu
@pytest.mark.parametrize(("architecture", "products", "bits"), [("sm_80", 4, 1), ("sm_90a", 8, 2)])
def test_long_sums_are_far_less_accurate_than_to_nearest(
    error_of_long_sums, architecture, products, bits
):
    """What is cut off has one sign, so that it adds up.

    Each of n = 4608 / products additions cuts off every product `bits` bits behind the last place
    of the sum so far, which loses half of that bit on average; and then the sum, whose `bits` last
    bits are any. Together these are (products · 2⁻ᵇ + 1 − 2⁻ᵇ) / 2 places: 1.25 on an A100, 1.375
    on an H100. (After a few additions the sum is large enough compared with the products.)

    The final sum is about 4608 · 2/π = 1.43 · 2¹¹. Over all sums so far, which are evenly spread up
    to it, the mean place is (0.43 + 1/4 + 1/16 + …) / 1.43 · 2⁻¹² = 0.533 · 2⁻¹² or, as a share of
    the final sum, 0.746 · 2⁻²⁴.

    To nearest, 4608 additions err by half a place at most, of either sign, by 0.29 of one in the
    root mean square, and together by the root of their number times that: below 20 · 2⁻²⁴.
    """
    places = (products * 2.0**-bits + 1 - 2.0**-bits) / 2
    cut_off = error_of_long_sums("hardware", architecture)
    assert cut_off == pytest.approx(LONG / products * places * 0.746, rel=0.1)
    assert cut_off > 20 * error_of_long_sums("ieee")


@without_gpu
def test_sums_that_are_moved_to_a_register_often_are_accurate(error_of_long_sums):
    """Every 32 products to an FP32 register, whose 144 additions round to nearest.

    Cutting off then concerns sums of 32 products, and is about 1/144 of what it was. With the
    additions' own errors it stays below a twentieth, and above what rounding to nearest promises.
    """
    for architecture in ("sm_80", "sm_90a"):
        every_32 = error_of_long_sums("hardware", architecture, promoted=32)
        assert every_32 > error_of_long_sums("ieee", promoted=32)
        assert every_32 < error_of_long_sums("hardware", architecture) / 20


@without_gpu
def test_the_choice_belongs_to_a_launch_and_compiles_nothing():
    """Of one compiled kernel; what is not given is as on an H100."""
    a, b = np.zeros((16, 16), np.float32), np.zeros((16, 8), np.float32)
    a[3, :3], b[:3, 5] = (1, 2.0**-24, 2.0**-24), 1
    sums, libraries = [], []
    for given in ({}, {"accumulation": "hardware"}, {"accumulation": "ieee"}):
        kernel = RawKernel(PRODUCT, "bf16", (f"-I{KERNELS / 'include'}",), mode="fast", **given)
        d = np.zeros((16, 8), np.float32)
        of_both = encoded("bf16", a), encoded("bf16", b)
        kernel((1,), (32,), (*of_both, d, np.int32(16), np.int32(0)))
        sums.append(d[3, 5])
        libraries.append(kernel.kernel.library)
    assert sums == [1 + 2**-23, 1 + 2**-23, 1]
    assert len({*libraries}) == 1


@without_gpu
def test_an_accumulation_that_is_none():
    words = 'accumulation is "exact"; it is one of hardware, ieee'
    with pytest.raises(LaunchError, match=words):
        RawKernel("", "nothing", accumulation="exact")
    with pytest.raises(BackendError, match=words):
        EmulatorDevice(accumulation="exact")
    kernel = RawKernel('extern "C" __global__ void nothing() {}', "nothing", mode="fast").kernel
    launch = Launch((1, 1, 1), (1, 1, 1), accumulation="exact")
    with pytest.raises(LaunchError, match=words):
        Emulator("fast").launch(kernel, launch, ())
