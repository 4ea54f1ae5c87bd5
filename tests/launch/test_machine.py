"""Plans depend on the machine, and what each machine's plans compute is right."""

from dataclasses import replace

import pytest

from gpucnn.backends import why_unavailable
from gpucnn.check.cases import draw
from gpucnn.check.checker import Checker, run
from gpucnn.check.expected import expect
from gpucnn.errors import ShapeError
from gpucnn.launch import EMULATED, MACHINES, plan
from gpucnn.launch.launch import LARGEST_GRID, launch
from gpucnn.launch.machine import machine_of
from gpucnn.operations.convolution import Conv2dFilterGrad
from gpucnn.operations.geometry import conv2d_geometry
from gpucnn.operations.matrix import ChannelSum

LARGE = conv2d_geometry((64, 28, 28, 64), (64, 3, 3, 64), (1, 1), (1, 1), (1, 1), 1)
SUMS = ("conv2d_filter_grad", "channel_sum", "batch_norm_forward", "global_avg_pool2d_forward")
"""Operations whose sums are divided by the size of the machine."""


def test_blocks_are_about_so_many_on_each_multiprocessor():
    for machine in MACHINES.values():
        for each in (1, 2, 8, 32, 512):
            most = each * machine.multiprocessors
            assert most / 2 < machine.blocks(each) <= most
    assert [EMULATED.blocks(each) for each in (4, 8, 32, 512)] == [512, 1024, 4096, 65536]


def test_sums_are_cut_by_the_size_of_the_machine():
    counts = {
        name: plan(Conv2dFilterGrad(LARGE), machine)[0].grid for name, machine in MACHINES.items()
    }
    assert counts["sm_75"] != counts["sm_90a"]
    chunks = {
        machine.blocks(8): plan(ChannelSum((2**20, 4)), machine) for machine in MACHINES.values()
    }
    for most, launches in chunks.items():
        assert most / 2 <= launches[0].grid[1] <= most


def test_an_architecture_without_a_machine_has_the_limits_of_an_older_one():
    assert machine_of("sm_90a") == MACHINES["sm_90a"]
    assert machine_of("sm_87") == replace(MACHINES["sm_86"], architecture="sm_87")
    assert machine_of("sm_103a").multiprocessors == MACHINES["sm_100a"].multiprocessors
    assert machine_of("sm_60").threads == MACHINES["sm_70"].threads
    assert [machine.compute_capability for machine in MACHINES.values()] == [
        *(70, 75, 80, 86, 89, 90, 100, 120)
    ]


def test_a_plan_is_made_once():
    problem = ChannelSum((100, 4))
    assert plan(problem, EMULATED) is plan(ChannelSum((100, 4)), EMULATED)
    assert hash(plan(problem, EMULATED)) == hash(plan(problem, EMULATED))


def test_a_grid_beyond_what_a_gpu_has():
    launch("f.cu", "f", LARGEST_GRID, (), (1,))
    with pytest.raises(ShapeError, match=r"f would need a grid of \(1, 65536, 1\) blocks"):
        launch("f.cu", "f", (1, 65536), (), (1,))


@pytest.mark.slow
@pytest.mark.skipif(bool(why_unavailable("emulator")), reason=why_unavailable("emulator"))
@pytest.mark.parametrize("name", ["sm_75", "sm_120a"])
@pytest.mark.parametrize("operation", SUMS)
def test_the_plans_of_other_machines_are_right(operation, name):
    checker = Checker("fast", machine=MACHINES[name])
    cases = draw(operation, 12, seed=4)
    checker.compile(cases)
    for case in cases:
        complaint = expect(case).complaint(run(case, checker.backend(checker.devices[0])))
        assert not complaint, f"{case}: {complaint}"
