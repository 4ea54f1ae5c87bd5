"""Launches of the sum over all axes but the last."""

from __future__ import annotations

from gpucnn.backends.interface.arrays import Array
from gpucnn.backends.interface.matrix import MatrixOperations
from gpucnn.backends.kernel_backend.arrays import KernelArrays, as_int
from gpucnn.backends.kernel_backend.channel_rows import channel_block

_FILE = "channel_sum.cu"


class KernelMatrix(KernelArrays, MatrixOperations):
    """Sums over chunks of rows, and then over the chunks."""

    def _channel_sum(self, x: Array, total: Array) -> None:
        C = as_int(x.shape[-1], "C").item()
        block = channel_block(C)
        chunks = block.chunks_to_sum(x.size // C)
        constants = {**block.constants, "JOIN_THREADS": block.join_threads}
        partial = total if chunks.count == 1 else self.empty((C, chunks.count))
        self._launch(
            _FILE,
            "channel_sum_of_chunks",
            (block.columns, chunks.count),
            (x, partial, *chunks.arguments),
            block.shape,
            **constants,
        )
        if partial is not total:
            self._launch(
                _FILE,
                "channel_sum_join",
                (C,),
                (partial, total, as_int(chunks.count, "chunks")),
                (block.join_threads,),
                **constants,
            )
