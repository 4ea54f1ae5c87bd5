"""Bias, residual and ReLU behind a convolution, in every variant, whole sums and cut ones."""

from itertools import product

import numpy as np
import oracle
import pytest
from tolerance import assert_close, sum_bound

from gpucnn.launch.variants import Variant
from gpucnn.operations.geometry import conv2d_geometry


@pytest.mark.parametrize(("residual", "relu"), list(product([False, True], repeat=2)))
@pytest.mark.parametrize(
    ("variant", "channels", "shortest_slice"),
    [
        (Variant.DIRECT, 5, 256),
        (Variant.GEMM, 5, 256),
        (Variant.GEMM, 8, 16),
        (Variant.DEPTHWISE, 1, 256),
    ],
)
def test_epilogue(kernel_backend, rng, variant, channels, shortest_slice, residual, relu):
    backend = kernel_backend
    groups = 8 // channels if channels == 1 else 1
    x_shape, w_shape = (2, 5, 6, channels * groups), (8, 3, 3, channels)
    options = ((1, 1), ((1, 1), (0, 1)), (1, 1), groups)
    problem = conv2d_geometry(x_shape, w_shape, *options)
    x, w, bias, branch = (
        rng.standard_normal(shape).astype(np.float32)
        for shape in (x_shape, w_shape, (8,), problem.y_shape)
    )
    tx, tw, tbias, tbranch = (backend.asarray(array) for array in (x, w, bias, branch))
    with backend.held_to(variant, shortest_slice=shortest_slice):
        y = backend.conv2d_forward(tx, tw, tbias, *options, tbranch if residual else None, relu)
    x, w, bias, branch = (array.astype(float) for array in (x, w, bias, branch))
    expected = oracle.conv2d_forward(x, w, bias, *options, branch if residual else None, relu)
    magnitudes = oracle.conv2d_forward(abs(x), abs(w), abs(bias), *options) + abs(branch)
    bound = sum_bound(9 * channels + 2, magnitudes, np.float32)
    assert_close(backend.to_numpy(y), expected, bound)
