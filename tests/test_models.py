import numpy as np
import pytest

from gpucnn.errors import ConfigError, ShapeError
from gpucnn.layers import Context, Dropout, Network, Residual, declare_layers, named_parameters
from gpucnn.models import models

CLASSES = 10


def network_of(name, shape, backend, **options):
    return Network(models.constructor(name)(**options), shape, CLASSES, backend)


def batch_norm(channels):
    return 2 * channels


def linear(inputs):
    return (inputs + 1) * CLASSES


def lenet(C, size, filters=(32, 64), hidden=128):
    """Two convolutions of 5×5 with bias, each pooled by 2; then two linear layers."""
    side = ((size - 4) // 2 - 4) // 2
    convolutions = filters[0] * (25 * C + 1) + filters[1] * (25 * filters[0] + 1)
    return convolutions + (side * side * filters[1] + 1) * hidden + linear(hidden)


def vgg(C, width, stages, convolutions):
    count, channels = 0, C
    for stage in range(stages):
        for _ in range(convolutions):
            count += 9 * channels * (width << stage) + batch_norm(width << stage)
            channels = width << stage
    return count + linear(channels)


def resnet9(C, w):
    """Widths w, 2w, (2w, 2w), 4w, 8w, (8w, 8w)."""
    steps = [(C, w), (w, 2 * w), *[(2 * w, 2 * w)] * 2, (2 * w, 4 * w), (4 * w, 8 * w),
             *[(8 * w, 8 * w)] * 2]  # fmt: skip
    return sum(9 * a * b + batch_norm(b) for a, b in steps) + linear(8 * w)


CASES = {
    "lenet": ("lenet", (28, 28, 1), {}, lenet(1, 28)),
    "lenet in colour": ("lenet", (32, 32, 3), {"filters": (6, 16)}, lenet(3, 32, (6, 16))),
    "vgg": ("vgg", (16, 16, 3), {"width": 8}, vgg(3, 8, 3, 2)),
    "vgg, one stage": ("vgg", (8, 9, 1), {"width": 4, "stages": 1}, vgg(1, 4, 1, 2)),
    "vgg, three a stage": ("vgg", (8, 8, 1), {"width": 4, "convolutions": 3}, vgg(1, 4, 3, 3)),
    "resnet9": ("resnet9", (16, 16, 3), {"width": 8}, resnet9(3, 8)),
    "resnet9 on digits": ("resnet9", (8, 8, 1), {"width": 4}, resnet9(1, 4)),
}


@pytest.mark.parametrize(("name", "shape", "options", "count"), CASES.values(), ids=CASES)
def test_counts_and_shapes(exact, rng, name, shape, options, count):
    network = network_of(name, shape, exact, **options)
    assert network.parameter_count() == count
    network.train()
    scores = network.forward(exact.asarray(rng.standard_normal((2, *shape))))
    assert scores.shape == (2, CLASSES)
    assert np.isfinite(scores).all()
    network.backward(scores)
    assert np.isfinite(network.gradients).all()
    for key, parameter in network.parameters().items():
        assert parameter.gradient.any(), key


def test_resnet9_has_the_count_that_is_known(exact):
    """6,573,120 on 32×32×3 images, in a network whose classifier has no bias."""
    network = network_of("resnet9", (32, 32, 3), exact)
    assert network.parameter_count() == resnet9(3, 64) == 6_573_120 + CLASSES


def test_resnet18_has_the_count_that_is_known(exact):
    """11,689,512 as published for 1000 classes of 224×224×3 images."""
    layers = models.constructor("resnet18")(small_images=False)
    network = Network(layers, (224, 224, 3), 1000, exact)
    assert network.parameter_count() == 11_689_512
    sizes = [layer.output_shape for layer in network.body.layers if isinstance(layer, Residual)]
    sides, widths = (56, 28, 14, 7), (64, 128, 256, 512)
    assert sizes == [(s, s, w) for s, w in zip(sides, widths, strict=True) for _ in range(2)]
    assert sum(layer.multiply_adds() for layer in network.body.walk()) == 1_814_073_344


@pytest.mark.parametrize(("name", "count"), [("resnet34", 21_797_672), ("resnet50", 25_557_032)])
def test_deeper_resnets_have_the_counts_that_are_known(name, count, exact):
    """Of 1000 classes of 224×224×3 images, as published; no memory is needed for that."""
    context = Context(exact, 0, 1000)
    body = declare_layers(models.constructor(name)(small_images=False), (224, 224, 3), context)
    assert sum(parameter.size for parameter in named_parameters(body).values()) == count


def test_bottleneck_blocks(exact, rng):
    """The first block widens without a stride, so it has a projection too."""
    network = network_of("resnet50", (8, 8, 3), exact, width=2)
    blocks = [layer for layer in network.body.layers if isinstance(layer, Residual)]
    projected = [index for index, block in enumerate(blocks) if block.shortcut.layers]
    assert projected == [0, 3, 7, 13]
    assert blocks[3].body.layers[0].stride == (1, 1)
    assert blocks[3].body.layers[3].stride == (2, 2)
    network.train()
    scores = network.forward(exact.asarray(rng.standard_normal((2, 8, 8, 3))))
    network.backward(scores)
    assert all(p.gradient.any() for p in network.parameters().values())


def test_resnet18_on_small_images(exact, rng):
    network = network_of("resnet18", (8, 8, 3), exact, width=4)
    # 11,173,962 is known for width 64 and 32×32×3; by hand for width 4.
    stem = 9 * 3 * 4 + batch_norm(4)
    count = stem + linear(32)
    for stage in range(4):
        w = 4 << stage
        before = w // 2 if stage else w
        count += 9 * before * w + 3 * 9 * w * w + 4 * batch_norm(w)
        count += before * w + batch_norm(w) if stage else 0
    assert network.parameter_count() == count
    network.train()
    assert network.forward(exact.asarray(rng.standard_normal((2, 8, 8, 3)))).shape == (2, CLASSES)
    wide = network_of("resnet18", (32, 32, 3), exact)
    assert wide.parameter_count() == 11_173_962


@pytest.mark.parametrize("name", ["lenet", "vgg", "resnet9", "resnet18", "resnet34", "resnet50"])
def test_dropout_is_there_only_where_it_is_asked_for(name):
    constructor = models.constructor(name)
    assert not any(isinstance(layer, Dropout) for layer in constructor())
    (dropout,) = (layer for layer in constructor(dropout=0.2) if isinstance(layer, Dropout))
    assert dropout.rate == 0.2


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("lenet", (4, 28, 1), r'"0\.conv2d" cannot take .*\(4, 28, 1\)'),
        ("lenet", (12, 12, 1), r'"3\.conv2d" cannot take .*\(4, 4, 32\)'),
        ("lenet", (14, 14, 1), r'"4\.max_pool2d" cannot take .*\(1, 1, 64\)'),
        ("vgg", (4, 4, 3), r'"\d+\.max_pool2d" cannot take .*\(1, 1, '),
        ("resnet9", (4, 4, 3), r'"\d+\.max_pool2d" cannot take .*\(1, 1, '),
        ("resnet9", (64,), "images"),
    ],
)
def test_refuses_inputs(exact, name, shape, message):
    options = {} if name == "lenet" else {"width": 4}
    with pytest.raises(ShapeError, match=message):
        network_of(name, shape, exact, **options)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("vgg", {"width": 0}, "width is 0"),
        ("vgg", {"stages": 0}, "stages is 0"),
        ("vgg", {"convolutions": -1}, "convolutions is -1"),
        ("resnet9", {"width": -4}, "width is -4"),
        ("resnet18", {"width": 0}, "width is 0"),
        ("lenet", {"filters": (0, 3)}, "filters=0"),
        ("lenet", {"dropout": 1.0}, "rate is 1.0"),
        ("sequential", {"layers": []}, "at least one layer"),
    ],
)
def test_refuses_options(name, options, message):
    with pytest.raises(ConfigError, match=message):
        models.constructor(name)(**options)


def test_sequential_from_a_table(exact):
    table = {
        "name": "sequential",
        "layers": [
            {"type": "conv2d", "filters": 4, "kernel": [3, 3], "padding": "same"},
            {"type": "relu"},
            {"type": "residual", "body": [{"type": "conv2d", "filters": 4, "kernel": 1}]},
            {"type": "flatten"},
            {"type": "linear", "features": "classes"},
        ],
    }
    network = Network(models.create(table, "model"), (4, 4, 1), CLASSES, exact)
    assert network.parameter_count() == 40 + 20 + linear(64)
    table["layers"][0]["kernal"] = 3
    with pytest.raises(ConfigError, match=r"kernal.*did you mean"):
        models.create(table, "model")
