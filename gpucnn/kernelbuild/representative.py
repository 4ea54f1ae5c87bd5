"""Every operation at the shapes of well-known networks, and at awkward ones, in every variant.

On a device that only plans, this tells all kernels and variants; arrays have no contents here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from gpucnn.backends.base import Backend
from gpucnn.backends.interface.arrays import Array
from gpucnn.backends.kernel_backend import KernelBackend
from gpucnn.bench import ceilings
from gpucnn.kernelcheck.check import run
from gpucnn.kernelcheck.problems import draw
from gpucnn.launch import tiled_variants, variants_of
from gpucnn.launch.tiles import TILES, GemmTile
from gpucnn.launch.variants import Pass, Variant, conv2d_variants
from gpucnn.operations import OPERATIONS, Problem
from gpucnn.operations.geometry import Conv2dGeometry, Padding, Pair, conv2d_geometry

_DRAWN = 12
"""Drawn problems of each operation and variant."""


@dataclass(frozen=True)
class Convolution:
    """A convolution of x (N, H, W, C) with K filters."""

    network: str
    N: int
    H: int
    W: int
    C: int
    K: int
    filter: Pair
    stride: Pair = (1, 1)
    padding: Padding = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    @property
    def options(self) -> tuple[Pair, Padding, Pair, int]:
        """Stride, padding, dilation and groups, in the order in which operations take them."""
        return self.stride, self.padding, self.dilation, self.groups

    @property
    def geometry(self) -> Conv2dGeometry:
        """All sizes."""
        x_shape = (self.N, self.H, self.W, self.C)
        w_shape = (self.K, *self.filter, self.C // self.groups)
        return conv2d_geometry(x_shape, w_shape, *self.options)


CONVOLUTIONS = (
    Convolution("LeNet 1", 128, 28, 28, 1, 32, (5, 5), padding=(2, 2)),
    Convolution("LeNet 2", 128, 14, 14, 32, 64, (5, 5), padding=(2, 2)),
    Convolution("ResNet-9 1", 256, 32, 32, 3, 64, (3, 3), padding=(1, 1)),
    Convolution("ResNet-9 2", 256, 32, 32, 64, 128, (3, 3), padding=(1, 1)),
    Convolution("ResNet-9 4", 256, 4, 4, 512, 512, (3, 3), padding=(1, 1)),
    Convolution("ResNet-50 1", 64, 224, 224, 3, 64, (7, 7), (2, 2), (3, 3)),
    Convolution("ResNet-50 1×1", 64, 56, 56, 256, 64, (1, 1)),
    Convolution("ResNet-50 3×3/2", 64, 56, 56, 128, 128, (3, 3), (2, 2), (1, 1)),
    Convolution("ResNet-50 shortcut", 64, 28, 28, 512, 1024, (1, 1), (2, 2)),
    Convolution("ResNeXt, 32 groups", 64, 28, 28, 256, 256, (3, 3), (1, 1), (1, 1), groups=32),
    Convolution("DeepLab, dilated", 8, 33, 33, 256, 256, (3, 3), (1, 1), (2, 2), (2, 2)),
    Convolution("odd sizes", 3, 13, 17, 5, 7, (3, 2), (2, 1), ((1, 2), (0, 1)), (1, 2)),
    Convolution("one pixel", 1, 1, 1, 1, 1, (1, 1)),
)
"""In every variant, with the tile that is chosen."""

TILED_CONVOLUTIONS = (
    Convolution("ResNet-50 3×3", 64, 56, 56, 64, 64, (3, 3), padding=(1, 1)),
    Convolution("ResNet-50 1×1", 64, 56, 56, 256, 64, (1, 1)),
    # Few channels under strides: the indices that an element takes fill the registers.
    Convolution("few filters", 8, 32, 32, 16, 3, (7, 7), (2, 2), (3, 3)),
    Convolution("few channels", 8, 32, 32, 1, 4, (7, 7), (4, 4), (3, 3)),
    Convolution("tiny filters", 8, 32, 32, 1, 3, (2, 2), (8, 8)),
    Convolution("groups, dilated", 8, 32, 32, 8, 6, (3, 3), (2, 2), (3, 3), (3, 3), groups=2),
)
"""In every tile of the matrix product: other shapes of a network choose other tiles."""


def _depthwise(
    network: str,
    size: int,
    C: int,
    filter_size: Pair,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
) -> Convolution:
    return Convolution(
        network, 32, size, size, C, C, filter_size, stride, padding, dilation, groups=C
    )


DEPTHWISE_CONVOLUTIONS = (
    _depthwise("MobileNet", 56, 128, (3, 3), (1, 1), (1, 1)),
    _depthwise("MobileNet, strided", 112, 64, (3, 3), (2, 2), (1, 1)),
    _depthwise("EfficientNet 5×5", 28, 240, (5, 5), (1, 1), (2, 2)),
    _depthwise("EfficientNet 5×5/2", 28, 240, (5, 5), (2, 2), (2, 2)),
    _depthwise("ConvNeXt 7×7", 56, 96, (7, 7), (1, 1), (3, 3)),
    _depthwise("most taps", 20, 32, (8, 8), (1, 1), (4, 4)),
    _depthwise("most taps and longest stride", 40, 16, (8, 8), (8, 8)),
    _depthwise("longest filter", 70, 8, (1, 64)),
    _depthwise("dilated", 33, 20, (3, 3), (1, 1), (2, 2), (2, 2)),
    # Channels that 4 does not divide are read one by one.
    _depthwise("two channels", 9, 2, (3, 3), (1, 1), (1, 1)),
    _depthwise("odd channels, 3×3", 17, 7, (3, 3), (2, 1), (1, 1)),
    _depthwise("odd channels, 6×6", 17, 33, (6, 6), (3, 5), (2, 2)),
    _depthwise("odd channels, most taps", 20, 7, (8, 8), (1, 1), (4, 4)),
)
"""In the variant for them alone."""


@dataclass(frozen=True)
class Pooling:
    """A pooling of x (N, H, W, C)."""

    network: str
    N: int
    H: int
    W: int
    C: int
    window: Pair
    stride: Pair
    padding: Padding = (0, 0)


POOLINGS = (
    Pooling("LeNet", 128, 28, 28, 32, (2, 2), (2, 2)),
    Pooling("ResNet-9", 256, 32, 32, 128, (2, 2), (2, 2)),
    Pooling("ResNet-50", 64, 112, 112, 64, (3, 3), (2, 2), (1, 1)),
    Pooling("whole image", 256, 4, 4, 512, (4, 4), (4, 4)),
    Pooling("odd sizes", 3, 13, 17, 5, (3, 2), (2, 3), ((1, 1), (0, 1))),
    Pooling("wide window", 2, 40, 40, 3, (17, 17), (4, 4)),
)

_CHANNELS = (1, 3, 10, 64, 100, 1000)


def run_all(backend: KernelBackend) -> None:
    """Runs every operation of the backend over all of these problems, and takes the rest too."""
    for convolution in CONVOLUTIONS:
        _convolve(backend, convolution)
        _convolve_in_every_variant(backend, convolution)
    for convolution in TILED_CONVOLUTIONS:
        _convolve_in_every_tile(backend, convolution)
    for convolution in DEPTHWISE_CONVOLUTIONS:
        for which in Pass:
            _run_pass(backend, convolution, which)
    for pooling in POOLINGS:
        _pool(backend, pooling)
    for channels in _CHANNELS:
        _normalise(backend, channels)
    _regularise(backend)
    _augment(backend)
    for kind in OPERATIONS.values():
        _run_described(backend, kind)
    # Not launched by an operation, but by measurements.
    backend.device.compile(ceilings.SOURCE)


def _run_described(backend: KernelBackend, kind: type[Problem]) -> None:
    """The shapes worth timing and those worth compiling, in each variant; some that are drawn."""
    for timed in kind.timed():
        _run_in_variants(backend, timed.problem, timed.numbers)
    for problem in kind.built():
        _run_in_variants(backend, problem, dict.fromkeys(problem.numbers, 0.5), TILES)
    for drawn in draw(kind.operation, _DRAWN):
        run(drawn, backend)


def _run_in_variants(
    backend: KernelBackend,
    problem: Problem,
    numbers: Mapping[str, float],
    tiles: Sequence[GemmTile] = (),
) -> None:
    """In each variant, those that are matrix products with these tiles besides the chosen one."""
    arrays = [
        None if each is None else backend.empty(each.shape, each.dtype) for each in problem.operands
    ]
    for variant in variants_of(problem) or (None,):
        for tile in (None, *(tiles if variant in tiled_variants(type(problem)) else ())):
            with backend.held_to(variant, tile):
                backend.run(problem, *arrays, **numbers)


def _convolve(backend: Backend, problem: Convolution) -> None:
    """All passes in the variant that is chosen, and forward with all that may stand behind it."""
    for which in Pass:
        _run_pass(backend, problem, which)
    x, w, y, bias = _arrays(backend, problem)
    backend.conv2d_forward(x, w, None, *problem.options)
    backend.conv2d_forward(x, w, bias, *problem.options)
    backend.conv2d_forward(x, w, bias, *problem.options, relu=True)
    backend.channel_sum(y)


def _convolve_in_every_variant(backend: KernelBackend, problem: Convolution) -> None:
    for which in Pass:
        for variant in conv2d_variants(problem.geometry, which):
            with backend.held_to(variant):
                _run_pass(backend, problem, which)


def _convolve_in_every_tile(backend: KernelBackend, problem: Convolution) -> None:
    for which, tile in product(Pass, TILES):
        with backend.held_to(Variant.GEMM, tile):
            _run_pass(backend, problem, which)


def _run_pass(backend: Backend, problem: Convolution, which: Pass) -> None:
    """One pass; forward with all that may stand behind it at once."""
    x, w, y, bias = _arrays(backend, problem)
    if which is Pass.FORWARD:
        backend.conv2d_forward(x, w, bias, *problem.options, residual=y, relu=True)
    elif which is Pass.INPUT_GRAD:
        backend.conv2d_input_grad(y, w, x.shape, *problem.options)
    else:
        backend.conv2d_filter_grad(x, y, w.shape, *problem.options)


def _arrays(backend: Backend, problem: Convolution) -> tuple[Array, Array, Array, Array]:
    """x, w, y and the bias."""
    sizes = problem.geometry
    shapes = (sizes.x_shape, sizes.w_shape, sizes.y_shape, (problem.K,))
    x, w, y, bias = (backend.empty(shape) for shape in shapes)
    return x, w, y, bias


def _pool(backend: Backend, problem: Pooling) -> None:
    x = backend.empty((problem.N, problem.H, problem.W, problem.C))
    options = (problem.window, problem.stride, problem.padding)
    dy, argmax = backend.max_pool2d_forward(x, *options)
    backend.max_pool2d_input_grad(dy, argmax, x.shape, *options)
    backend.avg_pool2d_forward(x, *options)
    backend.avg_pool2d_input_grad(dy, x.shape, *options)
    means = backend.global_avg_pool2d_forward(x)
    backend.global_avg_pool2d_input_grad(means, x.shape)


def _normalise(backend: Backend, channels: int) -> None:
    x = backend.empty((64, 8, 8, channels))
    scale, shift, mean, variance = (backend.empty((channels,)) for _ in range(4))
    vectors = (scale, shift, mean, variance)
    for residual, relu in product((None, x), (False, True)):
        behind = {"residual": residual, "relu": relu}
        y, *statistics = backend.batch_norm_forward(x, *vectors, 0.1, 1e-5, **behind)
        backend.batch_norm_inference(x, *vectors, 1e-5, **behind)
    backend.batch_norm_gradients(x, x, scale, *statistics)
    backend.batch_norm_relu_gradients(x, x, scale, shift, *statistics)
    backend.batch_norm_add_relu_gradients(x, y, x, scale, *statistics)


def _regularise(backend: Backend) -> None:
    x = backend.empty((64, 8, 8, 10))
    _, mask = backend.dropout_forward(x, 0.5, seed=1, stream=2, step=3)
    backend.dropout_input_grad(x, mask, 0.5)


def _augment(backend: Backend) -> None:
    for H, W, C in ((8, 8, 1), (32, 32, 3)):
        images = backend.empty((64, H, W, C), np.uint8)
        backend.take_images(images, backend.empty((16,), np.int64))
        scale, offset = backend.empty((C,)), backend.empty((C,))
        flips: tuple[Array | None, ...] = (None, backend.empty((64,), np.uint8))
        shifts: tuple[Array | None, ...] = (None, backend.empty((64, 2), np.int32))
        for flip in flips:
            for shift in shifts:
                backend.augment_images(images, scale, offset, flip, shift)
