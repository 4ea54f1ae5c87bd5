"""From bytes to a network's input: taking images, and moving and normalising them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gpucnn.errors import ShapeError
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

_Drawn: TypeAlias = NDArray[np.float32]
_Values: TypeAlias = Mapping[str, Callable[[_Drawn], NDArray[Any]]]

_BYTE, _INDEX, _PIXELS = np.dtype(np.uint8), np.dtype(np.int64), np.dtype(np.int32)
"""Of images and flips, of indices, of shifts."""
_BATCHES = (
    ("quick-batch", "quick", (16, 16, 16, 3)),
    ("resnet-batch", "telling", (64, 224, 224, 3)),
    ("resnet9-batch", "cifar", (512, 32, 32, 3)),
    ("lenet-batch", "lenet", (128, 28, 28, 1)),
)
"""Names, groups and shapes worth timing."""
_TO_CHOOSE_FROM = 4
"""Times as many images as are taken, in what is timed."""
_SHARE_OF_SHIFT = 8
"""Images that are timed are shifted by at most 1/8 of their size, as 32×32 ones are by 4."""


def _check_images(shape: Shape) -> None:
    if len(shape) != 4:
        raise ShapeError(f"images have shape {shape}; expected (N, H, W, C)")


def _grey_values(drawn: _Drawn) -> NDArray[Any]:
    return np.asarray(np.rint(128.0 + 64.0 * drawn).clip(0.0, 255.0))


def _some_of_all(drawn: _Drawn) -> NDArray[Any]:
    """As many indices, none of them twice."""
    order = np.random.default_rng(0).permutation(_TO_CHOOSE_FROM * drawn.size)
    return order[: drawn.size]


def _flips(drawn: _Drawn) -> NDArray[Any]:
    return np.asarray(drawn > 0.0)


def _shifts(most: int, drawn: _Drawn) -> NDArray[Any]:
    return np.asarray(np.rint(drawn).clip(-most, most))


@dataclass(frozen=True)
class TakeImages(Problem):
    """y[n] = images[indices[n]].

    Attributes:
        images: shape of all images, (M, H, W, C).
        indices: shape of the indices, (N,).

    Raises:
        ShapeError: other shapes.
    """

    operation = "take_images"
    takes, gives = ("images", "indices"), ("y",)
    images: Shape
    indices: Shape

    def __post_init__(self) -> None:
        _check_images(self.images)
        if len(self.indices) != 1:
            raise ShapeError(f"indices have shape {self.indices}; expected (N,)")

    @property
    def taken(self) -> Shape:
        """The shape of y, (N, H, W, C)."""
        return *self.indices, *self.images[1:]

    def _operands(self) -> Iterable[Operand]:
        yield Operand(self.images, _BYTE)
        yield Operand(self.indices, _INDEX)
        yield Operand(self.taken, _BYTE)

    @property
    def flops(self) -> int:
        """None: bytes are copied."""
        return 0

    @property
    def traffic(self) -> int:
        """Only the images that are taken are read."""
        return self.by_name["indices"].bytes + 2 * self.by_name["y"].bytes

    @property
    def text(self) -> str:
        """The shape of y."""
        return as_text(self.taken)

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """Images of a multiple of 16 bytes, of 4, and of neither; some taken twice."""
        H, W, C = ((4, 4, 3), (2, 3, 2), (5, 3, 1), (32, 33, 16))[number % 4]
        M = integer(rng, 1, 6)
        return {
            "images": rng.integers(0, 256, (M, H, W, C), np.uint8),
            "indices": rng.integers(0, M, integer(rng, 1, 8)),
        }

    @staticmethod
    def reference(images: NDArray[np.uint8], indices: NDArray[np.int64]) -> Expectation:
        """One by one."""
        return {"y": np.stack([images[index] for index in indices])}

    @classmethod
    def timed(cls) -> Iterable[Timed]:
        """A training batch, from some more images."""
        values: _Values = {"images": _grey_values, "indices": _some_of_all}
        for name, group, (N, *image) in _BATCHES:
            problem = cls((_TO_CHOOSE_FROM * N, *image), (N,))
            yield Timed(name, group, problem, values=values)

    @staticmethod
    def in_torch(torch: Any, images: Any, indices: Any) -> Any:
        """The same in PyTorch."""
        return torch.index_select(images, 0, indices)


@dataclass(frozen=True)
class AugmentImages(Problem):
    """y[n,h,w,c] = images[n, ρ(h + shift[n,0]), σ(ρ(w + shift[n,1])), c] · scale[c] + offset[c].

    ρ reflects an index at the borders without repeating the edge; σ mirrors it if flip[n] is 1.

    Attributes:
        images: shape of the images, (N, H, W, C).
        flips: whether there are flips, (N,).
        shifts: whether there are shifts of rows and columns, (N, 2).

    Raises:
        ShapeError: another shape of images.
    """

    operation = "augment_images"
    takes, gives = ("images", "scale", "offset", "flip", "shift"), ("y",)
    images: Shape
    flips: bool
    shifts: bool

    def __post_init__(self) -> None:
        _check_images(self.images)

    def _operands(self) -> Iterable[Operand | None]:
        N, _, _, C = self.images
        yield Operand(self.images, _BYTE)
        yield Operand((C,), self.dtypes.storage)
        yield Operand((C,), self.dtypes.storage)
        yield Operand((N,), _BYTE) if self.flips else None
        yield Operand((N, 2), _PIXELS) if self.shifts else None
        yield Operand(self.images, self.dtypes.result)

    @property
    def flops(self) -> int:
        """A multiply-add for each element."""
        return 2 * math.prod(self.images)

    @property
    def text(self) -> str:
        """The shape of the images."""
        return as_text(self.images)

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """With and without flips and shifts."""
        N, H, W = integer(rng, 1, 5), integer(rng, 1, 9), integer(rng, 1, 9)
        C = chosen(rng, 1, 3, 4)
        if number % 5 == 1:
            H, W, C = 1, 1, chosen(rng, 1, 3)  # fewer elements than a thread takes
        flip = rng.integers(0, 2, N, np.uint8) if number % 2 else None
        rows, columns = rng.integers(1 - H, H, N), rng.integers(1 - W, W, N)
        shift = np.stack([rows, columns], 1).astype(np.int32) if number // 2 % 2 else None
        return {
            "images": rng.integers(0, 256, (N, H, W, C), np.uint8),
            "scale": normal(rng, C),
            "offset": normal(rng, C),
            "flip": flip,
            "shift": shift,
        }

    @staticmethod
    def reference(
        images: NDArray[np.uint8],
        scale: Tracked,
        offset: Tracked,
        flip: NDArray[np.uint8] | None,
        shift: NDArray[np.int32] | None,
    ) -> Expectation:
        """Each pixel from its place in the source; bytes are exact."""
        N, H, W, _ = images.shape
        pixels = []
        for n in range(N):
            down, right = (0, 0) if shift is None else map(int, shift[n])
            for h in range(H):
                for w in range(W):
                    row, column = _reflected(h + down, H), _reflected(w + right, W)
                    if flip is not None and flip[n]:
                        column = W - 1 - column
                    source = Tracked(images[n, row, column], dtype=scale.dtype)
                    pixels.append(source * scale + offset)
        return {"y": stack(pixels).reshape(*images.shape)}

    @classmethod
    def timed(cls) -> Iterable[Timed]:
        """A batch to train with, and one to evaluate, which is not moved."""
        for name, group, shape in _BATCHES:
            shift = partial(_shifts, max(1, shape[1] // _SHARE_OF_SHIFT))
            values: _Values = {"images": _grey_values, "flip": _flips, "shift": shift}
            yield Timed(name, group, cls(shape, True, True), values=values)
            normalised = cls(shape, False, False)
            yield Timed(f"{name}-normalised", group, normalised, values=values)

    @classmethod
    def built(cls) -> Iterable[Problem]:
        """With one kind of move alone."""
        return [cls((512, 32, 32, 3), *moves) for moves in ((True, False), (False, True))]

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


def _reflected(index: int, size: int) -> int:
    while not 0 <= index < size:
        index = -index if index < 0 else 2 * (size - 1) - index
    return index
