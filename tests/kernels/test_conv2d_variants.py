"""Every variant of convolution, in each pass, against the loops, over random problems.

The problems are drawn beforehand, so that a device that only plans can tell which kernels they
take, and those are compiled side by side.
"""

import zlib
from dataclasses import dataclass
from functools import cache

import numpy as np
import oracle
import pytest
from tolerance import assert_close, sum_bound

from gpucnn.errors import BackendError
from gpucnn.launch.tiles import TILES, GemmTile
from gpucnn.launch.variants import Pass, Variant

FEW, MANY, MANY_ON_A_GPU = 4, 100, 40
GROUPS = [(which, variant) for which in Pass for variant in Variant]


@dataclass(frozen=True)
class Trial:
    """A problem, and how it is to be done."""

    which: Pass
    variant: Variant
    x: tuple
    w: tuple
    stride: tuple
    padding: tuple
    dilation: tuple
    groups: int
    bias: bool
    tile: GemmTile | None
    shortest_slice: int

    @property
    def options(self):
        return self.stride, self.padding, self.dilation, self.groups

    @property
    def y(self):
        P, Q = (
            oracle.output_length(
                self.x[axis], self.w[axis], self.stride[axis - 1], *self.padding[axis - 1],
                self.dilation[axis - 1],
            )
            for axis in (1, 2)
        )  # fmt: skip
        return self.x[0], P, Q, self.w[0]

    @property
    def shapes(self):
        """Of x, w, bias and dy."""
        return self.x, self.w, self.w[:1], self.y

    def run(self, backend, x, w, bias, dy):
        """The pass, on arrays of the backend."""
        with backend.held_to(self.variant, self.tile, self.shortest_slice):
            return self._pass(backend, x, w, bias, dy)

    def _pass(self, backend, x, w, bias, dy):
        if self.which is Pass.FORWARD:
            return backend.conv2d_forward(x, w, bias if self.bias else None, *self.options)
        if self.which is Pass.INPUT_GRAD:
            return backend.conv2d_input_grad(dy, w, self.x, *self.options)
        return backend.conv2d_filter_grad(x, dy, self.w, *self.options)

    def expected(self, x, w, bias, dy):
        """The loops' result, and the bound of the error of a sum in any order."""
        magnitudes = [abs(array) for array in (x, w, bias, dy)]
        N, P, Q, K = self.y
        _, R, S, channels = self.w
        terms = {
            Pass.FORWARD: R * S * channels + 1,
            Pass.INPUT_GRAD: R * S * (K // self.groups),
            Pass.FILTER_GRAD: N * P * Q,
        }[self.which]
        bound = sum_bound(terms, self._loops(*magnitudes), np.float32)
        return self._loops(x, w, bias, dy), bound

    def _loops(self, x, w, bias, dy):
        if self.which is Pass.FORWARD:
            return oracle.conv2d_forward(x, w, bias if self.bias else None, *self.options)
        if self.which is Pass.INPUT_GRAD:
            return oracle.conv2d_input_grad(dy, w, self.x, *self.options)
        return oracle.conv2d_filter_grad(x, dy, self.w, *self.options)


@cache
def trials(which, variant):
    """The same MANY trials each time, of which the quick suite takes the first FEW."""
    rng = np.random.default_rng(zlib.crc32(f"{which} {variant}".encode()))
    return tuple(draw(rng, which, variant) for _ in range(MANY))


def draw(rng, which, variant):
    def pick(*values):
        return values[rng.integers(len(values))]

    groups = 1 if rng.random() < 0.6 else pick(2, 3, "depthwise")
    if variant is Variant.DEPTHWISE:
        C = K = groups = pick(2, 3, 5, 8, 17, 64)
    elif groups == "depthwise":
        C = groups = pick(1, 3, 5, 17, 64)
        K = C * pick(1, 1, 2)
    else:
        C, K = groups * pick(1, 3, 5, 8, 17, 64), groups * pick(1, 3, 5, 8, 17, 64)
    R, S = (int(size) for size in rng.integers(1, 8, 2))
    stride = tuple(int(step) for step in rng.integers(1, 5, 2))
    dilation = tuple(int(spread) for spread in rng.integers(1, 4, 2))
    sizes, padding = [], []
    for window, spread in ((R, dilation[0]), (S, dilation[1])):
        extent = (window - 1) * spread + 1
        before, after = (int(side) for side in rng.integers(0, extent + 1, 2))
        if rng.random() < 0.2:
            before = after = 0
        # At least one window fits, however small the image before padding.
        sizes.append(max(1, extent - before - after) + pick(0, 0, 1, 3, 6, 9))
        padding.append((before, after))
    return Trial(
        which,
        variant,
        (pick(1, 2, 3), *sizes, C),
        (K, R, S, C // groups),
        stride,
        tuple(padding),
        dilation,
        groups,
        bias=bool(pick(False, True)),
        tile=pick(None, *TILES) if variant is Variant.GEMM else None,
        shortest_slice=pick(16, 64, 256),
    )


def fenced(backend, array):
    """On the device, between NaNs: a value that is read from beyond the array spoils the result."""
    fence = np.full(64, np.nan, np.float32)
    whole = backend.asarray(np.concatenate([fence, array.ravel(), fence]))
    return whole[64:-64].reshape(array.shape)


def check(backend, trial):
    rng = np.random.default_rng(7)
    arrays = [rng.standard_normal(shape).astype(np.float32) for shape in trial.shapes]
    there = [fenced(backend, array) for array in arrays]
    result = backend.to_numpy(trial.run(backend, *there))
    assert_close(result, *trial.expected(*(array.astype(float) for array in arrays)))
    # The emulator takes threads and blocks in another order each time.
    again = backend.to_numpy(trial.run(backend, *there))
    np.testing.assert_array_equal(again.view(np.uint32), result.view(np.uint32))


def check_all(backend, chosen):
    def rehearse(planner):
        for trial in chosen:
            trial.run(planner, *(planner.empty(shape) for shape in trial.shapes))

    backend.compile_ahead(rehearse)
    wrong = []
    for trial in chosen:
        try:
            check(backend, trial)
        except (AssertionError, BackendError) as error:
            wrong.append(f"{trial}: {error}")
    assert not wrong, f"{len(wrong)} of {len(chosen)}:\n" + "\n".join(wrong[:5])


@pytest.mark.parametrize(("which", "variant"), GROUPS)
def test_a_few_problems(kernel_backend, which, variant):
    check_all(kernel_backend, trials(which, variant)[:FEW])


@pytest.mark.slow
@pytest.mark.parametrize(("which", "variant"), GROUPS)
def test_many_problems(kernel_backend, which, variant):
    count = MANY_ON_A_GPU if kernel_backend.name == "cuda" else MANY
    check_all(kernel_backend, trials(which, variant)[FEW:count])
