"""The roofline's picture."""

import pytest

from gpucnn.bench.ceilings import Ceilings
from gpucnn.bench.kernels import Measurement
from gpucnn.bench.problems import QUICK
from gpucnn.bench.roofline import draw
from gpucnn.bench.timing import Timing

CEILINGS = Ceilings(bandwidth=1e9, arithmetic=1e10)


def test_every_operation_can_be_drawn(tmp_path):
    """Those that only move bytes have no place in it, and are no error."""
    pytest.importorskip("matplotlib")
    assert any(problem.flops == 0 for problem in QUICK)
    torch = (Timing("torch, contiguous", 2.0, 1.0, 3.0),)
    measured = [
        Measurement(problem, "", True, Timing("", 1.0, 0.5, 2.0), torch, CEILINGS)
        for problem in QUICK
    ]
    path = tmp_path / "roofline.png"
    draw(measured, CEILINGS, path, "all of them")
    assert path.read_bytes().startswith(b"\x89PNG")
