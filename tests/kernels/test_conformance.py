"""Every kernel and variant over drawn problems, against naive loops, in all modes.

The oracle shares no code with the kernels, nor with the reference of ``gpucnn kernels check``.
"""

import pytest
from expectations import check

from gpucnn.backends import why_unavailable
from gpucnn.kernelcheck.check import Checker, run
from gpucnn.kernelcheck.problems import OPERATIONS, draw

if reason := why_unavailable("emulator"):
    pytest.skip(reason, allow_module_level=True)

MODES = ("fast", "race", "sanitize")
WIDE = [name for name in OPERATIONS if "conv2d" in name or "pool2d" in name]
"""Those with most to go wrong."""


def check_all(mode, problems):
    checker = Checker(mode)
    checker.compile(problems)
    backend = checker.backend(checker.devices[0])
    wrong = []
    for problem in problems:
        try:
            check(problem, run(problem, backend))
        except Exception as error:
            wrong.append(f"{problem}: {error}")
    assert not wrong, f"{len(wrong)} of {len(problems)}:\n" + "\n".join(wrong[:5])


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("mode", MODES)
def test_a_few_problems(mode, operation):
    check_all(mode, draw(operation, 4 if mode == "fast" else 1))


@pytest.mark.slow
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("mode", MODES)
def test_many_problems(mode, operation):
    count = 20
    if mode == "fast":
        count = 100 if operation in WIDE else 30
    check_all(mode, draw(operation, count, seed=1))
