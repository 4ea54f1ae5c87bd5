"""What becomes of a piece's sums while they are in the cache."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.numpy_backend.pieces import folded, tiled


def finish(
    sums: NDArray[Any],
    bias: NDArray[Any] | None,
    residual: NDArray[Any] | None,
    relu: bool,
) -> None:
    """sums + bias + residual, then max(…, 0), in place.

    Args:
        sums: (…, K), contiguous.
        bias: (K,), or None.
        residual: any view of the shape of ``sums``, or None.
        relu: whether values below 0 become 0.
    """
    rows = folded(sums.reshape(-1, sums.shape[-1]))
    if bias is not None:
        rows += tiled(bias, rows)
    if residual is not None:
        sums += residual
    if relu:  # not against a scalar, for which NumPy has no vectorised loop
        np.maximum(rows, np.zeros(rows.shape[1], rows.dtype), out=rows)
