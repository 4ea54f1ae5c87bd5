"""The modes in which cases are run."""

import pytest

from gpucnn.backends import why_unavailable
from gpucnn.check.checker import Checker

MODES = [
    "fast",
    "race",
    "sanitize",
    pytest.param("ptx", marks=pytest.mark.nvrtc),
    pytest.param("cuda", marks=pytest.mark.gpu),
]


@pytest.fixture(params=MODES)
def checker(request):
    """One a mode, new for each test: a long run does not keep all kernels that it ever loaded."""
    if reason := why_unavailable("cuda" if request.param == "cuda" else "emulator"):
        pytest.skip(reason)
    return Checker(request.param)
