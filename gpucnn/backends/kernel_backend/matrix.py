"""Launches of the matrix product, and of the sum over all axes but the last."""

from __future__ import annotations

from gpucnn.backends.interface.arrays import Array
from gpucnn.backends.interface.matrix import MatrixOperations
from gpucnn.backends.kernel_backend.epilogue import Epilogue
from gpucnn.backends.kernel_backend.slices import KernelSlices
from gpucnn.launch.channel_rows import channel_block
from gpucnn.launch.launch import as_int
from gpucnn.launch.slices import SHORTEST_SLICE, cut_product
from gpucnn.launch.tiles import gemm_tile

_CHANNEL_SUM = "channel_sum.cu"
_BATCH_ROWS = 64
"""Rows of a tile where the batch decides how many there are."""
_FEW_BLOCKS = 100
_SHORT_SLICE = 64
"""A slice's terms at least where there are few blocks: most multiprocessors have none then."""


class KernelMatrix(KernelSlices, MatrixOperations):
    """The product in tiles; the sum over chunks of rows, and then over the chunks."""

    def _matmul(
        self,
        a: Array,
        b: Array,
        transpose_a: bool,
        transpose_b: bool,
        bias: Array | None,
        relu: bool,
        product: Array,
    ) -> None:
        M, N = product.shape
        K = a.shape[0] if transpose_a else a.shape[1]
        # The rows of a that is not transposed are samples: how many must not select the kernel.
        tile = self.choice.tile or gemm_tile(M if transpose_a else _BATCH_ROWS, N)
        blocks = tile.blocks(M, N)
        shortest = SHORTEST_SLICE if blocks >= _FEW_BLOCKS else _SHORT_SLICE
        slices = cut_product(K, blocks, self.device.machine, shortest)
        partial = self._partial_sums(slices, product)
        rows_name, columns_name = ("K", "M") if transpose_a else ("M", "K")
        self._launch(
            "matmul.cu",
            "matmul",
            (blocks, 1, slices.count),
            (
                a,
                b,
                bias,
                product,
                partial,
                as_int(a.shape[0], rows_name),
                as_int(slices.length, "a slice"),
            ),
            (tile.threads,),
            N=as_int(N, "N").item(),
            A_COLUMNS=as_int(a.shape[1], columns_name).item(),
            TRANSPOSE_A=transpose_a,
            TRANSPOSE_B=transpose_b,
            HAS_BIAS=bias is not None,
            RELU=relu,
            **tile.constants,
        )
        self._sum_slices(slices, partial, product, Epilogue(bias, relu=relu))

    def _channel_sum(self, x: Array, total: Array) -> None:
        C = as_int(x.shape[-1], "C").item()
        block = channel_block(C)
        chunks = block.chunks_to_sum(x.size // C)
        constants = {**block.constants, "JOIN_THREADS": block.join_threads}
        partial = total if chunks.count == 1 else self.empty((C, chunks.count))
        self._launch(
            _CHANNEL_SUM,
            "channel_sum_of_chunks",
            (block.columns, chunks.count),
            (x, partial, *chunks.arguments),
            block.shape,
            **constants,
        )
        if partial is not total:
            self._launch(
                _CHANNEL_SUM,
                "channel_sum_join",
                (C,),
                (partial, total, as_int(chunks.count, "chunks")),
                (block.join_threads,),
                **constants,
            )
