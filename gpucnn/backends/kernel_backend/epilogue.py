"""What becomes of finished sums before they are written (kernels/include/epilogue.cuh)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gpucnn.backends.interface.arrays import Array


@dataclass(frozen=True)
class Epilogue:
    """A bias along the last axis, a residual branch of the result's shape, a ReLU: in that order.

    Attributes:
        bias: or None.
        residual: or None.
        relu: whether values below 0 become 0.
    """

    bias: Array | None = None
    residual: Array | None = None
    relu: bool = False

    @property
    def constants(self) -> dict[str, Any]:
        """What the kernels know at compile time."""
        return {
            "HAS_BIAS": self.bias is not None,
            "HAS_RESIDUAL": self.residual is not None,
            "RELU": self.relu,
        }


NO_EPILOGUE = Epilogue()
