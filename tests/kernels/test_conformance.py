"""Every kernel and variant over drawn cases, against the operations' references, in all modes."""

import pytest

from gpucnn.errors import BackendError
from gpucnn.kernelcheck.cases import draw
from gpucnn.kernelcheck.check import run
from gpucnn.kernelcheck.reference import expect
from gpucnn.operations import OPERATIONS

WIDE = [name for name in OPERATIONS if "conv2d" in name or "pool2d" in name]
"""Those with most to go wrong."""
TILED = 72
"""Cases of matmul in which every tile meets every transposition."""


def check_all(checker, problems):
    checker.compile(problems)
    backend = checker.backend(checker.devices[0])
    wrong = []
    for problem in problems:
        try:
            complaint = expect(problem).complaint(run(problem, backend))
        except BackendError as error:
            complaint = str(error)
        if complaint:
            wrong.append(f"{problem}: {complaint}")
    assert not wrong, f"{len(wrong)} of {len(problems)}:\n" + "\n".join(wrong[:5])


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_few_problems(checker, operation):
    check_all(checker, draw(operation, 4 if checker.mode in ("fast", "cuda") else 1))


@pytest.mark.slow
@pytest.mark.parametrize("operation", OPERATIONS)
def test_more_problems(checker, operation):
    count = {"fast": 20 if operation in WIDE else 10, "cuda": 30}.get(checker.mode, 5)
    if operation == "matmul" and checker.mode in ("fast", "cuda"):
        count = TILED
    check_all(checker, draw(operation, count, seed=1))


@pytest.mark.exhaustive
@pytest.mark.parametrize("operation", OPERATIONS)
def test_many_problems(checker, operation):
    count = {"fast": 100 if operation in WIDE else 30, "cuda": 30}.get(checker.mode, 20)
    check_all(checker, draw(operation, count, seed=1))
