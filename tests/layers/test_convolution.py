import numpy as np
import oracle
import pytest

from gpucnn.errors import ConfigError, ShapeError
from gpucnn.layers import Context, Conv2d, layers


def declared(layer, backend, shape):
    layer.attach(Context(backend, seed=0, classes=10), "0.conv2d")
    return layer.declare(shape)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (Conv2d(8, 3), (7, 8, 8)),
        (Conv2d(8, (3, 5)), (7, 6, 8)),
        (Conv2d(8, 3, stride=2), (4, 4, 8)),
        (Conv2d(8, 3, stride=(1, 3), padding=1), (9, 4, 8)),
        (Conv2d(8, 3, padding=(0, 2)), (7, 12, 8)),
        (Conv2d(8, 4, padding=((1, 2), (0, 1))), (9, 8, 8)),
        (Conv2d(8, 3, dilation=(2, 3)), (5, 4, 8)),
        (Conv2d(8, 1), (9, 10, 8)),
    ],
)
def test_output_shape(exact, layer, expected):
    assert declared(layer, exact, (9, 10, 4)) == expected
    assert layer.output_shape == expected


@pytest.mark.parametrize(
    ("padding", "sides"),
    [
        (2, ((2, 2), (2, 2))),
        ([1, 2], ((1, 1), (2, 2))),
        ([[1, 2], [0, 1]], ((1, 2), (0, 1))),
        ([1, [0, 3]], ((1, 1), (0, 3))),
        ("same", ((1, 1), (1, 1))),
    ],
)
def test_padding_in_a_config(exact, padding, sides):
    layer = layers.create({"type": "conv2d", "filters": 8, "kernel": 3, "padding": padding}, "here")
    declared(layer, exact, (9, 10, 4))
    assert layer.padding == sides


@pytest.mark.parametrize("padding", [[1], [1, 2, 3], [[1, 2, 3], 1], [[[1, 2], 1], 1], 1.5, "all"])
def test_padding_that_cannot_be_in_a_config(padding):
    with pytest.raises(ConfigError, match=r"here.*padding"):
        layers.create({"type": "conv2d", "filters": 8, "kernel": 3, "padding": padding}, "here")


@pytest.mark.parametrize("size", [(9, 10), (1, 1), (2, 7), (3, 4)])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("stride", [1, 2, (3, 2)])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, (2, 5)])
def test_same_padding_is_the_input_over_the_stride(exact, kernel, stride, dilation, size):
    """And the least that will do, the odd one after."""
    layer = Conv2d(4, kernel, stride=stride, padding="same", dilation=dilation)
    steps = (stride, stride) if isinstance(stride, int) else stride
    windows = (kernel, kernel) if isinstance(kernel, int) else kernel
    lengths = [-(-length // step) for length, step in zip(size, steps, strict=True)]
    assert declared(layer, exact, (*size, 3)) == (*lengths, 4)
    for axis, (before, after) in enumerate(layer.padding):
        least = 0
        while lengths[axis] > oracle.output_length(
            size[axis], windows[axis], steps[axis], 0, least, dilation
        ):
            least += 1
        assert (before, after) == (least // 2, least - least // 2)


def test_same_padding_with_an_even_filter_goes_after(exact):
    """A filter of ones and two taps adds each pixel and the next; the last one has no next."""
    layer = Conv2d(1, (1, 2), padding="same", bias=False)
    declared(layer, exact, (1, 4, 1))
    layer.parameters["weight"].value = exact.asarray(np.ones((1, 1, 2, 1)))
    y = layer.forward(exact.asarray(np.array([1.0, 2, 3, 4]).reshape(1, 1, 4, 1)))
    np.testing.assert_array_equal(exact.to_numpy(y).ravel(), [3, 5, 7, 4])


def test_parameters(exact):
    layer = Conv2d(8, (3, 5), groups=2, initialiser="glorot")
    declared(layer, exact, (9, 10, 4))
    weight, bias = layer.parameters["weight"], layer.parameters["bias"]
    assert list(layer.parameters) == ["weight", "bias"]
    assert weight.shape == (8, 3, 5, 2)
    assert (weight.initialiser, weight.decay) == ("glorot", True)
    assert bias.shape == (8,)
    assert (bias.initialiser, bias.decay) == (0.0, False)
    assert layer.multiply_adds() == 7 * 6 * 8 * 3 * 5 * 2
    without = Conv2d(8, 3, bias=False)
    declared(without, exact, (9, 10, 4))
    assert list(without.parameters) == ["weight"]


def test_passes_are_the_backends(backend, rng):
    layer = Conv2d(6, 3, stride=(2, 1), padding=((1, 0), (1, 2)), dilation=(1, 2), groups=2)
    shape = declared(layer, backend, (7, 8, 4))
    weight, bias = layer.parameters["weight"], layer.parameters["bias"]
    weight.value = backend.asarray(rng.standard_normal(weight.shape))
    bias.value = backend.asarray(rng.standard_normal(bias.shape))
    weight.gradient, bias.gradient = backend.zeros(weight.shape), backend.zeros(bias.shape)
    x = backend.asarray(rng.standard_normal((2, 7, 8, 4)))
    dy = backend.asarray(rng.standard_normal((2, *shape)))
    options = {
        "stride": (2, 1), "padding": ((1, 0), (1, 2)), "dilation": (1, 2), "groups": 2
    }  # fmt: skip

    def same(one, other):
        np.testing.assert_array_equal(backend.to_numpy(one), backend.to_numpy(other))

    same(layer.forward(x), backend.conv2d_forward(x, weight.value, bias.value, **options))
    same(layer.backward(dy), backend.conv2d_input_grad(dy, weight.value, x.shape, **options))
    same(weight.gradient, backend.conv2d_filter_grad(x, dy, weight.shape, **options))
    same(bias.gradient, backend.channel_sum(dy))
    layer.skip_input_grad()
    backend.write(weight.gradient, 0)
    assert layer.backward(dy) is None
    same(weight.gradient, backend.conv2d_filter_grad(x, dy, weight.shape, **options))


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (Conv2d(8, 3), (4,), r"\(4,\): it needs images"),
        (Conv2d(8, 3), (2, 9, 4), r"\(2, 9, 4\).*3×3.*2×9"),
        (Conv2d(8, 3, dilation=5), (9, 9, 4), r"3×3 \(dilation \(5, 5\)\)"),
        (Conv2d(8, 3, groups=3), (9, 9, 4), "groups=3 must divide C=4 and filters=8"),
        (Conv2d(8, 3, groups=4), (9, 9, 6), "groups=4 must divide C=6 and filters=8"),
    ],
)
def test_refuses_inputs(exact, layer, shape, message):
    with pytest.raises(ShapeError, match=rf'layer "0\.conv2d" cannot take .*{message}'):
        declared(layer, exact, shape)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filters": 0}, "filters=0"),
        ({"kernel": (3, 0)}, r"kernel=\(3, 0\)"),
        ({"stride": -1}, "stride=-1"),
        ({"dilation": 0}, "dilation=0"),
        ({"groups": 0}, "groups=0"),
        ({"padding": -1}, "padding is -1"),
        ({"padding": ((0, 0), (0, -1))}, r"padding is \(\(0, 0\), \(0, -1\)\)"),
        ({"padding": "valid"}, 'padding is "valid"'),
        ({"initialiser": "hee"}, '"hee".*"he"'),
    ],
)
def test_refuses_options(options, message):
    with pytest.raises(ConfigError, match=message):
        Conv2d(**{"filters": 8, "kernel": 3, **options})
