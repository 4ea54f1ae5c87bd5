"""Padding as long as the filters and longer, in every variant, with arrays that lie between NaNs.

Drawn cases have less padding, and memory around their arrays that may be anything.
"""

import numpy as np
import pytest
from tolerance import assert_close

from gpucnn.check.case import Case
from gpucnn.check.expected import expect
from gpucnn.launch import variants_of
from gpucnn.operations import OPERATIONS
from gpucnn.operations.convolution import Conv2dFilterGrad, Conv2dForward, Conv2dInputGrad
from gpucnn.operations.geometry import conv2d_geometry

SIZES = {
    "windows wholly in the padding": ((1, 2, 2, 3), (5, 2, 2, 3), (1, 1), (4, 5), (1, 1), 1),
    "grouped": ((2, 4, 3, 8), (6, 2, 3, 4), (3, 2), ((0, 3), (5, 4)), (2, 1), 2),
    "depthwise": ((2, 3, 4, 8), (8, 2, 3, 1), (1, 2), ((3, 2), (3, 6)), (1, 2), 8),
}
FENCE = np.full(64, np.nan, np.float32)


@pytest.mark.parametrize("kind", [Conv2dForward, Conv2dInputGrad, Conv2dFilterGrad])
def test_nothing_is_read_beyond_an_array(kernel_backend, rng, kind):
    cases = [
        Case(OPERATIONS[kind.operation], arguments(rng, kind, *sizes), variant)
        for sizes in SIZES.values()
        for variant in variants_of(kind(conv2d_geometry(*sizes)))
    ]
    kernel_backend.compile_ahead(lambda planner: [run(planner, each) for each in cases])
    for case in cases:
        expected = expect(case)
        result = kernel_backend.to_numpy(run(kernel_backend, case))
        (name,) = case.kind.gives
        assert_close(result, expected.outcome[name], expected.bounds[name])


def arguments(rng, kind, x_shape, w_shape, stride, padding, dilation, groups):
    sizes = conv2d_geometry(x_shape, w_shape, stride, padding, dilation, groups)
    shapes = {"x": x_shape, "w": w_shape, "dy": sizes.y_shape}
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    options |= {"x_shape": x_shape} if kind is Conv2dInputGrad else {}
    options |= {"w_shape": w_shape} if kind is Conv2dFilterGrad else {}
    taken = [name for name in kind.takes if name in shapes]
    return options | {name: rng.standard_normal(shapes[name]).astype(np.float32) for name in taken}


def run(backend, case):
    """The result of a case whose arrays have NaNs before and after them."""
    fenced = {
        name: backend.asarray(np.concatenate([FENCE, value.ravel(), FENCE]))[
            FENCE.size : -FENCE.size
        ].reshape(value.shape)
        for name, value in case.arguments.items()
        if isinstance(value, np.ndarray)
    }
    with backend.held_to(case.variant):
        return getattr(backend, case.kind.operation)(**{**case.arguments, **fenced})
