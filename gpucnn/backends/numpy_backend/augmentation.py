"""Images of bytes to inputs of the network: a few of them at a time, so that they stay in a cache.

Pixels are moved, coloured, covered and mixed in whole numbers, which fit 32 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.numpy_backend.implementations import implements
from gpucnn.backends.numpy_backend.pieces import PIECE, NumpyArrays
from gpucnn.operations.augmentation import FRACTION, GREY, ONE, AugmentImages
from gpucnn.operations.geometry import ceil_divide
from gpucnn.operations.images import TakeImages

_HALF = ONE // 2
_POSITION = 8
_STEPS = 1 << _POSITION
"""Interpolation knows this many positions from one pixel to the next, in _POSITION bits."""


@implements(TakeImages)
def _take_images(
    _be: NumpyArrays,
    _problem: TakeImages,
    images: NDArray[Any],
    indices: NDArray[Any],
    y: NDArray[Any],
) -> None:
    np.take(images, indices, axis=0, out=y, mode="clip")


@implements(AugmentImages)
def _augment_images(
    be: NumpyArrays,
    problem: AugmentImages,
    images: NDArray[Any],
    scale: NDArray[Any],
    offset: NDArray[Any],
    flip: NDArray[Any] | None,
    shift: NDArray[Any] | None,
    warp: NDArray[Any] | None,
    colour: NDArray[Any] | None,
    hole: NDArray[Any] | None,
    fill: NDArray[Any] | None,
    mix: NDArray[Any] | None,
    y: NDArray[Any],
) -> None:
    """Changes of bytes, then one multiplication and addition.

    Images to be mixed are all changed first, since any may be the partner of any.
    """
    N, H, W, C = problem.images
    step = max(1, PIECE // (H * W * C))
    wide_scale, wide_offset = np.tile(scale, W), np.tile(offset, W)

    def changed(some: slice, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Some images after all changes but mixing, in ``out`` or in a scratch memory."""
        source = images[some]
        if out is None:
            out = be.workers.scratch("changed", source.shape, np.uint8)
        if warp is not None:
            source = _warped(source, warp[some], out)
        elif flip is not None or shift is not None:
            source = _moved(source, _some(flip, some), _some(shift, some), out)
        if colour is not None:
            source = _coloured(source, colour[some], out)
        if hole is not None and fill is not None:
            source = _covered(source, hole[some], fill, out)
        return source

    def normalise(source: NDArray[Any], some: slice) -> None:
        result = y[some].reshape(-1, H, W * C)
        np.multiply(source.reshape(result.shape), wide_scale, out=result, dtype=y.dtype)
        result += wide_offset

    def piece(number: int) -> slice:
        return slice(number * step, min(N, (number + 1) * step))

    def change_and_normalise(number: int) -> None:
        some = piece(number)
        normalise(changed(some), some)

    if mix is None:
        be.workers.run(change_and_normalise, ceil_divide(N, step))
        return
    whole = be.empty(images.shape, np.uint8)

    def change(number: int) -> None:
        some = piece(number)
        target = whole[some]
        source = changed(some, target)
        if source is not target:
            np.copyto(target, source)

    def mix_and_normalise(number: int) -> None:
        some = piece(number)
        mixed = be.workers.scratch("mixed", whole[some].shape, np.uint8)
        normalise(_mixed(whole, mix, some, mixed), some)

    be.workers.run(change, ceil_divide(N, step))
    be.workers.run(mix_and_normalise, ceil_divide(N, step))


def _some(array: NDArray[Any] | None, some: slice) -> NDArray[Any] | None:
    return None if array is None else array[some]


def _moved(
    images: NDArray[Any], flip: NDArray[Any] | None, shift: NDArray[Any] | None, out: NDArray[Any]
) -> NDArray[Any]:
    """A gather of rows and columns of each image."""
    _, H, W, _ = images.shape
    for n, image in enumerate(images):
        rows, columns = _source_pixels(n, H, W, flip, shift)
        out[n] = image[rows[:, None], columns]
    return out


def _source_pixels(
    n: int, H: int, W: int, flip: NDArray[Any] | None, shift: NDArray[Any] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows (H,) and columns (W,) that image n is read from."""
    rows, columns = np.arange(H), np.arange(W)
    if shift is not None:
        rows = _reflect(rows + int(shift[n, 0]), H)
        columns = _reflect(columns + int(shift[n, 1]), W)
    if flip is not None and flip[n]:
        columns = W - 1 - columns
    return rows, columns


def _reflect(index: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Folds indices back into [0, size) at the borders, the edge not repeated."""
    index = np.abs(index)
    return np.where(index >= size, 2 * (size - 1) - index, index)


def _warped(images: NDArray[Any], warp: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
    """Four gathers of each channel, weighted and added."""
    _, H, W, C = images.shape
    parts = warp.reshape(-1, 2, 3, 1, 1)
    h, w = np.arange(H, dtype=np.int32)[:, None], np.arange(W, dtype=np.int32)
    rounding = np.int32(1 << (FRACTION - _POSITION - 1))
    places = parts[:, :, 0] * h + parts[:, :, 1] * w + (parts[:, :, 2] + rounding)
    rows, down = _neighbours(places[:, 0], H)
    columns, across = _neighbours(places[:, 1], W)
    rows *= W
    rows += (np.arange(len(images)) * H * W)[:, None, None]
    corners = [(rows[i] + columns[j], down[i] * across[j]) for i in (0, 1) for j in (0, 1)]
    for c in range(C):
        plane = np.ascontiguousarray(images[..., c]).reshape(-1)
        total = np.full(out.shape[:-1], _HALF, np.int32)
        for place, weight in corners:
            total += weight * plane[place]
        total >>= FRACTION
        out[..., c] = total
    return out


def _neighbours(places: NDArray[Any], size: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """The indices before and after places on an axis, reflected, and their weights, both (2, …)."""
    index = places >> FRACTION
    lowest = int(index.min())
    table = np.abs(np.arange(lowest, int(index.max()) + 2)) % max(1, 2 * (size - 1))
    table = np.minimum(table, abs(2 * (size - 1) - table))
    after = (places >> (FRACTION - _POSITION)) & (_STEPS - 1)
    index -= lowest
    return np.stack([table[index], table[index + 1]]), np.stack([_STEPS - after, after])


def _coloured(images: NDArray[Any], colour: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
    """By a table for each image, or channel by channel if grey takes part."""
    C = images.shape[-1]
    own, grey, addend = (colour[:, part, None, None] for part in range(3))
    if C != 3 or not grey.any():
        values = np.arange(256, dtype=np.int32)
        tables = _as_bytes(own[:, 0] * values + addend[:, 0])
        for image, table, result in zip(images, tables, out, strict=True):
            np.take(table, image, out=result, mode="clip")
        return out
    planes = [images[..., c].astype(np.int32) for c in range(C)]
    total = sum(share * plane for share, plane in zip(GREY, planes, strict=True))
    common = grey * ((total + _HALF) >> FRACTION) + addend
    for c, plane in enumerate(planes):
        plane *= own
        plane += common
        out[..., c] = _as_bytes(plane)
    return out


def _as_bytes(fractions: NDArray[Any]) -> NDArray[Any]:
    """Whole numbers from 0 to 255, rounded and limited."""
    fractions += _HALF
    fractions >>= FRACTION
    return fractions.clip(0, 255).astype(np.uint8)


def _covered(
    images: NDArray[Any], hole: NDArray[Any], fill: NDArray[Any], out: NDArray[Any]
) -> NDArray[Any]:
    """Copies what is not in ``out`` already, and fills rectangles."""
    if images is not out:
        np.copyto(out, images)
    for image, rectangle in zip(out, hole, strict=True):
        image[_within(rectangle)] = fill
    return out


def _mixed(images: NDArray[Any], mix: NDArray[Any], some: slice, out: NDArray[Any]) -> NDArray[Any]:
    """Some of the images, mixed with their partners."""
    np.copyto(out, images[some])
    for image, (partner, weight, *rectangle) in zip(out, mix[some].tolist(), strict=True):
        there = _within(rectangle)
        total = image[there] * np.int32(weight) + images[partner][there] * np.int32(ONE - weight)
        image[there] = (total + _HALF) >> FRACTION
    return out


def _within(rectangle: Sequence[int] | NDArray[Any]) -> tuple[slice, slice]:
    """The rows and columns of a rectangle, without those before the image."""
    top, left, bottom, right = (max(0, int(each)) for each in rectangle)
    return slice(top, bottom), slice(left, right)
