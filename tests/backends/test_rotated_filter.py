"""The input gradient of a convolution with stride 1 is a convolution with the rotated filter."""

import numpy as np
import pytest
from tolerance import sum_bound


@pytest.mark.compiles_each
@pytest.mark.parametrize(
    ("R", "S", "padding", "dilation"),
    [
        (3, 3, (1, 1), (1, 1)),
        (5, 5, (0, 0), (1, 1)),
        (2, 4, (1, 0), (1, 1)),
        (3, 2, (2, 1), (2, 3)),
    ],
)
def test_input_gradient_is_a_convolution_with_the_rotated_filter(
    backend, rng, R, S, padding, dilation
):
    x_shape, w_shape = (2, 9, 8, 3), (5, R, S, 3)
    w = backend.asarray(rng.standard_normal(w_shape))
    height = x_shape[1] + 2 * padding[0] - (R - 1) * dilation[0]
    width = x_shape[2] + 2 * padding[1] - (S - 1) * dilation[1]
    dy = backend.asarray(rng.standard_normal((2, height, width, 5)))

    dx = backend.conv2d_input_grad(dy, w, x_shape, padding=padding, dilation=dilation)

    full = ((R - 1) * dilation[0] - padding[0], (S - 1) * dilation[1] - padding[1])
    rotated = backend.to_numpy(w)[:, ::-1, ::-1].transpose(3, 1, 2, 0)
    gathered = backend.conv2d_forward(dy, backend.asarray(rotated), padding=full, dilation=dilation)
    magnitudes = backend.conv2d_forward(
        backend.asarray(np.abs(backend.to_numpy(dy))),
        backend.asarray(np.abs(rotated)),
        padding=full,
        dilation=dilation,
    )
    # Both sides round: twice the bound of one sum of R·S·K products.
    bound = 2 * sum_bound(R * S * 5, backend.to_numpy(magnitudes), backend.dtype)
    assert np.all(np.abs(backend.to_numpy(dx) - backend.to_numpy(gathered)) <= bound)
