"""gpucnn kernels build: what compiles, what does not, and what is told of it."""

import json
import re
import shutil
from pathlib import Path

import pytest

from gpucnn.backends.devices.cuda import disassembly
from gpucnn.backends.devices.source import KERNELS

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("GPUCNN_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path):
    """Two files of ours, and what they include."""
    shutil.copytree(KERNELS / "include", tmp_path / "kernels" / "include")
    for name in ("activation.cu", "max_pool2d.cu"):
        shutil.copy(KERNELS / name, tmp_path / "kernels")
    return tmp_path / "kernels"


@pytest.mark.nvrtc
def test_a_folder_for_two_architectures(cli, folder):
    arguments = ("kernels", "build", "--kernels", folder, "--arch", "sm_80", "--arch", "sm_90a")
    answer = cli(*arguments, "--json")
    assert answer.status == 0, answer.err
    told = json.loads(answer.out)
    assert told["architectures"] == ["sm_80", "sm_90a"]
    assert told["failures"] == []
    assert {kernel["file"] for kernel in told["kernels"]} == {"activation.cu", "max_pool2d.cu"}
    windows = {k["constants"]["R"] for k in told["kernels"] if k["file"] == "max_pool2d.cu"}
    assert {2, 3, 17} <= windows
    assert all(kernel["registers"] > 0 for kernel in told["kernels"])

    shown = cli(*arguments)
    assert shown.status == 0
    assert "max_pool2d_input_grad" in shown.out
    variants = len({(kernel["file"], *kernel["constants"].items()) for kernel in told["kernels"]})
    kernels = len({kernel["kernel"] for kernel in told["kernels"]})
    assert f"{kernels} kernels in {variants} variants of their files, 2 architectures: no" in (
        shown.out
    )


@pytest.mark.nvrtc
def test_a_kernel_that_does_not_compile(cli, folder):
    (folder / "mine.cu").write_text("__global__ void mine(float* x) {\n    x[0] = y;\n}\n")
    answer = cli("kernels", "build", "mine.cu", "activation.cu", "--kernels", folder,
                 "--arch", "sm_80", "--no-instructions")  # fmt: skip
    assert answer.status == 1
    assert "mine.cu does not compile for sm_80" in answer.out
    assert "mine.cu(2): error" in answer.out
    assert "relu_forward" in answer.out


@pytest.mark.nvrtc
def test_an_error_is_told_once_for_all_variants_and_architectures(cli, folder):
    file = folder / "max_pool2d.cu"
    file.write_text(file.read_text("utf-8").replace("best = {};", "best = {}", 1), "utf-8")
    answer = cli("kernels", "build", "--kernels", folder, "--arch", "sm_80", "--arch", "sm_90a",
                 "--no-instructions")  # fmt: skip
    assert answer.status == 1
    assert answer.out.count("max_pool2d.cu does not compile for sm_80, sm_90a:") == 1
    assert answer.out.count('error: expected a ";"') == 1
    (variants,) = set(re.findall(r"\(in (\d+) variants, such as max_pool2d\.cu \(", answer.out))
    assert f": {2 * int(variants)} failures" in answer.out
    assert "detected in the compilation" not in answer.out
    assert "__nv_name_map" not in answer.out


@pytest.mark.nvrtc
@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("void relu_forward(", "void relu(", "no kernel relu_forward, which is launched with 3"),
        ("void relu_forward(", "void relu_forward(int more, ",
         "launched with 3 arguments, and the number of its parameters is 4"),
        (None, "", "activation.cu has no kernel add, which is launched with"),
    ],
)  # fmt: skip
def test_a_file_without_the_kernels_that_are_launched_from_it(cli, folder, before, after, words):
    file = folder / "activation.cu"
    text = file.read_text("utf-8")
    file.write_text(after if before is None else text.replace(before, after, 1), "utf-8")
    arguments = ("kernels", "build", "activation.cu", "--kernels", folder, "--arch", "sm_80")
    answer = cli(*arguments, "--no-instructions")
    assert answer.status == 1
    assert answer.out.count(words) == 1
    assert "no failures" not in answer.out
    told = json.loads(cli(*arguments, "--json").out)["failures"]
    assert any(words in failure for failure in told)


@pytest.mark.nvrtc
def test_constants_of_a_file_that_no_operation_launches(cli, folder):
    (folder / "tile.cu").write_text("""
        __global__ void transpose(const float* x, float* y) {
            __shared__ float tile[TILE][TILE + (IS_PADDED ? 1 : 0)];
            tile[threadIdx.y][threadIdx.x] = x[threadIdx.x];
            __syncthreads();
            y[threadIdx.x] = tile[threadIdx.x][threadIdx.y];
        }
    """)
    arguments = ("kernels", "build", "--kernels", folder, "--arch", "sm_80", "--json")
    told = json.loads(cli(*arguments, "--define", "TILE=16", "--define", "IS_PADDED=true").out)
    assert told["failures"] == []
    (tile,) = (kernel for kernel in told["kernels"] if kernel["file"] == "tile.cu")
    assert tile["constants"] == {"TILE": 16, "IS_PADDED": True}
    assert tile["shared_bytes"] == 4 * 16 * 17
    pool = [kernel for kernel in told["kernels"] if kernel["file"] == "max_pool2d.cu"]
    assert not any("TILE" in kernel["constants"] for kernel in pool)
    assert cli(*arguments, "--define", "TILE=16").status == 1


@pytest.mark.nvrtc
def test_constants_that_no_file_takes(cli, folder):
    answer = cli("kernels", "build", "--kernels", folder, "--arch", "sm_80", "--define", "TILE=16")
    assert answer.status == 2
    assert "--define is for other files" in answer.err


@pytest.mark.nvrtc
def test_warnings_are_told_once(cli, folder):
    """From the cache, too."""
    file = folder / "max_pool2d.cu"
    text = file.read_text("utf-8")
    begin = text.index("{\n", text.index("__global__ void max_pool2d_forward")) + 2
    file.write_text(text[:begin] + "    int none;\n    x += none;\n" + text[begin:], "utf-8")
    arguments = ("kernels", "build", "max_pool2d.cu", "--kernels", folder, "--arch", "sm_80",
                 "--no-instructions")  # fmt: skip
    for _ in range(2):
        answer = cli(*arguments)
        assert answer.status == 0, answer.out
        assert answer.out.count("max_pool2d.cu has warnings for sm_80:") == 1
        assert answer.out.count('variable "none" is used before its value is set') == 1
        assert re.search(r"\(in \d+ variants, such as", answer.out)
    (warning,) = json.loads(cli(*arguments, "--json").out)["warnings"]
    assert '"none"' in warning


@pytest.mark.nvrtc
def test_a_kernel_that_spills(cli, folder):
    (folder / "mine.cu").write_text("""
        __global__ void __launch_bounds__(1024) mine(float* x) {
            float a[96];
            for (int i = 0; i < 96; ++i) a[i] = x[i * 1024 + threadIdx.x];
            for (int turn = 0; turn < 9; ++turn)
                for (int i = 0; i < 96; ++i) a[i] = a[i] * a[(7 * i + 1) % 96];
            for (int i = 0; i < 96; ++i) x[i * 1024 + threadIdx.x] = a[i];
        }
    """)
    answer = cli("kernels", "build", "mine.cu", "--kernels", folder, "--arch", "sm_80", "--json")
    assert answer.status == 1
    (failure,) = json.loads(answer.out)["failures"]
    assert failure.startswith("mine.cu: mine spills ")
    assert "on sm_80" in failure


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--arch", "sm_61"), "sm_61 is older than sm_70"),
        (("--arch", "hopper"), '"hopper" is not an architecture'),
        (("--arch", "sm_80a"), 'suffix "a" begins with sm_90a; use sm_80'),
        (("--arch", "sm_90f"), 'suffix "f" begins with sm_100f; use sm_90'),
        (("--arch", "sm_80", "--arch", "sm_999"), "makes no code for sm_999"),
        (("--config", "none.toml"), "none.toml: there is no such config file"),
        (("--define", "TILE"), '--define "TILE" is not such as TILE=32'),
        (("--define", "TILE=1.5"), '--define "TILE=1.5" is not such as TILE=32'),
        (("max_pool.cu",), 'did you mean "max_pool2d.cu"?'),
    ],
)
@pytest.mark.nvrtc
def test_mistakes_are_one_message(cli, arguments, words):
    answer = cli("kernels", "build", *arguments)
    assert answer.status == 2
    assert words in answer.err
    assert len(answer.err.splitlines()) == 1


@pytest.mark.nvrtc
def test_an_architecture_without_instructions_is_told(cli, folder, monkeypatch):
    arguments = ("kernels", "build", "activation.cu", "--kernels", folder, "--arch", "sm_70")
    monkeypatch.setattr(disassembly, "disassembler", lambda: Path("nvdisasm"))
    answer = cli(*arguments)
    assert answer.status == 0
    assert answer.err == (
        "no instructions are counted for sm_70: nvdisasm of CUDA 13 reads sm_75 and newer\n"
    )
    monkeypatch.setattr(disassembly, "disassembler", lambda: None)
    assert "sm_70: nvdisasm is not installed" in cli(*arguments).err
    assert cli(*arguments, "--no-instructions").err == ""


@pytest.mark.nvrtc
def test_a_disassembler_that_cannot_read_a_cubin(cli, folder, monkeypatch, tmp_path):
    program = tmp_path / "nvdisasm"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(disassembly, "disassembler", lambda: program)
    arguments = ("kernels", "build", "activation.cu", "--kernels", folder, "--arch", "sm_80")
    answer = cli(*arguments, "--json")
    assert answer.status == 0, answer.err
    assert {kernel["instructions"] for kernel in json.loads(answer.out)["kernels"]} == {None}
    assert cli(*arguments).status == 0


@pytest.mark.nvrtc
def test_networks_and_benchmarks_are_compiled_too(cli):
    """A convolution of ResNet-18 on CIFAR, which halves the image; and its last on ImageNet."""
    arguments = ("kernels", "build", "conv2d_input_grad.cu", "conv2d_filter_grad_gemm.cu",
                 "--arch", "sm_80", "--no-instructions", "--json")  # fmt: skip
    plain = _constants(cli(*arguments))
    network = _constants(cli(*arguments, "--config", CONFIGS / "cifar10_resnet18.toml",
                             "--input", "32x32x3", "--classes", "10"))  # fmt: skip
    bench = _constants(cli(*arguments, "--bench"))
    assert plain < network
    assert plain < bench
    halving = {"H": 8, "C": 256, "K": 512, "R": 3, "STRIDE_H": 2}
    last = {"H": 7, "C": 512, "K": 512, "R": 3, "STRIDE_H": 1}
    assert any(dict(one).items() >= halving.items() for one in network - plain)
    assert any(dict(one).items() >= last.items() for one in bench - plain)


def _constants(answer):
    assert answer.status == 0, answer.err
    return {tuple(one["constants"].items()) for one in json.loads(answer.out)["kernels"]}


@pytest.mark.nvrtc
def test_a_folder_without_kernels(cli, tmp_path):
    answer = cli("kernels", "build", "--kernels", tmp_path, "--arch", "sm_80")
    assert answer.status == 2
    assert "there is no .cu file in it" in answer.err


@pytest.mark.usefixtures("without_nvrtc")
def test_without_nvrtc(cli):
    answer = cli("kernels", "build")
    assert answer.status == 2
    assert "NVRTC is missing (no library: " in answer.err
    assert 'pip install "nvidia-cuda-nvrtc-cu12==12.*"' in answer.err
    assert len(answer.err.splitlines()) == 1
