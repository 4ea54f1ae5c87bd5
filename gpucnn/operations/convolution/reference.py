"""Convolution as naive loops over images, outputs and taps; vectors are along channels only.

All sizes come from the arguments here, and outputs are counted one by one, so that a wrong size of
a problem cannot hide.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from gpucnn.operations.geometry import Padding, Pair, Shape
from gpucnn.operations.problem import Expectation
from gpucnn.operations.shard_sums import sum_shards
from gpucnn.operations.tracked import Floats, Tracked, gamma


def forward(
    x: Tracked,
    w: Tracked,
    bias: Tracked | None = None,
    stride: Pair = (1, 1),
    padding: Padding = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
    residual: Tracked | None = None,
    relu: bool = False,
) -> Expectation:
    """y = x ⋆ w + bias + residual; a maximum with 0 is never further off than that."""
    places = _Places(x.shape, w.shape, stride, padding, dilation)
    N, _, _, C = x.shape
    K, _, _, channels = w.shape

    def loops(x: Floats, w: Floats, *added: Floats) -> Floats:
        y = np.zeros((N, *places.outputs, groups, K // groups, 1))
        images = x.reshape(*x.shape[:3], groups, C // groups, 1)
        filters = w.reshape(groups, K // groups, *w.shape[1:])
        for n, p, q, r, s, h, v in places:
            y[n, p, q] += filters[:, :, r, s] @ images[n, h, v]
        return sum(added, y.reshape(N, *places.outputs, K))

    added = [each for each in (bias, residual) if each is not None]
    _, R, S, _ = w.shape
    y = _sums(R * S * channels + len(added), loops, x, w, *added)
    value = np.where(y.value < 0.0, 0.0, y.value) if relu else y.value
    return {"y": Tracked(value, y.error, y.magnitude, y.dtype)}


def input_grad(
    dy: Tracked,
    w: Tracked,
    x_shape: Shape,
    stride: Pair = (1, 1),
    padding: Padding = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Expectation:
    """dx gets dy · w through each tap that had read the pixel."""
    places = _Places(x_shape, w.shape, stride, padding, dilation)
    N, H, W, C = x_shape
    K, R, S, _ = w.shape
    places.check(dy.shape, N, K)

    def loops(dy: Floats, w: Floats) -> Floats:
        dx = np.zeros((N, H, W, groups, 1, C // groups))
        gradients = dy.reshape(*dy.shape[:3], groups, 1, K // groups)
        filters = w.reshape(groups, K // groups, *w.shape[1:])
        for n, p, q, r, s, h, v in places:
            dx[n, h, v] += gradients[n, p, q] @ filters[:, :, r, s]
        return dx.reshape(x_shape)

    return {"dx": _sums(R * S * (K // groups), loops, dy, w)}


def filter_grad(
    x: Tracked,
    dy: Tracked,
    w_shape: Shape,
    stride: Pair = (1, 1),
    padding: Padding = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
    shards: int = 1,
) -> Expectation:
    """dw gets dy · x from each pixel that the tap had read."""
    K, R, S, channels = w_shape

    def loops(x: Floats, dy: Floats) -> Floats:
        places = _Places(x.shape, w_shape, stride, padding, dilation)
        N, _, _, C = x.shape
        places.check(dy.shape, N, K)
        dw = np.zeros((R, S, groups, K // groups, channels))
        images = x.reshape(*x.shape[:3], groups, 1, C // groups)
        gradients = dy.reshape(*dy.shape[:3], groups, K // groups, 1)
        for n, p, q, r, s, h, v in places:
            dw[r, s] += gradients[n, p, q] * images[n, h, v]
        return dw.reshape(R, S, K, channels).transpose(2, 0, 1, 3)

    def sums(images: slice) -> Tracked:
        return _sums(math.prod(dy[images].shape[:3]), loops, x[images], dy[images])

    return {"dw": sum_shards(len(x), shards, sums)}


def _sums(terms: int, function: Callable[..., Floats], *factors: Tracked) -> Tracked:
    """What the function makes of exact factors: sums of at most so many terms, in any order.

    Each term is linear in every factor that it has, so the sums of the terms' absolute values are
    what the function makes of the absolute values.
    """
    dtype = factors[0].dtype
    magnitude = function(*(abs(each.value) for each in factors))
    value = function(*(each.value for each in factors))
    return Tracked(value, gamma(terms, dtype) * magnitude, magnitude, dtype)


class _Places:
    """Every (n, p, q, r, s, h, w) such that tap (r, s) of output (p, q) reads pixel (h, w).

    Attributes:
        outputs: P and Q.
    """

    def __init__(
        self, x_shape: Shape, w_shape: Shape, stride: Pair, padding: Padding, dilation: Pair
    ) -> None:
        self._images, *self._sizes = x_shape[:3]
        self._window = w_shape[1:3]
        self._stride, self._dilation = stride, dilation
        sides = [(side, side) if isinstance(side, int) else side for side in padding]
        self._before = [before for before, _ in sides]
        self.outputs = tuple(
            self._count(axis, self._sizes[axis] + sum(sides[axis])) for axis in (0, 1)
        )

    def _count(self, axis: int, padded: int) -> int:
        """How many windows fit, counted one by one."""
        count, last = 0, (self._window[axis] - 1) * self._dilation[axis]
        while last < padded:
            count, last = count + 1, last + self._stride[axis]
        return count

    def check(self, dy_shape: Shape, N: int, K: int) -> None:
        """Raises ValueError unless dy is (N, P, Q, K)."""
        if dy_shape != (N, *self.outputs, K):
            raise ValueError(f"dy has shape {dy_shape}, expected {(N, *self.outputs, K)}")

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        for n, p, q in np.ndindex(self._images, *self.outputs):
            for r, h in self._read(0, p):
                for s, w in self._read(1, q):
                    yield n, p, q, r, s, h, w

    def _read(self, axis: int, output: int) -> Iterator[tuple[int, int]]:
        """The taps that read the image along an axis, with the pixels that they read."""
        start = output * self._stride[axis] - self._before[axis]
        for tap in range(self._window[axis]):
            pixel = start + tap * self._dilation[axis]
            if 0 <= pixel < self._sizes[axis]:
                yield tap, pixel
