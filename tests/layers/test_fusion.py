"""Fused layers: the same names, the same numbers to the bit, in as many ways as networks nest."""

import numpy as np
import pytest

from gpucnn import layers as nn
from gpucnn.config import Config
from gpucnn.gradcheck import check_network
from gpucnn.layers.fusion import (
    BatchNormReLU2d,
    Conv2dReLU,
    LinearReLU,
    ResidualReLU,
    ResidualSum,
    ResidualSumReLU,
)
from gpucnn.losses import SoftmaxCrossEntropy
from gpucnn.models import models
from gpucnn.training.trainer import Trainer

SHAPE, CLASSES = (6, 6, 4), 4
CONV, NORM, BLOCK, LINEAR = Conv2dReLU, BatchNormReLU2d, ResidualReLU, LinearReLU
SUM, SUM_RELU = ResidualSum, ResidualSumReLU
KINDS = (CONV, NORM, BLOCK, LINEAR, SUM, SUM_RELU)


def convolution():
    return nn.Conv2d(4, 3, padding=1)


def norm_relu():
    return [nn.BatchNorm2d(), nn.ReLU()]


def body():
    return [convolution(), *norm_relu(), convolution(), nn.BatchNorm2d()]


NETWORKS = {
    "one": lambda: [convolution(), *norm_relu()],
    "first of all": lambda: [*norm_relu(), convolution()],
    "twice": lambda: [convolution(), *norm_relu(), *norm_relu()],
    "a ReLU more": lambda: [convolution(), *norm_relu(), nn.ReLU()],
    "before pooling": lambda: [convolution(), *norm_relu(), nn.MaxPool2d(2)],
    "before dropout": lambda: [convolution(), *norm_relu(), nn.Dropout(0.3)],
    "nested": lambda: [convolution(), nn.Sequential([*norm_relu(), nn.Sequential(norm_relu())])],
    "apart": lambda: [convolution(), nn.Sequential([nn.BatchNorm2d()]), nn.ReLU()],
    "residual": lambda: [
        convolution(),
        nn.Residual([convolution(), *norm_relu()], [convolution(), *norm_relu()]),
    ],
    "residual, identity": lambda: [convolution(), nn.Residual([*norm_relu(), convolution()])],
    "both branches at once": lambda: [convolution(), nn.Residual(norm_relu(), norm_relu())],
    "convolution": lambda: [convolution(), nn.ReLU(), convolution(), nn.ReLU()],
    "convolution, no bias": lambda: [nn.Conv2d(4, 3, bias=False), nn.ReLU(), nn.MaxPool2d(2)],
    "convolution, a ReLU more": lambda: [convolution(), nn.ReLU(), nn.ReLU()],
    "convolution before a norm": lambda: [convolution(), nn.ReLU(), *norm_relu()],
    "convolutions in both branches": lambda: [
        convolution(),
        nn.Residual([convolution(), nn.ReLU()], [convolution(), nn.ReLU()]),
    ],
    "block": lambda: [convolution(), nn.Residual(body()), nn.ReLU()],
    "block, projected": lambda: [
        convolution(), nn.Residual(body(), [convolution(), nn.BatchNorm2d()]), nn.ReLU(),
    ],
    "blocks": lambda: [nn.Residual(body()), nn.ReLU(), nn.Residual(body()), nn.ReLU()],
    "block in a block": lambda: [
        nn.Residual([nn.Residual(body()), nn.ReLU(), *body()]), nn.ReLU(), nn.Dropout(0.3),
    ],
    "block of a norm": lambda: [convolution(), nn.Residual([nn.BatchNorm2d()]), nn.ReLU()],
    "block of two norms": lambda: [
        convolution(), nn.Residual([nn.BatchNorm2d()], [nn.BatchNorm2d()]), nn.ReLU(),
    ],
    "blocks in both branches": lambda: [
        convolution(),
        nn.Residual([nn.Residual(body()), nn.ReLU()], [nn.Residual(body()), nn.ReLU()]),
    ],
    "block, a ReLU more": lambda: [nn.Residual(body()), nn.ReLU(), nn.ReLU()],
    "block with a ReLU of its own": lambda: [nn.Residual([*body(), nn.ReLU()]), nn.ReLU()],
    "block without a norm": lambda: [nn.Residual([convolution()]), nn.ReLU()],
    "block without a norm, a ReLU more": lambda: [
        nn.Residual([convolution()]), nn.ReLU(), nn.ReLU(),
    ],
    "blocks without a norm": lambda: [
        nn.Residual([convolution(), nn.ReLU(), convolution()]), nn.ReLU(),
        nn.Residual([convolution()], [nn.Conv2d(4, 1)]), nn.ReLU(), nn.Dropout(0.3),
    ],
    "ReLU first": lambda: [
        convolution(), nn.Residual([*norm_relu(), convolution()]), *norm_relu(),
    ],
    "convolutions that are added": lambda: [
        nn.Residual([convolution()], [convolution()]), nn.Residual([nn.ReLU(), convolution()]),
    ],
    "linear": lambda: [nn.Flatten(), nn.Linear(5), nn.ReLU(), nn.Linear(7, bias=False), nn.ReLU()],
    "linear, a ReLU more": lambda: [nn.Flatten(), nn.Linear(5), nn.ReLU(), nn.ReLU()],
    "linear before dropout": lambda: [nn.Flatten(), nn.Linear(5), nn.ReLU(), nn.Dropout(0.3)],
}  # fmt: skip
FUSED = {name: [NORM] for name in NETWORKS} | {
    "twice": [NORM, NORM],
    "nested": [NORM, NORM],
    "apart": [],
    "residual": [NORM, NORM],
    "residual, identity": [SUM, NORM],
    "both branches at once": [NORM, NORM],
    "convolution": [CONV, CONV],
    "convolution, no bias": [CONV],
    "convolution, a ReLU more": [CONV],
    "convolution before a norm": [CONV, NORM],
    "convolutions in both branches": [CONV, CONV],
    "block": [BLOCK, NORM],
    "block, projected": [BLOCK, NORM],
    "blocks": [BLOCK, BLOCK, NORM, NORM],
    "block in a block": [BLOCK, BLOCK, NORM, NORM],
    "block of a norm": [BLOCK],
    "block of two norms": [BLOCK],
    "blocks in both branches": [BLOCK, NORM, BLOCK, NORM],
    "block, a ReLU more": [BLOCK, NORM],
    "block with a ReLU of its own": [NORM, NORM],
    "block without a norm": [SUM_RELU],
    "block without a norm, a ReLU more": [SUM_RELU],
    "blocks without a norm": [SUM_RELU, SUM_RELU, CONV],
    "ReLU first": [SUM, NORM, NORM],
    "convolutions that are added": [SUM, SUM],
    "linear": [LINEAR, LINEAR],
    "linear, a ReLU more": [LINEAR],
    "linear before dropout": [LINEAR],
}
"""The kinds of fused layers, in the order of ``fused_steps``."""


def build(name, backend, fuse):
    layers = [*NETWORKS[name](), nn.Flatten(), nn.Linear("classes")]
    return nn.Network(layers, SHAPE, CLASSES, backend, seed=3, fuse=fuse)


def fused_steps(network):
    parts = (part for part in network.body.walk() if isinstance(part, nn.Sequential))
    return [step for part in parts for step in part.steps if isinstance(step, KINDS)]


def results(network, rng):
    """Of two training steps and an inference after each."""
    backend, out = network.backend, []
    for step in range(2):
        x = backend.asarray(rng.standard_normal((3, *SHAPE)))
        network.train()
        network.begin_step(step)
        out.append(backend.to_numpy(network.forward(x)))
        network.backward(backend.asarray(rng.standard_normal((3, CLASSES))))
        out.append(backend.to_numpy(network.gradients))
        network.infer()
        out.append(backend.to_numpy(network.forward(x)))
    return [*out, *network.state().values()]


@pytest.mark.parametrize("name", NETWORKS)
def test_fused_and_apart_are_the_same(exact, name):
    fused, apart = build(name, exact, True), build(name, exact, False)
    assert [type(step) for step in fused_steps(fused)] == FUSED[name]
    assert not fused_steps(apart)
    assert list(fused.state()) == list(apart.state())
    assert [layer.name for layer in fused.body.walk()] == [
        layer.name for layer in apart.body.walk()
    ]
    one = results(fused, np.random.default_rng(1))
    other = results(apart, np.random.default_rng(1))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.compiles_each
@pytest.mark.parametrize("name", NETWORKS)
def test_the_bits_are_the_same_on_every_backend(backend, name):
    one, other = (
        results(build(name, backend, fuse), np.random.default_rng(1)) for fuse in (True, False)
    )
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", NETWORKS)
def test_nothing_is_overwritten_that_is_read_again(backend, name):
    usual, careful = build(name, backend, True), build(name, backend, True)
    for layer in [*careful.body.walk(), *fused_steps(careful)]:
        layer.owns_gradient = layer.in_place = False
    one = results(usual, np.random.default_rng(1))
    for a, b in zip(one, results(careful, np.random.default_rng(1)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_all_of_resnet9_is_fused(exact):
    layers = models.constructor("resnet9")(width=2)
    network = nn.Network(layers, (32, 32, 3), 10, exact)
    assert len(fused_steps(network)) == 8
    assert [step.name for step in fused_steps(network)[:2]] == ["1.batch_norm2d", "4.batch_norm2d"]


def test_what_a_fused_block_runs_is_fused(exact):
    block = build("block", exact, True).body.steps[1]
    assert [type(step) for step in block.body.steps] == [nn.Conv2d, NORM, nn.Conv2d]


def test_all_of_resnet18_is_fused(exact):
    layers = models.constructor("resnet18")(width=2)
    network = nn.Network(layers, (32, 32, 3), 10, exact)
    kinds = [type(step) for step in fused_steps(network)]
    assert {kind: kinds.count(kind) for kind in kinds} == {NORM: 9, BLOCK: 8}


@pytest.mark.parametrize("name", ["residual", "block", "convolution"])
def test_unfused_within_a_block(exact, name):
    network = build(name, exact, True)
    steps = fused_steps(network)
    with pytest.raises(KeyError), nn.unfused(network.body):
        assert not fused_steps(network)
        raise KeyError
    assert fused_steps(network) == steps


def test_every_layer_is_observed_with_its_own_output(exact, rng):
    network = build("block", exact, True)
    x = exact.asarray(rng.standard_normal((3, *SHAPE)))
    seen = {}
    with nn.observed(network.body, lambda layer, y: seen.update({layer.name: y.copy()})):
        scores = network.forward(x)
    plain = [layer.name for layer in network.plain_layers()]
    assert [name for name in seen if name in plain] == plain
    assert list(seen).index("1.residual") > list(seen).index(
        max(name for name in seen if name.startswith("1.residual."))
    )
    np.testing.assert_array_equal(list(seen.values())[-1], scores)
    for name, y in seen.items():
        if name.endswith("relu"):
            assert (y >= 0).all()
        if name.endswith("batch_norm2d"):
            assert (y < 0).any()


def test_nothing_is_observed_afterwards(exact, rng):
    network, seen = build("block", exact, True), []
    steps = fused_steps(network)
    with pytest.raises(KeyError), nn.observed(network.body, seen.append):
        raise KeyError
    network.forward(exact.asarray(rng.standard_normal((3, *SHAPE))))
    assert seen == []
    assert fused_steps(network) == steps


def test_a_run_with_and_without(tmp_path, tiny_run):
    """The switch; the same run to the bit, and a checkpoint of one goes on in the other."""
    outcomes = {}
    for fuse in (True, False):
        trainer = tiny_run(tmp_path / str(fuse), fuse)
        assert len(fused_steps(trainer.network)) == fuse
        trainer.fit()
        outcomes[fuse] = trainer.network.state()
        state = trainer.run.checkpoints.newest().group("network")
        other = tiny_run(None, not fuse)
        other.network.load_state(state)
    for name, array in outcomes[True].items():
        np.testing.assert_array_equal(array, outcomes[False][name])


@pytest.fixture
def tiny_run():
    def make(run_dir, fuse):
        layers = [
            {"type": "conv2d", "filters": 3, "kernel": 3},
            {"type": "batch_norm2d"},
            {"type": "relu"},
            {"type": "flatten"},
            {"type": "linear", "features": "classes"},
        ]
        tables = {
            "data": {"name": "digits"},
            "model": {"name": "sequential", "layers": layers},
            "optimizer": {"name": "sgd", "learning_rate": 0.05},
            "training": {"epochs": 1, "batch_size": 256, "fuse": fuse},
        }
        return Trainer(Config(tables), "numpy", run_dir)

    return make


@pytest.mark.parametrize("fuse", [True, False])
@pytest.mark.parametrize(
    "name", ["residual", "block, projected", "convolution", "blocks without a norm"]
)
def test_gradients_against_finite_differences(exact, name, fuse):
    network = build(name, exact, fuse)
    checks = list(check_network(network, SoftmaxCrossEntropy(), bound=1e-6))
    assert [check.name for check in checks if "relu" in check.name]
    assert max(check.error for check in checks) < 1e-6
