"""Launches of batch normalisation, alone and with ReLU behind it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gpucnn.backends.devices.device import Argument
from gpucnn.backends.interface.arrays import Array
from gpucnn.backends.interface.normalisation import NormalisationOperations
from gpucnn.backends.kernel_backend.arrays import KernelArrays, as_int
from gpucnn.backends.kernel_backend.channel_rows import ChannelBlock, Chunks, channel_block

_FILE = "batch_norm.cu"


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
        y: Array,
        mean: Array,
        inverse_std: Array,
    ) -> None:
        self._forward(
            x, scale, shift, running_mean, running_variance, momentum, epsilon,
            y, mean, inverse_std, relu=False,
        )  # fmt: skip

    def _batch_norm_relu_forward(
        self,
        x: Array,
        scale: Array,
        shift: Array,
        running_mean: Array,
        running_variance: Array,
        momentum: float,
        epsilon: float,
        y: Array,
        mean: Array,
        inverse_std: Array,
    ) -> None:
        self._forward(
            x, scale, shift, running_mean, running_variance, momentum, epsilon,
            y, mean, inverse_std, relu=True,
        )  # fmt: skip

    def _batch_norm_inference(
        self,
        x: Array,
        scale: Array,
        shift: Array,
        mean: Array,
        variance: Array,
        epsilon: float,
        y: Array,
    ) -> None:
        arguments = (x, scale, shift, mean, variance, np.float32(epsilon), y)
        self._map_rows("batch_norm_inference", x, arguments, relu=False)

    def _batch_norm_relu_inference(
        self,
        x: Array,
        scale: Array,
        shift: Array,
        mean: Array,
        variance: Array,
        epsilon: float,
        y: Array,
    ) -> None:
        arguments = (x, scale, shift, mean, variance, np.float32(epsilon), y)
        self._map_rows("batch_norm_inference", x, arguments, relu=True)

    def _batch_norm_gradients(
        self,
        dy: Array,
        x: Array,
        scale: Array,
        mean: Array,
        inverse_std: Array,
        dx: Array,
        dscale: Array,
        dshift: Array,
    ) -> None:
        self._gradients(dy, x, scale, None, mean, inverse_std, dx, dscale, dshift, relu=False)

    def _batch_norm_relu_gradients(
        self,
        dy: Array,
        x: Array,
        scale: Array,
        shift: Array,
        mean: Array,
        inverse_std: Array,
        dx: Array,
        dscale: Array,
        dshift: Array,
    ) -> None:
        self._gradients(dy, x, scale, shift, mean, inverse_std, dx, dscale, dshift, relu=True)

    def _forward(
        self,
        x: Array,
        scale: Array,
        shift: Array,
        running_mean: Array,
        running_variance: Array,
        momentum: float,
        epsilon: float,
        y: Array,
        mean: Array,
        inverse_std: Array,
        relu: bool,
    ) -> None:
        block, rows = _block_and_rows(x)
        chunks = block.chunks_to_sum(rows)
        means, squares = self.empty((block.C, chunks.count)), self.empty((block.C, chunks.count))
        self._launch(
            _FILE,
            "batch_norm_statistics_of_chunks",
            (block.columns, chunks.count),
            (x, means, squares, *chunks.arguments),
            block.shape,
            **_constants(block, relu),
        )
        factors = np.float32(1.0 - momentum), np.float32(momentum), np.float32(epsilon)
        vectors = (running_mean, running_variance, mean, inverse_std)
        arguments = (means, squares, *vectors, *factors, *chunks.arguments)
        self._join("batch_norm_statistics_join", block, chunks, arguments, relu)
        self._map_rows("batch_norm_values", x, (x, scale, shift, mean, inverse_std, y), relu)

    def _gradients(
        self,
        dy: Array,
        x: Array,
        scale: Array,
        shift: Array | None,
        mean: Array,
        inverse_std: Array,
        dx: Array,
        dscale: Array,
        dshift: Array,
        relu: bool,
    ) -> None:
        block, rows = _block_and_rows(x)
        chunks = block.chunks_to_sum(rows)
        sums, products = self.empty((block.C, chunks.count)), self.empty((block.C, chunks.count))
        forward = (dy, x, scale, shift, mean, inverse_std)
        self._launch(
            _FILE,
            "batch_norm_gradients_of_chunks",
            (block.columns, chunks.count),
            (*forward, sums, products, *chunks.arguments),
            block.shape,
            **_constants(block, relu),
        )
        arguments = (sums, products, inverse_std, dscale, dshift)
        self._join("batch_norm_gradients_join", block, chunks, arguments, relu)
        share = np.float32(1.0 / rows)
        self._map_rows("batch_norm_input_grad", x, (*forward, dscale, dshift, dx, share), relu)

    def _join(
        self,
        function: str,
        block: ChannelBlock,
        chunks: Chunks,
        arguments: Sequence[Argument],
        relu: bool,
    ) -> None:
        """Launches a block a channel; the number of chunks is passed behind the arguments."""
        self._launch(
            _FILE,
            function,
            (block.C,),
            (*arguments, as_int(chunks.count, "chunks")),
            (block.join_threads,),
            **_constants(block, relu),
        )

    def _map_rows(self, function: str, x: Array, arguments: Sequence[Argument], relu: bool) -> None:
        """Launches over all rows; rows and length of a chunk are passed behind the arguments."""
        block, rows = _block_and_rows(x)
        chunks = block.chunks_to_map(rows)
        self._launch(
            _FILE,
            function,
            (block.columns, chunks.count),
            (*arguments, *chunks.arguments),
            block.shape,
            **_constants(block, relu),
        )


def _block_and_rows(x: Array) -> tuple[ChannelBlock, int]:
    C = as_int(x.shape[-1], "C").item()
    return channel_block(C), x.size // C


def _constants(block: ChannelBlock, relu: bool) -> dict[str, int]:
    return {**block.constants, "JOIN_THREADS": block.join_threads, "RELU": relu}
