"""The check's own cases, reference and bounds, and that it sees what is wrong."""

import itertools

import numpy as np
import pytest

from gpucnn.backends import why_unavailable
from gpucnn.backends.devices.source import KERNELS
from gpucnn.backends.numpy_backend import NumpyBackend
from gpucnn.check.cases import draw
from gpucnn.check.checker import Checker
from gpucnn.launch.variants import Variant
from gpucnn.operations import OPERATIONS
from gpucnn.operations.sampling import CHANNELS, MANY_CHANNELS

CONVOLUTIONS = [name for name in OPERATIONS if name.startswith("conv2d")]


def values(cases, *names):
    return {tuple(case.arguments[name] for name in names) for case in cases}


@pytest.mark.parametrize("variant", Variant)
@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.parametrize(("count", "seed"), [(100, 0), (100, 1), (20, 1)])
def test_convolutions_of_all_kinds_are_drawn(name, variant, count, seed):
    """In the hundred of the fast mode, and the most telling in the twenty of the others.

    Depthwise kernels have as many filters as channels, and more than one.
    """
    cases = [p for p in draw(name, count, seed) if p.variant == variant]
    assert len(cases) == count
    x_shapes = [p.arguments.get("x_shape") or p.arguments["x"].shape for p in cases]
    w_shapes = [p.arguments.get("w_shape") or p.arguments["w"].shape for p in cases]
    groups = [case.arguments["groups"] for case in cases]
    assert any(shape[1] != shape[2] for shape in w_shapes)
    assert any(pair[0] != pair[1] for (sides,) in values(cases, "padding") for pair in sides)
    assert 1 in {shape[0] for shape in x_shapes}
    assert any(x[3] == g > 1 for x, g in zip(x_shapes, groups, strict=True)), "depthwise"
    if variant != Variant.DEPTHWISE:
        assert {shape[3] for shape in x_shapes} >= {1, 3, 5, 17, 64}
        assert {shape[0] for shape in w_shapes} >= {1, 3, 5, 17, 64}
        assert {(1, 1), (7, 7)} <= {shape[1:3] for shape in w_shapes}
        assert any(shape[1] == shape[2] == 1 for shape in x_shapes)
        assert any(1 < g < x[3] for x, g in zip(x_shapes, groups, strict=True)), "groups"
    if count == 100:
        assert {side for shape in w_shapes for side in shape[1:3]} == set(range(1, 8))
        assert {side for (pair,) in values(cases, "stride") for side in pair} == {1, 2, 3, 4}
        assert {side for (pair,) in values(cases, "dilation") for side in pair} == {1, 2, 3}
        assert any(shape[1] == shape[2] == 1 for shape in x_shapes)
        assert any(x[1] < w[1] for x, w in zip(x_shapes, w_shapes, strict=True))


def test_pooling_with_ties_and_special_values_is_drawn():
    maximands = [p.arguments["x"] for p in draw("max_pool2d_forward", 100)]
    assert any(np.isnan(x).any() and np.isneginf(x).any() for x in maximands)
    assert any(np.isfinite(x).all() and np.unique(x).size < x.size for x in maximands)
    assert any(np.isneginf(x).all() for x in maximands)
    assert any((np.signbit(x) & (x == 0)).any() for x in maximands), "-0"
    windows = [p.arguments["window"] for p in draw("max_pool2d_forward", 100)]
    assert {256, 257} <= {R * S for R, S in windows}


SPECKLED = [
    "conv2d_forward", "conv2d_input_grad", "conv2d_filter_grad", "max_pool2d_input_grad",
    "avg_pool2d_forward", "avg_pool2d_input_grad", "global_avg_pool2d_forward",
    "global_avg_pool2d_input_grad", "batch_norm_forward", "batch_norm_inference", "relu_forward",
    "leaky_relu_forward", "leaky_relu_input_grad", "sigmoid_forward", "sigmoid_input_grad",
    "tanh_forward", "tanh_input_grad", "gelu_forward", "gelu_input_grad", "add", "matmul",
    "channel_sum", "softmax",
    "softmax_cross_entropy_forward", "mean_squared_error_forward",
    "squared_error_forward", "squared_error_input_grad", "huber_forward", "huber_input_grad",
]  # fmt: skip


@pytest.mark.parametrize("name", SPECKLED)
def test_values_that_are_not_finite_are_drawn(name):
    """Few enough that other results of the same case are finite; through a ReLU too."""
    told = [
        case
        for case in draw(name, 30, seed=1)
        for result in [case.run(NumpyBackend("fp32"))[case.kind.gives[0]]]
        if np.isnan(result).any() and np.isfinite(result).any()
    ]
    assert told
    if "relu" in told[0].arguments:
        assert any(case.arguments["relu"] for case in told)


@pytest.mark.parametrize("name", ["batch_norm_forward", "batch_norm_inference"])
def test_normalisations_with_all_ends_are_drawn(name):
    """A residual, a ReLU, both and neither: in the four of the quick tests, and often in thirty."""

    def ends(count):
        arguments = [case.arguments for case in draw(name, count)]
        return [(a["residual"] is not None, a["relu"], a["x"].shape[-1]) for a in arguments]

    all_ends = set(itertools.product((False, True), (False, True)))
    assert {(residual, relu) for residual, relu, _ in ends(4)} == all_ends
    assert ends(1)[0][:2] == (True, True)
    channels = {*CHANNELS, MANY_CHANNELS}
    assert set(ends(24)) == {(*end, C) for end in all_ends for C in channels}


def test_gradients_of_normalisations_with_all_ends_are_drawn():
    """With and without a ReLU or a residual, and whichever result may be written over dy."""
    arguments = [case.arguments for case in draw("batch_norm_gradients", 18)]
    ends = {("shift" in a, "y" in a, a["x"].shape[-1]) for a in arguments}
    kinds = ((False, False), (True, False), (False, True))
    assert ends == {(*end, C) for end in kinds for C in (*CHANNELS, MANY_CHANNELS)}
    over_dy = {("y" in a, *(n for n in ("dx", "dresidual") if n in a)) for a in arguments}
    assert over_dy == {(False,), (False, "dx"), (True,), (True, "dx"), (True, "dresidual")}


def test_cases_are_the_same_each_time():
    for name in OPERATIONS:
        for one, other in zip(draw(name, 3), draw(name, 3), strict=True):
            assert str(one) == str(other)
            for argument, value in one.arguments.items():
                np.testing.assert_array_equal(value, other.arguments[argument])


FAULTS = {
    "a wrong comparison": ("max_pool2d.cu", "v > b ||", "v >= b ||", "max_pool2d_forward", "fast"),
    "a NaN that a ReLU swallows": (
        "activation.cu", "return x < 0.0f ? 0.0f : x;", "return fmaxf(x, 0.0f);", "relu_forward",
        "fast",
    ),
    "an access out of bounds": (
        "max_pool2d.cu", "if (element >= P * Q * VECTORS) {", "if (false) {",
        "max_pool2d_forward", "race",
    ),
    "a missing barrier": (
        "softmax_cross_entropy.cu", "probabilities[k] /= total;",
        "probabilities[k] = probabilities[K - 1 - k] / total;", "softmax", "race",
    ),
    "what does not compile": (
        "max_pool2d.cu", "best = {};", "best = {}", "max_pool2d_forward", "fast",
    ),
}  # fmt: skip


@pytest.mark.skipif(bool(why_unavailable("emulator")), reason=why_unavailable("emulator"))
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_faults_are_seen(fault, tmp_path):
    file, before, after, operation, mode = fault
    text = (KERNELS / file).read_text(encoding="utf-8")
    assert before in text
    (tmp_path / file).write_text(text.replace(before, after, 1), encoding="utf-8")
    cases = draw(operation, 3)
    assert any(finding.complaint for finding in Checker(mode, tmp_path).check_all(cases))
    assert not any(finding.complaint for finding in Checker(mode).check_all(cases))
