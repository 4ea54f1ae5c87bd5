"""The fixture ``cuda`` for projects of others: what it chooses, and that their tests run."""

import os
import re
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import yaml

from gpucnn.emulator import pytest_plugin
from gpucnn.emulator.engines import MODES, why_unavailable

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "testing-kernels.md").read_text("utf-8")
FILES = dict(re.findall(r"```python\n# (tests/\w+\.py)\n(.*?)```", TEXT, re.DOTALL))
WORKFLOW = re.search(r"```yaml\n(.*?)```", TEXT, re.DOTALL)[1]

needs_emulator = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())

REVERSE = """
extern "C" __global__ void reverse(const int* x, int* y) {
    __shared__ int own[64];
    own[threadIdx.x] = x[blockIdx.x * 64 + threadIdx.x];
    __syncthreads();
    y[blockIdx.x * 64 + threadIdx.x] = own[63 - threadIdx.x];
}
"""


def test_a_kernel_of_ours(cuda):
    x = cuda.asarray(np.arange(128, dtype=np.int32))
    y = cuda.xp.zeros(128, cuda.xp.int32)
    cuda.RawModule(code=REVERSE).get_function("reverse")((2,), (64,), (x, y))
    assert cuda.asnumpy(y).tolist() == [*range(63, -1, -1), *range(127, 63, -1)]


def test_asarray_copies(cuda):
    host = np.arange(6).reshape(2, 3).T
    copy = cuda.asarray(host)
    copy[0, 0] = 9
    assert host[0, 0] == 0 and cuda.asnumpy(copy).tolist() == [[9, 3], [1, 4], [2, 5]]


class FakeConfig(dict):
    getoption = dict.__getitem__


def chosen(monkeypatch, option, cupy=None, why_not=""):
    """What the fixture is with an option, a module that stands for CuPy, and an emulator or not."""
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(pytest_plugin, "why_unavailable", lambda _: why_not)
    config = FakeConfig(cuda=option, emulator_mode="fast", emulator_seed=3)
    return pytest_plugin.cuda.__wrapped__(config)


def fake_cupy(devices):
    """CuPy with so many GPUs, or the error of its runtime."""

    class CUDARuntimeError(RuntimeError):
        pass

    def count():
        if devices is None:
            raise CUDARuntimeError("cudaErrorInsufficientDriver")
        return devices

    cupy = types.ModuleType("cupy")
    runtime = types.SimpleNamespace(getDeviceCount=count, CUDARuntimeError=CUDARuntimeError)
    cupy.cuda = types.SimpleNamespace(runtime=runtime)
    cupy.RawKernel = cupy.RawModule = cupy.asarray = cupy.asnumpy = object()
    return cupy


def test_what_is_chosen(monkeypatch):
    gpu = fake_cupy(1)
    for option in ("auto", "cupy"):
        cuda = chosen(monkeypatch, option, gpu)
        assert cuda.name == "cupy" and cuda.xp is gpu and cuda.RawKernel is gpu.RawKernel
    for cupy in (None, fake_cupy(0), fake_cupy(None)):
        assert chosen(monkeypatch, "auto", cupy).name == "emulator"
    cuda = chosen(monkeypatch, "emulator", gpu)
    assert cuda.name == "emulator" and cuda.xp is np
    assert cuda.RawKernel.keywords == cuda.RawModule.keywords == {"mode": "fast", "seed": 3}


@pytest.mark.parametrize(
    ("cupy", "why"),
    [
        (None, "CuPy is not installed"),
        (fake_cupy(0), "there is no GPU"),
        (fake_cupy(None), "there is no GPU that CuPy can use"),
    ],
)
def test_what_cannot_be_run(monkeypatch, cupy, why):
    with pytest.raises(pytest.fail.Exception, match=f"--cuda cupy: {why}"):
        chosen(monkeypatch, "cupy", cupy)
    with pytest.raises(pytest.fail.Exception, match="--cuda emulator: no compiler"):
        chosen(monkeypatch, "emulator", cupy, "no compiler")
    with pytest.raises(pytest.skip.Exception, match=f"{why}.*, and no compiler"):
        chosen(monkeypatch, "auto", cupy, "no compiler")


def run_tests(folder, *options):
    """Runs pytest in a project's folder."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "tests", "-p", "no:cacheprovider", *options],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def project(tmp_path):
    """The project of the page."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    return tmp_path


@needs_emulator
def test_the_project_of_the_page(project):
    result = run_tests(project)
    assert result.returncode == 0 and "1 passed" in result.stdout, result.stdout
    test = project / "tests" / "test_scale.py"
    test.write_text(FILES["tests/test_scale.py"].replace("if (i < n)", "if (i <= n)"), "utf-8")
    result = run_tests(project)
    assert result.returncode == 1
    assert "OutOfBoundsError" in result.stdout and "kernel.cu:5" in result.stdout, result.stdout


@needs_emulator
def test_the_job_of_the_page(project):
    workflow = yaml.safe_load(WORKFLOW)
    (job,) = workflow["jobs"].values()
    assert "push" in workflow[True]  # what YAML 1.1 makes of "on"
    steps = job["steps"]
    assert all(re.fullmatch(r"actions/\w[\w-]*@v\d+", s["uses"]) for s in steps if "uses" in s)
    (gpucnn,) = [step["with"] for step in steps if "repository" in step.get("with", {})]
    (cache,) = [step["with"] for step in steps if "cache" in step.get("uses", "")]
    assert job["env"]["GPUCNN_CACHE_DIR"].endswith(f"/{cache['path']}")
    install, test = [step["run"] for step in steps if "run" in step]
    assert f"./{gpucnn['path']}" in install.split() and "pytest" in install.split()
    assert set(job["strategy"]["matrix"]["mode"]) <= set(MODES)
    command = test.replace("${{ matrix.mode }}", job["strategy"]["matrix"]["mode"][0])
    assert "${{" not in command and command.startswith("python -m pytest tests ")
    result = run_tests(project, *command.split()[4:])
    assert result.returncode == 0 and "1 passed" in result.stdout, result.stdout
