"""Launches of batch normalisation, and of what often comes behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gpucnn.backends.devices.device import Argument
from gpucnn.backends.interface.arrays import Array
from gpucnn.backends.interface.normalisation import NormalisationOperations
from gpucnn.backends.kernel_backend.arrays import KernelArrays
from gpucnn.launch.channel_rows import ChannelBlock, Chunks, channel_block
from gpucnn.launch.launch import as_int

_FILE = "batch_norm.cu"


@dataclass(frozen=True)
class _Behind:
    """What comes behind the normalisation: a residual that is added, a ReLU."""

    residual: bool
    relu: bool


class KernelNormalisation(KernelArrays, NormalisationOperations):
    """Sums in two launches, over chunks of rows and over the chunks; then a launch for values."""

    def _batch_norm_forward(
        self,
        x: Array,
        scale: Array,
        shift: Array,
        running_mean: Array,
        running_variance: Array,
        momentum: float,
        epsilon: float,
        residual: Array | None,
        relu: bool,
        y: Array,
        mean: Array,
        inverse_std: Array,
    ) -> None:
        block, rows = _block_and_rows(x)
        chunks = block.chunks_to_sum(rows)
        means, squares = self.empty((block.C, chunks.count)), self.empty((block.C, chunks.count))
        behind = _Behind(residual is not None, relu)
        self._launch(
            _FILE,
            "batch_norm_statistics_of_chunks",
            (block.columns, chunks.count),
            (x, means, squares, *chunks.arguments),
            block.shape,
            **_constants(block, behind),
        )
        factors = np.float32(1.0 - momentum), np.float32(momentum), np.float32(epsilon)
        vectors = (running_mean, running_variance, mean, inverse_std)
        to_join = (means, squares, *vectors, *factors, *chunks.arguments)
        self._join("batch_norm_statistics_join", block, chunks, to_join, behind)
        to_map = (x, residual, scale, shift, mean, inverse_std, y)
        self._map_rows("batch_norm_values", x, to_map, behind)

    def _batch_norm_inference(
        self,
        x: Array,
        scale: Array,
        shift: Array,
        mean: Array,
        variance: Array,
        epsilon: float,
        residual: Array | None,
        relu: bool,
        y: Array,
    ) -> None:
        arguments = (x, residual, scale, shift, mean, variance, np.float32(epsilon), y)
        behind = _Behind(residual is not None, relu)
        self._map_rows("batch_norm_inference", x, arguments, behind)

    def _batch_norm_gradients(
        self,
        dy: Array,
        y: Array | None,
        x: Array,
        scale: Array,
        shift: Array | None,
        mean: Array,
        inverse_std: Array,
        dx: Array,
        dscale: Array,
        dshift: Array,
        dresidual: Array | None,
    ) -> None:
        """With a residual, the first launch leaves what comes through the ReLU in dresidual."""
        behind = _Behind(y is not None, y is not None or shift is not None)
        block, rows = _block_and_rows(x)
        chunks = block.chunks_to_sum(rows)
        sums, products = self.empty((block.C, chunks.count)), self.empty((block.C, chunks.count))
        forward = (x, scale, shift, mean, inverse_std)
        self._launch(
            _FILE,
            "batch_norm_gradients_of_chunks",
            (block.columns, chunks.count),
            (dy, y, *forward, dresidual, sums, products, *chunks.arguments),
            block.shape,
            **_constants(block, behind),
        )
        to_join = (sums, products, inverse_std, dscale, dshift)
        self._join("batch_norm_gradients_join", block, chunks, to_join, behind)
        arriving = dy if dresidual is None else dresidual
        to_map = (arriving, *forward, dscale, dshift, dx, np.float32(1.0 / rows))
        self._map_rows("batch_norm_input_grad", x, to_map, behind)

    def _join(
        self,
        function: str,
        block: ChannelBlock,
        chunks: Chunks,
        arguments: Sequence[Argument],
        behind: _Behind,
    ) -> None:
        """Launches a block a channel; the number of chunks is passed behind the arguments."""
        self._launch(
            _FILE,
            function,
            (block.C,),
            (*arguments, as_int(chunks.count, "chunks")),
            (block.join_threads,),
            **_constants(block, behind),
        )

    def _map_rows(
        self, function: str, x: Array, arguments: Sequence[Argument], behind: _Behind
    ) -> None:
        """Launches over all rows; rows and length of a chunk are passed behind the arguments."""
        block, rows = _block_and_rows(x)
        chunks = block.chunks_to_map(rows)
        self._launch(
            _FILE,
            function,
            (block.columns, chunks.count),
            (*arguments, *chunks.arguments),
            block.shape,
            **_constants(block, behind),
        )


def _block_and_rows(x: Array) -> tuple[ChannelBlock, int]:
    C = as_int(x.shape[-1], "C").item()
    return channel_block(C), x.size // C


def _constants(block: ChannelBlock, behind: _Behind) -> dict[str, int]:
    return {
        **block.constants,
        "JOIN_THREADS": block.join_threads,
        "HAS_RESIDUAL": behind.residual,
        "RELU": behind.relu,
    }
