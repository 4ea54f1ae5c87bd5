"""``gpucnn kernels check``."""

import json
import os
import re
import shutil

import pytest

from gpucnn.backends import why_unavailable
from gpucnn.backends.devices.source import KERNELS
from gpucnn.errors import BackendError

if reason := why_unavailable("emulator"):
    pytest.skip(reason, allow_module_level=True)

SMALL = ("kernels", "check", "--quick", "--mode", "fast", "--operation", "max_pool2d_forward")


@pytest.fixture
def wrong_kernels(tmp_path):
    """A folder of the user's own, with one kernel in which the last of equal values wins."""
    text = (KERNELS / "max_pool2d.cu").read_text(encoding="utf-8")
    (tmp_path / "max_pool2d.cu").write_text(text.replace("v > b ||", "v >= b ||"), "utf-8")
    return tmp_path


def test_right_kernels_pass(cli):
    result = cli(*SMALL)
    assert result.status == 0
    assert "max_pool2d_forward" in result.out
    assert "none wrong" in result.out


def test_a_wrong_kernel_is_named_with_its_problem(cli, wrong_kernels):
    result = cli(*SMALL, "--kernels", wrong_kernels)
    assert result.status == 1
    assert "max_pool2d_forward(x=(" in result.out
    assert "elements of argmax are wrong; argmax[" in result.out

    assert "must be exact: a race, a wrong index or uninitialised data; the race mode" in result.out
    command = "gpucnn kernels check --mode race --operation max_pool2d_forward --kernels "
    assert f"{command}{wrong_kernels}\n" in result.out
    assert "inf" not in result.out


def test_a_missing_barrier_is_called_a_race_with_the_element_and_its_values(cli, tmp_path):
    text = (KERNELS / "conv2d_depthwise.cu").read_text(encoding="utf-8")
    barrier = "    __syncthreads();\n"
    assert text.count(barrier) == 1
    (tmp_path / "conv2d_depthwise.cu").write_text(text.replace(barrier, ""), "utf-8")
    arguments = ("--quick", "--operation", "conv2d_forward", "--kernels", tmp_path)
    result = cli("kernels", "check", "--mode", "fast", *arguments)
    assert result.status == 1
    assert re.search(
        r"elements of y are wrong; y\[\d+, \d+, \d+, \d+\] is nan, expected -?\d+\.\d+, which no "
        r"rounding explains: a race, a wrong index or uninitialised data; the race mode reports "
        r"the line: gpucnn kernels check --mode race --operation conv2d_forward --kernels ",
        result.out,
    )
    (row,) = [line for line in result.out.splitlines() if "forward depthwise  fast" in line]
    assert row.split()[-2] == "wrong"
    result = cli("kernels", "check", "--mode", "race", *arguments)
    pattern = (
        r"(read|write) at conv2d_depthwise\.cu:\d+( \(in .*\))? by .* races with (write|read) "
    )
    assert re.search(pattern, result.out)


@pytest.mark.nvrtc
def test_compiled_code_is_checked(cli, wrong_kernels):
    arguments = ("kernels", "check", "--quick", "--operation", "max_pool2d_forward")
    result = cli(*arguments, "--mode", "ptx", "--machine", "sm_80").succeeded()
    assert "2 problems, none wrong" in result.out
    cli(*arguments, "--mode", "ptx", "--jitter").succeeded()
    result = cli(*arguments, "--mode", "ptx", "--kernels", wrong_kernels)
    assert result.status == 1
    assert "elements of argmax are wrong" in result.out


@pytest.mark.nvrtc
def test_operands_that_inline_assembly_swaps_are_found_in_mode_ptx_alone(cli, tmp_path):
    """The emulator of C++ does what the opcode says, whatever the text says of its operands."""
    (tmp_path / "include" / "ptx").mkdir(parents=True)
    shutil.copy(KERNELS / "matmul.cu", tmp_path)
    right = (KERNELS / "include" / "ptx" / "instruction.cuh").read_text("utf-8")
    first, second = '"f"((values)[0])', '"f"((values)[1])'
    wrong = right.replace(f"{first}, {second}", f"{second}, {first}")
    (tmp_path / "include" / "ptx" / "instruction.cuh").write_text(wrong, "utf-8")
    assert wrong != right
    arguments = ("kernels", "check", "--quick", "--operation", "matmul", "--kernels", tmp_path)
    assert "none wrong" in cli(*arguments).succeeded().out
    result = cli(*arguments, "--mode", "ptx")
    assert result.status == 1
    assert "times the bound" in result.out or "must be exact" in result.out


@pytest.mark.usefixtures("without_nvrtc")
def test_without_nvrtc_mode_ptx_says_what_to_install(cli):
    result = cli("kernels", "check", "--quick", "--operation", "add", "--mode", "ptx")
    assert result.status == 2
    assert 'pip install "nvidia-cuda-nvrtc-cu12==12.*"' in result.err


def test_only_mode_ptx_jitters(cli):
    result = cli("kernels", "check", "--quick", "--operation", "add", "--jitter")
    assert result.status == 2
    assert "only --mode ptx" in result.err


def test_the_gpu_to_check_on(cli, monkeypatch):
    asked = []

    def device(ordinal):
        asked.append(ordinal)
        raise BackendError(f"GPU {ordinal} is not for tests")

    monkeypatch.setattr("gpucnn.backends.devices.cuda.device.CudaDevice", device)
    options = ("kernels", "check", "--quick", "--operation", "add", "--mode", "cuda")
    assert "GPU 0 is not for tests" in cli(*options).err
    assert "GPU 3 is not for tests" in cli(*options, "--device", "3").err
    assert asked == [0, 3]
    refused = cli(*SMALL, "--device", "3")
    assert refused.status == 2
    assert "only --mode cuda has GPUs to choose from" in refused.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--machine", "sm_99"), 'there is no machine "sm_99"; did you mean "sm_89"?'),
        (("--machine", "sm_80", "--mode", "cuda"), "only the emulator stands in for a --machine"),
    ],
)
def test_machines_that_cannot_be(cli, arguments, said):
    refused = cli("kernels", "check", "--quick", "--operation", "add", *arguments)
    assert refused.status == 2
    assert said in refused.err


def test_a_machine_s_launches_are_checked(cli):
    result = cli(*SMALL, "--machine", "sm_75")
    assert (result.status, "none wrong" in result.out) == (0, True)


def test_json(cli, wrong_kernels):
    result = cli(*SMALL, "--kernels", wrong_kernels, "--json")
    assert result.status == 1
    told = json.loads(result.out)
    assert (told["n"], told["wrong"]) == (3, len(told["problems"][0]["wrong"]))
    (row,) = told["problems"]
    assert (row["operation"], row["mode"], row["problems"]) == ("max_pool2d_forward", "fast", 3)
    assert row["wrong"]
    assert row["seconds"] > 0


@pytest.mark.parametrize(
    "mode", ["fast", "race", "sanitize", pytest.param("ptx", marks=pytest.mark.nvrtc)]
)
def test_a_kernel_that_never_ends_is_wrong(cli, tmp_path, monkeypatch, mode):
    monkeypatch.setattr("gpucnn.check.checker.TIME_LIMIT", 0.5)
    text = (KERNELS / "activation.cu").read_text(encoding="utf-8")
    body = text.index("{\n", text.index("__global__ void relu_forward")) + 2
    loop = "    volatile int zero = 0;\n    while (zero == 0) {\n    }\n"
    (tmp_path / "activation.cu").write_text(text[:body] + loop + text[body:], "utf-8")
    arguments = ("--quick", "--mode", mode, "--operation", "relu_forward")
    result = cli("kernels", "check", *arguments, "--kernels", tmp_path)
    assert result.status == 1
    late = r"launch (takes longer than its time limit at|has taken longer than .* come to) "
    assert re.search(rf"{late}activation\.cu:\d+", result.out)
    count = {"fast": 3, "ptx": 2}.get(mode, 1)
    left = f"; {count - 1} left out after one that took too long" if count > 1 else ""
    assert f"1 problems, 1 wrong{left}\n" in result.out


def test_what_does_not_compile_is_told_once(cli, wrong_kernels):
    file = wrong_kernels / "max_pool2d.cu"
    file.write_text(
        file.read_text("utf-8").replace("__global__", "int x = ;\n__global__", 1), "utf-8"
    )
    others = ("--operation", "max_pool2d_input_grad")
    result = cli(*SMALL, *others, "--kernels", wrong_kernels)
    assert result.status == 1
    assert result.out.count("does not compile") == 1
    assert "(the same in 5 more)" in result.out
    assert "6 problems, 6 wrong" in result.out
    told = json.loads(cli(*SMALL, *others, "--kernels", wrong_kernels, "--json").out)
    assert [len(row["wrong"]) for row in told["problems"]] == [3, 3]


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (
            "    float scale, float* dlogits",
            "    double scale, float* dlogits",
            "is a NumPy float32 of 4 bytes, its parameter a float of 8 bytes",
        ),
        (
            "const float* logits, float* probabilities) {",
            "const float* logits, float* probabilities, int more) {",
            "softmax is launched with 2 arguments, and the number of its parameters is 3",
        ),
        ("float total = 0.0f;", "float total = 0.0f", "(K=10, ROW_THREADS=32) does not compile"),
        (
            "float total = 0.0f;",
            "float total = *static_cast<float*>(nullptr);",
            "address (nil) is in no memory",
        ),
    ],
    ids=["by the emulator", "before a launch", "by the compiler", "of a thread"],
)
def test_a_complaint_is_told_once_whatever_the_constants(cli, tmp_path, before, after, words):
    """Though a message has the file's constants, and a compiler's the functions' full names."""
    text = (KERNELS / "softmax_cross_entropy.cu").read_text(encoding="utf-8")
    assert before in text
    (tmp_path / "softmax_cross_entropy.cu").write_text(text.replace(before, after, 1), "utf-8")
    operation = "softmax_cross_entropy_input_grad" if "scale" in before else "softmax"
    arguments = ("--quick", "--mode", "fast", "--operation", operation, "--kernels", tmp_path)
    result = cli("kernels", "check", *arguments)
    assert result.status == 1
    assert words in result.out
    assert "gpucnn_" not in result.out
    assert result.out.count(f"{operation}(") == 1
    assert "(the same in 2 more)" in result.out


def test_a_folder_of_which_nothing_is_launched(cli, wrong_kernels):
    arguments = ("kernels", "check", "--quick", "--operation", "relu_forward", "--operation", "add")
    result = cli(*arguments, "--kernels", wrong_kernels)
    assert result.status == 2
    assert f"none of these operations launches a file of {wrong_kernels} (max_pool2d.cu)" in (
        result.err
    )


def test_operations_that_launch_a_file_of_the_folder(cli, wrong_kernels):
    result = cli("kernels", "check", "--quick", "--mode", "fast", "--kernels", wrong_kernels)
    assert result.status == 1
    assert " ".join(result.err.split()) == (
        "checking what launches max_pool2d.cu: max_pool2d_forward, max_pool2d_input_grad"
    )
    assert "6 problems" in result.out
    (wrong_kernels / "max_pool2d.cu").rename(wrong_kernels / "ceiling.cu")
    result = cli("kernels", "check", "--quick", "--mode", "fast", "--kernels", wrong_kernels)
    assert result.status == 2
    assert f"no operation launches a file of {wrong_kernels}" in result.err


def test_the_few_of_quick_launch_each_kernel_of_the_folder(cli, tmp_path):
    """Which the first of a product does not: both of this file, in the modes with one problem."""
    shutil.copy(KERNELS / "sum_slices.cu", tmp_path)
    arguments = ("kernels", "check", "--quick", "--operation", "matmul", "--json")
    plain = json.loads(cli(*arguments).out)
    own = json.loads(cli(*arguments, "--kernels", tmp_path).out)
    assert [row["problems"] for row in plain["problems"]] == [3, 1, 1]
    assert [row["problems"] for row in own["problems"]] == [3, 3, 3]
    assert own["wrong"] == 0


def test_the_same_of_a_benchmark(cli, wrong_kernels):
    bench = ("bench", "kernels", "--backend", "emulator", "--no-torch", "--kernels", wrong_kernels)
    result = cli(*bench, "--problem", "quick-map")
    assert result.status == 2
    assert "(max_pool2d.cu); choose others, or all" in result.err
    result = cli(*bench, "--operation", "max_pool2d_forward", "--repetitions", "3")
    assert result.status == 0, result.err


def test_a_folder_may_have_files_that_are_not_used(cli, wrong_kernels):
    (wrong_kernels / "max_pool3d.cu").write_text("")
    result = cli(*SMALL, "--kernels", wrong_kernels)
    assert result.status == 1
    assert "not used, for no file of ours has the name: max_pool3d.cu" in result.err


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ((), "is not a folder of kernels: there is no .cu file in it"),
        (("max_pol2d.cu",), 'max_pol2d.cu has no counterpart; did you mean "max_pool2d.cu"?'),
        (("softmax.cu",), 'no counterpart; did you mean "softmax_cross_entropy.cu"?'),
        (("entropy.cu",), 'no counterpart; did you mean "softmax_cross_entropy.cu"?'),
        (("pool.cu",), "did you mean one of avg_pool2d.cu, global_avg_pool2d.cu, max_pool2d.cu?"),
    ],
)
def test_a_folder_without_a_kernel_of_ours(cli, tmp_path, files, message):
    for file in files:
        (tmp_path / file).write_text("")
    result = cli(*SMALL, "--kernels", tmp_path)
    assert result.status == 2
    assert message in result.err


def test_a_kernel_file_that_is_a_folder(cli, tmp_path):
    (tmp_path / "max_pool2d.cu").mkdir()
    result = cli(*SMALL, "--kernels", tmp_path)
    assert result.status == 2
    assert f"{tmp_path / 'max_pool2d.cu'} cannot be read: it is a folder, not a file" in result.err


def test_a_kernel_file_that_is_a_pipe_or_huge(cli, tmp_path):
    """Neither waits for a writer nor reads what is no text."""
    os.mkfifo(tmp_path / "max_pool2d.cu")
    result = cli(*SMALL, "--kernels", tmp_path)
    assert result.status == 2
    assert f"{tmp_path / 'max_pool2d.cu'} cannot be read: it is a FIFO, not a file" in result.err
    (tmp_path / "max_pool2d.cu").unlink()
    (tmp_path / "max_pool2d.cu").touch()
    os.truncate(tmp_path / "max_pool2d.cu", 10**11)
    result = cli(*SMALL, "--kernels", tmp_path)
    assert result.status == 2
    assert "max_pool2d.cu cannot be read: it has 100,000,000,000 bytes" in result.err


def test_names_of_files_are_shown_on_one_line(cli, tmp_path):
    folder = tmp_path / "a\x1b[2J\nb"
    folder.mkdir()
    result = cli(*SMALL, "--kernels", folder)
    assert (result.status, result.err.count("\n")) == (2, 1)
    assert r"a\x1b[2J\nb is not a folder of kernels" in result.err
    (folder / "caf\udce9\n.cu").touch()
    result = cli(*SMALL, "--kernels", folder)
    assert (result.status, result.err.count("\n")) == (2, 1)
    assert r"caf\xe9\n.cu has no counterpart" in result.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_no_permission(cli, wrong_kernels):
    """For the folder's files: whether there are any is known."""
    wrong_kernels.chmod(0o444)
    try:
        result = cli(*SMALL, "--kernels", wrong_kernels)
    finally:
        wrong_kernels.chmod(0o755)
    assert result.status == 2
    assert f"{wrong_kernels / 'max_pool2d.cu'} cannot be read: Permission denied" in result.err


def test_nothing_but_the_object_is_on_stdout(cli, wrong_kernels):
    """Neither which files are not used, nor what was chosen."""
    (wrong_kernels / "max_pool3d.cu").write_text("")
    result = cli(
        "kernels", "check", "--quick", "--mode", "race", "--kernels", wrong_kernels, "--json"
    )
    assert json.loads(result.out)["n"] == 2
    assert "not used" in result.err
    assert "checking what launches max_pool2d.cu" in result.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--operation", "max_pool"), 'there is no operation "max_pool"; did you mean'),
        (("--mode", "slow"), "'slow' is not one of"),
        (("--kernels", "no_such_folder"), "no_such_folder"),
    ],
)
def test_mistakes(cli, arguments, message):
    result = cli("kernels", "check", *arguments)
    assert result.status == 2
    assert message in result.err
    assert "Traceback" not in result.err
