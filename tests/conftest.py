"""What all tests share: the backends they run on, and the settings of Hypothesis."""

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

# Test files are imported by path, so the folder of the oracle must be found another way.
if str(Path(__file__).parent) not in sys.path:
    sys.path.insert(0, str(Path(__file__).parent))

# A shell's background jobs ignore Ctrl-C, and what nohup starts a hangup; so would all that the
# tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

from gpucnn.backends import get_backend, why_unavailable
from gpucnn.backends.devices.cuda import nvrtc
from gpucnn.emulator.ptx import nvrtc as binding
from gpucnn.errors import BackendError

pytest_plugins = ["gpucnn.emulator.pytest_plugin"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
UNCOMPILED = [("numpy", "fp32"), ("numpy", "fp64")]
CUDA = pytest.param(("cuda", "fp32"), marks=pytest.mark.gpu)
BACKENDS = [*UNCOMPILED, ("emulator", "fp32"), CUDA]
"""Name and precision: every test of an operation runs on each. Another backend is a line more."""
OUR_KERNELS = ["emulator", pytest.param("cuda", marks=pytest.mark.gpu)]
"""Those that launch kernels; what is tested of kernels alone runs on each."""

settings.register_profile(
    "default", deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("ci", settings.get_profile("default"), derandomize=True)
settings.register_profile("few", settings.get_profile("ci"), max_examples=10)
settings.load_profile("ci" if os.environ.get("CI") else "default")


def _why_no_nvrtc():
    try:
        nvrtc.compiler_version()
    except BackendError as error:
        return str(error)
    return ""


def _why_no_headers():
    if reason := _why_no_nvrtc():
        return reason
    return "" if nvrtc.toolkit_version() else "CUDA's headers are not installed"


NEEDS = {
    "gpu": lambda: why_unavailable("cuda"),
    "nvrtc": _why_no_nvrtc,
    "cuda_headers": _why_no_headers,
}
"""Why tests with such a mark cannot run here; empty where they can."""


def pytest_itemcollected(item):
    """Tests whose every case compiles kernels of its own are slow on the emulator.

    The quick suite has tests/kernels for it, where the kernels of many cases are compiled at once.
    """
    marked = item.get_closest_marker("compiles_each")
    if marked and item.callspec.params["backend"] == ("emulator", "fp32"):
        item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def same_handlers_of_signals():
    """What a test calls may handle signals in its own way; the tests after it must not notice."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """Where what a mark needs is missing, one of its tests is left: it is skipped, and says why."""
    for mark, why in NEEDS.items():
        waiting = [item for item in items if item.get_closest_marker(mark)]
        reason = why() if waiting else ""
        if reason:
            rest = set(waiting[1:])
            waiting[0].add_marker(pytest.mark.skip(reason=reason))
            items[:] = [item for item in items if item not in rest]
            config.hook.pytest_deselected(items=waiting[1:])


def pytest_terminal_summary(terminalreporter):
    """A line for each reason why tests were skipped, however many were."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped)
    for reason, count in reasons.items():
        terminalreporter.write_line(f"SKIPPED [{count}] {reason}")


def _available(name, precision="fp32"):
    if reason := why_unavailable(name):
        pytest.skip(reason)
    return get_backend(name, precision)


@pytest.fixture(scope="session", params=BACKENDS, ids="-".join)
def backend(request):
    return _available(*request.param)


@pytest.fixture(scope="module", params=OUR_KERNELS)
def kernel_backend(request):
    """For one file alone, so that a test may choose variants and tiles."""
    return _available(request.param)


@pytest.fixture(scope="session", params=UNCOMPILED, ids="-".join)
def uncompiled_backend(request):
    """For thousands of random shapes: one that compiles no kernels for each of them.

    tests/kernels has many, whose kernels are compiled side by side.
    """
    return get_backend(*request.param)


@pytest.fixture(scope="session", params=[*UNCOMPILED, CUDA], ids="-".join)
def random_shape_backend(request):
    """For dozens of random shapes: also a GPU's, whose compiler takes a moment for each of them."""
    return _available(*request.param)


@pytest.fixture(scope="session")
def exact():
    """The reference in float64, for what does not depend on the precision."""
    return get_backend("numpy", "fp64")


@pytest.fixture
def rng():
    return np.random.default_rng(20240229)


@pytest.fixture
def without_nvrtc(monkeypatch):
    """As if NVIDIA's compiler were not installed."""
    monkeypatch.setattr("gpucnn.emulator.ptx.nvrtc.compiler_libraries", lambda: ["no library"])
    binding.nvrtc.cache_clear()


@pytest.fixture
def mount_disk(tmp_path):
    """Mounts a file system of so many KiB, where the system lets one be mounted."""
    mounted = []

    def mount(kibibytes):
        place = tmp_path / "disk"
        place.mkdir()
        options = f"size={kibibytes}k"
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        try:
            done = subprocess.run(command, capture_output=True, check=False).returncode == 0
        except OSError:
            done = False
        if not done:
            pytest.skip("no file system can be mounted here")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", str(place)], check=True)
