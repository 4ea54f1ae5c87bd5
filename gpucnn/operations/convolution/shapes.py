"""Convolutions worth timing, and awkward ones that ``kernels build`` compiles besides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from gpucnn.operations.geometry import Conv2dGeometry, Pair, conv2d_geometry

_Groups: TypeAlias = Mapping[str, Mapping[str, tuple[int, ...]]]
"""By group and name: the arguments of ``square``."""


def square(
    N: int,
    size: int,
    C: int,
    K: int,
    kernel: int,
    stride: int = 1,
    padding: int = 0,
    groups: int = 1,
) -> Conv2dGeometry:
    """The sizes of x (N, size, size, C) with K filters of kernel × kernel."""
    shapes = (N, size, size, C), (K, kernel, kernel, C // groups)
    return conv2d_geometry(*shapes, (stride, stride), (padding, padding), (1, 1), groups)


_PASSES: _Groups = {
    "quick": {
        "quick-first": (4, 28, 1, 8, 5, 1, 2),
        "quick-3x3": (4, 16, 16, 32, 3, 1, 1),
        "quick-1x1": (4, 16, 32, 32, 1),
        "quick-strided": (4, 16, 16, 32, 3, 2, 1),
        "quick-depthwise": (4, 16, 32, 32, 3, 1, 1, 32),
    },
    "telling": {
        "resnet18-56": (64, 56, 64, 64, 3, 1, 1),
        "resnet50-reduce-56": (64, 56, 256, 64, 1),
        "resnet9-16": (512, 16, 128, 128, 3, 1, 1),
        "lenet-5x5": (128, 14, 32, 64, 5, 1, 2),
        "resnet-first": (64, 224, 3, 64, 7, 2, 3),
        "mobilenet-depthwise-56": (64, 56, 128, 128, 3, 1, 1, 128),
        "resnet18-strided": (64, 56, 64, 128, 3, 2, 1),
        "resnet18-7": (64, 7, 512, 512, 3, 1, 1),
    },
    "cifar": {
        "resnet9-first": (512, 32, 3, 64, 3, 1, 1),
        "resnet9-32": (512, 32, 64, 128, 3, 1, 1),
        "resnet9-16-wider": (512, 16, 128, 256, 3, 1, 1),
        "resnet9-8": (512, 8, 256, 512, 3, 1, 1),
        "resnet9-4": (512, 4, 512, 512, 3, 1, 1),
        "cifar-resnet18-32": (128, 32, 64, 64, 3, 1, 1),
        "cifar-resnet18-strided": (128, 32, 64, 128, 3, 2, 1),
        "cifar-resnet18-8": (128, 8, 256, 256, 3, 1, 1),
    },
    "lenet": {
        "lenet-first": (128, 28, 1, 32, 5, 1, 2),
    },
    "imagenet": {
        "resnet18-28": (64, 28, 128, 128, 3, 1, 1),
        "resnet18-14": (64, 14, 256, 256, 3, 1, 1),
        "resnet18-shortcut": (64, 56, 64, 128, 1, 2),
        "resnet50-expand-56": (64, 56, 64, 256, 1),
        "resnet50-reduce-14": (64, 14, 1024, 256, 1),
        "resnet50-expand-7": (64, 7, 512, 2048, 1),
        "resnet50-strided": (64, 56, 128, 128, 3, 2, 1),
        "resnet50-shortcut": (64, 56, 256, 512, 1, 2),
    },
    "mobilenet": {
        "mobilenet-first": (64, 224, 3, 32, 3, 2, 1),
        "mobilenet-depthwise-112": (64, 112, 32, 32, 3, 1, 1, 32),
        "mobilenet-depthwise-strided": (64, 112, 64, 64, 3, 2, 1, 64),
        "mobilenet-depthwise-14": (64, 14, 512, 512, 3, 1, 1, 512),
        "mobilenet-depthwise-7": (64, 7, 1024, 1024, 3, 1, 1, 1024),
    },
}
"""For all three passes."""

_EPILOGUES: _Groups = {
    "quick": {"quick-epilogue": (4, 16, 16, 32, 3, 1, 1)},
    "telling": {"resnet18-epilogue-56": (64, 56, 64, 64, 3, 1, 1)},
    "lenet": {"lenet-epilogue": (128, 14, 32, 64, 5, 1, 2)},
    "imagenet": {"resnet50-epilogue-56": (64, 56, 64, 256, 1)},
    "mobilenet": {"mobilenet-epilogue-56": (64, 56, 128, 128, 3, 1, 1, 128)},
}
"""For the forward pass with an epilogue."""


def passes() -> Iterator[tuple[str, str, Conv2dGeometry]]:
    """Names, groups and sizes worth timing in all three passes."""
    return _listed(_PASSES)


def epilogues() -> Iterator[tuple[str, str, Conv2dGeometry]]:
    """Those worth timing with an epilogue."""
    return _listed(_EPILOGUES)


def _listed(groups: _Groups) -> Iterator[tuple[str, str, Conv2dGeometry]]:
    for group, named in groups.items():
        for name, sizes in named.items():
            yield name, group, square(*sizes)


def _depthwise(
    size: int,
    C: int,
    filter_size: Pair,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
) -> Conv2dGeometry:
    shapes = (32, size, size, C), (C, *filter_size, 1)
    return conv2d_geometry(*shapes, stride, padding, dilation, C)


AWKWARD = (
    # ResNeXt with 32 groups, and DeepLab.
    conv2d_geometry((64, 28, 28, 256), (256, 3, 3, 8), (1, 1), (1, 1), (1, 1), 32),
    conv2d_geometry((8, 33, 33, 256), (256, 3, 3, 256), (1, 1), (2, 2), (2, 2), 1),
    # EfficientNet and ConvNeXt.
    _depthwise(28, 240, (5, 5), (1, 1), (2, 2)),
    _depthwise(28, 240, (5, 5), (2, 2), (2, 2)),
    _depthwise(56, 96, (7, 7), (1, 1), (3, 3)),
    # As many taps as the depthwise kernels take, the longest stride, and the longest filter.
    _depthwise(20, 32, (8, 8), (1, 1), (4, 4)),
    _depthwise(40, 16, (8, 8), (8, 8)),
    _depthwise(70, 8, (1, 64)),
    # Channels that 4 does not divide are read one by one.
    _depthwise(17, 33, (6, 6), (3, 5), (2, 2)),
    _depthwise(20, 7, (8, 8), (1, 1), (4, 4)),
)
"""What the chosen kernels are compiled for besides."""

TILED = (
    # ResNet-50.
    square(64, 56, 64, 64, 3, 1, 1),
    square(64, 56, 256, 64, 1),
    # Few channels under strides: the indices that an element takes fill the registers.
    square(8, 32, 16, 3, 7, 2, 3),
    square(8, 32, 1, 4, 7, 4, 3),
    square(8, 32, 1, 3, 2, 8),
    conv2d_geometry((8, 32, 32, 8), (6, 3, 3, 4), (2, 2), (3, 3), (3, 3), 2),
)
"""What the matrix products are compiled for in every tile: networks choose some of them only."""
