"""Networks that no memory could hold, refused by arithmetic."""

import time

import pytest

from gpucnn import layers
from gpucnn.backends import get_backend
from gpucnn.config import Config, apply_overrides
from gpucnn.errors import ConfigError, GpucnnError, ShapeError
from gpucnn.layers.size import check_size
from gpucnn.processor import total_memory

TABLES = {
    "data": {"name": "digits"},
    "model": {"name": "vgg"},
    "optimizer": {"name": "sgd", "learning_rate": 0.1},
}


def declared(*parts):
    context = layers.Context(get_backend("numpy"), 0, 10)
    return layers.declare_layers([*parts, layers.Flatten(), layers.Linear("classes")], (8, 8, 1),
                                 context)  # fmt: skip


def test_parameters():
    body = declared()  # 64 · 10 + 10 parameters, with as many gradients
    check_size(body, 4, 2 * 4 * 650)
    with pytest.raises(ShapeError, match=r"the model has 650 parameters, .* take 5\.1 KiB; this "):
        check_size(body, 4, 2 * 4 * 650 - 1)


def test_outputs():
    body = declared(layers.AvgPool2d(1, padding=0, stride=1), layers.MaxPool2d(8))
    check_size(body, 8, 512)
    with pytest.raises(ShapeError, match=r'layer "0\.avg_pool2d" gives outputs .* 512 B for one'):
        check_size(body, 8, 511)


def of_layer(options):
    return f"model={{name='sequential', layers=[{{{options}}}]}}"


@pytest.mark.parametrize(
    "override",
    [
        "model.stages=1000000000",
        "model.convolutions=1000000000",
        "model.width=1000000000000",
        "model.width=1000000",
        "model={name='lenet', filters=[1000000000000, 1]}",
        "model={name='lenet', hidden=2147483647}",
        "model={name='lenet', kernel=1000000000}",
        "model={name='resnet9', width=1000000}",
        "model={name='resnet18', width=1000000}",
        of_layer("type='conv2d', filters=1, kernel=1, padding=32768"),
        of_layer("type='conv2d', filters=1, kernel=1, padding=99999999"),
        of_layer("type='conv2d', filters=1, kernel=1, stride=999999999"),
        of_layer("type='conv2d', filters=1, kernel=1, dilation=999999999"),
        of_layer("type='conv2d', filters=1, kernel=1, groups=999999999"),
        of_layer("type='max_pool2d', window=1000000"),
        of_layer("type='leaky_relu', slope=1e300"),
        of_layer("type='batch_norm2d', epsilon=1e-300"),
        "augment.crop_padding=1000000000",
        "training.epochs=1000000000",
        "training.batch_size=1000000000",
        "training.evaluation_batch_size=1000000000",
        "training.clip_norm=1e300",
        "checkpoint.every_steps=1000000000000000",
        "checkpoint.every_seconds=1e300",
    ],
)
def test_absurd_sizes_are_refused_in_a_moment_and_without_memory(override):
    begin = time.perf_counter()
    with pytest.raises(GpucnnError):
        config = Config(apply_overrides(TABLES, [override]))
        layers.Network(config.build_model(), (8, 8, 1), 10, get_backend("numpy"))
    assert time.perf_counter() - begin < 0.5


def test_no_more_layers_than_anyone_needs():
    many = [{"type": "relu"}] * 10_001
    with pytest.raises(ConfigError, match="number of layers is 10001"):
        Config({**TABLES, "model": {"name": "sequential", "layers": many}})


def test_this_machine_has_memory():
    assert 2**27 < total_memory() < 2**50
