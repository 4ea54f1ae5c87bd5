"""matplotlib, where it is installed."""

from __future__ import annotations

from typing import Any

from gpucnn.errors import BackendError


def import_pyplot() -> Any:
    """``matplotlib.pyplot``, which draws to files alone; BackendError where it is not installed."""
    try:
        import matplotlib
    except ImportError:
        raise BackendError(
            'matplotlib is not installed, so no plot can be drawn: pip install "gpucnn[plot]"'
        ) from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot
