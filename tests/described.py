"""Chosen arguments of an operation, checked against the operation's own reference."""

from gpucnn.check.case import Case
from gpucnn.check.expected import expect
from gpucnn.operations import OPERATIONS


def check(backend, operation, **arguments):
    """Outcomes are as expected. float32 arrays stand for the backend's own dtype."""
    case = Case(OPERATIONS[operation], arguments)
    complaint = expect(case, backend.dtype).complaint(case.run(backend))
    assert not complaint, f"{case}: {complaint}"
