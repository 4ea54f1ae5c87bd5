from pathlib import Path

import numpy as np
import pytest

from gpucnn.backends import get_backend
from gpucnn.backends.numpy_backend import NumpyBackend
from gpucnn.config import load_config
from gpucnn.errors import GpucnnError
from gpucnn.gradcheck import _Directions, check_network
from gpucnn.layers import Conv2d, Flatten, LeakyReLU, Linear, Network, layers
from gpucnn.layers.activation import Activation
from gpucnn.losses import Huber, MeanSquaredError, SoftmaxCrossEntropy

ROOT = Path(__file__).parents[1]
BOUND = 1e-6
CONV = {"type": "conv2d", "filters": 4, "kernel": 3, "padding": 1}
NORM = {"type": "batch_norm2d"}
TABLES = {
    "conv2d": [CONV],
    "conv2d, strided": [{**CONV, "stride": 2, "kernel": [2, 3]}],
    "conv2d, dilated and grouped": [{**CONV, "dilation": 2, "groups": 2, "bias": False}],
    "conv2d, same": [{**CONV, "kernel": 4, "padding": "same"}],
    "conv2d, depthwise": [{**CONV, "filters": 2, "groups": 2}],
    "batch_norm2d": [NORM],
    **{kind.kind: [{"type": kind.kind}] for kind in Activation.__subclasses__()},
    "leaky_relu, steep": [{"type": "leaky_relu", "slope": 0.2}],
    "max_pool2d": [{"type": "max_pool2d", "window": 3, "stride": 2, "padding": 1}],
    "max_pool2d, global": [{"type": "max_pool2d", "window": "global"}],
    "avg_pool2d": [{"type": "avg_pool2d", "window": 3, "stride": 2, "padding": 1}],
    "dropout": [{"type": "dropout", "rate": 0.3}],
    "sequential": [{"type": "sequential", "layers": [CONV, NORM]}],
    "residual": [
        {"type": "residual", "body": [{**CONV, "filters": 2}, NORM, {"type": "tanh"}]},
        {"type": "relu"},
    ],
    "residual, projected": [
        {"type": "residual", "body": [{**CONV, "stride": 2}, NORM],
         "shortcut": [{**CONV, "stride": 2, "kernel": 1, "padding": 0}]},
    ],
}  # fmt: skip
"""Layers that take images; those after them, flatten and linear, are in every model."""


def build(tables, head=()):
    made = [layers.create(table, "layer") for table in tables]
    backend = get_backend("numpy", "fp64")
    return Network(
        [*made, *(head or (Flatten(), Linear("classes")))], (6, 5, 2), 4, backend, seed=1
    )


def check(network, loss=None, **options):
    return {
        c.name: c for c in check_network(network, loss or SoftmaxCrossEntropy(), BOUND, **options)
    }


@pytest.mark.parametrize("name", TABLES)
def test_every_layer(name):
    checks = check(build(TABLES[name]))
    for one in checks.values():
        assert one.error <= BOUND, one
        assert one.derivatives > 0
    assert {"loss", "model"} <= checks.keys()


def test_global_avg_pool2d():
    network = build([{"type": "global_avg_pool2d"}], head=(Linear("classes"),))
    assert all(one.error <= BOUND for one in check(network).values())


def test_no_layer_is_left_out():
    named = {name.partition(",")[0] for name in TABLES}
    assert named | {"flatten", "linear", "global_avg_pool2d"} == set(layers.names())


@pytest.mark.parametrize(
    "loss", [SoftmaxCrossEntropy(), SoftmaxCrossEntropy(0.2), MeanSquaredError()]
)
def test_losses(loss):
    checks = check(build([]), loss)
    assert checks["loss"].error <= BOUND
    assert checks["loss"].kind == type(loss).__name__
    assert checks["model"].error <= BOUND


@pytest.mark.parametrize("loss", [MeanSquaredError(), Huber(0.5), Huber()])
def test_losses_of_numbers(loss):
    checks = check(build([]), loss, has_classes=False)
    assert checks["loss"].error <= BOUND
    assert checks["model"].error <= BOUND


WRONG = {
    "the factor": lambda dx: dx * 1.0001,
    "the sign": lambda dx: -dx,
    "one element": lambda dx: np.concatenate([[dx.reshape(-1)[0] + 1.0], dx.reshape(-1)[1:]])
    .reshape(dx.shape),
    "rows and columns": lambda dx: np.ascontiguousarray(dx[:, ::-1]),
    "a shift by one": lambda dx: np.roll(dx, 1, axis=2),
    "nothing": lambda dx: dx * 0.0,
    "not a number": lambda dx: dx * np.nan,
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_backward_is_caught(name, monkeypatch):
    right = NumpyBackend.conv2d_input_grad
    monkeypatch.setattr(
        NumpyBackend, "conv2d_input_grad", lambda *a, **k: WRONG[name](right(*a, **k))
    )
    checks = check(build([CONV]))
    assert not checks["0.conv2d"].error <= BOUND
    assert checks["0.conv2d"].where == "x"
    assert checks["2.linear"].error <= BOUND


def test_a_wrong_parameter_gradient_is_caught(monkeypatch):
    right = NumpyBackend.channel_sum

    def wrong(self, *arguments, out=None, **options):
        result = right(self, *arguments, out=out, **options)
        (result if out is None else out)[...] *= 1.001
        return result

    monkeypatch.setattr(NumpyBackend, "channel_sum", wrong)
    checks = check(build([CONV]))
    assert checks["0.conv2d"].error > BOUND
    assert checks["0.conv2d"].where == "bias"
    assert checks["model"].error > BOUND


def test_a_wrong_loss_is_caught(monkeypatch):
    right = MeanSquaredError.backward
    monkeypatch.setattr(MeanSquaredError, "backward", lambda *a: right(*a) * 2.0)
    checks = check(build([]), MeanSquaredError())
    assert checks["loss"].error == pytest.approx(0.5)
    assert checks["model"].error > BOUND


def test_layers_that_only_disagree_with_one_another_are_caught(monkeypatch):
    """Each layer may be right and the chain wrong: the whole model shows it."""
    monkeypatch.setattr(Flatten, "backward", lambda self, dy: 2.0 * dy.reshape(self._shape))
    checks = check(build([CONV]))
    assert checks["0.conv2d"].error <= BOUND
    assert checks["model"].error > BOUND


def test_a_kink_is_redrawn(monkeypatch):
    """A tenth of the inputs lie so near to 0 that no step is small enough beside them."""
    normal = _Directions.normal

    def near_kinks(self, shape):
        drawn, first = normal(self, shape), self._draws == 1  # the inputs of the first layer
        return np.where(np.abs(drawn) < 0.13, 3e-7, drawn) if first else drawn

    monkeypatch.setattr(_Directions, "normal", near_kinks)
    one = check(build([{"type": "relu"}]), per_layer=40)["0.relu"]
    assert one.redrawn > 0
    assert one.derivatives == 40
    assert one.error <= BOUND


def test_nothing_but_kinks_is_said(monkeypatch):
    """A wave so fine that each step of the differences goes over many of its crests."""
    forward = LeakyReLU.forward
    monkeypatch.setattr(LeakyReLU, "forward", lambda self, x: np.sin(1e9 * forward(self, x)))
    with pytest.raises(GpucnnError, match=r'"0\.leaky_relu", x: 20 directions in a row met a kink'):
        check(build([{"type": "leaky_relu"}]))


def test_other_precisions_are_refused():
    network = Network([Flatten(), Linear("classes")], (2, 2, 1), 3, get_backend("numpy"))
    with pytest.raises(GpucnnError, match="numpy backend at fp64"):
        check(network)


def test_parameters_are_left_as_they_were():
    network = build([CONV, NORM])
    before = network.values.copy()
    check(network)
    np.testing.assert_array_equal(network.values, before)


def test_the_config_with_every_layer():
    """What docs/backpropagation.md says of it."""
    config = load_config(ROOT / "configs" / "every_layer.toml")
    network = Network(config.build_model(), (8, 8, 1), 10, get_backend("numpy", "fp64"), seed=1)
    parts = list(network.body.walk())
    assert {part.kind for part in parts} == set(layers.names())
    convolutions = [part for part in parts if isinstance(part, Conv2d)]
    assert {part.bias for part in convolutions} == {True, False}
    assert any(part.stride != (1, 1) for part in convolutions)
    assert any(part.dilation != (1, 1) for part in convolutions)
    assert any(part.groups > 1 for part in convolutions)
    assert any("residual" in part.name for part in convolutions)
    checks = check(network)
    assert checks.keys() == {part.name for part in network.plain_layers()} | {"loss", "model"}
    assert all(one.error <= BOUND for one in checks.values())
