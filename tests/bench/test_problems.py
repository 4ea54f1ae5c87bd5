"""What is timed: PyTorch computes the same, and operations and bytes are counted right."""

import inspect
from collections import Counter

import numpy as np
import pytest

from gpucnn.backends.base import Backend
from gpucnn.backends.devices.planner import PlanningDevice
from gpucnn.backends.kernel_backend import KernelBackend
from gpucnn.bench.contestants import draw_inputs, input_shapes, our_run, torch_run
from gpucnn.bench.problems import ALL, QUICK, select
from gpucnn.errors import ConfigError
from gpucnn.launch import variants_of
from gpucnn.operations import (
    OPERATIONS,
    Timed,
    activation,
    augmentation,
    clipping,
    dropout,
    global_pooling,
    guard,
    loss,
    matrix,
    optimizer,
    pooling,
)
from gpucnn.operations.average import UpdateAverage
from gpucnn.operations.convolution import Conv2dFilterGrad, Conv2dForward, Conv2dInputGrad
from gpucnn.operations.geometry import conv2d_geometry, pool2d_geometry
from gpucnn.operations.images import TakeImages
from gpucnn.operations.normalisation import Normalisation
from gpucnn.operations.tracked import gamma

NOT_TIMED = {
    "empty": "takes memory and computes nothing",
    "zeros": "fills memory, as the copy does that measures the bandwidth",
    "asarray": "a copy from the host",
    "upload": "a copy from the host",
    "write": "a copy from the host",
    "to_numpy": "a copy to the host",
    "free_memory": "reports a size",
    "hardware": "describes the device",
    "is_idle": "asks the device",
    "synchronise": "waits",
    "compile_ahead": "compiles",
    "run": "carries out any problem",
}
"""What the backend has beside operations on arrays, and why it is not a problem."""

FIRST_ALONE = {
    "max_pool2d_forward": "PyTorch counts winners otherwise",
    "batch_norm_forward": "PyTorch returns no statistics",
    "softmax_cross_entropy_forward": "PyTorch returns no probabilities",
    "soft_cross_entropy_forward": "PyTorch returns no probabilities",
}
"""Where only the first result is compared."""


def identify(timed):
    return f"{timed.name}-{timed.problem.operation}"


def test_names_are_unique():
    counted = Counter(identify(timed) for timed in (*QUICK, *ALL))
    assert [name for name, count in counted.items() if count > 1] == []


@pytest.mark.parametrize("problems", [QUICK, ALL], ids=["quick", "all"])
def test_every_operation_has_a_problem(problems):
    methods = {name for name, _ in inspect.getmembers(Backend, inspect.isfunction)}
    public = {name for name in methods if not name.startswith("_")}
    assert {timed.problem.operation for timed in problems} == public - set(NOT_TIMED)
    assert set(NOT_TIMED) < public


@pytest.mark.parametrize("timed", QUICK, ids=identify)
def test_inputs_have_their_shapes(timed):
    assert [array.shape for array in draw_inputs(timed)] == list(input_shapes(timed))
    for first, second in zip(draw_inputs(timed), draw_inputs(timed), strict=True):
        np.testing.assert_array_equal(first, second)
        assert first.dtype == np.float32


@pytest.mark.parametrize("timed", [*QUICK, *ALL], ids=identify)
def test_every_problem_can_be_planned(timed):
    """From shapes alone."""
    device = PlanningDevice()
    planner = KernelBackend(device)
    our_run(timed, planner, [planner.empty(shape) for shape in input_shapes(timed)])()
    assert device.sources


def test_the_first_are_one_of_each_kind():
    """So that a run that is cut short has something of everything."""
    kinds = list(dict.fromkeys(timed.problem.operation for timed in ALL))
    first = ALL[: len(ALL) // 3]
    assert {timed.problem.operation for timed in first} == set(kinds)
    variants = {str(variant) for timed in first for variant in variants_of(timed.problem)}
    assert variants == {str(variant) for timed in ALL for variant in variants_of(timed.problem)}


def test_long_inputs_repeat_without_a_pattern():
    """A prime number of random ones, over and over: no two images of them are alike."""
    sizes = pool2d_geometry((3, 1024, 1024, 1), (2, 2), (2, 2), (0, 0))
    (x,) = draw_inputs(Timed("", "", pooling.MaxPool2dForward(sizes)))
    assert np.unique(x).size > 1_000_000
    assert (x[0] == x[1]).mean() < 0.001
    assert abs(x.mean()) < 0.01
    assert abs(x.std() - 1.0) < 0.01


def results(run, arrays):
    """What a run returns, or has changed in place."""
    returned = run()
    if returned is None:
        return arrays
    return list(returned) if isinstance(returned, tuple | list) else [returned]


def both_results(timed, memory_format, exact, inputs):
    """Ours and PyTorch's, as arrays."""
    pytest.importorskip("torch")
    from gpucnn.bench.torch_device import TorchDevice

    torch = TorchDevice(exact)
    arrays = [exact.asarray(array.copy()) for array in inputs]
    ours = results(our_run(timed, exact, arrays), arrays)
    tensors = [torch.tensor(array, memory_format) for array in inputs]
    theirs = results(torch_run(timed, torch.torch, tensors), tensors)
    return [exact.to_numpy(mine) for mine in ours], [torch.array(other) for other in theirs]


@pytest.mark.parametrize("memory_format", ["contiguous", "channels_last"])
@pytest.mark.parametrize(
    "timed", [one for one in QUICK if one.problem.operation != "dropout_forward"], ids=identify
)
def test_torch_computes_the_same(timed, memory_format, exact):
    """In float64, where only a wrong argument makes a difference."""
    inputs = [array.astype(np.float64) for array in draw_inputs(timed)]
    ours, theirs = both_results(timed, memory_format, exact, inputs)
    if timed.problem.operation in FIRST_ALONE:
        ours, theirs = ours[:1], theirs[:1]
    # Each result is a sum of at most n products of inputs, or of few functions of such sums.
    # Whole numbers stand for integers, or for bytes, of which no sums are made.
    n = max(array.size for array in inputs)
    numbers = [array for array in inputs if (array != np.rint(array)).any()]
    largest = max((float(abs(array).max()) for array in numbers), default=1.0)
    bound = gamma(n, np.float64) * n * max(largest, 1.0) ** 2
    assert bound < 1e-4
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.shape == other.shape
        np.testing.assert_allclose(mine, other, rtol=0, atol=bound)


@pytest.mark.parametrize("memory_format", ["contiguous", "channels_last"])
def test_torch_drops_as_many(memory_format, exact):
    """Other elements, for its random numbers are others: each obeys its own mask."""
    (timed,) = select(QUICK, operations=["dropout_forward"])
    (x,) = inputs = [array.astype(np.float64) for array in draw_inputs(timed)]
    rate = timed.numbers["rate"]
    for y, mask in both_results(timed, memory_format, exact, inputs):
        np.testing.assert_allclose(y, x * mask / (1 - rate), rtol=1e-12)
        # Six standard deviations of a binomial distribution.
        deviation = (rate * (1 - rate) * x.size) ** 0.5
        assert abs(mask.sum() - (1 - rate) * x.size) < 6 * deviation


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_torch_guards_a_step(value, exact):
    """The inputs that are timed are finite, and leave the guard alone."""
    (timed,) = select(QUICK, operations=["guard_step"])
    before, norm, losses = (array.astype(np.float64) for array in draw_inputs(timed))
    losses[3] = value
    for (refused,) in both_results(timed, "contiguous", exact, [before, norm, losses]):
        np.testing.assert_array_equal(refused, [1])


@pytest.mark.parametrize("operation", ["clip_by_global_norm", "clip_by_value"])
def test_there_is_something_to_clip(operation, exact):
    (timed,) = select(QUICK, operations=[operation])
    inputs = [array.astype(np.float64) for array in draw_inputs(timed)]
    for (gradients,) in both_results(timed, "contiguous", exact, inputs):
        assert np.linalg.norm(gradients) < 0.999 * np.linalg.norm(inputs[0])


def figures(problems):
    """Operations and bytes of each, by its operation."""
    problems = list(problems)
    assert len({problem.operation for problem in problems}) == len(problems)
    return {problem.operation: (problem.flops, problem.traffic) for problem in problems}


def test_operations_and_bytes_of_convolutions():
    """Worked out by hand, as all that follow."""
    # y is (2, 4, 4, 6): 2·4·4·6 = 192 results of 3·3·4 multiply-adds; x has 512 elements, w 216.
    sizes = conv2d_geometry((2, 8, 8, 4), (6, 3, 3, 4), (2, 2), (1, 1), (1, 1), 1)
    for kind in (Conv2dForward, Conv2dInputGrad, Conv2dFilterGrad):
        problem = kind(sizes)
        assert (problem.flops, problem.traffic) == (2 * 192 * 36, 4 * (512 + 216 + 192))
        assert problem.text == "2×8×8×4, 6 of 3×3/2"
    products, moved = 2 * 192 * 36, 512 + 216 + 192
    bias, relu = Conv2dForward(sizes, True), Conv2dForward(sizes, True, relu=True)
    add_relu = Conv2dForward(sizes, True, True, relu=True)
    assert (bias.flops, bias.traffic) == (products + 192, 4 * (moved + 6))
    assert (relu.flops, relu.traffic) == (products + 2 * 192, 4 * (moved + 6))
    assert (add_relu.flops, add_relu.traffic) == (products + 3 * 192, 4 * (moved + 6 + 192))
    assert add_relu.text == "2×8×8×4, 6 of 3×3/2, bias, residual, ReLU"
    # A depthwise filter has one channel.
    sizes = conv2d_geometry((1, 4, 4, 8), (8, 3, 3, 1), (1, 1), (1, 1), (1, 1), 8)
    assert Conv2dForward(sizes).flops == 2 * (16 * 8) * 9
    assert Conv2dForward(sizes).text == "1×4×4×8, 8 of 3×3, 8 groups"


def test_operations_and_bytes_of_poolings():
    # 3·3 windows every 2 pixels of 7·7 with a border: 4·4 results.
    sizes = pool2d_geometry((1, 7, 7, 5), (3, 3), (2, 2), (1, 1))
    assert figures(kind(sizes) for kind in pooling.MaxPooling.__subclasses__()) == {
        "max_pool2d_forward": (80 * 9, 4 * (245 + 80) + 80),
        "max_pool2d_input_grad": (80, 4 * (245 + 80) + 80),
    }
    assert figures(kind(sizes) for kind in pooling.AveragePooling.__subclasses__()) == {
        "avg_pool2d_forward": (80 * 9, 4 * (245 + 80)),
        "avg_pool2d_input_grad": (80 * 10, 4 * (245 + 80)),
    }
    means = global_pooling.GlobalAveragePooling.__subclasses__()
    assert figures(kind((2, 3, 3, 5)) for kind in means) == {
        "global_avg_pool2d_forward": (90, 4 * (90 + 10)),
        "global_avg_pool2d_input_grad": (10, 4 * (90 + 10)),
    }


NORMALISATIONS = [kind for kind in OPERATIONS.values() if issubclass(kind, Normalisation)]


def test_operations_and_bytes_of_normalisations():
    """Of 90 elements: alone, with a ReLU, with a residual and a ReLU."""

    def with_end(*end):
        return figures([kind((2, 3, 3, 5), *end) for kind in NORMALISATIONS])

    assert with_end(False, False) == {
        "batch_norm_forward": (90 * 6, 4 * 90 * 3),  # x twice; y
        "batch_norm_inference": (90 * 2, 4 * 90 * 2),
        "batch_norm_gradients": (90 * 8, 4 * 90 * 5),  # x and dy twice; dx
    }
    assert with_end(False, True) == {
        "batch_norm_forward": (90 * 7, 4 * 90 * 3),
        "batch_norm_inference": (90 * 3, 4 * 90 * 2),
        "batch_norm_gradients": (90 * 11, 4 * 90 * 5),
    }
    assert with_end(True, True) == {
        "batch_norm_forward": (90 * 8, 4 * 90 * 4),  # x twice, residual; y
        "batch_norm_inference": (90 * 4, 4 * 90 * 3),
        # x, y, dy; dresidual; x, dresidual; dx.
        "batch_norm_gradients": (90 * 9, 4 * 90 * 7),
    }


def test_operations_and_bytes_of_maps():
    """Of 90 elements."""
    maps = figures(kind((2, 3, 3, 5)) for kind in activation.Elementwise.__subclasses__())
    assert maps["sigmoid_forward"] == (360, 4 * 180)
    assert maps["leaky_relu_input_grad"] == (180, 4 * 270)
    assert maps["add"] == (90, 4 * 270)
    for name, (flops, traffic) in maps.items():
        assert flops >= 90, name
        assert traffic == 4 * (180 if name.endswith("_forward") else 270), name
    assert figures(kind((2, 3, 3, 5)) for kind in dropout.Dropout.__subclasses__()) == {
        "dropout_forward": (90, 4 * 180 + 90),
        "dropout_input_grad": (90, 4 * 180 + 90),
    }


def test_operations_and_bytes_of_products():
    x, w, y = (2, 3), (5, 3), (2, 5)
    forward = matrix.Matmul(x, w, transpose_b=True)
    gradients = [matrix.Matmul(y, w), matrix.Matmul(y, x, transpose_a=True)]
    for product in (forward, *gradients):
        assert (product.flops, product.traffic) == (2 * 2 * 3 * 5, 4 * (6 + 15 + 10))
    with_bias = matrix.Matmul(x, w, transpose_b=True, has_bias=True)
    assert (with_bias.flops, with_bias.traffic) == (60 + 10, 4 * (31 + 5))
    channels = matrix.ChannelSum((2, 3, 3, 5))
    assert (channels.flops, channels.traffic) == (90, 4 * 95)


def test_operations_and_bytes_of_batches():
    """Bytes: two images of 45, read and written, by two indices of 8."""
    shape = (2, 3, 3, 5)
    take = TakeImages((8, 3, 3, 5), (2,))
    augment, normalise = (augmentation.AugmentImages(shape, on, on) for on in (True, False))
    assert (take.flops, take.traffic) == (0, 180 + 16)
    assert (normalise.flops, normalise.traffic) == (180, 90 + 4 * (90 + 10))
    assert (augment.flops, augment.traffic) == (180, 90 + 4 * (90 + 10) + 2 * (1 + 8))


def test_operations_and_bytes_of_losses():
    """Of two rows of five classes."""
    scored = [kind((2, 5)) for kind in OPERATIONS.values() if issubclass(kind, loss.Scored)]
    assert figures([*scored, guard.GuardStep((2,))]) == {
        "softmax_cross_entropy_forward": (60, 4 * (10 + 2 + 2 + 10)),
        "softmax_cross_entropy_input_grad": (20, 4 * (10 + 2 + 10)),
        "soft_cross_entropy_forward": (70, 4 * (10 + 10 + 2 + 10)),
        "soft_cross_entropy_input_grad": (40, 4 * (10 + 10 + 10)),
        "softmax": (50, 4 * 20),
        "mean_squared_error_forward": (30, 4 * (10 + 2 + 2)),
        "mean_squared_error_input_grad": (20, 4 * (10 + 2 + 10)),
        "squared_error_forward": (30, 4 * (10 + 10 + 2)),
        "squared_error_input_grad": (20, 4 * (10 + 10 + 10)),
        "huber_forward": (50, 4 * (10 + 10 + 2)),
        "huber_input_grad": (40, 4 * (10 + 10 + 10)),
        "accumulate_metrics": (10, 4 * (2 + 10 + 2)),
        "accumulate_errors": (30, 4 * (2 + 10 + 10)),
        "guard_step": (2, 4 * 2 + 8 + 4 + 4),
    }


def test_operations_and_bytes_of_steps():
    """Of seven parameters."""
    nesterov, momentum, plain = (
        optimizer.SgdStep((7,), *options)
        for options in ((True, True), (True, False), (False, False))
    )
    adam, adamw = optimizer.AdamStep((7,)), optimizer.AdamwStep((7,))
    assert [each.flops for each in (nesterov, momentum, plain)] == [7 * 8, 7 * 6, 7 * 4]
    assert nesterov.traffic == momentum.traffic == 4 * 7 * 5  # w, g, v read; w, v written
    assert plain.traffic == 4 * 7 * 3  # w, g read; w written
    assert [each.flops for each in (adam, adamw)] == [7 * 15, 7 * 14]
    assert adam.traffic == adamw.traffic == 4 * 7 * 7  # w, g, m, v read; w, m, v written
    kinds = (clipping.GlobalNorm, clipping.ClipByGlobalNorm, clipping.ClipByValue, UpdateAverage)
    assert figures([kind((7,)) for kind in kinds]) == {
        "global_norm": (14, 4 * 7),
        "clip_by_global_norm": (7, 4 * 14),
        "clip_by_value": (14, 4 * 14),
        "update_average": (21, 4 * 21),  # both are read, one is written
    }


def test_select():
    names = {problem.name for problem in select(ALL, ["resnet18", "lenet-pool"])}
    assert "lenet-pool" in names
    assert all(name.startswith("resnet18") or name == "lenet-pool" for name in names)
    assert len(names) == 11
    only = select(ALL, ["resnet18-56"], ["conv2d_input_grad"])
    assert [identify(problem) for problem in only] == ["resnet18-56-conv2d_input_grad"]
    assert select(QUICK) == list(QUICK)


@pytest.mark.parametrize(
    ("names", "operations", "message"),
    [
        (["resnet81"], [], 'no problem "resnet81"; did you mean "resnet9-8"'),
        ([], ["conv2d_forwards"], 'did you mean "conv2d_forward"'),
        (["lenet-pool"], ["matmul"], "lenet-pool: none of these is of matmul"),
    ],
)
def test_select_refuses(names, operations, message):
    with pytest.raises(ConfigError, match=message):
        select(ALL, names, operations)
