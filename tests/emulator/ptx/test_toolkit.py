"""Where NVRTC and CUDA's headers are looked for."""

import sys
from types import SimpleNamespace

import pytest

from gpucnn.emulator.ptx import nvrtc, toolkit


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Makes files of a machine that has neither packages nor a toolkit otherwise."""
    packages = SimpleNamespace(submodule_search_locations=[str(tmp_path / "nvidia")])
    monkeypatch.setattr("importlib.util.find_spec", lambda _: packages)
    monkeypatch.setattr(toolkit, "_USUAL_TOOLKIT", tmp_path / "usual")
    for variable in ("CUDA_PATH", "CUDA_HOME"):
        monkeypatch.delenv(variable, raising=False)

    def make(*files):
        for file in files:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).touch()
        return tmp_path

    return make


def test_packages_come_before_toolkits_and_cuda_12_before_13(machine, monkeypatch):
    folder = machine(
        "nvidia/cu13/lib/libnvrtc.so.13",
        "nvidia/cuda_nvrtc/lib/libnvrtc.so.12",
        "usual/lib64/libnvrtc.so.13",
        "own/lib64/libnvrtc.so.12",
    )
    monkeypatch.setenv("CUDA_HOME", str(folder / "own"))
    assert [*toolkit.compiler_libraries()] == [
        str(folder / "nvidia/cuda_nvrtc/lib/libnvrtc.so.12"),
        str(folder / "own/lib64/libnvrtc.so.12"),
        str(folder / "nvidia/cu13/lib/libnvrtc.so.13"),
        str(folder / "usual/lib64/libnvrtc.so.13"),
        "libnvrtc.so.12",
        "libnvrtc.so.13",
    ]


@pytest.mark.parametrize(
    ("files", "major", "folders"),
    [
        ([], 12, []),
        (
            ["nvidia/cuda_runtime/include/cuda_fp16.h",
             "nvidia/cuda_cccl/include/cuda/std/version"],
            12,
            ["nvidia/cuda_runtime/include", "nvidia/cuda_cccl/include"],
        ),
        (["nvidia/cuda_runtime/include/cuda_fp16.h"], 12, ["nvidia/cuda_runtime/include"]),
        (
            ["nvidia/cu13/include/cuda_fp16.h", "nvidia/cu13/include/cccl/cuda/std/version",
             "usual/include/cuda_fp16.h"],
            13,
            ["nvidia/cu13/include", "nvidia/cu13/include/cccl"],
        ),
    ],
)  # fmt: skip
def test_headers_of_the_runtime_and_of_the_libraries(machine, files, major, folders):
    folder = machine(*files)
    assert toolkit.header_folders(major) == tuple(folder / each for each in folders)


def test_a_toolkits_headers_are_for_its_own_compiler(machine):
    include = (
        machine("usual/include/cuda_fp16.h", "usual/include/cccl/cuda/std/version")
        / "usual/include"
    )
    (include / "cuda.h").write_text("#define CUDA_VERSION 13000\n")
    assert toolkit.header_folders(13) == (include, include / "cccl")
    assert toolkit.header_folders(12) == ()


@pytest.mark.parametrize(
    ("header", "line", "version"),
    [
        ("cuda_runtime_api.h", "#define CUDART_VERSION  12080\n", "12080"),
        ("cuda.h", "#define CUDA_VERSION 12090\n", "12090"),
        ("cuda.h", "", ""),
    ],
)
def test_headers_say_their_version_in_one_file_or_another(tmp_path, header, line, version):
    (tmp_path / header).write_text(line)
    assert toolkit.headers_version(tmp_path) == version


def test_without_a_compiler_the_message_says_what_to_install(machine, monkeypatch):
    machine()
    monkeypatch.setattr(toolkit, "MAJORS", (99,))
    nvrtc.nvrtc.cache_clear()
    try:
        assert "NVRTC is missing (libnvrtc.so.99" in nvrtc.why_unavailable()
        assert 'pip install "nvidia-cuda-nvrtc-cu12==12.*"' in nvrtc.why_unavailable()
    finally:
        nvrtc.nvrtc.cache_clear()


def test_what_is_no_compiler_is_passed_over(machine):
    """A file that is no library, and a library that is another one."""
    folder = machine("nvidia/cuda_nvrtc/lib/libnvrtc.so.12")
    with pytest.raises(OSError, match="libnvrtc"):
        nvrtc.Nvrtc(str(folder / "nvidia/cuda_nvrtc/lib/libnvrtc.so.12"))
    if sys.platform == "linux":
        with pytest.raises(OSError, match="has no function nvrtcVersion"):
            nvrtc.Nvrtc("libc.so.6")
