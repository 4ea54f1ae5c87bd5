"""A problem: one operation at one shape, and all that is known of it without computing it.

Whoever lists, checks, draws, times, compiles or counts operations reads problems; nothing else
has a list of operations. A family's file has, for each operation of the family, the problem (which
checks itself when it is made), its cost, how arguments are drawn for it, a naive reference with the
bound of its rounding errors, the shapes worth timing, and the same in PyTorch.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gpucnn.errors import ConfigError
from gpucnn.operations.tracked import Tracked

Shape: TypeAlias = tuple[int, ...]
Arguments: TypeAlias = Mapping[str, Any]
"""By the names of an operation's parameters. float32 arrays stand for the backend's own dtype; one
array under two names is one array for the operation too, which then works in place."""
Expectation: TypeAlias = Mapping[str, "Tracked | NDArray[Any]"]
"""What a reference expects, by the names of results and of arguments that change. Plain arrays are
exact."""


@dataclass(frozen=True, eq=False)
class Dtypes:
    """The arithmetic of an operation; equal only to itself, so that it is hashed quickly.

    Attributes:
        storage: of activations, parameters and gradients that are read.
        accumulation: of sums.
        result: of activations, parameters and gradients that are written.
    """

    storage: np.dtype[Any]
    accumulation: np.dtype[Any]
    result: np.dtype[Any]


FP32 = Dtypes(*[np.dtype(np.float32)] * 3)
FP64 = Dtypes(*[np.dtype(np.float64)] * 3)


@dataclass(frozen=True)
class Operand:
    """An array that an operation reads or writes.

    Attributes:
        shape: of the array.
        dtype: of its elements.
    """

    shape: Shape
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """The memory that it takes."""
        return self.size * self.dtype.itemsize


@dataclass(frozen=True, eq=False)
class Timed:
    """A problem worth timing; equal only to itself.

    Attributes:
        name: the network and the layer that it is from, such as "resnet18-56".
        group: the list it belongs to, one of GROUPS.
        problem: what to time.
        numbers: the operation's numbers.
        values: of inputs that cannot be any normally distributed numbers: from those, the values.
    """

    name: str
    group: str
    problem: Problem
    numbers: Mapping[str, float] = field(default_factory=dict)
    values: Mapping[str, Callable[[NDArray[np.float32]], NDArray[Any]]] = field(
        default_factory=dict
    )


GROUPS = ("quick", "telling", "cifar", "lenet", "imagenet", "mobilenet")
"""Lists of shapes worth timing: "quick" is small enough for a CPU that plays a GPU; the others are
layers of well-known networks, and if time runs short, the last ones are left out."""


@dataclass(frozen=True)
class Problem(ABC):
    """One operation at one shape. Subclasses are frozen dataclasses: values, and hashable.

    A problem that exists is valid. Making one with sizes that do not fit raises ShapeError.

    Attributes:
        operation: the name of the backend's method.
        takes: names of the arrays that are read, or changed in place.
        gives: names of the arrays that are written and returned.
        changes: names of the arrays of ``takes`` that are changed in place.
        numbers: names of the numbers that may differ from run to run; they change no launch.
        dtypes: the arithmetic.
    """

    operation: ClassVar[str]
    takes: ClassVar[tuple[str, ...]]
    gives: ClassVar[tuple[str, ...]] = ()
    changes: ClassVar[tuple[str, ...]] = ()
    numbers: ClassVar[tuple[str, ...]] = ()
    dtypes: Dtypes = field(default=FP32, kw_only=True)

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "operation" in vars(cls):
            other = OPERATIONS.get(cls.operation)
            if other is not None and other.__module__ != cls.__module__:
                raise ConfigError(
                    f'there is an operation "{cls.operation}" already, in {other.__module__}; give '
                    f"yours another name"
                )
            OPERATIONS[cls.operation] = cls

    @classmethod
    def of(cls, dtypes: Dtypes, *fields: Any) -> Self:
        """The problem with these fields; one that was made lately is not made again."""
        problem: Self = _known(cls, dtypes, *fields)
        return problem

    @classmethod
    def call(cls, backend: Any, **arguments: Any) -> Any:
        """Carries out the operation on a backend, with arguments by name, and returns its results.

        That is the backend's method of the operation's name. An operation that has no method
        there, because it comes from a plugin, makes the problem here and passes it to ``run``.
        """
        return getattr(backend, cls.operation)(**arguments)

    @cached_property
    def operands(self) -> tuple[Operand | None, ...]:
        """The arrays of ``takes`` and then of ``gives``; None for one that is left out."""
        return tuple(self._operands())

    @abstractmethod
    def _operands(self) -> Iterable[Operand | None]: ...

    @cached_property
    def by_name(self) -> Mapping[str, Operand]:
        """The arrays that are not left out."""
        named = zip((*self.takes, *self.gives), self.operands, strict=True)
        return {name: operand for name, operand in named if operand is not None}

    @property
    def traffic(self) -> int:
        """The fewest bytes that are moved: inputs are read once, results written once."""
        read_again = sum(self.by_name[name].bytes for name in self.changes if name in self.by_name)
        return sum(operand.bytes for operand in self.by_name.values()) + read_again

    @property
    @abstractmethod
    def flops(self) -> int:
        """Floating-point operations; a multiply-add is two, a comparison, root or exp is one."""

    @property
    @abstractmethod
    def text(self) -> str:
        """The shape, as a table shows it, such as "64×56×56×64"."""

    @staticmethod
    @abstractmethod
    def draw(rng: np.random.Generator, number: int) -> Arguments:
        """Draws adversarial arguments: those of the problem of this number in a series."""

    reference: ClassVar[Callable[..., Expectation]]
    """What is expected of the arguments, by name, with float arrays as tracked numbers.

    It is in plain loops, and derives shapes from the arguments alone, so that a wrong size of the
    problem cannot hide.
    """

    in_torch: ClassVar[Callable[..., Any]]
    """The same in PyTorch: called with the module, what ``prepare_torch`` made, and the numbers by
    name; the first of the results, or all of them."""

    @classmethod
    def timed(cls) -> Iterable[Timed]:
        """The shapes worth timing."""
        return ()

    @classmethod
    def built(cls) -> Iterable[Problem]:
        """Further shapes that ``kernels build`` compiles: awkward ones that nobody would time.

        In each variant, and those that are matrix products in every tile.
        """
        return ()

    @classmethod
    def built_as_chosen(cls) -> Iterable[Problem]:
        """Further shapes that ``kernels build`` compiles, in the chosen variant and tile alone."""
        return ()

    def prepare_torch(self, torch: Any, *tensors: Any) -> Sequence[Any]:
        """What ``in_torch`` is called with, from tensors of ``takes``; made before the clock runs.

        Images, and filters, are tensors (N, C, H, W).
        """
        return tensors


@lru_cache(maxsize=8192)
def _known(kind: Callable[..., Any], dtypes: Dtypes, *fields: Any) -> Any:
    return kind(*fields, dtypes=dtypes)


OPERATIONS: dict[str, type[Problem]] = {}
"""Every operation, by the name of the backend's method, in the order of the families."""


def as_text(shape: Shape) -> str:
    """Such as "64×56×56×64"."""
    return "×".join(map(str, shape))
