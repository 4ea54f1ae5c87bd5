"""What the operations are: problems, independent of what carries them out.

``OPERATIONS`` has them all. Nothing here knows a backend, a kernel or a device.
"""

from gpucnn.operations import (  # noqa: F401
    activation,
    augmentation,
    average,
    clipping,
    convolution,
    dropout,
    global_pooling,
    guard,
    images,
    loss,
    matrix,
    metrics,
    normalisation,
    normalisation_gradients,
    optimizer,
    pooling,
    regression,
    soft_targets,
)
from gpucnn.operations.problem import FP32, FP64, OPERATIONS, Dtypes, Operand, Problem, Timed

__all__ = ["FP32", "FP64", "OPERATIONS", "Dtypes", "Operand", "Problem", "Timed"]
