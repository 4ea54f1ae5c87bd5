"""matplotlib, if it is installed."""

from __future__ import annotations

from typing import Any

from gpucnn.errors import BackendError, install_advice


def import_pyplot() -> Any:
    """``matplotlib.pyplot``, which only draws to files; BackendError if it is not installed."""
    try:
        import matplotlib
    except ImportError:
        raise BackendError(
            f"matplotlib is not installed, so no plot can be drawn: {install_advice('plot')}"
        ) from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot
