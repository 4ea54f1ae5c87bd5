"""What is timed: PyTorch computes the same, and operations and bytes are counted right."""

from collections import Counter

import numpy as np
import pytest
from tolerance import gamma

from gpucnn.bench.problems import ALL, QUICK, select
from gpucnn.bench.problems.convolution import ConvolutionForward, ConvolutionInputGrad
from gpucnn.bench.problems.matrix import linear
from gpucnn.bench.problems.normalisation import BatchNormForward, BatchNormGradients
from gpucnn.bench.problems.optimizer import AdamStep, SgdStep
from gpucnn.bench.problems.pooling import MaxPoolForward, MaxPoolInputGrad
from gpucnn.errors import ConfigError


def identify(problem):
    return f"{problem.name}-{problem.operation}"


def test_names_are_unique():
    counted = Counter(identify(problem) for problem in (*QUICK, *ALL))
    assert [name for name, count in counted.items() if count > 1] == []


def test_the_first_are_one_of_each_kind():
    """So that a run that is cut short has something of everything."""
    kinds = list(dict.fromkeys(problem.operation for problem in ALL))
    first = ALL[: len(ALL) // 3]
    assert {problem.operation for problem in first} == set(kinds)
    variants = {str(variant) for problem in first for variant in problem.variants}
    assert variants == {str(variant) for problem in ALL for variant in problem.variants}


def test_long_inputs_repeat_without_a_pattern():
    """A prime number of random ones, over and over: no two images of them are alike."""
    (x,) = MaxPoolForward("", 3, 1024, 1, 2, 2).inputs()
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


@pytest.mark.parametrize("memory_format", ["contiguous", "channels_last"])
@pytest.mark.parametrize("problem", QUICK, ids=identify)
def test_torch_computes_the_same(problem, memory_format, exact):
    """In float64, where only a wrong argument makes a difference."""
    pytest.importorskip("torch")
    from gpucnn.bench.torch_device import TorchDevice

    torch = TorchDevice(exact)
    inputs = [array.astype(np.float64) for array in problem.inputs()]
    arrays = [exact.asarray(array.copy()) for array in inputs]
    ours = results(problem.ours(exact, arrays), arrays)
    tensors = [torch.tensor(array, memory_format) for array in inputs]
    theirs = results(problem.torch(torch.torch, tensors), tensors)
    if problem.operation == "max_pool2d_forward":
        ours, theirs = ours[:1], theirs[:1]  # PyTorch counts winners otherwise
    # Each result is a sum of at most n products of inputs, or of few functions of such sums.
    n = max(array.size for array in inputs)
    largest = max(float(abs(array).max()) for array in inputs)
    bound = gamma(n, np.float64) * n * max(largest, 1.0) ** 2
    assert bound < 1e-4
    for mine, other in zip(ours, theirs, strict=False):
        np.testing.assert_allclose(exact.to_numpy(mine), torch.array(other), rtol=0, atol=bound)


def test_operations_and_bytes():
    """Worked out by hand."""
    # y is (2, 4, 4, 6): 2·4·4·6 = 192 results of 3·3·4 multiply-adds; x has 512 elements, w 216.
    forward = ConvolutionForward("", 2, 8, 4, 6, 3, 2, 1)
    assert forward.flops == 2 * 192 * 36
    assert forward.traffic == 4 * (512 + 216 + 192)
    assert forward.input_shapes() == ((2, 8, 8, 4), (6, 3, 3, 4))
    gradient = ConvolutionInputGrad("", 2, 8, 4, 6, 3, 2, 1)
    assert (gradient.flops, gradient.traffic) == (forward.flops, forward.traffic)
    assert gradient.input_shapes() == ((2, 4, 4, 6), (6, 3, 3, 4))
    # A depthwise filter has one channel.
    depthwise = ConvolutionForward("", 1, 4, 8, 8, 3, 1, 1, 8)
    assert depthwise.flops == 2 * (16 * 8) * 9
    assert depthwise.input_shapes()[1] == (8, 3, 3, 1)
    assert "depthwise" in depthwise.variants
    # 3·3 windows every 2 pixels of 7·7 with a border: 4·4 results.
    assert MaxPoolForward("", 1, 7, 5, 3, 2, 1).flops == 80 * 9
    assert MaxPoolForward("", 1, 7, 5, 3, 2, 1).traffic == 4 * (245 + 80) + 80
    assert MaxPoolInputGrad("", 1, 7, 5, 3, 2, 1).traffic == 4 * (245 + 80) + 80
    assert BatchNormForward("", 2, 3, 5).traffic == 4 * 3 * 90
    assert BatchNormGradients("", 2, 3, 5).traffic == 4 * 5 * 90
    products = linear("", 2, 3, 5)
    assert {product.flops for product in products} == {2 * 2 * 3 * 5}
    assert {product.traffic for product in products} == {4 * (6 + 15 + 10)}
    assert SgdStep("", 7).traffic == 4 * 7 * 5  # w, g, v read; w, v written
    assert AdamStep("", 7).traffic == 4 * 7 * 7  # w, g, m, v read; w, m, v written


def test_select():
    names = {problem.name for problem in select(ALL, ["resnet18", "lenet-pool"])}
    assert "lenet-pool" in names
    assert all(name.startswith("resnet18") or name == "lenet-pool" for name in names)
    assert len(names) == 7
    only = select(ALL, ["resnet18-56"], ["conv2d_input_grad"])
    assert [identify(problem) for problem in only] == ["resnet18-56-conv2d_input_grad"]
    assert select(QUICK) == list(QUICK)


@pytest.mark.parametrize(
    ("names", "operations", "message"),
    [
        (["resnet81"], [], 'no problem "resnet81"; "gpucnn bench kernels --list"'),
        ([], ["conv2d_forwards"], 'did you mean "conv2d_forward"'),
        (["lenet-pool"], ["matmul"], "lenet-pool: none of these is of matmul"),
    ],
)
def test_select_refuses(names, operations, message):
    with pytest.raises(ConfigError, match=message):
        select(ALL, names, operations)
