"""Launches of batch normalisation: sums over chunks of rows, their joins, and maps of all rows.

Kernels are compiled for the width of a vector alone: all layers of a network whose channels a
vector divides share them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gpucnn.launch.channel_rows import Chunks, channel_block
from gpucnn.launch.choice import Choice
from gpucnn.launch.launch import Argument, Launch, Scalar, Workspace, as_int, launch, number
from gpucnn.launch.machine import Machine
from gpucnn.launch.planning import plans
from gpucnn.operations.normalisation import BatchNormForward, BatchNormInference, Normalisation
from gpucnn.operations.normalisation_gradients import BatchNormGradients

_KEPT = Scalar(np.dtype(np.float32), lambda numbers: 1.0 - numbers["momentum"])
"""The share of the running statistics that stays."""


@plans(BatchNormForward)
def _forward(problem: BatchNormForward, machine: Machine, _choice: Choice) -> tuple[Launch, ...]:
    plan = _Plan("batch_norm_forward.cu", problem, machine)
    means, squares = plan.workspace("means"), plan.workspace("squares")
    statistics = ("running_mean", "running_variance", "mean", "inverse_std")
    numbers = (_KEPT, number("momentum"), number("epsilon"))
    vectors = ("scale", "shift", "mean", "inverse_std")
    return (
        plan.sum_chunks("batch_norm_statistics_of_chunks", ("x", means, squares)),
        plan.join(
            "batch_norm_statistics_join",
            (means, squares, *statistics, *numbers, *plan.chunks.arguments),
        ),
        plan.map_rows("batch_norm_values", ("x", "residual", *vectors, _lowest(problem), "y")),
    )


@plans(BatchNormInference)
def _inference(
    problem: BatchNormInference, machine: Machine, _choice: Choice
) -> tuple[Launch, ...]:
    plan = _Plan("batch_norm_inference.cu", problem, machine)
    vectors = ("scale", "shift", "mean", "variance")
    arguments = ("x", "residual", *vectors, number("epsilon"), _lowest(problem), "y")
    return (plan.map_rows("batch_norm_inference", arguments),)


@plans(BatchNormGradients)
def _gradients(
    problem: BatchNormGradients, machine: Machine, _choice: Choice
) -> tuple[Launch, ...]:
    """With a residual, the first launch leaves what of dy passes the ReLU in dresidual."""
    plan = _Plan("batch_norm_gradients.cu", problem, machine)
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
    """What the launches of a problem have in common.

    Attributes:
        chunks: of rows, each summed by itself.
    """

    def __init__(self, file: str, problem: Normalisation, machine: Machine) -> None:
        self._file = file
        self._rows, self._dtypes = problem.rows, problem.dtypes
        self._C = as_int(problem.channels, "C")
        self._block = block = channel_block(self._C.item())
        as_int(block.C * block.rows, f"C · {block.rows}")
        self._join_threads = block.threads_to_join(machine)
        self._constants = {"WIDTH": block.width}
        self.chunks = block.chunks_to_sum(problem.rows, machine)

    def workspace(self, name: str) -> Workspace:
        """(C, chunks), for what is found in the chunks."""
        return Workspace(name, (self._block.C, self.chunks.count), self._dtypes.accumulation)

    def sum_chunks(self, kernel: str, arguments: Sequence[Argument | str]) -> Launch:
        """A block for each chunk of some channels."""
        return self._over(self.chunks, kernel, arguments)

    def join(self, kernel: str, arguments: Sequence[Argument | str]) -> Launch:
        """A block for each channel; the number of chunks is passed after the arguments."""
        to_join = (*arguments, as_int(self.chunks.count, "chunks"))
        grid, block = (self._block.C,), (self._join_threads,)
        return launch(self._file, kernel, grid, to_join, block, self._constants)

    def map_rows(self, kernel: str, arguments: Sequence[Argument | str]) -> Launch:
        """A result for every row."""
        return self._over(self._block.chunks_to_map(self._rows), kernel, arguments)

    def _over(self, chunks: Chunks, kernel: str, arguments: Sequence[Argument | str]) -> Launch:
        """Rows, the length of a chunk, and C are passed after the arguments."""
        grid = (self._block.columns, chunks.count)
        every = (*arguments, *chunks.arguments, self._C)
        return launch(self._file, kernel, grid, every, self._block.shape, self._constants)
