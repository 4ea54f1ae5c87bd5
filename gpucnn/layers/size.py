"""Whether a network fits into memory at all, by arithmetic, before anything is allocated."""

from __future__ import annotations

import math

from gpucnn.errors import ShapeError
from gpucnn.layers.base import Layer
from gpucnn.units import byte_text


def check_size(body: Layer, itemsize: int, memory: int) -> None:
    """Refuses a network that cannot fit.

    Args:
        body: all layers, declared already.
        itemsize: bytes of a number.
        memory: of this machine, in bytes; initial weights are drawn there on every backend.

    Raises:
        ShapeError: the parameters with their gradients, or one layer's output for one image, take
            more than the memory.
    """
    plain = [layer for layer in body.walk() if not any(layer.children())]
    parameters = sum(p.size for layer in plain for p in layer.parameters.values())
    advice = f"this machine has {byte_text(memory)} of memory; make the model smaller"
    if (needed := 2 * itemsize * parameters) > memory:
        raise ShapeError(
            f"the model has {parameters:,} parameters, which with their gradients take "
            f"{byte_text(needed)}; {advice}"
        )
    for layer in plain:
        if (needed := itemsize * math.prod(layer.output_shape)) > memory:
            raise ShapeError(
                f'layer "{layer.name}" gives outputs of shape {layer.output_shape}, '
                f"{byte_text(needed)} for one image; {advice}"
            )
