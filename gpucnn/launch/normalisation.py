"""Launches of batch normalisation: sums over chunks of rows, their joins, and maps of all rows.

Kernels are compiled for the width of a vector alone: all layers of a network whose channels a
vector divides share them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gpucnn.launch.channel_rows import channel_block
from gpucnn.launch.choice import Choice
from gpucnn.launch.launch import Argument, Launch, Scalar, Workspace, as_int, launch, number
from gpucnn.launch.machine import Machine
from gpucnn.launch.planning import plans
from gpucnn.operations.normalisation import (
    BatchNormalisation,
    BatchNormForward,
    BatchNormInference,
    Normalisation,
)
from gpucnn.operations.normalisation_gradients import BatchNormGradients

_KEPT = Scalar(np.dtype(np.float32), lambda numbers: 1.0 - numbers["momentum"])
"""The share of the running statistics that stays."""


@plans(BatchNormForward)
def _forward(problem: BatchNormForward, machine: Machine, _choice: Choice) -> tuple[Launch, ...]:
    plan = _SumPlan("batch_norm_forward.cu", problem, machine)
    means, squares = plan.workspace("means"), plan.workspace("squares")
    statistics = ("running_mean", "running_variance", "mean", "inverse_std")
    numbers = (_KEPT, number("momentum"), number("epsilon"))
    vectors = ("scale", "shift", "mean", "inverse_std")
    return (
        plan.sum_chunks("batch_norm_statistics_of_chunks", ("x", means, squares)),
        plan.join(
            "batch_norm_statistics_join",
            (means, squares, *statistics, *numbers, *plan.terms),
        ),
        plan.map_rows("batch_norm_values", ("x", "residual", *vectors, _lowest(problem), "y")),
    )


@plans(BatchNormInference)
def _inference(
    problem: BatchNormInference, _machine: Machine, _choice: Choice
) -> tuple[Launch, ...]:
    plan = _Plan("batch_norm_inference.cu", problem)
    vectors = ("scale", "shift", "mean", "variance")
    arguments = ("x", "residual", *vectors, number("epsilon"), _lowest(problem), "y")
    return (plan.map_rows("batch_norm_inference", arguments),)


@plans(BatchNormGradients)
def _gradients(
    problem: BatchNormGradients, machine: Machine, _choice: Choice
) -> tuple[Launch, ...]:
    """With a residual, the first launch leaves what of dy passes the ReLU in dresidual."""
    plan = _SumPlan("batch_norm_gradients.cu", problem, machine)
    sums, products = plan.workspace("sums"), plan.workspace("products")
    forward = ("x", "scale", "shift", "mean", "inverse_std")
    arriving = "dresidual" if problem.residual else "dy"
    share = np.float32(1.0 / max(problem.rows, 1))
    return (
        plan.sum_chunks(
            "batch_norm_gradients_of_chunks", ("dy", "y", *forward, "dresidual", sums, products)
        ),
        plan.join("batch_norm_gradients_join", (sums, products, "inverse_std", "dscale", "dshift")),
        plan.map_rows(
            "batch_norm_input_grad", (arriving, *forward, "dscale", "dshift", "dx", share)
        ),
    )


def _lowest(problem: Normalisation) -> np.float32:
    """What no result is below."""
    return np.float32(0.0 if problem.relu else -np.inf)


class _Plan:
    """What the launches of a problem have in common."""

    def __init__(self, file: str, problem: Normalisation) -> None:
        self._file = file
        self._rows, self._dtypes = problem.rows, problem.dtypes
        self._C = as_int(problem.channels, "C")
        self._block = block = channel_block(self._C.item())
        as_int(block.C * block.rows, f"C · {block.rows}")
        self._constants = {"WIDTH": block.width}

    def map_rows(self, kernel: str, arguments: Sequence[Argument | str]) -> Launch:
        """A result for every row; rows, the length of a chunk, and C follow the arguments."""
        chunks = self._block.chunks_to_map(self._rows)
        every = (*arguments, *chunks.arguments)
        return self._over(kernel, (chunks.count,), every)

    def _over(
        self, kernel: str, chunks: Sequence[int], arguments: Sequence[Argument | str]
    ) -> Launch:
        """A block for each chunk of some channels; C follows the arguments."""
        grid, block = (self._block.columns, *chunks), self._block
        every = (*arguments, self._C)
        return launch(self._file, kernel, grid, every, block.shape, self._constants)


class _SumPlan(_Plan):
    """Also of what sums over the rows of the batch, in shards.

    Attributes:
        terms: all rows, those of a full shard, and those of a chunk.
    """

    def __init__(self, file: str, problem: BatchNormalisation, machine: Machine) -> None:
        super().__init__(file, problem)
        shards = problem.row_shards
        chunks = self._block.chunks_to_sum(shards.length, machine)
        self._counts = shards.count, chunks.count
        self._join_threads = self._block.threads_to_join(machine)
        self.terms = np.int64(problem.rows), *chunks.arguments

    def workspace(self, name: str) -> Workspace:
        """(C, shards, chunks), for what is found in the chunks."""
        return Workspace(name, (self._block.C, *self._counts), self._dtypes.accumulation)

    def sum_chunks(self, kernel: str, arguments: Sequence[Argument | str]) -> Launch:
        """A block for each chunk of some channels; ``terms`` and C follow the arguments."""
        return self._over(kernel, self._counts[::-1], (*arguments, *self.terms))

    def join(self, kernel: str, arguments: Sequence[Argument | str]) -> Launch:
        """A block for each channel; the numbers of shards and of chunks follow the arguments."""
        shards, chunks = self._counts
        to_join = (*arguments, np.int32(shards), as_int(chunks, "chunks"))
        grid, block = (self._block.C,), (self._join_threads,)
        return launch(self._file, kernel, grid, to_join, block, self._constants)
