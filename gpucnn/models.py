"""Models by name: functions that return the layers of a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from gpucnn.errors import ConfigError, check_range
from gpucnn.layers import (
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    Layer,
    Linear,
    MaxPool2d,
    ReLU,
    Residual,
    decode_layer,
)
from gpucnn.layers.base import MOST_CHANNELS
from gpucnn.registry import Registry

Layers: TypeAlias = list[Layer]
_Block: TypeAlias = Callable[[int, int, int], tuple[Layers, int]]
"""Makes a residual block and the ReLU after it, of channels, filters and a stride."""

_MOST_LAYERS = 10_000
_MOST_STAGES = 16
"""Enough to halve a side of 65,536 pixels to a single one."""
_MOST_CONVOLUTIONS = 100

RESNETS = ("resnet18", "resnet34", "resnet50")
"""Models whose layers, in this order, are those of torchvision's and timm's of the same names."""

models: Registry[Layers] = Registry("model", decode=decode_layer)


@models.register("sequential")
def sequential(layers: list[Layer]) -> Layers:
    """The layers given, one after another: ``[[model.layers]]`` in a config.

    Args:
        layers: in order, each a table with its ``type`` and that layer's options.

    Raises:
        ConfigError: there are none, or too many.
    """
    if not layers:
        raise ConfigError("a model needs at least one layer")
    check_range("the number of layers", len(layers), 1, _MOST_LAYERS)
    return layers


@models.register("lenet")
def lenet(
    filters: tuple[int, int] = (32, 64), kernel: int = 5, hidden: int = 128, dropout: float = 0.0
) -> Layers:
    """Two convolutions with pooling and two linear layers, after LeCun et al. (1998).

    Pooling comes before ReLU: the result is the same, on a quarter of the values.

    Args:
        filters: the output channels of the two convolutions.
        kernel: the height and width of their filters.
        hidden: the outputs of the first linear layer.
        dropout: the probability with which its outputs are zeroed in training; 0 for no dropout.
    """
    return [
        Conv2d(filters[0], kernel),
        MaxPool2d(2),
        ReLU(),
        Conv2d(filters[1], kernel),
        MaxPool2d(2),
        ReLU(),
        Flatten(),
        Linear(hidden),
        ReLU(),
        *([Dropout(dropout)] if dropout else []),
        Linear("classes", initialiser="lecun"),
    ]


@models.register("vgg")
def vgg(width: int = 32, stages: int = 3, convolutions: int = 2, dropout: float = 0.0) -> Layers:
    """Stages of 3×3 convolutions, each stage twice as wide, then pooled (small VGG).

    Args:
        width: output channels of the first stage.
        stages: how many there are; each halves the image's height and width.
        convolutions: how many each stage has.
        dropout: the probability with which the last layer's inputs are zeroed in training.

    Raises:
        ConfigError: a number out of range.
    """
    check_range("width", width, 1, MOST_CHANNELS)
    check_range("stages", stages, 1, _MOST_STAGES)
    check_range("convolutions", convolutions, 1, _MOST_CONVOLUTIONS)
    layers: Layers = []
    for stage in range(stages):
        for _ in range(convolutions):
            layers += _convolution(width << stage)
        layers.append(MaxPool2d(2))
    return [
        *layers,
        GlobalAvgPool2d(),
        *([Dropout(dropout)] if dropout else []),
        Linear("classes", initialiser="lecun"),
    ]


@models.register("resnet9")
def resnet9(width: int = 64, dropout: float = 0.0) -> Layers:
    """Nine layers with two residual blocks, after David Page's "How to train your ResNet".

    Args:
        width: output channels of the first layer; the last has eight times as many.
        dropout: the probability with which the last layer's inputs are zeroed in training.

    Raises:
        ConfigError: a number out of range.
    """
    check_range("width", width, 1, MOST_CHANNELS)
    return [
        *_convolution(width),
        *_convolution(2 * width),
        MaxPool2d(2),
        Residual([*_convolution(2 * width), *_convolution(2 * width)]),
        *_convolution(4 * width),
        MaxPool2d(2),
        *_convolution(8 * width),
        MaxPool2d(2),
        Residual([*_convolution(8 * width), *_convolution(8 * width)]),
        MaxPool2d("global"),
        Flatten(),
        *([Dropout(dropout)] if dropout else []),
        Linear("classes", initialiser="lecun"),
    ]


@models.register("resnet18")
def resnet18(width: int = 64, small_images: bool = True, dropout: float = 0.0) -> Layers:
    """Eighteen layers in four stages of two residual blocks (He, Zhang, Ren, Sun 2016).

    Args:
        width: output channels of the first stage; each of the others has twice as many as the one
            before.
        small_images: begin with a 3×3 convolution, as is usual for 32×32 images; otherwise with a
            7×7 convolution of stride 2 and a pooling.
        dropout: the probability with which the last layer's inputs are zeroed in training.

    Raises:
        ConfigError: a number out of range.
    """
    return _resnet(_basic_block, (2, 2, 2, 2), width, small_images, dropout)


@models.register("resnet34")
def resnet34(width: int = 64, small_images: bool = True, dropout: float = 0.0) -> Layers:
    """Thirty-four layers: as resnet18, with 3, 4, 6 and 3 blocks in the stages.

    Args:
        width: output channels of the first stage; each of the others has twice as many as the one
            before.
        small_images: begin with a 3×3 convolution, as is usual for 32×32 images; otherwise with a
            7×7 convolution of stride 2 and a pooling.
        dropout: the probability with which the last layer's inputs are zeroed in training.

    Raises:
        ConfigError: a number out of range.
    """
    return _resnet(_basic_block, (3, 4, 6, 3), width, small_images, dropout)


@models.register("resnet50")
def resnet50(width: int = 64, small_images: bool = True, dropout: float = 0.0) -> Layers:
    """Fifty layers in bottleneck blocks, 3, 4, 6 and 3 in the stages.

    A block that halves the image does so in its 3×3 convolution, as torchvision and timm have it.

    Args:
        width: channels within the blocks of the first stage, whose output has four times as many;
            each of the others has twice as many as the one before.
        small_images: begin with a 3×3 convolution, as is usual for 32×32 images; otherwise with a
            7×7 convolution of stride 2 and a pooling.
        dropout: the probability with which the last layer's inputs are zeroed in training.

    Raises:
        ConfigError: a number out of range.
    """
    return _resnet(_bottleneck_block, (3, 4, 6, 3), width, small_images, dropout)


def _resnet(
    block: _Block, blocks: Sequence[int], width: int, small_images: bool, dropout: float
) -> Layers:
    """The layers of a ResNet with so many blocks in each stage."""
    check_range("width", width, 1, MOST_CHANNELS)
    if small_images:
        layers = _convolution(width)
    else:
        layers = [
            Conv2d(width, 7, stride=2, padding=3, bias=False),
            BatchNorm2d(),
            ReLU(),
            MaxPool2d(3, stride=2, padding=1),
        ]
    channels = width
    for stage, count in enumerate(blocks):
        for index in range(count):
            added, channels = block(channels, width << stage, 2 if stage and not index else 1)
            layers += added
    return [
        *layers,
        GlobalAvgPool2d(),
        *([Dropout(dropout)] if dropout else []),
        Linear("classes", initialiser="lecun"),
    ]


def _convolution(filters: int) -> Layers:
    """A 3×3 convolution that keeps the size, batch normalisation, ReLU."""
    return [Conv2d(filters, 3, padding=1, bias=False), BatchNorm2d(), ReLU()]


def _basic_block(channels: int, filters: int, stride: int) -> tuple[Layers, int]:
    """Two 3×3 convolutions around a shortcut, and the channels of what they give."""
    body = [
        Conv2d(filters, 3, stride=stride, padding=1, bias=False),
        BatchNorm2d(),
        ReLU(),
        Conv2d(filters, 3, padding=1, bias=False),
        BatchNorm2d(),
    ]
    return _around(body, channels, filters, stride), filters


def _bottleneck_block(channels: int, filters: int, stride: int) -> tuple[Layers, int]:
    """A 3×3 convolution between 1×1 ones that narrow and widen, around a shortcut; channels."""
    body = [
        Conv2d(filters, 1, bias=False),
        BatchNorm2d(),
        ReLU(),
        Conv2d(filters, 3, stride=stride, padding=1, bias=False),
        BatchNorm2d(),
        ReLU(),
        Conv2d(4 * filters, 1, bias=False),
        BatchNorm2d(),
    ]
    return _around(body, channels, 4 * filters, stride), 4 * filters


def _around(body: Layers, channels: int, filters: int, stride: int) -> Layers:
    """A body and its shortcut, which is projected if the body changes the shape."""
    projection = [Conv2d(filters, 1, stride=stride, bias=False), BatchNorm2d()]
    changes = stride > 1 or channels != filters
    return [Residual(body, projection if changes else []), ReLU()]
