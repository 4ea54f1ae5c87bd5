"""A matrix product as fast kernels make it, with the instructions of tensor cores: in every mode.

Asynchronous copies, a ring of stages, swizzled shared memory, ldmatrix, mma, and FP32's accuracy
from TF32: tensor_product.cu. Each mistake that such a kernel may have is noticed.
"""

from pathlib import Path

import numpy as np
import pytest

from gpucnn.backends.devices.emulator_device import why_unavailable
from gpucnn.backends.devices.source import KERNELS
from gpucnn.emulator import RawKernel
from gpucnn.emulator.errors import RaceError, UninitialisedError

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())

TEXT = (Path(__file__).parent / "tensor_product.cu").read_text(encoding="utf-8")
MODES = ["race", pytest.param("ptx", marks=pytest.mark.nvrtc)]
ALL_MODES = [
    "fast",
    *MODES,
    pytest.param("sanitize", marks=pytest.mark.slow),
]
TILE, TF32_UNIT, FP32_UNIT = 64, 2.0**-11, 2.0**-24


def product(mode, a, b, precision=1, changes=(), **options):
    """A·Bᵀ by the kernel, whose text may be changed."""
    text = TEXT
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    kernel = RawKernel(
        text,
        "product",
        options=(f"-I{KERNELS / 'include'}", f"-DPRECISION={precision}"),
        mode=mode,
        **options,
    )
    (M, K), (N, _) = a.shape, b.shape
    c = np.full((M, N), np.nan, np.float32)
    grid = (-(-N // TILE), -(-M // TILE))
    kernel(grid, (128,), (a, b, c, np.int32(M), np.int32(N), np.int32(K)))
    return c


def whole_numbers(M, N, K, seed=0):
    """Matrices whose product TF32 gives exactly."""
    rng = np.random.default_rng(seed)
    return (rng.integers(-8, 9, (rows, K)).astype(np.float32) for rows in (M, N))


def real_numbers(M, N, K, positive=False):
    rng = np.random.default_rng(K)
    a, b = (rng.standard_normal((rows, K)).astype(np.float32) for rows in (M, N))
    return (abs(a), abs(b)) if positive else (a, b)


def exact(a, b):
    return a.astype(np.float64) @ b.astype(np.float64).T


def magnitude(a, b):
    """Σ|a·b|, in which errors are measured."""
    return exact(abs(a), abs(b))


@pytest.mark.parametrize("precision", [1, 3])
@pytest.mark.parametrize("mode", ALL_MODES)
@pytest.mark.parametrize(("M", "N", "K"), [(64, 64, 32), (70, 40, 100), (3, 130, 164)])
def test_whole_numbers_are_exact(mode, precision, M, N, K):
    a, b = whole_numbers(M, N, K)
    assert np.array_equal(product(mode, a, b, precision), exact(a, b))


@pytest.mark.parametrize("mode", ALL_MODES)
def test_errors_are_those_of_the_precision(mode):
    """TF32 rounds each factor; of split ones only the products of the last bits are missing.

    If both factors are rounded, a product is off by (1 + u)² − 1, u = 2⁻¹¹. The parts of a split
    one are off by u² of it, and small·small is left out. Sums are cut off by less than 2⁻²² of the
    sum so far, eight terms at a time; in sums of 32, three times as often, and then FP32 rounds.
    """
    a, b = real_numbers(64, 64, 256)
    error = abs(product(mode, a, b, 1) - exact(a, b))
    sums = 256 // 8 * 2.0**-22
    assert (error <= ((1 + TF32_UNIT) ** 2 - 1 + sums) * magnitude(a, b)).all()
    assert error.max() > 4 * FP32_UNIT * magnitude(a, b).max()  # it is not FP32
    error = abs(product(mode, a, b, 3) - exact(a, b))
    split = 3 * TF32_UNIT**2 + 3 * 4 * 2.0**-22 + 256 // 32 * FP32_UNIT
    assert (error <= split * magnitude(a, b)).all()


def chain_error(a, b):
    """The mean error of adding up in FP32, one product after the other, in units of Σ|ab|."""
    sums = np.zeros((len(a), len(b)), np.float32)
    for k in range(a.shape[1]):
        terms = a[:, None, k].astype(np.float64) * b[None, :, k]
        sums = (sums + terms).astype(np.float32)  # fma rounds once
    return np.mean(abs(sums - exact(a, b)) / magnitude(a, b))


NOT_PROMOTED = (("PRECISION == 3 ? sums : total", "total"), ("multiply(sums, ", "multiply(total, "))


@pytest.mark.slow
@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("mode", ["fast", pytest.param("ptx", marks=pytest.mark.nvrtc)])
def test_long_sums_are_as_accurate_as_fp32(mode, positive):
    """Because each step's sums begin at zero: tensor cores cut sums off, always to one side."""
    a, b = real_numbers(64, 64, 4608, positive)

    def mean_error(changes=()):
        found = product(mode, a, b, 3, changes)
        return np.mean(abs(found - exact(a, b)) / magnitude(a, b))

    usual = chain_error(a, b)
    assert mean_error() <= usual
    assert mean_error(NOT_PROMOTED) > 4 * usual


@pytest.mark.parametrize("mode", MODES)
def test_infinities_stay_what_they_are(mode):
    a, b = whole_numbers(64, 64, 32)
    a[3, 5], b[:, 5] = np.inf, 1.0
    assert (product(mode, a, b, 3)[3] == np.inf).all()
    for unguarded in ("Split{big, 0, small}", "Split{big, big, 0}"):
        changes = (("Split{big, 0, 0}", unguarded),)
        assert np.isnan(product(mode, a, b, 3, changes)[3]).all()


UNORDERED = {
    "a missing wait": (("wait_for_copies<STAGES - 2>();", ""),),
    "a wait for too few": (("wait_for_copies<STAGES - 2>", "wait_for_copies<STAGES - 1>"),),
    "a missing barrier": (("__syncthreads();", ""),),
    "a stage used too early": (("copy_step(step + STAGES - 1)", "copy_step(step + STAGES)"),),
    "too few stages": (("ring[step % STAGES]", "ring[step % (STAGES - 1)]"),),
}


@pytest.mark.parametrize("fault", UNORDERED)
@pytest.mark.parametrize("mode", MODES)
def test_what_nothing_orders_is_reported(mode, fault):
    a, b = whole_numbers(64, 64, 256)
    with pytest.raises((RaceError, UninitialisedError)):
        product(mode, a, b, 1, UNORDERED[fault])


MISPLACED = {
    "a swizzle of the writer alone": (
        ("load_matrix(x.a[m], &stage.a[row][place(row, chunk + lane / 16)])",
         "load_matrix(x.a[m], &stage.a[row][(chunk + lane / 16) * CHUNK])"),
    ),
    "the rows of a fragment": (("lane % 16;", "lane / 2;"),),
    "the chunks of a fragment": (("chunk + lane / 16)", "chunk + lane % 2)"),),
    "a fragment's registers": (("x.b[n][i] = both[i];", "x.b[n][i] = both[1 - i];"),),
    "a warp's tile": (("warp % 2 * WARP_TILE", "warp / 2 * WARP_TILE"),),
    "the lanes of a result": (("lane % 4 * 2 + r % 2", "lane % 4 + r % 2 * 4"),),
    "what is outside": (("is_inside ? 16 : 0", "16"),),
}  # fmt: skip


@pytest.mark.parametrize("fault", MISPLACED)
@pytest.mark.parametrize("mode", MODES)
def test_what_is_in_the_wrong_place_gives_wrong_results(mode, fault):
    a, b = whole_numbers(70, 40, 100)
    try:
        found = product(mode, a, b, 1, MISPLACED[fault])
    except RaceError:  # of warps that compute the same
        return
    assert not np.array_equal(found, exact(a, b))
