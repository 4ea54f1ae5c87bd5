"""How the tensor cores of each architecture add up products.

``include/tensor_core.h`` describes the model, and where the numbers are from.
"""

from __future__ import annotations

from typing import NamedTuple


class TensorCore(NamedTuple):
    """A tensor core, as far as results depend on it; the runtime's TensorCore (interface.h).

    Attributes:
        fraction_bits: that are kept below the largest exponent of all terms; 0 if each addition is
            rounded to nearest.
        products: of operands of 16 bits, that are added at once; of TF32 half as many.
        least_exponent: what terms are aligned to if all are smaller.
    """

    fraction_bits: int
    products: int
    least_exponent: int


TO_NEAREST = TensorCore(0, 0, 0)
_SINCE = {
    70: TensorCore(23, 4, -131),
    75: TensorCore(24, 8, -132),
    90: TensorCore(25, 16, -133),
}
"""By the first compute capability that has it."""
EMULATED = _SINCE[90]
"""That of the H100, which the emulator stands in for if nothing else is asked for."""


def tensor_core_of(compute_capability: int) -> TensorCore:
    """The tensor core of an architecture; of the oldest that is known for an older one.

    Args:
        compute_capability: such as 90.
    """
    return _SINCE[max((since for since in _SINCE if since <= compute_capability), default=70)]
