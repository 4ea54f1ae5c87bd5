"""Why there is no GPU to be used, in one sentence that says what to do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fake_cupy import CUDARuntimeError, FakeCupy

from gpucnn.backends import get_backend
from gpucnn.backends import why_unavailable as why_not
from gpucnn.backends.devices.cuda.availability import (
    has_driver,
    why_compiler_too_new,
    why_unavailable,
)
from gpucnn.backends.devices.cuda.importing import import_cupy
from gpucnn.emulator.ptx.nvrtc import nvrtc
from gpucnn.errors import BackendError


@pytest.fixture
def installed(monkeypatch):
    """Puts a CuPy in place."""

    def install(**machine):
        fake = FakeCupy(**machine)
        fake.install(monkeypatch)
        return fake

    return install


def test_a_gpu_that_works(installed):
    installed()
    assert why_unavailable() == ""


def test_without_cupy(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert 'pip install -e ".[cuda12]"' in why_unavailable()


def test_a_broken_cupy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: object())
    assert "does not import" in why_unavailable()


@pytest.fixture
def driver(monkeypatch, tmp_path):
    """The places where signs of a driver are looked for, all of them empty."""
    module = "gpucnn.backends.devices.cuda.availability"
    (tmp_path / "dev").mkdir()
    monkeypatch.setattr(f"{module}._DRIVER_FILE", tmp_path / "version")
    monkeypatch.setattr(f"{module}._DEVICE_FILES", tmp_path / "dev")
    monkeypatch.setattr(f"{module}._DRIVER_LIBRARY", str(tmp_path / "libcuda.so.1"))
    return tmp_path


def chosen_automatically(capsys, quiet=False):
    capsys.readouterr()
    return get_backend("auto", quiet=quiet).name, capsys.readouterr().err


@pytest.mark.usefixtures("driver")
def test_auto_says_nothing_of_cuda_without_a_driver(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert not has_driver()
    told = ("numpy", "backend: numpy (chosen automatically)\n")
    assert chosen_automatically(capsys) == told


@pytest.mark.parametrize("sign", ["version", "dev/nvidia0", "libcuda.so.1"])
def test_auto_says_why_not_cuda_if_there_is_a_driver(sign, driver, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    if sign == "libcuda.so.1":  # a library that loads
        monkeypatch.setattr(
            "gpucnn.backends.devices.cuda.availability._DRIVER_LIBRARY", "libc.so.6"
        )
    else:
        (driver / sign).touch()
    name, told = chosen_automatically(capsys)
    assert name == "numpy"
    assert told.startswith("backend: numpy (chosen automatically; not cuda, because CuPy is not")
    assert "[cuda12]" in told
    assert told.count("\n") == 1
    assert chosen_automatically(capsys, quiet=True) == ("numpy", "")


def test_auto_says_why_a_cupy_that_is_installed_does_not_work(driver, installed, capsys):
    (driver / "version").touch()
    fake = installed(driver=11040)
    fake.count_error = CUDARuntimeError(35, "cudaErrorInsufficientDriver")
    assert "not cuda, because the NVIDIA driver is for CUDA 11.4" in chosen_automatically(capsys)[1]


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


def test_a_compiler_that_is_newer_than_the_driver(installed):
    """NVRTC is 12.9 here."""
    fake = installed()
    assert why_compiler_too_new(12090) == why_compiler_too_new(13000) == ""
    assert why_compiler_too_new(12040) == (
        "NVRTC 12.9 is newer than the driver, which is for CUDA 12.4: update the driver, or "
        'pip install "nvidia-cuda-nvrtc-cu12==12.4.*"'
    )
    assert why_compiler_too_new(11080).endswith("for CUDA 11.8: update the driver")
    fake.nvrtc.version = 13, 1
    assert why_compiler_too_new(13000).endswith('pip install "nvidia-cuda-nvrtc==13.0.*"')
    assert 'pip install -e ".[cuda12]"' in why_compiler_too_new(12090)


def test_a_driver_without_a_gpu(installed, monkeypatch):
    fake = installed(gpus=0)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert "finds no GPU; the backends numpy and emulator need no GPU" in why_unavailable()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert 'CUDA_VISIBLE_DEVICES is ""' in why_unavailable()
    fake.count_error = CUDARuntimeError(100, "cudaErrorNoDevice")
    assert "finds no GPU (cudaErrorNoDevice)" in why_unavailable()


def test_a_gpu_that_is_not_there(installed):
    installed()
    assert why_unavailable(1) == "there is no GPU 1; the only one is 0"
    assert why_unavailable(-1) == "there is no GPU -1; the only one is 0"


def test_a_gpu_that_another_process_has_for_itself(installed):
    installed().device_error = CUDARuntimeError(46, "cudaErrorDevicesUnavailable")
    assert why_unavailable() == "GPU 0 cannot be used (cudaErrorDevicesUnavailable)"


def test_a_gpu_that_is_too_old(installed):
    installed(compute_capability="61")
    assert "compute capability 6.1; gpucnn needs 7.0" in why_unavailable()


def test_a_gpu_that_this_compiler_has_left_behind(installed):
    fake = installed(compute_capability="70")
    fake.nvrtc.version = 13, 0
    fake.nvrtc.architectures = 75, 80, 90
    assert "NVRTC 13.0 makes no code for sm_70; the last to do is CUDA 12" in why_unavailable()


def test_a_gpu_that_this_compiler_does_not_know(installed):
    installed(compute_capability="130")
    assert "no code for sm_130a; a newer one may" in why_unavailable()


@pytest.mark.usefixtures("without_nvrtc")
def test_no_compiler(installed, monkeypatch):
    installed()
    monkeypatch.setattr("gpucnn.backends.devices.cuda.nvrtc.nvrtc", nvrtc)
    assert "NVRTC is missing" in why_unavailable()
    assert "pip install" in why_unavailable()


@pytest.fixture
def new_cupy(monkeypatch, tmp_path):
    """A CuPy that is not imported yet, and a home for its folder."""
    package = tmp_path / "site" / "cupy"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CUPY_CACHE_DIR", "")  # so that it is put back
    monkeypatch.delenv("CUPY_CACHE_DIR")
    yield tmp_path / "home"
    sys.modules.pop("cupy", None)


def test_cupy_makes_its_folder_in_the_home(new_cupy):
    new_cupy.mkdir()
    import_cupy()
    assert "CUPY_CACHE_DIR" not in os.environ


@pytest.mark.parametrize("blocked", [".", ".cupy", ".cupy/kernel_cache"])
def test_a_home_that_cannot_be_written_to(new_cupy, blocked):
    # Files are in the way of folders, for root may write wherever there is a folder.
    (new_cupy / blocked).parent.mkdir(parents=True, exist_ok=True)
    (new_cupy / blocked).write_text("")
    import_cupy()
    folder = Path(os.environ["CUPY_CACHE_DIR"])
    assert folder.is_dir()
    assert folder.stat().st_mode & 0o77 == 0
    assert new_cupy not in folder.parents


def test_a_folder_for_cupy_that_was_chosen_is_left_alone(new_cupy, monkeypatch):
    new_cupy.write_text("")
    monkeypatch.setenv("CUPY_CACHE_DIR", "/chosen")
    import_cupy()
    assert os.environ["CUPY_CACHE_DIR"] == "/chosen"


def test_nothing_is_left_of_the_temporary_folder(new_cupy):
    new_cupy.write_text("")
    code = (
        "import os; from gpucnn.backends.devices.cuda.importing import import_cupy; import_cupy(); "
        "print(os.environ['CUPY_CACHE_DIR'], os.path.isdir(os.environ['CUPY_CACHE_DIR']))"
    )
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    folder, was_there = done.stdout.split()
    assert was_there == "True"
    assert not Path(folder).exists()


def test_importing_gpucnn_imports_no_cupy():
    code = (
        "import sys, gpucnn, gpucnn.cli, gpucnn.backends.devices.cuda.device; "
        "sys.exit('cupy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_backend_by_name(installed):
    installed(gpus=2)
    assert why_not("cuda") == ""
    for name, ordinal in (("cuda", 0), ("cuda:1", 1), (":1", 1), ("auto:1", 1)):
        backend = get_backend(name)
        assert (backend.name, backend.device.ordinal) == ("cuda", ordinal)


def test_a_number_alone_is_of_the_backend_in_the_environment(installed, monkeypatch):
    installed(gpus=3)
    for chosen, ordinal in (("cuda", 1), ("cuda:2", 1), ("auto", 1), (":2", 1), ("", 1)):
        monkeypatch.setenv("GPUCNN_BACKEND", chosen)
        assert get_backend(":1").device.ordinal == ordinal
    monkeypatch.setenv("GPUCNN_BACKEND", "cuda:2")
    assert get_backend().device.ordinal == 2
    assert get_backend("cuda:1").device.ordinal == 1
    for chosen in ("numpy", "emulator"):
        monkeypatch.setenv("GPUCNN_BACKEND", chosen)
        with pytest.raises(BackendError, match=f"the {chosen} backend has no GPUs"):
            get_backend(":1")


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


def test_no_one_tells_of_a_backend_that_there_is_not():
    with pytest.raises(BackendError, match='no backend "tpu"'):
        why_not("tpu")


def test_no_backend_without_a_gpu(installed):
    installed(driver=0)
    with pytest.raises(BackendError, match="no NVIDIA driver"):
        get_backend("cuda")
