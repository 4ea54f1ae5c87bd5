"""Results have the same bits in whatever order threads and blocks run, and on how many cores."""

import numpy as np
import pytest

from gpucnn.backends import why_unavailable
from gpucnn.backends.devices.emulator.device import EmulatorDevice
from gpucnn.kernelcheck.check import Checker, run
from gpucnn.kernelcheck.problems import OPERATIONS, draw

if reason := why_unavailable("emulator"):
    pytest.skip(reason, allow_module_level=True)

SCHEDULES = [(seed, workers) for seed in (1, 2**40) for workers in (1, 2, 3)]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_same_bits(operation):
    checker = Checker("fast")
    problems = draw(operation, 4)
    checker.compile(problems)
    for problem in problems:
        expected = run(problem, checker.backend(checker.devices[0]))
        for seed, workers in SCHEDULES:
            backend = checker.backend(EmulatorDevice(seed=seed, workers=workers))
            outcome = run(problem, backend)
            for name, array in expected.items():
                np.testing.assert_array_equal(outcome[name].view(np.uint8), array.view(np.uint8))
