import numpy as np
import pytest

from gpucnn import init
from gpucnn import layers as nn
from gpucnn.errors import CheckpointError, ShapeError
from gpucnn.losses import SoftmaxCrossEntropy
from gpucnn.random import Stream

SHAPE, CLASSES = (7, 6, 3), 5


def smooth_layers():
    """Every layer but those with corners, where a numeric gradient says nothing."""
    return [
        nn.Conv2d(5, 3, padding=1),
        nn.BatchNorm2d(),
        nn.Tanh(),
        nn.Residual([nn.Conv2d(4, (2, 3), stride=2, padding="same"), nn.BatchNorm2d()],
                   [nn.Conv2d(4, 1, stride=2, bias=False)]),
        nn.Sigmoid(),
        nn.Dropout(0.2),
        nn.AvgPool2d(2, stride=1),
        nn.Conv2d(8, 2, groups=4, dilation=(1, 1)),
        nn.Flatten(),
        nn.Linear(6, initialiser="glorot"),
        nn.Tanh(),
        nn.Linear("classes", bias=False),
    ]  # fmt: skip


def all_layers():
    return [
        nn.Conv2d(5, 3, padding=1),
        nn.BatchNorm2d(),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Residual([nn.Conv2d(5, 3, padding=1), nn.LeakyReLU(), nn.Conv2d(5, 1)]),
        nn.GlobalAvgPool2d(),
        nn.Dropout(0.5),
        nn.Linear("classes"),
    ]


def network_of(layers, backend, seed=1):
    return nn.Network(layers, SHAPE, CLASSES, backend, seed)


def test_gradients_are_the_slopes_of_the_loss(exact, rng):
    """Along a random direction, central differences at two widths joined by Richardson.

    What is left is of order h⁴ = 10⁻¹², and rounding, u·loss/h = 10⁻¹³; both small against 10⁻⁸.
    """
    network = network_of(smooth_layers(), exact)
    network.train()
    network.values[...] += 0.1 * (network.values != 0) * rng.standard_normal(network.values.shape)
    labels = exact.asarray(rng.integers(0, CLASSES, 4).astype(np.int32))
    x = exact.asarray(rng.standard_normal((4, *SHAPE)))
    loss = SoftmaxCrossEntropy(0.1)

    def value():
        return float(loss.forward(exact, network.forward(x), labels).sum()) / 4

    value()
    network.backward(loss.backward(exact, 4))
    gradients, start = network.gradients.copy(), network.values.copy()
    for name, parameter in network.parameters().items():
        direction = rng.standard_normal(parameter.shape)
        slope = float((parameter.gradient * direction).sum())
        at = parameter.value.copy()

        def difference(h, parameter=parameter, at=at, direction=direction):
            parameter.value[...] = at + h * direction
            above = value()
            parameter.value[...] = at - h * direction
            below = value()
            parameter.value[...] = at
            return (above - below) / (2 * h)

        numeric = (4 * difference(1e-3) - difference(2e-3)) / 3
        assert abs(numeric - slope) < 1e-8 * max(1, np.abs(direction).sum()), name
    np.testing.assert_array_equal(network.values, start)
    assert np.abs(gradients).max() > 1e-3


def test_flat_vectors(backend):
    network = network_of(all_layers(), backend)
    parameters = network.parameters()
    assert list(parameters) == [
        "0.conv2d.weight", "0.conv2d.bias", "1.batch_norm2d.scale", "1.batch_norm2d.shift",
        "4.residual.body.0.conv2d.weight", "4.residual.body.0.conv2d.bias",
        "4.residual.body.2.conv2d.weight", "4.residual.body.2.conv2d.bias",
        "7.linear.weight", "7.linear.bias",
    ]  # fmt: skip
    count = 5 * 27 + 5 + 5 + 5 + 5 * 45 + 5 + 25 + 5 + 25 + 5
    assert network.parameter_count() == count
    # Marking each value shows where it lies, and the views show the same memory.
    owner = np.full(network.values.shape, "", object)
    for name, parameter in parameters.items():
        for vector, view in (
            (network.values, parameter.value),
            (network.gradients, parameter.gradient),
        ):
            before = backend.to_numpy(vector)
            backend.write(view, 77)
            changed = backend.to_numpy(vector) != before
            owner[changed] = name
            first, last = np.flatnonzero(changed)[[0, -1]]
            assert first % 32 == 0, name
            assert last - first + 1 == parameter.size, name
            assert parameter.decay == (last < network.segments[0].stop), name
    assert [segment.decay for segment in network.segments] == [True, False]
    assert network.segments[-1].stop == network.gradients.size == network.values.size
    assert (owner != "").sum() == count


def test_gaps_stay_zero(backend, rng):
    """Through initial weights, backward and optimizer steps."""
    network = network_of(all_layers(), backend)
    gap = np.ones(network.values.shape, bool)
    for parameter in network.parameters().values():
        before = backend.to_numpy(network.values)
        kept = backend.to_numpy(parameter.value)
        backend.write(parameter.value, 77)
        gap &= backend.to_numpy(network.values) == before
        backend.write(parameter.value, kept)
    assert gap.any()
    network.train()
    state = [backend.zeros(network.values.shape) for _ in range(2)]
    for step in range(1, 4):
        scores = network.forward(backend.asarray(rng.standard_normal((3, *SHAPE))))
        network.backward(scores)
        backend.adam_step(
            network.values, network.gradients, *state, step, 0.01, 0.9, 0.999, 1e-8, 0.1
        )
    for vector in (network.values, network.gradients, *state):
        assert not backend.to_numpy(vector)[gap].any()
        assert backend.to_numpy(vector)[~gap].any()


def test_initial_values(backend):
    """By name and seed, from one stream for each parameter; constants otherwise."""
    network = network_of(all_layers(), backend, seed=11)
    for index, (name, parameter) in enumerate(network.parameters().items()):
        if name.endswith("weight"):
            stream = Stream.INITIAL_WEIGHTS.of_layer(index)
            expected = init.draw("he", parameter.shape, 11, stream).astype(backend.dtype)
        else:
            expected = np.full(parameter.shape, float(name.endswith("scale")))
        np.testing.assert_array_equal(backend.to_numpy(parameter.value), expected, err_msg=name)
    buffers = {name: backend.to_numpy(b.value) for name, b in network.buffers().items()}
    assert (buffers["1.batch_norm2d.running_mean"] == 0).all()
    assert (buffers["1.batch_norm2d.running_variance"] == 1).all()


def outputs(network, x, dscores):
    scores = network.backend.to_numpy(network.forward(x))
    network.backward(dscores)
    return scores, network.backend.to_numpy(network.gradients)


@pytest.mark.parametrize(
    "first",
    [
        lambda: [],
        lambda: [nn.AvgPool2d(1), nn.Sequential([nn.Tanh(), nn.Conv2d(3, 1)])],
        lambda: [nn.BatchNorm2d()],
        lambda: [nn.Residual([nn.Conv2d(3, 1)])],
        lambda: [nn.Flatten(), nn.Linear(126), nn.Tanh()],
    ],
)
def test_skipping_input_gradients_changes_no_other(exact, rng, first, monkeypatch):
    def build():
        start = first()
        rest = [] if any(isinstance(layer, nn.Flatten) for layer in start) else all_layers()
        return [*start, *(rest or [nn.Linear("classes")])]

    skipping = network_of(build(), exact)
    monkeypatch.setattr(nn.Sequential, "skip_input_grad", lambda self: None)  # noqa: ARG005
    full = network_of(build(), exact)
    x = exact.asarray(rng.standard_normal((3, *SHAPE)))
    dscores = exact.asarray(rng.standard_normal((3, CLASSES)))
    for network in (skipping, full):
        network.train()
    results = [outputs(network, x, dscores) for network in (skipping, full)]
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)
    assert any(not layer.needs_input_grad for layer in skipping.body.walk())


def test_only_layers_before_the_first_parameters_skip(exact):
    layers = [nn.AvgPool2d(1), nn.Conv2d(4, 3), nn.Conv2d(4, 3), nn.Flatten(), nn.Linear("classes")]
    network_of(layers, exact)
    assert [layer.needs_input_grad for layer in layers] == [False, False, True, True, True]


def test_state_round_trip(backend, rng):
    one, other = network_of(all_layers(), backend, 1), network_of(all_layers(), backend, 2)
    one.train()
    one.forward(backend.asarray(rng.standard_normal((3, *SHAPE))))  # moves running statistics
    state = one.state()
    assert set(state) == {*one.parameters(), *one.buffers()}
    other.load_state(state)
    for name, array in other.state().items():
        np.testing.assert_array_equal(array, state[name], err_msg=name)
    np.testing.assert_array_equal(backend.to_numpy(other.values), backend.to_numpy(one.values))
    for network in (one, other):
        network.infer()
    x = backend.asarray(rng.standard_normal((3, *SHAPE)))
    np.testing.assert_array_equal(
        backend.to_numpy(one.forward(x)), backend.to_numpy(other.forward(x))
    )


def test_state_is_a_copy(backend):
    network = network_of(all_layers(), backend)
    state = network.state()
    for array in state.values():
        array.fill(-1)
    assert not (backend.to_numpy(network.values) == -1).any()


def test_load_state_refuses(exact):
    network = network_of(all_layers(), exact)
    state = network.state()
    without = {name: array for name, array in state.items() if name != "7.linear.bias"}
    with pytest.raises(CheckpointError, match=r'lacks "7\.linear\.bias"'):
        network.load_state(without)
    with pytest.raises(CheckpointError, match=r'no "8\.linear\.weight"'):
        network.load_state({**state, "8.linear.weight": np.zeros(3)})
    with pytest.raises(CheckpointError, match=r'"7\.linear\.bias".*\(6,\).*\(5,\)'):
        network.load_state({**state, "7.linear.bias": np.zeros(6)})


def test_refuses_outputs_that_are_not_classes(exact):
    for layers, shape in (
        ([nn.Conv2d(5, 3)], r"\(5, 4, 5\)"),
        ([nn.Flatten(), nn.Linear(4)], r"\(4,\)"),
        ([], r"\(7, 6, 3\)"),
    ):
        with pytest.raises(ShapeError, match=rf"{shape}.*5 classes"):
            network_of(layers, exact)
