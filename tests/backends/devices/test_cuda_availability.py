"""Why there is no GPU to be used, in one sentence that says what to do."""

import subprocess
import sys

import pytest
from fake_cupy import CUDARuntimeError, FakeCupy

from gpucnn.backends import get_backend
from gpucnn.backends import why_unavailable as why_not
from gpucnn.backends.devices.cuda.availability import why_unavailable
from gpucnn.errors import BackendError


@pytest.fixture
def installed(monkeypatch):
    """Puts a CuPy in place."""

    def install(**machine):
        fake = FakeCupy(**machine)
        monkeypatch.setitem(sys.modules, "cupy", fake)
        monkeypatch.setattr("importlib.util.find_spec", lambda _: object())
        return fake

    return install


def test_a_gpu_that_works(installed):
    installed()
    assert why_unavailable() == ""


def test_without_cupy(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert 'pip install "gpucnn[cuda12]"' in why_unavailable()


def test_a_broken_cupy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: object())
    assert "does not import" in why_unavailable()


def test_cupy_for_amd(installed):
    installed().cuda.runtime.is_hip = True
    assert "AMD" in why_unavailable()


def test_no_driver(installed):
    installed(driver=0)
    assert "no NVIDIA driver" in why_unavailable()


def test_an_old_driver(installed):
    fake = installed(driver=11040)
    fake.count_error = CUDARuntimeError(35, "cudaErrorInsufficientDriver")
    assert "the NVIDIA driver is for CUDA 11.4 and CuPy for 12.9" in why_unavailable()


def test_a_driver_without_a_gpu(installed, monkeypatch):
    fake = installed(gpus=0)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert "finds no GPU; use --backend numpy" in why_unavailable()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert 'CUDA_VISIBLE_DEVICES is ""' in why_unavailable()
    fake.count_error = CUDARuntimeError(100, "cudaErrorNoDevice")
    assert "finds no GPU (cudaErrorNoDevice)" in why_unavailable()


def test_a_gpu_that_is_not_there(installed):
    installed()
    assert why_unavailable(1) == "there is no GPU 1; the only one is 0"
    assert why_unavailable(-1) == "there is no GPU -1; the only one is 0"


def test_a_gpu_that_is_too_old(installed):
    installed(compute_capability="61")
    assert "compute capability 6.1; gpucnn needs 7.0" in why_unavailable()


def test_a_gpu_that_this_compiler_has_left_behind(installed):
    fake = installed(compute_capability="70")
    fake.cuda.nvrtc.getVersion = lambda: (13, 0)
    fake.cuda.nvrtc.getSupportedArchs = lambda: (75, 80, 90)
    assert "NVRTC 13.0 makes no code for sm_70; the last to do is CUDA 12" in why_unavailable()


def test_a_gpu_that_this_compiler_does_not_know(installed):
    installed(compute_capability="130")
    assert "no code for sm_130a; a newer one may" in why_unavailable()


def test_no_compiler(installed):
    def missing():
        raise RuntimeError('Failure finding "libnvrtc.so.12"')

    installed().cuda.nvrtc.getSupportedArchs = missing
    assert "NVRTC is missing" in why_unavailable()
    assert "pip install" in why_unavailable()


def test_importing_gpucnn_imports_no_cupy():
    code = (
        "import sys, gpucnn, gpucnn.cli, gpucnn.backends.devices.cuda.device; "
        "sys.exit('cupy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_backend_by_name(installed):
    installed(gpus=2)
    assert why_not("cuda") == ""
    for name, device, ordinal in (("cuda", None, 0), ("cuda:1", None, 1), (":1", None, 1),
                                  ("cuda", 1, 1), ("auto", 1, 1), ("cuda:0", 1, 1)):  # fmt: skip
        backend = get_backend(name, device=device)
        assert (backend.name, backend.device.ordinal) == ("cuda", ordinal)


def test_names_that_cannot_be(installed):
    installed()
    for name, words in (
        ("cuda:1", "there is no GPU 1"),
        ("cuda:x", '"x" is not the number of a GPU'),
        ("numpy:0", "the numpy backend has no GPUs"),
        ("emulator:0", "the emulator backend has no GPUs"),
        ("cuba:0", 'no backend "cuba"'),
    ):
        with pytest.raises(BackendError, match=words):
            get_backend(name)


def test_no_backend_without_a_gpu(installed):
    installed(driver=0)
    with pytest.raises(BackendError, match="no NVIDIA driver"):
        get_backend("cuda")
