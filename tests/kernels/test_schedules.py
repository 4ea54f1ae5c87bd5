"""Results have the same bits in whatever order threads and blocks run, and on how many cores."""

import pytest

from gpucnn.backends import why_unavailable
from gpucnn.backends.devices.cuda.device import CudaDevice
from gpucnn.backends.devices.emulator_device import EmulatorDevice
from gpucnn.bench.ceilings import multiply_add
from gpucnn.check.cases import draw
from gpucnn.check.checker import Checker, run
from gpucnn.operations import OPERATIONS

SCHEDULES = [(seed, workers) for seed in (1, 2**40) for workers in (1, 2, 3)]
REPETITIONS = 3
ROUNDS = 1 << 17
"""Of multiply-adds: some milliseconds, longer than a case takes."""


def bits(outcome):
    return {name: array.tobytes() for name, array in outcome.items()}


@pytest.mark.skipif(bool(why_unavailable("emulator")), reason=why_unavailable("emulator"))
@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_same_bits_under_every_schedule(operation):
    checker = Checker("fast")
    cases = draw(operation, 4)
    checker.compile(cases)
    for case in cases:
        expected = bits(run(case, checker.backend(checker.devices[0])))
        for seed, workers in SCHEDULES:
            backend = checker.backend(EmulatorDevice(seed=seed, workers=workers))
            assert bits(run(case, backend)) == expected, case


@pytest.mark.gpu
@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_same_bits_on_a_gpu_that_is_at_work(operation):
    """What runs on another stream leaves a case's blocks other places, at other times."""
    checker = Checker("cuda")
    (device,) = checker.devices
    cases = draw(operation, 4)
    checker.compile(cases)
    backend = checker.backend(device)
    other_work = multiply_add(CudaDevice(), device.machine.multiprocessors, 256)
    for case in cases:
        expected = bits(run(case, backend))
        for _ in range(REPETITIONS):
            other_work(ROUNDS)
            assert bits(run(case, backend)) == expected, case
