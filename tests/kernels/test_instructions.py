"""What the compiler makes of kernels, from the disassembly; needs no GPU."""

import pytest
from main_loop import share_of_multiply_adds

from gpucnn.backends.devices.cuda import nvrtc
from gpucnn.backends.devices.cuda.disassembly import instructions, listing, why_not
from gpucnn.backends.devices.planner import PlanningDevice
from gpucnn.backends.kernel_backend import KernelBackend
from gpucnn.launch.tiles import TILES

pytestmark = pytest.mark.nvrtc

ARCHITECTURES = ("sm_80", "sm_90a")


@pytest.fixture(params=ARCHITECTURES)
def architecture(request):
    """Skips where nothing reads what was compiled."""
    if reason := why_not(request.param):
        pytest.skip(reason)
    return request.param


def products(tile):
    """Every matrix product, rows of all operands and results being multiples of 4."""
    device = PlanningDevice()
    backend = KernelBackend(device)
    x, w, padding = backend.empty((2, 32, 32, 64)), backend.empty((128, 3, 3, 64)), (1, 1)
    with backend.held_to(tile=tile):
        y = backend.conv2d_forward(x, w, backend.empty((128,)), padding=padding, relu=True)
        backend.conv2d_input_grad(y, w, x.shape, padding=padding)
        backend.conv2d_filter_grad(x, y, w.shape, padding=padding)
        backend.matmul(backend.empty((128, 256)), backend.empty((256, 128)))
    return [source for source in device.sources if source.file != "sum_slices.cu"]


@pytest.mark.parametrize(
    "tile", [TILES[0], TILES[4]], ids=lambda tile: f"{tile.rows}x{tile.columns}"
)
def test_products_write_vectors(architecture, tile):
    sources = products(tile)
    assert len(sources) == 4
    for source in sources:
        program = nvrtc.compile_to_cubin(source, architecture)
        (counts,) = instructions(program.cubin).values()
        stores = {name: count for name, count in counts.items() if name.startswith("STG")}
        assert stores, source
        assert all(name.endswith(".128") for name in stores), (source, stores)


SHARES = {
    "conv2d_forward_gemm.cu": 0.825,
    "conv2d_input_grad_gemm.cu": 0.82,
    "conv2d_filter_grad_gemm.cu": 0.825,
    "matmul.cu": 0.825,
}
"""The least share of multiply-adds among the instructions of the main loop."""


@pytest.mark.parametrize("tile", TILES[:3], ids=lambda tile: f"{tile.rows}x{tile.columns}")
def test_products_mostly_multiply_and_add(tile):
    if reason := why_not("sm_90a"):
        pytest.skip(reason)
    for source in products(tile):
        program = nvrtc.compile_to_cubin(source, "sm_90a")
        (usage,) = program.usage.values()
        assert usage.spill_bytes == 0, source
        share = share_of_multiply_adds(listing(program.cubin), tile.sums * tile.depth)
        assert share >= SHARES[source.file], source
