"""Shapes of sliding-window operations: checked once, for every backend and for shape inference.

Output size along one side, with dilated window extent E = (R − 1)·dilation + 1:

    P = floor((H + padding_before + padding_after − E) / stride) + 1
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import SupportsIndex, TypeAlias, TypeGuard

from gpucnn.errors import ShapeError

Pair: TypeAlias = tuple[int, int]
Sides: TypeAlias = tuple[Pair, Pair]
"""Padding of both sides of both axes: ((top, bottom), (left, right))."""
Padding: TypeAlias = Pair | Sides
Shape: TypeAlias = tuple[int, ...]


def as_sides(padding: Padding) -> Sides:
    """Padding as ((top, bottom), (left, right)), whichever way it was given.

    Raises:
        ShapeError: a negative padding, or neither of the two forms.
    """
    height, width = _two(padding, "padding")
    if type(height) is int and type(width) is int and height >= 0 and width >= 0:
        return (height, height), (width, width)  # the usual cases, kept fast
    if _is_pair(height, 0) and _is_pair(width, 0):
        return height, width
    sides = (_side(height), _side(width))
    if min(sides[0] + sides[1]) < 0:
        raise ShapeError(f"padding {padding} is negative; use 0 or more")
    return sides


def _two(value: object, name: str) -> tuple[object, object]:
    if type(value) is tuple and len(value) == 2:  # the usual case, kept fast
        return value
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        raise ShapeError(f"{name} is {value!r}; give a pair (height, width)")
    return value[0], value[1]


def _is_pair(value: object, least: int) -> TypeGuard[Pair]:
    """Whether this is a tuple of two ints, both as large as that: there is nothing to convert."""
    return (
        type(value) is tuple
        and len(value) == 2
        and type(value[0]) is type(value[1]) is int
        and value[0] >= least
        and value[1] >= least
    )


def _integer(value: object, name: str, given: object) -> int:
    """``value`` as an int; the error shows what was ``given``, of which it may be a part."""
    if type(value) is int:
        return value
    if not isinstance(value, SupportsIndex):
        raise ShapeError(f"{name} is {given!r}; give integers")
    return operator.index(value)


def as_integer(value: object, name: str) -> int:
    """An integer of any kind as an int; ShapeError with ``name`` otherwise."""
    return _integer(value, name, value)


def _side(value: object) -> Pair:
    if type(value) is not int and isinstance(value, Sequence):
        before, after = _two(value, "padding")
        return _integer(before, "padding", value), _integer(after, "padding", value)
    both = _integer(value, "padding", value)
    return both, both


def as_pair(value: object, name: str) -> Pair:
    """A pair (height, width) of positive integers; ShapeError with ``name`` otherwise."""
    if _is_pair(value, 1):
        return value
    height, width = _two(value, name)
    pair = _integer(height, name, value), _integer(width, name, value)
    if min(pair) < 1:
        raise ShapeError(f"{name} is {value!r}; give two integers of 1 or more")
    return pair


def ceil_divide(a: int, b: int) -> int:
    """⌈a / b⌉ of integers, b above 0."""
    return -(-a // b)


def same_padding(size: int, window: int, stride: int, dilation: int) -> Pair:
    """The padding that makes the output ceil(size / stride) long; an odd one goes after."""
    extent = (window - 1) * dilation + 1
    output = ceil_divide(size, stride)
    total = max(0, (output - 1) * stride + extent - size)
    return total // 2, total - total // 2


def output_size(size: int, window: int, stride: int, padding: Pair, dilation: int) -> int:
    """The length of the output along one axis; 0 or less where the window does not fit."""
    extent = (window - 1) * dilation + 1
    return (size + padding[0] + padding[1] - extent) // stride + 1


@dataclass(frozen=True)
class Conv2dGeometry:
    """The sizes of one convolution, all consistent.

    Activations x are (N, H, W, C), filters w (K, R, S, C/groups), outputs y (N, P, Q, K).
    """

    N: int
    H: int
    W: int
    C: int
    K: int
    R: int
    S: int
    P: int
    Q: int
    stride: Pair
    padding: Sides
    dilation: Pair
    groups: int

    @property
    def x_shape(self) -> Shape:
        """(N, H, W, C)."""
        return self.N, self.H, self.W, self.C

    @property
    def w_shape(self) -> Shape:
        """(K, R, S, C/groups)."""
        return self.K, self.R, self.S, self.C // self.groups

    @property
    def y_shape(self) -> Shape:
        """(N, P, Q, K)."""
        return self.N, self.P, self.Q, self.K

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of the forward pass, taps on the padding included."""
        return self.N * self.P * self.Q * self.K * self.R * self.S * (self.C // self.groups)


def conv2d_geometry(
    x_shape: Shape,
    w_shape: Shape,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Conv2dGeometry:
    """Checks the arguments of a convolution and works out its sizes.

    Raises:
        ShapeError: they do not fit, with the values.
    """
    return _conv2d_geometry(
        x_shape,
        w_shape,
        as_pair(stride, "stride"),
        as_sides(padding),
        as_pair(dilation, "dilation"),
        as_integer(groups, "groups"),
    )


@lru_cache(maxsize=4096)
def _conv2d_geometry(
    x_shape: Shape, w_shape: Shape, stride: Pair, sides: Sides, dilation: Pair, groups: int
) -> Conv2dGeometry:
    if len(x_shape) != 4 or min(x_shape) < 1:
        raise ShapeError(f"x has shape {x_shape}; a convolution takes (N, H, W, C), none empty")
    if len(w_shape) != 4 or min(w_shape) < 1:
        raise ShapeError(f"w has shape {w_shape}; filters are (K, R, S, C/groups), none empty")
    N, H, W, C = x_shape
    K, R, S, channels = w_shape
    if groups < 1 or C % groups or K % groups:
        raise ShapeError(f"groups={groups} does not divide both C={C} and K={K}")
    if channels != C // groups:
        raise ShapeError(
            f"filters of shape {w_shape} read {channels} channels a group, "
            f"but x {x_shape} with groups={groups} has {C // groups}"
        )
    P = output_size(H, R, stride[0], sides[0], dilation[0])
    Q = output_size(W, S, stride[1], sides[1], dilation[1])
    if P < 1 or Q < 1:
        raise ShapeError(
            f"a filter of {R}×{S} (dilation {dilation}) does not fit in {H}×{W} "
            f"with padding {sides}"
        )
    return Conv2dGeometry(N, H, W, C, K, R, S, P, Q, stride, sides, dilation, groups)


@dataclass(frozen=True)
class Pool2dGeometry:
    """The sizes of one pooling: x (N, H, W, C) to y (N, P, Q, C) over windows of R×S."""

    N: int
    H: int
    W: int
    C: int
    R: int
    S: int
    P: int
    Q: int
    stride: Pair
    padding: Sides

    @property
    def x_shape(self) -> Shape:
        """(N, H, W, C)."""
        return self.N, self.H, self.W, self.C

    @property
    def y_shape(self) -> Shape:
        """(N, P, Q, C)."""
        return self.N, self.P, self.Q, self.C


def pool2d_geometry(x_shape: Shape, window: Pair, stride: Pair, padding: Padding) -> Pool2dGeometry:
    """Checks the arguments of a pooling and works out its sizes.

    Raises:
        ShapeError: they do not fit, or a window would lie wholly in the padding.
    """
    return _pool2d_geometry(
        x_shape, as_pair(window, "window"), as_pair(stride, "stride"), as_sides(padding)
    )


@lru_cache(maxsize=4096)
def _pool2d_geometry(x_shape: Shape, window: Pair, stride: Pair, sides: Sides) -> Pool2dGeometry:
    if len(x_shape) != 4 or min(x_shape) < 1:
        raise ShapeError(f"x has shape {x_shape}; pooling takes (N, H, W, C), none empty")
    N, H, W, C = x_shape
    R, S = window
    P = output_size(H, R, stride[0], sides[0], 1)
    Q = output_size(W, S, stride[1], sides[1], 1)
    if P < 1 or Q < 1:
        raise ShapeError(f"a window of {R}×{S} does not fit in {H}×{W} with padding {sides}")
    for axis, size, extent, count, step, (before, _) in (
        ("height", H, R, P, stride[0], sides[0]),
        ("width", W, S, Q, stride[1], sides[1]),
    ):
        if before >= extent or (count - 1) * step - before >= size:
            raise ShapeError(
                f"a window of {R}×{S} with stride {stride} lies wholly in the padding {sides} "
                f"along the {axis} ({size}); use less padding"
            )
    return Pool2dGeometry(N, H, W, C, R, S, P, Q, stride, sides)
