"""Chosen arguments of an operation, checked against the operation's own reference."""

from gpucnn.kernelcheck.problem import Problem
from gpucnn.kernelcheck.problems import OPERATIONS
from gpucnn.kernelcheck.reference import expect


def check(backend, operation, **arguments):
    """Outcomes are as expected. float32 arrays stand for the backend's own dtype."""
    problem = Problem(OPERATIONS[operation], arguments)
    complaint = expect(problem, backend.dtype).complaint(problem.run(backend))
    assert not complaint, f"{problem}: {complaint}"
