"""Which parameters learn, and how fast: patterns, frozen layers, and where backward ends."""

from collections import Counter

import numpy as np
import pytest

from gpucnn import layers as nn
from gpucnn.errors import ConfigError
from gpucnn.layers.learning import Segment, arrange, set_rate_factors

SHAPE, CLASSES = (6, 6, 3), 4


def block(filters, projected=False):
    body = [
        nn.Conv2d(filters, 3, padding=1, bias=False), nn.BatchNorm2d(), nn.ReLU(),
        nn.Conv2d(filters, 3, padding=1), nn.BatchNorm2d(),
    ]  # fmt: skip
    return [nn.Residual(body, [nn.Conv2d(filters, 1)] if projected else []), nn.ReLU()]


def small_resnet():
    return [
        nn.Conv2d(4, 3, padding=1), nn.BatchNorm2d(), nn.ReLU(),
        *block(4), *block(6, projected=True),
        nn.Residual([nn.Conv2d(6, 1)]), nn.ReLU(),
        nn.Conv2d(5, 3), nn.ReLU(), nn.GlobalAvgPool2d(), nn.Linear(5), nn.ReLU(),
        nn.Linear("classes"),
    ]  # fmt: skip


def network_of(backend, rate_factors, rng, fuse=True):
    """With biases, scales, shifts and running statistics that are not those of the beginning."""
    network = nn.Network(
        small_resnet(), SHAPE, CLASSES, backend, 3, fuse, rate_factors=rate_factors
    )
    for name, entry in {**network.parameters(), **network.buffers()}.items():
        if not name.endswith("weight"):
            backend.write(entry.value, rng.uniform(0.5, 1.5, entry.shape))
    network.train()
    return network


def names_of(network, learns):
    return [name for name, p in network.parameters().items() if p.learns == learns]


PATTERNS = {
    "the stem": ["0.*", "1.*"],
    "all but the head": ["[0-9].*", "1[0-2].*"],
    "a block in the middle": ["5.residual"],
    "the first block": ["0", "1", "3.residual"],
    "the first block, not its body's end": ["0", "1", "3.*.0.conv2d", "3.*.1.*"],
    "all normalisations": ["*batch_norm2d"],
    "a projection": ["5.*shortcut*"],
    "all of a block but its projection": ["0", "1", "3", "5.residual.body"],
    "all but a projection": ["0", "1", "3", "5.residual.body", "7", "9", "12", "14"],
    "a scale": ["*.1.batch_norm2d.scale"],
    "a shift": ["*.1.batch_norm2d.shift"],
    "biases": ["*.bias"],
    "weights": ["*.weight"],
}


@pytest.mark.parametrize("patterns", PATTERNS.values(), ids=PATTERNS)
def test_gradients_by_finite_differences(patterns, exact, rng):
    """Along directions in all that learns, whatever is frozen before it, after it and next to it.

    A direction along which the difference depends on the step's length meets a kink of a ReLU.
    """
    network = network_of(exact, dict.fromkeys(patterns, 0.0), rng)
    x, weights = rng.standard_normal((3, *SHAPE)), rng.standard_normal((3, CLASSES))

    def slope(direction, h):
        sides = []
        for sign in (1, -1):
            network.values[: direction.size] = start[: direction.size] + sign * h * direction
            sides.append(float(np.vdot(network.forward(x.copy()), weights)))
        return (sides[0] - sides[1]) / (2 * h)

    network.forward(x.copy())
    network.backward(weights.copy())
    start, gradients = network.values.copy(), network.gradients.copy()
    for _ in range(3):
        coarse, fine = 0.0, 1.0
        while coarse != pytest.approx(fine, rel=1e-6, abs=1e-7):
            direction = rng.standard_normal(gradients.shape) * (gradients != 0)
            coarse, fine = (slope(direction, h) for h in (2e-7, 1e-7))
        assert fine == pytest.approx(float(gradients @ direction), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("patterns", PATTERNS.values(), ids=PATTERNS)
def test_fused_and_apart_are_the_same(patterns, exact, rng):
    seed = int(rng.integers(1000))
    outcomes = []
    for fuse in (True, False):
        rng = np.random.default_rng(seed)
        network = network_of(exact, dict.fromkeys(patterns, 0.0), rng, fuse)
        scores = network.forward(rng.standard_normal((3, *SHAPE)))
        network.backward(rng.standard_normal((3, CLASSES)))
        outcomes.append([scores, network.gradients, *network.state().values()])
    for one, other in zip(*outcomes, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_is_frozen_stays(backend, rng):
    """Weights and running statistics, while the rest of the network learns; on every backend."""
    frozen = ["0", "1", "3", "5.*.4.batch_norm2d"]
    network = network_of(backend, dict.fromkeys(frozen, 0.0), rng)
    before = network.state()
    for _ in range(2):
        network.forward(backend.asarray(rng.standard_normal((3, *SHAPE))))
        network.backward(backend.asarray(rng.standard_normal((3, CLASSES))))
        part = network.values[: network.gradients.size]
        backend.sgd_step(part, network.gradients, None, 0.1, 0.0, False, 0.01)
    prefixes = ("0.", "1.", "3.", "5.residual.body.4.")
    for name, array in network.state().items():
        is_same = bool((array == before[name]).all())
        assert is_same == name.startswith(prefixes), name


def test_frozen_normalisation_uses_its_running_statistics(backend, rng):
    network = network_of(backend, {"*batch_norm2d": 0.0}, rng)
    x = backend.asarray(rng.standard_normal((3, *SHAPE)))
    in_training = backend.to_numpy(network.forward(x))
    network.infer()
    np.testing.assert_array_equal(in_training, backend.to_numpy(network.forward(x)))


def count_operations(network, monkeypatch, x, dscores):
    """How often the backward pass calls each of the operations that it needs."""
    counts, backend = Counter(), network.backend
    network.forward(x)
    for name in dir(type(backend)):
        ends = ("_grad", "_gradients", "channel_sum", "matmul", "batch_norm_inference")
        if name.endswith(ends) and name[0] != "_":
            call = getattr(backend, name)

            def counted(*args, _name=name, _call=call, **options):
                counts[_name] += 1
                return _call(*args, **options)

            monkeypatch.setattr(backend, name, counted, raising=False)
    network.backward(dscores)
    return {name: count for name, count in counts.items() if count}


def test_backward_ends_at_the_first_layer_that_learns(exact, rng, monkeypatch):
    x, dscores = rng.standard_normal((3, *SHAPE)), rng.standard_normal((3, CLASSES))
    network = network_of(exact, {"?.*": 0.0, "12.*": 0.0}, rng)
    assert names_of(network, True) == ["14.linear.weight", "14.linear.bias"]
    counts = count_operations(network, monkeypatch, x, dscores)
    assert counts == {"matmul": 1, "channel_sum": 1}
    assert network.gradients.size == 2 * 32


def test_backward_skips_a_frozen_branch(exact, rng, monkeypatch):
    """Only the projection of the second block learns: its body is not gone through."""
    x, dscores = rng.standard_normal((3, *SHAPE)), rng.standard_normal((3, CLASSES))
    patterns = PATTERNS["all but a projection"]
    network = network_of(exact, dict.fromkeys(patterns, 0.0), rng)
    counts = count_operations(network, monkeypatch, x, dscores)
    assert counts["conv2d_filter_grad"] == 1
    assert counts["conv2d_input_grad"] == 2  # of the layers after it: 9.conv2d, 7.residual
    assert not {"batch_norm_gradients", "batch_norm_inference"} & counts.keys()


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("0.conv2d.weight", ["0.conv2d.weight"]),
        ("0.conv2d", ["0.conv2d.bias", "0.conv2d.weight"]),
        ("0", ["0.conv2d.bias", "0.conv2d.weight"]),
        ("*.linear", ["14.linear.bias", "14.linear.weight", "12.linear.bias", "12.linear.weight"]),
        ("1?.linear.w*", ["14.linear.weight", "12.linear.weight"]),
        ("7*", ["7.residual.body.0.conv2d.bias", "7.residual.body.0.conv2d.weight"]),
        ("5.residual.shortcut", ["5.residual.shortcut.0.conv2d.bias",
                                 "5.residual.shortcut.0.conv2d.weight"]),
    ],
)  # fmt: skip
def test_patterns(pattern, matches, exact, rng):
    network = network_of(exact, {pattern: 0.5}, rng)
    changed = [name for name, p in network.parameters().items() if p.rate_factor == 0.5]
    assert sorted(changed) == sorted(matches)


def test_the_last_pattern_counts():
    parameters = {name: nn.Parameter((3,), 0.0, decay=False) for name in ("0.a.x", "1.b.x")}
    set_rate_factors(parameters, {"*": 0.1, "1.b": 0.5, "*.x": 0.0, "0.a": 2.0})
    assert [p.rate_factor for p in parameters.values()] == [2.0, 0.0]
    assert [p.learns for p in parameters.values()] == [True, False]


def test_a_pattern_can_take_back_what_is_frozen():
    """Then the rate is what it would have been."""
    names = ("0.a.x", "1.b.x", "1.b.y", "2.c.x")
    parameters = {name: nn.Parameter((3,), 0.0, decay=False) for name in names}
    set_rate_factors(parameters, {"1.b": 0.5, "*": 0.0, "!1.b": 0.0, "*.y": 0.0, "!2.c.x": 0.0})
    assert [p.rate_factor for p in parameters.values()] == [0.0, 0.5, 0.0, 1.0]


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        (["conv*"], r'pattern "conv\*" matches no parameter of the model; they are: 0\.conv2d\.w'
                    r'.* and \d+ more \(gpucnn summary\)'),
        (["0.*", "Linear"], '"Linear" matches no'),
        (["[1-"], "matches no"),
        (["a\x1b[31m" * 100], r'"a\\x1b\[31m'),
        (["*.running_mean"], "matches no"),
        (["*", "!linear"], r'pattern "!linear" matches no'),
        (["*"], "all parameters of the model are frozen"),
    ],
)  # fmt: skip
def test_patterns_that_cannot_be(patterns, message, exact, rng):
    with pytest.raises(ConfigError, match=message) as error:
        network_of(exact, dict.fromkeys(patterns, 0.0), rng)
    assert len(str(error.value)) < 500


def test_the_order_in_the_vectors():
    """Factors in order of appearance, weights of each first; what is frozen comes last."""
    of = [(40, 1.0, True), (3, 1.0, False), (5, 0.0, True), (7, 0.1, False), (9, 0.1, True),
          (2, 0.0, False), (33, 1.0, True)]  # fmt: skip
    parameters = [nn.Parameter((size,), 0.0, decay, factor) for size, factor, decay in of]
    starts, end, segments = arrange(parameters)
    assert starts == [0, 128, 224, 192, 160, 256, 64]
    assert end == 288
    assert segments == [
        Segment(0, 128, 1.0, True), Segment(128, 160, 1.0, False),
        Segment(160, 192, 0.1, True), Segment(192, 224, 0.1, False),
    ]  # fmt: skip
