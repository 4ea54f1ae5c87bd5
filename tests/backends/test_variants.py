"""What is chosen for a problem: by its shapes, and nothing that the batch size changes."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpucnn.backends.devices.planner import PlanningDevice
from gpucnn.backends.kernel_backend import KernelBackend
from gpucnn.errors import ShapeError
from gpucnn.launch import AUTOMATIC
from gpucnn.launch import launch as launching
from gpucnn.launch.convolution.constants import conv2d_constants
from gpucnn.launch.launch import as_int
from gpucnn.launch.slices import cut_product
from gpucnn.launch.variants import Variant, conv2d_variants, longest_slice
from gpucnn.operations.convolution import Conv2dFilterGrad, Conv2dForward, Conv2dInputGrad
from gpucnn.operations.geometry import conv2d_geometry

PASSES = (Conv2dForward, Conv2dInputGrad, Conv2dFilterGrad)


def geometry(C, K, groups=1, filters=(3, 3), stride=(1, 1)):
    return conv2d_geometry(
        (8, 16, 16, C), (K, *filters, C // groups), stride, (1, 1), (1, 1), groups
    )


@pytest.mark.parametrize(
    ("problem", "kind", "chosen"),
    [
        (geometry(64, 64), Conv2dForward, Variant.GEMM),
        (geometry(1, 16), Conv2dForward, Variant.GEMM),
        (geometry(3, 64), Conv2dInputGrad, Variant.GEMM),
        (geometry(3, 64), Conv2dFilterGrad, Variant.GEMM),
        (geometry(64, 1), Conv2dForward, Variant.DIRECT),
        (geometry(1, 64), Conv2dInputGrad, Variant.DIRECT),
        (geometry(64, 2), Conv2dFilterGrad, Variant.DIRECT),
        (geometry(32, 32, groups=32), Conv2dForward, Variant.DEPTHWISE),
        (geometry(32, 64, groups=32), Conv2dForward, Variant.DIRECT),
        (geometry(32, 32, groups=32, filters=(9, 9)), Conv2dForward, Variant.DIRECT),
        (geometry(1, 1), Conv2dForward, Variant.DIRECT),
    ],
)
def test_chosen_variant(problem, kind, chosen):
    assert conv2d_variants(kind(problem))[0] is chosen


@pytest.mark.parametrize("kind", PASSES)
def test_the_direct_kernels_can_do_everything(kind):
    for problem in (
        geometry(1, 1),
        geometry(17, 5),
        geometry(6, 6, groups=6),
        geometry(4, 4, stride=(300, 300)),
        geometry(70_000, 70_000, groups=70_000, filters=(9, 9)),
    ):
        assert Variant.DIRECT in conv2d_variants(kind(problem))


@pytest.mark.parametrize("kind", PASSES)
def test_depthwise_filters_that_reach_far_are_left_to_the_direct_kernels(kind):
    def spread(dilation, padding=(0, 0)):
        shape = (1, 4, 2000, 8), (8, 3, 3, 1)
        return conv2d_geometry(*shape, (1, 1), padding, (1, dilation), 8)

    assert conv2d_variants(kind(spread(256)))[0] is Variant.DEPTHWISE
    assert conv2d_variants(kind(spread(257)))[0] is Variant.DIRECT
    assert conv2d_variants(kind(spread(1, (1 << 20, 0)))) == (Variant.DIRECT,)


def test_a_variant_that_cannot_do_the_problem_is_refused():
    backend = KernelBackend(PlanningDevice())
    x, w = backend.empty((1, 4, 4, 3)), backend.empty((2, 3, 3, 3))
    with (
        pytest.raises(ShapeError, match=r"the variant depthwise cannot do .*C=3"),
        backend.held_to(Variant.DEPTHWISE),
    ):
        backend.conv2d_forward(x, w)
    assert backend.choice == AUTOMATIC  # again the backend's own
    backend.conv2d_forward(x, w)


SHAPES = [(16, 16, 3, 32, 1), (8, 8, 64, 64, 1), (4, 4, 256, 512, 1), (9, 9, 32, 32, 32)]


@pytest.mark.parametrize(("shape", "stride"), list(product(SHAPES, [(1, 1), (2, 2)])))
def test_a_smaller_batch_compiles_nothing_new(shape, stride):
    H, W, C, K, groups = shape
    taken = []
    for N in (256, 100, 1):
        device = PlanningDevice()
        backend = KernelBackend(device)
        x, w = backend.empty((N, H, W, C)), backend.empty((K, 3, 3, C // groups))
        options = {"stride": stride, "padding": (1, 1), "groups": groups}
        y = backend.conv2d_forward(x, w, backend.empty((K,)), **options)
        backend.conv2d_input_grad(y, w, x.shape, **options)
        backend.conv2d_filter_grad(x, y, w.shape, **options)
        rows, weights = backend.empty((N, 512)), backend.empty((100, 512))
        scores = backend.matmul(rows, weights, transpose_b=True, bias=backend.empty((100,)))
        backend.matmul(scores, weights)
        backend.matmul(scores, rows, transpose_a=True)
        # The one kernel of a second pass has no constants.
        taken.append({source for source in device.sources if source.file != "sum_slices.cu"})
    assert taken[0] == taken[1] == taken[2]


def test_what_an_int_cannot_count_is_left_to_the_direct_kernels_or_refused():
    def sized(H, W, C):
        return conv2d_geometry((1, H, W, C), (4, 1, 1, C), (1, 1), (0, 0), (1, 1), 1)

    assert conv2d_variants(Conv2dForward(sized(1 << 14, 1 << 13, 4)))[0] is Variant.GEMM
    assert conv2d_variants(Conv2dForward(sized(1 << 14, 1 << 13, 8))) == (Variant.DIRECT,)
    conv2d_constants(sized(1 << 14, 1 << 13, 8))
    with pytest.raises(ShapeError, match=r"H·W·C is 2147483648"):
        conv2d_constants(sized(1 << 14, 1 << 13, 16))


@pytest.mark.parametrize(
    "problem",
    [
        conv2d_geometry((1 << 22, 224, 224, 3), (64, 7, 7, 3), (2, 2), (3, 3), (1, 1), 1),
        conv2d_geometry((1 << 28, 1, 1, 64), (1, 1, 1, 64), (1, 1), (0, 0), (1, 1), 1),
        conv2d_geometry((1 << 33, 1, 1, 1), (4, 1, 1, 1), (1, 1), (0, 0), (1, 1), 1),
    ],
)
def test_long_sums_are_cut_so_that_an_int_counts_a_slice(problem):
    pixels = problem.P * problem.Q
    terms = problem.N * pixels
    slices = cut_product(terms, 1000, 264, 256, longest_slice(problem))
    assert slices.count * slices.length >= terms
    assert slices.length * problem.K < 2**31
    images = -(-(slices.length + pixels) // pixels)
    assert images * problem.H * problem.W * problem.C < 2**31


def sized(x, w, stride=(1, 1), padding=(0, 0), dilation=(1, 1)):
    return conv2d_geometry(x, w, stride, padding, dilation, 1)


@pytest.mark.parametrize(
    "problem",
    [
        sized((1, 1, 1, 8_000_000), (128, 1, 1, 8_000_000)),
        sized((2, 1000, 1000, 8), (4, 1000, 1000, 8)),
        sized((16, 2, 2, 2_000_000), (4, 1, 1, 2_000_000), stride=(2, 2)),
    ],
)
def test_few_images_that_an_int_counts(problem):
    """Fewer pixels than the shortest slice has otherwise, and still whole steps of a tile."""
    assert Variant.GEMM in conv2d_variants(Conv2dFilterGrad(problem))
    longest = longest_slice(problem)
    assert 16 <= longest < 256
    slices = cut_product(10_000, 1, 264, 256, longest)
    assert 0 < slices.length <= longest
    assert slices.length % 16 == 0
    assert slices.count * slices.length >= 10_000


@given(st.data())
def test_every_slice_has_a_step_of_a_tile(data):
    def draw(least, most):
        return data.draw(st.integers(least, most))

    H, W, C, K = draw(1, 5000), draw(1, 5000), draw(1, 10**7), draw(1, 10**7)
    window = draw(1, H), draw(1, W)
    stride, padding = (draw(1, 9), draw(1, 9)), (draw(0, 10**6), draw(0, 10**6))
    problem = sized((1, H, W, C), (K, *window, C), stride, padding)
    if Variant.GEMM in conv2d_variants(Conv2dFilterGrad(problem)):
        assert longest_slice(problem) >= 16


@pytest.mark.parametrize(
    ("problem", "kind"),
    [
        # 300 rows of kind dy has but one, each of 2²² filters.
        (sized((1, 300, 1, 1), (1 << 22, 300, 1, 1)), Conv2dInputGrad),
        (sized((1, 1, 1, 64), (64, 1, 1, 64), (1 << 25, 1), (1 << 25, 0)), Conv2dForward),
        (sized((1, 2, 2, 64), (64, 2, 2, 64), (1, 1), (1 << 25, 1), (1 << 26, 1)), Conv2dForward),
    ],
)
def test_taps_far_outside_are_left_to_the_direct_kernels(problem, kind):
    assert conv2d_variants(kind(problem)) == (Variant.DIRECT,)


def test_counts_leave_room_for_a_loops_step():
    """Kernels count in ints, and where a loop would go on must be one too."""
    most = 2**31 - 2**23
    assert as_int(most, "N") == most
    with pytest.raises(ShapeError, match=f"N is {most + 1}, and a kernel counts to {most};"):
        as_int(most + 1, "N")


@pytest.mark.parametrize(
    ("run", "name"),
    [
        (lambda be, size: be.matmul(be.empty((1, size)), be.empty((size, 1))), "K"),
        (lambda be, size: be.matmul(be.empty((size, 1)), be.empty((1, 1))), "M"),
        (lambda be, size: be.matmul(be.empty((1, 1)), be.empty((1, size))), "N"),
        (lambda be, size: be.softmax(be.empty((1, size))), "K"),
        (lambda be, size: be.mean_squared_error_input_grad(
            be.empty((1, size)), be.empty((1,), np.int32), 1.0), "K"),
        (lambda be, size: be.conv2d_forward(be.empty((size, 1, 1, 1)), be.empty((1, 1, 1, 1))),
         "N"),
        (lambda be, size: be.conv2d_forward(be.empty((1, 1, 1, size)), be.empty((1, 1, 1, size))),
         "H·W·C"),
        (lambda be, size: be.max_pool2d_forward(be.empty((size, 1, 1, 1)), (1, 1)), "N"),
    ],
)  # fmt: skip
def test_what_is_counted(monkeypatch, run, name):
    monkeypatch.setattr(launching, "_MOST", 1000)
    run(KernelBackend(PlanningDevice()), 1000)
    with pytest.raises(ShapeError, match=f"{name} is 1001, and a kernel counts to 1000"):
        run(KernelBackend(PlanningDevice()), 1001)
