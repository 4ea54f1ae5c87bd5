"""From bytes to a network's input: taking images, and augmenting and normalising them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.base import Backend
from gpucnn.backends.geometry import Shape
from gpucnn.backends.interface.arrays import Array
from gpucnn.bench.problems.base import ImageProblem, as_integers, total_bytes
from gpucnn.bench.timing import Run

_TO_CHOOSE_FROM = 4
"""Times as many images as are taken."""
_INDEX_BYTES = 8
_FLIP_AND_SHIFT_BYTES = 1 + 2 * 4
_SHARE_OF_SHIFT = 8
"""Images are shifted by at most 1/8 of their size, as 32×32 ones are by 4."""


class TakeImages(ImageProblem):
    """Copies N images out of four times as many, at random places."""

    operation = "take_images"

    @property
    def flops(self) -> int:
        """None: bytes are copied."""
        return 0

    @property
    def traffic(self) -> int:
        """The indices, and each image that is taken, read and written."""
        return self.N * _INDEX_BYTES + 2 * self.elements

    def input_shapes(self) -> Sequence[Shape]:
        """All images, and indices."""
        return (_TO_CHOOSE_FROM * self.N, *self.x_shape[1:]), (self.N,)

    def inputs(self) -> list[NDArray[np.float32]]:
        """No image is taken twice."""
        images, _ = super().inputs()
        order = np.random.default_rng(0).permutation(images.shape[0])
        return [_as_bytes(images), order[: self.N].astype(np.float32)]

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """The images taken."""
        images = as_integers(backend, arrays[0], np.uint8)
        indices = as_integers(backend, arrays[1], np.int64)
        return lambda: backend.take_images(images, indices)

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """The images taken."""
        images, indices = tensors[0].to(torch.uint8), tensors[1].long()
        return lambda: torch.index_select(images, 0, indices)


class Normalise(ImageProblem):
    """y = image · scale + offset, as in evaluation."""

    operation = "augment_images"

    @property
    def flops(self) -> int:
        """A multiply-add."""
        return 2 * self.elements

    @property
    def traffic(self) -> int:
        """A byte and a float for each element, and two vectors."""
        return self.elements + total_bytes(self.x_shape, (self.C,), (self.C,))

    def input_shapes(self) -> Sequence[Shape]:
        """Images, scale and offset."""
        return self.x_shape, (self.C,), (self.C,)

    def inputs(self) -> list[NDArray[np.float32]]:
        """Of images, whole numbers that a byte can have."""
        images, *vectors = super().inputs()
        return [_as_bytes(images), *vectors]

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """y."""
        images, scale, offset = as_integers(backend, arrays[0], np.uint8), *arrays[1:]
        return lambda: backend.augment_images(images, scale, offset)

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """y, in two calls: PyTorch has none for both."""
        images = tensors[0].to(torch.uint8)
        scale, offset = (vector[:, None, None] for vector in tensors[1:])
        return lambda: torch.mul(images, scale).add_(offset)


@dataclass(frozen=True)
class Augment(Normalise):
    """As ``Normalise``, of images that are flipped and shifted, as in training."""

    @property
    def traffic(self) -> int:
        """A flip and a shift for each image more."""
        return super().traffic + self.N * _FLIP_AND_SHIFT_BYTES

    def input_shapes(self) -> Sequence[Shape]:
        """Images, scale, offset, flips and shifts."""
        return *super().input_shapes(), (self.N,), (self.N, 2)

    def inputs(self) -> list[NDArray[np.float32]]:
        """Half of the images are flipped."""
        *others, flip, shift = super().inputs()
        most = max(1, self.size // _SHARE_OF_SHIFT)
        return [*others, (flip > 0.0).astype(np.float32), np.rint(shift).clip(-most, most)]

    def ours(self, backend: Backend, arrays: Sequence[Array]) -> Run:
        """y."""
        images, scale, offset = as_integers(backend, arrays[0], np.uint8), *arrays[1:3]
        flip, shift = (
            as_integers(backend, arrays[3], np.uint8),
            as_integers(backend, arrays[4], np.int32),
        )
        return lambda: backend.augment_images(images, scale, offset, flip, shift)

    def torch(self, torch: Any, tensors: Sequence[Any]) -> Run:
        """y, by indices of rows and columns, which are worked out each time; PyTorch has no call.

        The images are gathered as (N, H, W, C), so that pixels are moved whole.
        """
        images = tensors[0].to(torch.uint8).permute(0, 2, 3, 1).contiguous()
        scale, offset = tensors[1:3]
        flip, shift = tensors[3].bool()[:, None], tensors[4].long()
        number = torch.arange(self.N, device=images.device)[:, None, None]
        places = torch.arange(self.size, device=images.device)
        last = self.size - 1

        def reflected(indices: Any) -> Any:
            return last - (indices.abs() - last).abs()

        def run() -> Any:
            rows = reflected(places + shift[:, :1])
            columns = reflected(places + shift[:, 1:])
            columns = torch.where(flip, last - columns, columns)
            gathered = images[number, rows[:, :, None], columns[:, None, :]]
            return torch.mul(gathered, scale).add_(offset).permute(0, 3, 1, 2)

        return run


def _as_bytes(drawn: NDArray[np.float32]) -> NDArray[np.float32]:
    """Normally distributed numbers as grey values."""
    grey: NDArray[np.float32] = np.rint(128.0 + 64.0 * drawn).clip(0.0, 255.0)
    return grey


def batches(name: str, N: int, size: int, C: int) -> tuple[ImageProblem, ...]:
    """A training batch, taken and augmented, and one to evaluate."""
    return (
        TakeImages(name, N, size, C),
        Augment(name, N, size, C),
        Normalise(f"{name}-normalised", N, size, C),
    )
