"""The NumPy backend over the problems that the kernels are checked with."""

import pytest

from gpucnn.kernelcheck.cases import draw
from gpucnn.kernelcheck.reference import expect
from gpucnn.operations import OPERATIONS


@pytest.mark.parametrize("operation", OPERATIONS)
def test_drawn_problems(uncompiled_backend, operation):
    be = uncompiled_backend
    for problem in draw(operation, 12, seed=3):
        complaint = expect(problem, be.dtype).complaint(problem.run(be))
        assert not complaint, f"{problem}: {complaint}"
