"""``gpucnn doctor``."""

import ctypes
import json
import os

import pytest
from fake_cupy import FakeCupy


def test_doctor(cli):
    answer = json.loads(cli("doctor", "--json").succeeded().out)
    assert answer["backend numpy"] == {"works": True, "text": "works"}
    for name in ("backend cuda", "backend emulator", "backend emulator:ptx", "NVIDIA driver",
                 "CuPy", "BLAS", "packages", "matplotlib", "NVRTC", "nvdisasm"):  # fmt: skip
        assert answer[name]["text"]
    if not answer["NVRTC"]["works"]:
        assert answer["kernels build"] == {"works": False, "text": "needs NVRTC"}
        assert "NVRTC is missing" in answer["backend emulator:ptx"]["text"]
    assert "backend numpy" in cli("doctor").succeeded().out


@pytest.mark.nvrtc
def test_doctor_compiles_what_the_build_would(cli, monkeypatch):
    answer = json.loads(cli("doctor", "--json").succeeded().out)
    assert answer["kernels build"] == {"works": True, "text": "works"}
    monkeypatch.setattr("gpucnn.backends.devices.cuda.nvrtc.OPTIONS", ("--no-such-option",))
    answer = json.loads(cli("doctor", "--json").succeeded().out)
    assert not answer["kernels build"]["works"]
    assert "sum_slices.cu" in answer["kernels build"]["text"]


def test_doctor_measures_the_cache(cli, monkeypatch, tmp_path):
    monkeypatch.setenv("GPUCNN_CACHE_DIR", str(tmp_path / "none"))
    answer = json.loads(cli("doctor", "--json").succeeded().out)
    assert answer["cache"]["text"] == f"{tmp_path / 'none'}, 0 files, 0 B"
    (tmp_path / "a").write_bytes(b"x" * 1000)
    (tmp_path / "b").write_bytes(b"x" * 1048)
    monkeypatch.setenv("GPUCNN_CACHE_DIR", str(tmp_path))
    answer = json.loads(cli("doctor", "--json").succeeded().out)
    assert answer["cache"]["text"] == f"{tmp_path}, 2 files, 2.0 KiB"


def test_doctor_says_why_the_cache_is_not_used(cli, monkeypatch, tmp_path):
    """And works with whatever is in it."""
    monkeypatch.setenv("GPUCNN_CACHE_DIR", str(tmp_path))
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    answer = json.loads(cli("doctor", "--json").succeeded().out)
    assert answer["cache"]["text"] == f"{tmp_path}, 0 files, 0 B"
    tmp_path.chmod(0o777)
    answer = json.loads(cli("doctor", "--json").succeeded().out)
    assert not answer["cache"]["works"]
    reason = f"{tmp_path} is not used: can be written to by other users (mode 777); run chmod go-w"
    assert answer["cache"]["text"].startswith(reason)
    (tmp_path / "file").touch()
    monkeypatch.setenv("GPUCNN_CACHE_DIR", str(tmp_path / "file"))
    answer = json.loads(cli("doctor", "--json").succeeded().out)
    assert f"{tmp_path / 'file'} is not used: Not a directory" in answer["cache"]["text"]


class FakeDriver:
    """Of a machine with one GPU."""

    def __init__(self, version):
        self.version = version

    def cuInit(self, flags):  # noqa: N802 - the driver's names
        return 0

    def cuDeviceGetCount(self, count):  # noqa: N802
        count._obj.value = 1
        return 0

    def cuDriverGetVersion(self, version):  # noqa: N802
        version._obj.value = self.version
        return 0


@pytest.mark.parametrize(
    ("version", "text"),
    [
        (12090, "1 GPU(s), CUDA 12.9"),
        (12040, "1 GPU(s), CUDA 12.4; NVRTC 12.9 is newer than the driver, which is for CUDA 12.4: "
         'update the driver, or pip install "nvidia-cuda-nvrtc-cu12==12.4.*"'),
    ],
)  # fmt: skip
def test_doctor_compares_the_driver_with_nvrtc(cli, monkeypatch, version, text):
    FakeCupy(driver=version).install(monkeypatch)
    monkeypatch.setattr("gpucnn.backends.devices.cuda.nvrtc.compile_to_cubin", lambda *_: None)
    load = ctypes.CDLL
    monkeypatch.setattr(
        ctypes,
        "CDLL",
        lambda name, *rest, **options: (
            FakeDriver(version) if name == "libcuda.so.1" else load(name, *rest, **options)
        ),
    )
    answer = json.loads(cli("doctor", "--json").succeeded().out)
    assert answer["NVIDIA driver"] == {"works": True, "text": text}


def test_doctor_looks_at_the_gpu_that_is_asked_for(cli, monkeypatch):
    FakeCupy(gpus=2).install(monkeypatch)
    compiler = "gpucnn.backends.devices.cuda.nvrtc.compile_to_cubin"
    monkeypatch.setattr(compiler, lambda *_: None)
    for options, text in (((), "works"), (("--device", "1"), "works"), (("--device", "2"), "")):
        answer = json.loads(cli("doctor", "--json", *options).succeeded().out)
        expected = text or "there is no GPU 2; they are numbered from 0 to 1"
        assert answer["backend cuda"]["text"] == expected
