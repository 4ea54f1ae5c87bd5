"""What ``kernels build`` compiles: every operation, kernel, variant and tile."""

from itertools import product

import pytest
from kernel_names import kernels_of

from gpucnn.backends.base import Backend
from gpucnn.backends.devices.planner import PlanningDevice
from gpucnn.backends.devices.source import KERNELS, KernelSource
from gpucnn.backends.kernel_backend import KernelBackend
from gpucnn.bench import ceilings
from gpucnn.inspect.build import plan_build
from gpucnn.inspect.representative import run_all
from gpucnn.launch import variants_of
from gpucnn.launch.tiles import TILES
from gpucnn.launch.variants import Variant
from gpucnn.operations.convolution import Conv2dFilterGrad, Conv2dForward, Conv2dInputGrad


def test_the_representative_problems_take_every_operation_and_kernel():
    """An operation or kernel that is missed here would be missed by ``kernels build`` too."""
    launched, called = set(), set()

    class Recording(PlanningDevice):
        def launch(self, kernel, *arguments):
            launched.add(str(kernel))
            super().launch(kernel, *arguments)

    class Listening(KernelBackend):
        def __getattribute__(self, name):
            called.add(name)
            return super().__getattribute__(name)

    device = Recording()
    run_all(Listening(device))
    assert called >= Backend.__abstractmethods__ - {"asarray", "to_numpy", "_write"}
    for path in KERNELS.glob("*.cu"):
        if path.name == "ceiling.cu":  # for measurements; no operation launches it
            assert ceilings.SOURCE in device.sources
        else:
            assert launched >= kernels_of(KernelSource(path.name)).keys(), path.name


TILED = {
    "conv2d_forward_gemm.cu",
    "conv2d_input_grad_gemm.cu",
    "conv2d_filter_grad_gemm.cu",
    "matmul.cu",
}
TILE = ("BLOCK_M", "BLOCK_N", "BLOCK_K", "THREAD_M", "THREAD_N")


@pytest.fixture(scope="module")
def representative():
    """The constants of all that the representative problems take, by file."""
    device, found = PlanningDevice(), {}
    run_all(KernelBackend(device))
    for source in device.sources:
        found.setdefault(source.file, []).append(dict(source.constants))
    return found


def test_each_architecture_is_planned_for():
    """Which constants a kernel is compiled for depends on the machine."""
    planned = plan_build(["sm_90a", "sm_120a"]).of_files(["matmul.cu"])
    unrolled = {
        architecture: max(
            constants["UNROLLED_K"]
            for constants in (dict(source.constants) for source in sources)
            if constants["BLOCK_M"] * constants["BLOCK_N"] == 128 * 128
        )
        for architecture, sources in planned.sources.items()
    }
    assert unrolled == {"sm_90a": 2, "sm_120a": 1}


@pytest.mark.parametrize("file", sorted(TILED))
def test_the_representative_problems_take_every_tile(representative, file):
    taken = {tuple(constants[name] for name in TILE) for constants in representative[file]}
    assert taken == {tuple(tile.constants.values()) for tile in TILES}
    assert {f.name for f in KERNELS.glob("*.cu") if "BLOCK_M" in f.read_text("utf-8")} == TILED


def test_the_representative_problems_take_every_variant_of_every_pass():
    taken = set()

    class Noting(KernelBackend):
        def _carry_out(self, problem, *arguments):
            if able := variants_of(problem):
                taken.add((type(problem), self.choice.variant or able[0]))
            super()._carry_out(problem, *arguments)

    run_all(Noting(PlanningDevice()))
    assert taken == set(product((Conv2dForward, Conv2dInputGrad, Conv2dFilterGrad), Variant))


@pytest.mark.parametrize(
    "file", ["conv2d_depthwise.cu", "conv2d_forward.cu", "conv2d_input_grad.cu"]
)
def test_direct_and_depthwise_kernels_meet_strides_dilations_and_many_taps(representative, file):
    constants = representative[file]
    assert {1, 2} <= {one["STRIDE_H"] for one in constants}
    assert {1, 2} <= {one["DILATION_H"] for one in constants}
    assert max(one["R"] * one["S"] for one in constants) >= 25
    assert len({one["C"] for one in constants}) >= 8


def test_depthwise_kernels_take_channels_by_one_and_by_four(representative):
    constants = representative["conv2d_depthwise.cu"]
    assert {one["WIDTH"] for one in constants} == {1, 4}
    # Four channels of a strip as long as such a filter would not fit in the registers.
    assert {one["WIDTH"] for one in constants if one["C"] % 4 == 0 and one["S"] == 64} == {1}
    epilogues = {
        (one["HAS_BIAS"], one["HAS_RESIDUAL"], one["RELU"])
        for one in representative["conv2d_depthwise.cu"]
    }
    assert len(epilogues) >= 2
