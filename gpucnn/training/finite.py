"""Finding where a loss or a gradient that is not finite came from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gpucnn.backends.interface.arrays import Array
from gpucnn.errors import NonFiniteError
from gpucnn.layers import Layer, Network, unfused
from gpucnn.training.remedy import remedy


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
        f"{remedy(network.backend)}"
    )


def _first_output(network: Network, x: Array) -> str:
    """The name of the first plain layer with such an output; empty if there is none."""
    found: list[str] = []
    plain = list(network.plain_layers())
    for layer in plain:
        layer.forward = _watched(layer, layer.forward, found)  # type: ignore[method-assign, assignment]
    try:
        with unfused(network.body):
            network.forward(x)
    finally:
        for layer in plain:
            del layer.forward
    return found[0] if found else ""


def _watched(
    layer: Layer, forward: Callable[[Array], Array], found: list[str]
) -> Callable[[Array], Array]:
    def run(x: Array) -> Array:
        y = forward(x)
        if not np.isfinite(layer.backend.to_numpy(y)).all():
            found.append(layer.name)
        return y

    return run


def _last_gradient(network: Network) -> str:
    for name, parameter in reversed(network.parameters().items()):
        if not np.isfinite(network.backend.to_numpy(parameter.gradient)).all():
            return name
    return ""
