"""Losses, gradients and weights that are not finite: where they came from, and the errors."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.base import Backend
from gpucnn.backends.interface.arrays import Array
from gpucnn.errors import NonFiniteError
from gpucnn.layers import Layer, Network, observed
from gpucnn.text import shown


def require_finite(arrays: Mapping[str, NDArray[Any]], step: int, backend: Backend) -> None:
    """Checks the state of a run.

    Args:
        arrays: of the network and the optimizer, by name, on the host.
        step: how many steps led to them.
        backend: that took the steps.

    Raises:
        NonFiniteError: an element of one is infinite or not a number; names the first such array.
    """
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise NonFiniteError(
                f'"{name}" is not finite after step {step}, so that step is not saved. '
                f"{_remedy(backend)}"
            )


def require_finite_loss(loss: float, split: str, backend: Backend) -> None:
    """Checks the loss that a run ends with.

    Args:
        loss: the mean over a split.
        split: its name.
        backend: that computed it.

    Raises:
        NonFiniteError: it is infinite or not a number.
    """
    if not np.isfinite(loss):
        raise NonFiniteError(
            f"the loss on the {split} split is not finite ({loss}): the training has diverged. "
            f"{_remedy(backend)}"
        )


def non_finite_error(network: Network, x: Array, step: int, loss: float) -> NonFiniteError:
    """The error for a step that was not taken, naming the layer to look at.

    That is the first layer whose output for the batch ``x`` is not finite, or else the last
    parameter whose gradient is not (backward goes from last to first).
    """
    what = "loss" if not np.isfinite(loss) else "gradient"
    forward = _first_output(network, x)
    if forward:
        place = f'the output of layer "{forward}" is the first that is not finite'
    else:
        gradient = _last_gradient(network)
        place = (
            f'the gradient of "{gradient}" is the first, going backward, that is not finite'
            if gradient
            else "all outputs and gradients of layers are finite, their sum is not"
        )
    return NonFiniteError(
        f"step {step}: the {what} is not finite, so the step was not taken; {place}. "
        f"{_remedy(network.backend)}"
    )


def _remedy(backend: Backend) -> str:
    """The closing sentence of a message, without a full stop."""
    return suspicion(backend) or (
        "Lower optimizer.learning_rate, add a warm-up, or set training.clip_norm"
    )


def suspicion(backend: Backend) -> str:
    """A sentence, without a full stop, on kernels of the user's own; empty if there are none.

    They are suspected first: a missing barrier or a wrong index gives NaN at any learning rate.
    """
    if backend.kernels is None:
        return ""
    folder = shlex.quote(shown(backend.kernels))
    return (
        f"A missing barrier or a wrong index in the kernels of {folder} can be the cause; check "
        f"them in race mode, which reports the line: "
        f"gpucnn kernels check --kernels {folder} --mode race"
    )


def _first_output(network: Network, x: Array) -> str:
    """The name of the first layer with such an output; empty if there is none."""
    found: list[str] = []

    def observe(layer: Layer, y: Array) -> None:
        if not found and not np.isfinite(network.backend.to_numpy(y)).all():
            found.append(layer.name)

    with observed(network.body, observe):
        network.forward(x)
    return found[0] if found else ""


def _last_gradient(network: Network) -> str:
    learning = ((name, p) for name, p in network.parameters().items() if p.learns)
    for name, parameter in reversed(list(learning)):
        if not np.isfinite(network.backend.to_numpy(parameter.gradient)).all():
            return name
    return ""
