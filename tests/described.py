"""Chosen arguments of an operation, checked against the operation's own reference."""

from gpucnn.kernelcheck.case import Case
from gpucnn.kernelcheck.reference import expect
from gpucnn.operations import OPERATIONS


def check(backend, operation, **arguments):
    """Outcomes are as expected. float32 arrays stand for the backend's own dtype."""
    problem = Case(OPERATIONS[operation], arguments)
    complaint = expect(problem, backend.dtype).complaint(problem.run(backend))
    assert not complaint, f"{problem}: {complaint}"
