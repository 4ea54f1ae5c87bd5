"""A wrong derived size of a problem cannot hide: references derive sizes from the arguments alone.

Each size that a problem or a geometry derives is made wrong, one at a time, and the drawn cases
must notice, on the NumPy backend or on the kernels.
"""

import inspect
import sys
from functools import cached_property

import pytest

from gpucnn.backends import get_backend, why_unavailable
from gpucnn.check.cases import draw
from gpucnn.check.checker import Checker
from gpucnn.check.expected import expect
from gpucnn.errors import GpucnnError
from gpucnn.operations import OPERATIONS, geometry
from gpucnn.operations.problem import Operand, Problem

OTHERS = {"flops", "traffic", "text", "multiply_adds", "by_name", "argmax_dtype"}
OTHERS |= {"row_shards", "batch_shards"}
"""What decides no result: costs, what ``operands`` says too, a dtype, and the order of sums, which
tests/backends/test_shards.py checks."""
CONVOLUTIONS = [name for name in OPERATIONS if name.startswith("conv2d")]
POOLINGS = [name for name in OPERATIONS if "_pool2d" in name and "global" not in name]
CASES = 12
"""Drawn for each operation."""

pytestmark = pytest.mark.usefixtures("no_caches")


def sizes():
    """(class, name) of every property of a problem or a geometry that is derived."""
    classes = [kind for problem in OPERATIONS.values() for kind in problem.__mro__]
    classes += [geometry.Conv2dGeometry, geometry.Pool2dGeometry]
    return sorted(
        {
            (kind, name)
            for kind in classes
            for name, value in vars(kind).items()
            if isinstance(value, property | cached_property)
            if name not in OTHERS and not name.startswith("_") and kind is not Problem
        },
        key=lambda each: (each[0].__name__, each[1]),
    )


def test_sizes_are_found():
    found = {f"{kind.__name__}.{name}" for kind, name in sizes()}
    assert found >= {"Normalisation.rows", "Matmul.sizes", "Conv2dGeometry.y_shape"}


@pytest.fixture
def no_caches():
    """What was worked out before, or with a wrong size, is forgotten."""
    clear_caches()
    yield
    clear_caches()


def clear_caches():
    for name, module in list(sys.modules.items()):
        if name.startswith(("gpucnn.operations", "gpucnn.launch")):
            for value in vars(module).values():
                if hasattr(value, "cache_clear"):
                    value.cache_clear()


def increased(value, axis):
    """A size that is one more, or sizes of which one is."""
    if isinstance(value, tuple):
        return (*value[:axis], value[axis] + 1, *value[axis + 1 :])
    return value + 1


def axes(kind, name):
    """How many sizes a property has."""
    annotation = inspect.get_annotations(getattr(kind, name).fget)["return"]
    return {"int": 1, "tuple[int, int, int]": 3}.get(str(annotation), 4)


@pytest.mark.parametrize(
    ("kind", "name", "axis"),
    [(kind, name, axis) for kind, name in sizes() for axis in range(axes(kind, name))],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_a_wrong_derived_size_is_noticed(kind, name, axis, monkeypatch):
    cases = drawn(*operations_of(kind))
    right = getattr(kind, name).fget
    monkeypatch.setattr(kind, name, property(lambda self: increased(right(self), axis)))
    assert is_noticed(cases)


@pytest.mark.parametrize("operation", [*CONVOLUTIONS, *POOLINGS])
@pytest.mark.parametrize("error", [-1, 1])
def test_a_wrong_length_of_the_output_is_noticed(operation, error, monkeypatch):
    cases = drawn(operation)
    right = geometry.output_size
    monkeypatch.setattr(geometry, "output_size", lambda *sizes: right(*sizes) + error)
    assert is_noticed(cases)


@pytest.mark.parametrize("operation", [name for name, kind in OPERATIONS.items() if kind.gives])
def test_a_wrong_shape_of_a_result_is_noticed(operation, monkeypatch):
    kind = OPERATIONS[operation]
    right = kind._operands

    def one_more(self):
        operands = list(right(self))
        place = len(self.takes)
        first = operands[place]
        shape = first.shape or (1,)
        operands[place] = Operand((*shape[:-1], shape[-1] + 1), first.dtype)
        return operands

    cases = drawn(operation)
    monkeypatch.setattr(kind, "_operands", one_more)
    assert is_noticed(cases)


def operations_of(kind):
    """Those whose problems are, or have, what is wrong."""
    if issubclass(kind, Problem):
        return [name for name, problem in OPERATIONS.items() if issubclass(problem, kind)]
    return CONVOLUTIONS if kind is geometry.Conv2dGeometry else POOLINGS


def drawn(*operations):
    """Cases, and forgets what was worked out for them."""
    cases = [case for operation in operations for case in draw(operation, CASES, seed=3)]
    clear_caches()
    return cases


def is_noticed(cases):
    """Whether a case fails, on NumPy or in race mode, in which no fault ends the process."""
    backend = get_backend("numpy")
    try:
        if any(expect(case, backend.dtype).complaint(case.run(backend)) for case in cases):
            return True
    except (GpucnnError, ValueError, IndexError):
        return True
    if why_unavailable("emulator"):
        return False
    try:
        return any(finding.complaint for finding in Checker("race").check_all(cases))
    except GpucnnError:
        return True
