"""Arrays of a backend, the boundary to NumPy, and the checks that all operations share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from gpucnn.errors import ShapeError
from gpucnn.operations.problem import FP32, FP64, Dtypes, Problem, Shape


class Flags(Protocol):
    """How an array lies in memory."""

    @property
    def c_contiguous(self) -> bool:
        """Whether the elements follow one another in the order of their indices."""


class Array(Protocol):
    """An array of a backend: numpy.ndarray, or a device's own, such as cupy.ndarray."""

    @property
    def shape(self) -> Shape:
        """The length of each axis."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the elements."""

    @property
    def size(self) -> int:
        """The number of elements."""

    @property
    def nbytes(self) -> int:
        """The memory of all elements."""

    @property
    def flags(self) -> Flags:
        """How the array lies in memory."""

    def fill(self, value: int, /) -> None:
        """Sets all elements to one number."""

    def reshape(self, shape: Shape, /) -> Array:
        """A view with another shape."""

    def __getitem__(self, index: slice, /) -> Array:
        """A view of a part."""


class ArrayOperations(ABC):
    """Making arrays and moving them in and out.

    Attributes:
        name: the backend's name in ``get_backend``.
        precision: "fp32", or another that the backend offers.
        dtype: the dtype of activations, parameters and gradients.
    """

    _DTYPES: ClassVar[Mapping[str, Dtypes]] = {"fp32": FP32, "fp64": FP64}

    name: str
    precision: str
    dtype: np.dtype[Any]

    @cached_property
    def dtypes(self) -> Dtypes:
        """The arithmetic of the backend's problems."""
        return self._DTYPES[self.precision]

    @abstractmethod
    def empty(self, shape: tuple[int, ...], dtype: DTypeLike | None = None) -> Array:
        """A contiguous array with undefined contents; ``dtype`` None is the backend's own."""

    def zeros(self, shape: tuple[int, ...], dtype: DTypeLike | None = None) -> Array:
        """A contiguous array of zeros."""
        array = self.empty(shape, dtype)
        array.fill(0)
        return array

    @abstractmethod
    def asarray(self, array: ArrayLike, dtype: DTypeLike | None = None) -> Array:
        """A host array on the backend, contiguous; floating ones in the backend's dtype.

        Args:
            array: anything numpy.asarray takes.
            dtype: the wanted dtype; None keeps integers and converts floats to ``self.dtype``.
        """

    def upload(self, array: NDArray[Any]) -> Array:
        """As ``asarray``, for batches that follow one another; the dtype is kept.

        Operations that read the result must come before the next call, which may overwrite it.
        """
        return self.asarray(array, array.dtype)

    def write(self, array: Array, values: ArrayLike) -> None:
        """Copies values from the host into an array of the backend, in place.

        Args:
            array: contiguous.
            values: anything numpy.asarray takes, of the array's shape; or one number for all of it.

        Raises:
            ShapeError: values of another shape, or an array that is not contiguous.
        """
        host = np.asarray(values)
        if host.ndim and host.shape != array.shape:
            raise ShapeError(f"values of shape {host.shape} do not fit an array of {array.shape}")
        if not array.flags.c_contiguous:
            raise ShapeError(f"an array of shape {array.shape} that is not contiguous is written")
        whole = np.broadcast_to(host, array.shape)
        self._write(array, np.asarray(whole, array.dtype, order="C"))

    @abstractmethod
    def _write(self, array: Array, host: NDArray[Any]) -> None: ...

    @abstractmethod
    def to_numpy(self, array: Array) -> NDArray[Any]:
        """An array of the backend as a NumPy array of the caller's own (a copy)."""

    def run(self, problem: Problem, *arrays: Array | None, **numbers: float) -> list[Array]:
        """Carries out a problem, after a check that the arrays are those that it takes.

        Args:
            problem: what to do.
            arrays: of its ``takes`` and then of its ``gives``; None for a result stands for a new
                array, and for an array that the problem leaves out.
            numbers: by name.

        Returns:
            The arrays of ``gives`` that are not left out.

        Raises:
            ShapeError: an array of another shape or dtype, or one that is not contiguous.
        """
        used = list(arrays)
        first_result = len(problem.takes)
        for place, operand in enumerate(problem.operands):
            array = used[place]
            if array is None:
                if operand is not None:
                    if place < first_result:
                        self._refuse(problem, place, array)
                    used[place] = self.empty(operand.shape, operand.dtype)
            elif (
                operand is None
                or getattr(array, "shape", None) != operand.shape
                or array.dtype != operand.dtype
                or not array.flags.c_contiguous
                or self._is_misaligned(array)
            ):
                self._refuse(problem, place, array)
        self._carry_out(problem, used, numbers)
        return [array for array in used[first_result:] if array is not None]

    def _is_misaligned(self, array: Array) -> bool:
        """Whether an array begins where the backend cannot read it."""
        return False

    def _refuse(self, problem: Problem, place: int, array: Array | None) -> None:
        """Raises ShapeError for the argument at a place of ``takes`` and ``gives``."""
        operand = problem.operands[place]
        name = (*problem.takes, *problem.gives)[place]
        if operand is None:
            raise ShapeError(f"{problem.operation} of {problem.text} takes no {name}")
        is_only_result = place >= len(problem.takes) and len(problem.gives) == 1
        self._check("out" if is_only_result else name, array, operand.shape, operand.dtype)

    @abstractmethod
    def _carry_out(
        self, problem: Problem, arrays: Sequence[Array | None], numbers: Mapping[str, float]
    ) -> None:
        """Carries out a problem on arrays that fit it."""

    def _shape(self, name: str, array: Array | None, dtype: DTypeLike | None = None) -> Shape:
        """The shape of what should be an array, of a dtype as in ``_check``."""
        shape: Shape | None = getattr(array, "shape", None)
        if shape is None:
            self._check(name, array, dtype=dtype)
            return ()
        return shape

    def _check(
        self,
        name: str,
        array: Array | None,
        shape: tuple[int, ...] | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        """Raises ShapeError unless the array is contiguous, of this shape and dtype.

        ``dtype`` None stands for the backend's floating dtype, ``shape`` None for any.
        """
        wanted = self.dtype if dtype is None else np.dtype(dtype)
        given = getattr(array, "dtype", type(array).__name__)
        if array is None or isinstance(given, str) or given != wanted:
            raise ShapeError(
                f"{name} is {given}; the {self.name} backend at {self.precision} takes {wanted} "
                f"here (use asarray)"
            )
        if shape is not None and array.shape != shape:
            raise ShapeError(f"{name} has shape {array.shape}, expected {shape}")
        if not array.flags.c_contiguous:
            raise ShapeError(f"{name} of shape {array.shape} is not contiguous (use asarray)")
