"""Every kernel and variant over drawn cases, against the operations' references, in all modes."""

import pytest

from gpucnn.check.cases import draw
from gpucnn.check.checker import run
from gpucnn.check.expected import expect
from gpucnn.errors import BackendError
from gpucnn.operations import OPERATIONS

WIDE = [name for name in OPERATIONS if "conv2d" in name or "pool2d" in name]
"""Those with most to go wrong."""
TILED = 72
"""Cases of matmul in which every tile meets every transposition."""


def check_all(checker, cases):
    checker.compile(cases)
    backend = checker.backend(checker.devices[0])
    wrong = []
    for case in cases:
        try:
            complaint = expect(case).complaint(run(case, backend))
        except BackendError as error:
            complaint = str(error)
        if complaint:
            wrong.append(f"{case}: {complaint}")
    assert not wrong, f"{len(wrong)} of {len(cases)}:\n" + "\n".join(wrong[:5])


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_few_cases(checker, operation):
    check_all(checker, draw(operation, 4 if checker.mode in ("fast", "cuda") else 1))


@pytest.mark.slow
@pytest.mark.parametrize("operation", OPERATIONS)
def test_more_cases(checker, operation):
    count = {"fast": 20 if operation in WIDE else 10, "cuda": 30}.get(checker.mode, 5)
    if operation == "matmul" and checker.mode in ("fast", "cuda"):
        count = TILED
    check_all(checker, draw(operation, count, seed=1))


@pytest.mark.exhaustive
@pytest.mark.parametrize("operation", OPERATIONS)
def test_many_cases(checker, operation):
    count = {"fast": 100 if operation in WIDE else 30, "cuda": 30}.get(checker.mode, 20)
    check_all(checker, draw(operation, count, seed=1))
