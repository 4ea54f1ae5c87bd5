"""The NumPy backend over the cases that the kernels are checked with."""

import pytest

from gpucnn.check.cases import draw
from gpucnn.check.expected import expect
from gpucnn.operations import OPERATIONS


@pytest.mark.parametrize("operation", OPERATIONS)
def test_drawn_cases(uncompiled_backend, operation):
    be = uncompiled_backend
    for case in draw(operation, 12, seed=3):
        complaint = expect(case, be.dtype).complaint(case.run(be))
        assert not complaint, f"{case}: {complaint}"
