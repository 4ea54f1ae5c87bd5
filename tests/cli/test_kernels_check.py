"""``gpucnn kernels check``."""

import json

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


def test_json(cli, wrong_kernels):
    result = cli(*SMALL, "--kernels", wrong_kernels, "--json")
    assert result.status == 1
    told = json.loads(result.out)
    assert (told["n"], told["wrong"]) == (3, len(told["problems"][0]["wrong"]))
    (row,) = told["problems"]
    assert (row["operation"], row["mode"], row["problems"]) == ("max_pool2d_forward", "fast", 3)
    assert row["wrong"]
    assert row["seconds"] > 0


def test_another_folder_of_kernels_may_have_other_files_only(cli, tmp_path):
    assert cli(*SMALL, "--kernels", tmp_path).status == 0


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
