"""What the compiler makes of kernels, from the disassembly; needs no GPU."""

import pytest

from gpucnn.backends.devices.cuda import nvrtc
from gpucnn.backends.devices.cuda.disassembly import instructions, why_not
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
    x, w = backend.empty((2, 9, 9, 32)), backend.empty((64, 3, 3, 32))
    with backend.held_to(tile=tile):
        y = backend.conv2d_forward(x, w, backend.empty((64,)), relu=True)
        backend.conv2d_input_grad(y, w, x.shape)
        backend.conv2d_filter_grad(x, y, w.shape)
        backend.matmul(backend.empty((64, 64)), backend.empty((64, 64)))
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
