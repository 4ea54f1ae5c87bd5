"""From bytes to a network's input: moving, colouring, covering and mixing images, in one pass."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.errors import ShapeError
from gpucnn.operations.images import (
    BATCHES,
    BYTE,
    Drawn,
    Values,
    check_images,
    grey_values,
)
from gpucnn.operations.problem import (
    Arguments,
    Expectation,
    Operand,
    Problem,
    Shape,
    Timed,
    as_text,
)
from gpucnn.operations.sampling import Generator, chosen, integer, normal
from gpucnn.operations.tracked import Tracked, stack

FRACTION = 16
"""Bits after the point of the whole numbers that matrices, factors and weights are given as."""
ONE = 1 << FRACTION
"""1 as such a number."""
GREY = (19595, 38470, 7471)
"""The shares of red, green and blue in grey, (0.299, 0.587, 0.114), as such numbers (BT.601)."""

_INTEGER = np.dtype(np.int32)
"""Of everything that is drawn but flips."""
_HALF = ONE // 2
_POSITION = 8
"""Bits of a place between two pixels that an interpolation takes account of."""
_SHARE_OF_SHIFT = 8
"""Images that are timed are shifted by at most 1/8 of their size, as 32×32 ones are by 4."""
_PARTS = ("flip", "shift", "warp", "colour", "hole", "mix")
_COMBINATIONS = (
    ("flip", "shift"),
    ("warp", "colour", "mix"),
    ("flip", "colour", "hole"),
    (),
    ("shift", "hole", "mix"),
    ("warp",),
    ("flip",),
    ("warp", "colour", "hole", "mix"),
    ("shift",),
    ("flip", "shift", "mix"),
    ("colour",),
)
"""Parts, in the order in which they are drawn."""


def _flips(drawn: Drawn) -> NDArray[Any]:
    return np.asarray(drawn > 0.0)


def _shifts(most: int, drawn: Drawn) -> NDArray[Any]:
    return np.asarray(np.rint(drawn).clip(-most, most))


@dataclass(frozen=True)
class AugmentImages(Problem):
    """y[n,h,w,c] = v[n,h,w,c] · scale[c] + offset[c], with v a byte, in whole numbers:

    - moved: images[n, ρ(h + shift[n,0]), σ(ρ(w + shift[n,1])), c], where ρ reflects an index at the
      borders without repeating the edge, and σ mirrors it if flip[n] is 1; or else, with warp[n]
      = (a, …, f), what bilinear interpolation finds at row (a·h + b·w + c) / 2¹⁶ and column
      (d·h + e·w + f) / 2¹⁶, both rounded to 1/256, and reflected in the same way;
    - coloured: (own·v + grey·g + addend) / 2¹⁶, limited to 0 … 255, with (own, grey, addend) =
      colour[n], and g the grey value of the pixel if there are three channels, else 0;
    - covered: fill[c] within the rectangle hole[n] = (top, left, bottom, right), whose last row
      and column are outside;
    - mixed: within the rectangle of mix[n] = (partner, weight, top, left, bottom, right),
      (weight·v + (2¹⁶ − weight)·u) / 2¹⁶, with u the same pixel of image ``partner``, covered but
      not mixed.

    Quotients are rounded to the nearest, halves up.

    Attributes:
        images: shape of the images, (N, H, W, C).
        flips: whether there are flips, (N,).
        shifts: whether there are shifts of rows and columns, (N, 2).
        warps: whether there are matrices, (N, 6), in the place of both.
        colours: whether there are changes of colour, (N, 3).
        holes: whether there are rectangles to fill, (N, 4), and what with, (C,).
        mixes: whether there are partners to mix images with, (N, 6).

    Raises:
        ShapeError: another shape of images, or flips or shifts beside matrices.
    """

    operation = "augment_images"
    takes = ("images", "scale", "offset", *_PARTS[:5], "fill", "mix")
    gives = ("y",)
    images: Shape
    flips: bool = False
    shifts: bool = False
    warps: bool = False
    colours: bool = False
    holes: bool = False
    mixes: bool = False

    def __post_init__(self) -> None:
        check_images(self.images)
        if self.warps and (self.flips or self.shifts):
            raise ShapeError("warp is given beside flip or shift; the matrices can do both")

    def _operands(self) -> Iterable[Operand | None]:
        N, _, _, C = self.images
        yield Operand(self.images, BYTE)
        yield Operand((C,), self.dtypes.storage)
        yield Operand((C,), self.dtypes.storage)
        yield Operand((N,), BYTE) if self.flips else None
        yield Operand((N, 2), _INTEGER) if self.shifts else None
        yield Operand((N, 6), _INTEGER) if self.warps else None
        yield Operand((N, 3), _INTEGER) if self.colours else None
        yield Operand((N, 4), _INTEGER) if self.holes else None
        yield Operand((C,), BYTE) if self.holes else None
        yield Operand((N, 6), _INTEGER) if self.mixes else None
        yield Operand(self.images, self.dtypes.result)

    @property
    def flops(self) -> int:
        """A multiply-add for each element; the rest is in whole numbers."""
        return 2 * math.prod(self.images)

    @property
    def text(self) -> str:
        """The shape of the images."""
        return as_text(self.images)

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """With all parts and without; rectangles may be empty, or go beyond the image."""
        N, H, W = integer(rng, 1, 5), integer(rng, 1, 9), integer(rng, 1, 9)
        C = chosen(rng, 1, 3, 4)
        if number % 5 == 1:
            H, W, C = 1, 1, chosen(rng, 1, 3)  # fewer elements than a thread takes
        rows, columns = rng.integers(1 - H, H, N), rng.integers(1 - W, W, N)
        mixing = np.stack([rng.integers(0, N, N), rng.choice([0, 1, _HALF, 40000, ONE], N)], 1)
        drawn = {
            "flip": rng.integers(0, 2, N, np.uint8),
            "shift": np.stack([rows, columns], 1).astype(np.int32),
            "warp": _draw_matrices(rng, N, H, W),
            "colour": (rng.uniform([0, -1, -99], [3, 1, 199], (N, 3)) * ONE).astype(np.int32),
            "hole": _draw_rectangles(rng, N, H, W),
            "mix": np.hstack([mixing.astype(np.int32), _draw_rectangles(rng, N, H, W)]),
        }
        parts = _COMBINATIONS[number % len(_COMBINATIONS)]
        fill = rng.integers(0, 256, C, np.uint8)
        return {
            "images": rng.integers(0, 256, (N, H, W, C), np.uint8),
            "scale": normal(rng, C),
            "offset": normal(rng, C),
            **{name: array if name in parts else None for name, array in drawn.items()},
            "fill": fill if "hole" in parts else None,
        }

    @staticmethod
    def reference(
        images: NDArray[np.uint8],
        scale: Tracked,
        offset: Tracked,
        flip: NDArray[np.uint8] | None = None,
        shift: NDArray[np.int32] | None = None,
        warp: NDArray[np.int32] | None = None,
        colour: NDArray[np.int32] | None = None,
        hole: NDArray[np.int32] | None = None,
        fill: NDArray[np.uint8] | None = None,
        mix: NDArray[np.int32] | None = None,
    ) -> Expectation:
        """Pixel by pixel, in whole numbers of any size."""
        N, H, W, _ = images.shape

        def unmixed(n: int, h: int, w: int) -> list[int]:
            if warp is None:
                by = (0, 0) if shift is None else (int(shift[n, 0]), int(shift[n, 1]))
                pixel = _moved(images[n], h + by[0], w + by[1], flip is not None and bool(flip[n]))
            else:
                pixel = _interpolated(images[n], [int(each) for each in warp[n]], h, w)
            if colour is not None:
                pixel = _coloured(pixel, *(int(each) for each in colour[n]))
            if hole is not None and fill is not None and _is_within(hole[n], h, w):
                pixel = [int(value) for value in fill]
            return pixel

        pixels = []
        for n, h, w in np.ndindex(N, H, W):
            pixel = unmixed(n, h, w)
            if mix is not None and _is_within(mix[n, 2:], h, w):
                weight, other = int(mix[n, 1]), unmixed(int(mix[n, 0]), h, w)
                pairs = zip(pixel, other, strict=True)
                pixel = [(weight * v + (ONE - weight) * u + _HALF) // ONE for v, u in pairs]
            pixels.append(Tracked(pixel, dtype=scale.dtype) * scale + offset)
        return {"y": stack(pixels).reshape(*images.shape)}

    @classmethod
    def timed(cls) -> Iterable[Timed]:
        """A batch to train with, and one to evaluate, which is not moved."""
        for name, group, shape in BATCHES:
            shift = partial(_shifts, max(1, shape[1] // _SHARE_OF_SHIFT))
            values: Values = {"images": grey_values, "flip": _flips, "shift": shift}
            yield Timed(name, group, cls(shape, True, True), values=values)
            normalised = cls(shape, False, False)
            yield Timed(f"{name}-normalised", group, normalised, values=values)

    @classmethod
    def built(cls) -> Iterable[Problem]:
        """Every other combination that is drawn."""
        for parts in _COMBINATIONS:
            if parts not in ((), ("flip", "shift")):
                yield cls((512, 32, 32, 3), *(part in parts for part in _PARTS))

    def prepare_torch(self, torch: Any, *tensors: Any) -> Sequence[Any]:
        """With flips and shifts, images (N, H, W, C), to move pixels whole, and indices of all."""
        images, scale, offset, *moves = tensors
        if not moves:
            return images, scale[:, None, None], offset[:, None, None]
        flip, shift = moves
        images = images.permute(0, 2, 3, 1).contiguous()
        N, size, _, _ = images.shape
        number = torch.arange(N, device=images.device)[:, None, None]
        places = torch.arange(size, device=images.device)
        return images, scale, offset, flip.bool()[:, None], shift, number, places

    @staticmethod
    def in_torch(torch: Any, images: Any, scale: Any, offset: Any, *moves: Any) -> Any:
        """Two calls: PyTorch has none for both; images are moved by indices, made each time."""
        if not moves:
            return torch.mul(images, scale).add_(offset)
        flip, shift, number, places = moves
        last = images.shape[1] - 1

        def reflected(indices: Any) -> Any:
            return last - (indices.abs() - last).abs()

        rows = reflected(places + shift[:, :1])
        columns = reflected(places + shift[:, 1:])
        columns = torch.where(flip, last - columns, columns)
        gathered = images[number, rows[:, :, None], columns[:, None, :]]
        return torch.mul(gathered, scale).add_(offset).permute(0, 3, 1, 2)


def _draw_matrices(rng: Generator, N: int, H: int, W: int) -> NDArray[np.int32]:
    """Any, and such that only turn, mirror and shift by whole pixels or halves."""
    any_kind = rng.uniform(-1.5, 1.5, (N, 6))
    quarters = rng.integers(-1, 2, (N, 6)).astype(np.float64)
    matrices = np.where(rng.random((N, 1)) < 0.7, any_kind, quarters)
    matrices[:, 2], matrices[:, 5] = matrices[:, 2] * 2 * H, matrices[:, 5] * 1.5 * W
    return np.asarray(np.rint(matrices * ONE), np.int32)


def _draw_rectangles(rng: Generator, N: int, H: int, W: int) -> NDArray[np.int32]:
    corners = rng.integers([-1, -1, 0, 0], [H, W, H + 2, W + 2], (N, 4))
    return np.asarray(np.where(rng.random((N, 1)) < 0.2, [0, 0, H, W], corners), np.int32)


def _moved(image: NDArray[np.uint8], row: int, column: int, is_mirrored: bool) -> list[int]:
    H, W, _ = image.shape
    row, column = _reflected(row, H), _reflected(column, W)
    if is_mirrored:
        column = W - 1 - column
    return [int(value) for value in image[row, column]]


def _interpolated(image: NDArray[np.uint8], matrix: list[int], h: int, w: int) -> list[int]:
    """The pixels around a place, weighted by how near it is to each."""
    a, b, c, d, e, f = matrix
    H, W, C = image.shape
    step = ONE >> _POSITION
    row, down = divmod((a * h + b * w + c + step // 2) // step, 1 << _POSITION)
    column, right = divmod((d * h + e * w + f + step // 2) // step, 1 << _POSITION)
    sums = [0] * C
    for below in (0, 1):
        for beside in (0, 1):
            weight = (down if below else 256 - down) * (right if beside else 256 - right)
            pixel = image[_reflected(row + below, H), _reflected(column + beside, W)]
            sums = [total + weight * int(value) for total, value in zip(sums, pixel, strict=True)]
    return [(total + 256 * 256 // 2) // (256 * 256) for total in sums]


def _coloured(pixel: list[int], own: int, grey: int, addend: int) -> list[int]:
    total = 0
    if len(pixel) == 3:
        total = sum(share * value for share, value in zip(GREY, pixel, strict=True))
    common = grey * ((total + _HALF) // ONE) + addend + _HALF
    return [min(255, max(0, (own * value + common) // ONE)) for value in pixel]


def _is_within(rectangle: NDArray[np.int32], h: int, w: int) -> bool:
    top, left, bottom, right = (int(each) for each in rectangle)
    return top <= h < bottom and left <= w < right


def _reflected(index: int, size: int) -> int:
    if size == 1:
        return 0
    while not 0 <= index < size:
        index = -index if index < 0 else 2 * (size - 1) - index
    return index
