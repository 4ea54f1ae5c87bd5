"""The compilers that the emulator takes, and how it refuses what is none."""

import os
import shutil
import subprocess
import sys

import pytest

from gpucnn.backends.devices.emulator_device import EmulatorDevice, why_unavailable
from gpucnn.doctor import examine
from gpucnn.emulator import compiler
from gpucnn.emulator.translation import EMULATOR
from gpucnn.errors import BackendError

needs_compiler = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())

# Barriers, shuffles, shared memory, a fault, a time limit and a barrier that not all reach.
PROGRAM = """
import sys
from pathlib import Path
import numpy as np
from gpucnn.backends.devices.emulator_device import EmulatorDevice
from gpucnn.backends.devices.source import KernelSource
from gpucnn.errors import BackendError

folder = Path(sys.argv[1])
(folder / "k.cu").write_text('''
__global__ void sums(float* y) {
    __shared__ float tile[96];
    double exact = threadIdx.x;
    for (int i = 0; i < 5; ++i) {
        tile[threadIdx.x] = exact;
        __syncthreads();
        exact += tile[95 - threadIdx.x];
        __syncthreads();
    }
    y[blockIdx.x * 96 + threadIdx.x] = exact + __shfl_xor_sync(~0u, (float)exact, 1);
}
__global__ void fails(float* y) {
    __syncthreads();
    if (threadIdx.x == 3) y[0] = *(float*)(64 + (size_t)y[0]);
}
__global__ void hangs(volatile float* y) { while (y[0] >= 0.0f) {} }
__global__ void parts(float* y) { if (threadIdx.x != 3) y[threadIdx.x] = __shfl_sync(~0u, 1.f, 3); }
__global__ void unwritten(float* y) { __shared__ float s[96]; y[threadIdx.x] = s[threadIdx.x]; }
''')
for mode in sys.argv[2:]:
    device = EmulatorDevice(mode, workers=2, time_limit=2)
    module = device.compile(KernelSource("k.cu", folder=folder))
    y = device.asarray(np.zeros(20 * 96, np.float32))
    device.launch(module["sums"], (20, 1, 1), (96, 1, 1), 0, (y,))
    x = np.arange(96.0)
    for _ in range(5):
        x += x[::-1].copy()
    assert (y.reshape(20, 96) == x + x.reshape(-1, 2)[:, ::-1].reshape(-1)).all(), y
    for name, words, line in (
        ("fails", ("out of bounds", "out-of-bounds", "SEGV"), 15),
        ("hangs", ("longer than its time limit",), 17),
        ("parts", ("lane 3, which has left",), 18),
    ):
        try:
            device.launch(module[name], (1, 1, 1), (96, 1, 1), 0, (y,))
        except BackendError as error:
            assert any(word in str(error) for word in words), error
            assert f"k.cu:{line}" in str(error), error
        else:
            raise AssertionError(name)
    if mode != "race":
        device.launch(module["unwritten"], (1, 1, 1), (96, 1, 1), 0, (y,))
        assert np.isnan(y[:96]).all()
print("fine")
"""


def run(folder, cxx, *modes):
    """The program in a process of its own, with this for CXX."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), *modes],
        env=os.environ | {"CXX": cxx, "GPUCNN_CACHE_DIR": str(folder / "cache")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout == "fine\n", done.stderr


@pytest.mark.slow
@needs_compiler
def test_the_c_librarys_contexts(tmp_path):
    """Which take the place of the hand-written switch on machines that have none."""
    run(tmp_path, "g++ -DEMULATOR_UCONTEXT", "fast", "race")


@pytest.mark.skipif(shutil.which("clang++") is None, reason="clang++ is not installed")
def test_clang(tmp_path):
    run(tmp_path, "clang++", "fast", "race", "sanitize")


@pytest.mark.skipif(
    shutil.which("aarch64-linux-gnu-g++") is None, reason="aarch64-linux-gnu-g++ is not installed"
)
def test_the_runtime_compiles_for_aarch64(tmp_path):
    files = [f for f in sorted((EMULATOR / "runtime").glob("*.cpp")) if "main" not in f.name]
    unit = "".join(f'#include "{file}"\n' for file in files)
    command = ["aarch64-linux-gnu-g++", "-std=c++20", "-Wall", "-Werror", "-fPIC", "-O2"]
    subprocess.run(
        [*command, "-x", "c++", "-", "-c", "-o", str(tmp_path / "runtime.o")],
        input=unit,
        text=True,
        check=True,
    )


@needs_compiler
def test_cxx_may_have_options(monkeypatch):
    monkeypatch.setenv("CXX", "g++ -DSOMETHING='of ours'")
    assert compiler.compiler().command == ("g++", "-DSOMETHING=of ours")
    assert not why_unavailable()


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ("/no/such/compiler -m64", "CXX is '/no/such/compiler -m64', and there is no such program"),
        (
            "/bin/false",
            r"/bin/false is no C\+\+ compiler: .* status 1; set CXX to one",
        ),
        ("g++ 'one", "which a shell could not read: No closing quotation"),
    ],
)
def test_a_cxx_that_is_no_compiler(monkeypatch, chosen, words):
    """It is not passed over for another."""
    monkeypatch.setenv("CXX", chosen)
    with pytest.raises(BackendError, match=words):
        EmulatorDevice()
    assert "CXX" in why_unavailable()
    finding = next(finding for finding in examine() if finding.subject == "C++ compiler")
    assert (finding.works, finding.text) == (False, why_unavailable())


@needs_compiler
def test_doctor_tells_the_compiler_that_is_used(monkeypatch, tmp_path):
    own = tmp_path / "own"
    own.write_text("#!/bin/sh\necho mine 1.0\n")
    own.chmod(0o700)
    monkeypatch.setenv("CXX", str(own))
    finding = next(finding for finding in examine() if finding.subject == "C++ compiler")
    assert (finding.works, finding.text) == (True, "mine 1.0")


@needs_compiler
def test_the_compiler_stays_the_same_in_a_process(monkeypatch):
    EmulatorDevice()
    monkeypatch.setenv("CXX", "g++ -DANOTHER")
    with pytest.raises(BackendError, match=r"compiler has changed .*; start a new process"):
        EmulatorDevice()


def test_no_compiler_is_one_message(monkeypatch):
    compiler._compiler.cache_clear()
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(BackendError, match=r"there is none; install g\+\+ .*or name one in CXX"):
        EmulatorDevice()
    assert "\n" not in why_unavailable()
    assert "install g++" in why_unavailable()
