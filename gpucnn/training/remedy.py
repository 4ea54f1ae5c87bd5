"""What to do when a loss, a gradient or a weight is not finite."""

from __future__ import annotations

from gpucnn.backends.base import Backend
from gpucnn.text import shown


def remedy(backend: Backend) -> str:
    """The closing sentence of a message, without a full stop.

    Kernels of the user's own are suspected first: a missing barrier or a wrong index gives NaN at
    any learning rate.
    """
    if backend.kernels is None:
        return "Lower optimizer.learning_rate, add a warm-up, or set training.clip_norm"
    folder = shown(backend.kernels)
    return (
        f"A missing barrier or a wrong index in the kernels of {folder} can be the cause; check "
        f"them in race mode, which reports the line: "
        f"gpucnn kernels check --kernels {folder} --mode race"
    )
