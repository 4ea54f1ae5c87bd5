"""Which parameters of a network learn, and how fast: factors of the rate, by patterns of names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import accumulate

from gpucnn.errors import ConfigError, shortened
from gpucnn.layers.base import Parameter
from gpucnn.operations.geometry import ceil_divide

_ALIGNMENT = 32
"""Every parameter starts at a multiple of so many elements, for vector loads."""
_SHOWN = 8
"""Names in a message."""


@dataclass(frozen=True)
class Segment:
    """A range of a network's vectors in which one optimizer step treats all elements alike.

    Attributes:
        start, stop: of the range.
        rate_factor: what the learning rate is multiplied by.
        decay: whether weight decay applies.
    """

    start: int
    stop: int
    rate_factor: float
    decay: bool


def set_rate_factors(parameters: Mapping[str, Parameter], factors: Mapping[str, float]) -> None:
    """Sets the ``rate_factor`` of each parameter that a pattern matches.

    A pattern has the wildcards of file names (``*``, ``?``, ``[…]``); ``*`` matches dots too. It
    matches a parameter if it matches the whole name, or the name of a layer that the parameter
    belongs to. If several do, the last one counts. With "!" before it, it takes back what froze a
    parameter: ``{"*": 0, "!13.linear": 0}`` freezes all but one layer.

    Args:
        parameters: of a network, by name.
        factors: by pattern; 0 freezes, or with "!" does not.

    Raises:
        ConfigError: a pattern that matches nothing, or nothing that learns is left.
    """
    unfrozen = dict.fromkeys(parameters, 1.0)
    for pattern, factor in factors.items():
        bare = pattern.removeprefix("!")
        matched = [name for name in parameters if _matches(name, bare)]
        if not matched:
            raise ConfigError(
                f'the pattern "{shortened(pattern)}" matches no parameter of the model; they are: '
                f"{_listed(list(parameters))}"
            )
        for name in matched:
            unfrozen[name] = factor or unfrozen[name]
            parameters[name].rate_factor = factor if bare == pattern else unfrozen[name]
    if factors and not any(parameter.learns for parameter in parameters.values()):
        raise ConfigError("all parameters of the model are frozen, so nothing would learn")


def _matches(name: str, pattern: str) -> bool:
    """Whether a pattern matches a parameter's name, or that of a layer which has it."""
    paths = accumulate(name.split("."), lambda path, part: f"{path}.{part}")
    return any(fnmatchcase(path, pattern) for path in paths)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more (gpucnn summary)" if more > 0 else "")


def arrange(parameters: Sequence[Parameter]) -> tuple[list[int], int, list[Segment]]:
    """Where each parameter lies in a network's vectors, so that those treated alike are together.

    Those that learn come first, by their rate factor in order of appearance; of each factor, first
    the weights, which decay. So a step needs two launches for each factor, whatever the number of
    parameters, and without factors the order is: weights, then the rest.

    Returns:
        For each parameter, where it starts; the length of all; and the segments of what learns.
    """
    learning = dict.fromkeys(p.rate_factor for p in parameters if p.learns)
    kinds = [(factor, decay) for factor in learning for decay in (True, False)]
    starts, end, segments = [0] * len(parameters), 0, []
    for factor, decay in [*kinds, (0.0, True), (0.0, False)]:
        first = end
        for index, parameter in enumerate(parameters):
            if (parameter.rate_factor, parameter.decay) == (factor, decay):
                starts[index] = end
                end += aligned(parameter.size)
        if factor and end > first:
            segments.append(Segment(first, end, factor, decay))
    return starts, end, segments


def aligned(size: int) -> int:
    """The elements that so many take up in a vector, so that the next ones begin where they may."""
    return ceil_divide(size, _ALIGNMENT) * _ALIGNMENT
