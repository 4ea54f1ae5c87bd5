"""What FP32 can hold: the precision in which a network is trained."""

from __future__ import annotations

from gpucnn.errors import ConfigError

_LARGEST = 3.4028234663852886e38
_SMALLEST = 7.1e-46
"""From here on, numbers are rounded to the smallest of FP32, 1.4e-45, rather than to 0."""
_BELOW_ONE = 1.0 - 2.0**-25
"""From here on, numbers below 1 are rounded to 1."""


def require_fp32(**numbers: float | None) -> None:
    """Checks numbers by their names; None is passed over.

    Raises:
        ConfigError: FP32 would make one infinite, or 0 although it is not.
    """
    for name, number in numbers.items():
        if number is None or number == 0 or _SMALLEST <= abs(number) <= _LARGEST:
            continue
        if abs(number) > _LARGEST:
            raise ConfigError(
                f"{name} is {number}; FP32, in which networks are trained, ends at {_LARGEST:.2g}"
            )
        raise ConfigError(
            f"{name} is {number}; FP32, in which networks are trained, would make it 0: it must "
            f"be at least {_SMALLEST:.2g}"
        )


def is_below_one(number: float) -> bool:
    """Whether a number is below 1 in FP32 too, which rounds 0.99999999 to 1."""
    return number < _BELOW_ONE
