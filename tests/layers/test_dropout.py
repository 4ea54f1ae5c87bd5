import numpy as np
import pytest

from gpucnn.errors import ConfigError
from gpucnn.layers import Context, Dropout, Linear, Network
from gpucnn.operations.dropout import naive_mask
from gpucnn.random import Stream

SEED, RATE, FEATURES = 5, 0.25, 24


def ready(backend, training=True):
    layer = Dropout(RATE)
    context = Context(backend, seed=SEED, classes=10, training=training)
    layer.attach(context, "0.dropout")
    assert layer.declare((2, 3, 4)) == (2, 3, 4)
    return layer, context


def kept(layer, x):
    return (layer.backend.to_numpy(layer.forward(x)) != 0).reshape(-1)


def test_masks_by_layer_step_and_sample(backend):
    """The reference's words at the element's place, for each of the three in turn."""
    layer, context = ready(backend)
    x = backend.asarray(np.ones((3, 2, 3, 4)))
    for index, step, first_sample in ((0, 0, 0), (1, 0, 0), (0, 9, 0), (0, 0, 2), (3, 4, 5)):
        layer.index, context.step, context.first_sample = index, step, first_sample
        # Dropout is stream 6, a layer's index stands in the upper 24 bits.
        stream = 6 | index << 8
        offset = first_sample * FEATURES
        expected = naive_mask(72, RATE, SEED, stream, step, offset)
        np.testing.assert_array_equal(kept(layer, x), expected)
    assert Stream.DROPOUT.of_layer(3) == 6 | 3 << 8


def test_parts_of_a_batch_get_their_part_of_the_mask(backend):
    layer, context = ready(backend)
    x = np.ones((5, 2, 3, 4))
    whole = kept(layer, backend.asarray(x))
    parts = []
    for first, last in ((0, 2), (2, 5)):
        context.first_sample = first
        parts.append(kept(layer, backend.asarray(x[first:last])))
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_backward_uses_the_same_mask(backend, rng):
    layer, _ = ready(backend)
    x = rng.standard_normal((3, 2, 3, 4)).astype(backend.dtype)
    y = backend.to_numpy(layer.forward(backend.asarray(x)))
    np.testing.assert_array_equal(backend.to_numpy(layer.backward(backend.asarray(x))), y)
    assert 0 < (y == 0).mean() < 1


def test_inference_does_nothing(backend, rng):
    layer, context = ready(backend)
    x = backend.asarray(rng.standard_normal((3, 2, 3, 4)))
    layer.forward(x)
    context.training = False
    assert layer.forward(x) is x
    assert layer.backward(x) is x


def test_layers_of_a_network_have_masks_of_their_own(exact):
    layers = [Dropout(0.5), Linear(8), Dropout(0.5), Linear("classes")]
    network = Network(layers, (8,), 3, exact)
    assert [layers[0].index, layers[2].index] == [0, 1]
    network.train()
    x = exact.asarray(np.ones((4, 8)))
    assert (kept(layers[0], x) != kept(layers[2], x)).any()


def test_begin_step_changes_the_masks(exact):
    layers = [Dropout(0.5), Linear("classes")]
    network = Network(layers, (64,), 3, exact, seed=SEED)
    network.train()
    x = exact.asarray(np.ones((1, 64)))
    masks = []
    for step, first_sample in ((0, 0), (1, 0), (1, 7)):
        network.begin_step(step, first_sample)
        masks.append(kept(layers[0], x))
        expected = naive_mask(64, 0.5, SEED, 6, step, 64 * first_sample)
        np.testing.assert_array_equal(masks[-1], expected)
    assert (masks[0] != masks[1]).any()
    assert (masks[1] != masks[2]).any()


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, float("nan")])
def test_refuses(rate):
    with pytest.raises(ConfigError, match=f"rate is {rate}"):
        Dropout(rate)
