"""The device that only plans: which kernels a run takes, without running it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gpucnn.backends import kernel_backend
from gpucnn.backends.devices.planner import PlanningDevice
from gpucnn.backends.devices.source import KernelSource
from gpucnn.backends.kernel_backend import KernelBackend
from gpucnn.config import load_config
from gpucnn.errors import BackendError
from gpucnn.launch import EMULATED
from gpucnn.training.classification import Classification
from gpucnn.training.rehearsal import rehearse_without_data
from gpucnn.training.trainer import Trainer


def test_sources_are_told_once_in_order():
    device = PlanningDevice()
    backend = KernelBackend(device)
    x = backend.empty((8, 32, 32, 16))
    for _ in range(2):
        y = backend.relu_forward(x)
        backend.max_pool2d_forward(y, (2, 2), (2, 2))
        backend.max_pool2d_forward(y, (3, 3), (1, 1))
    assert [source.file for source in device.sources] == [
        "activation.cu", "max_pool2d.cu", "max_pool2d.cu",
    ]  # fmt: skip
    assert ("R", 3) in device.sources[2].constants
    told = [(str(kernel), kernel.source, count) for kernel, count in device.launches.items()]
    activation, pool, other_pool = device.sources
    assert told == [
        ("relu_forward", activation, 3), ("max_pool2d_forward", pool, 4),
        ("max_pool2d_forward", other_pool, 4),
    ]  # fmt: skip


def test_a_source_is_compiled_once_and_not_made_again_for_each_launch(monkeypatch):
    compiled, made = [], []

    class Recording(PlanningDevice):
        def compile(self, source):
            compiled.append(source)
            return super().compile(source)

    class Counted(KernelSource):
        def __init__(self, *arguments):
            made.append(arguments)
            super().__init__(*arguments)

    monkeypatch.setattr(kernel_backend, "KernelSource", Counted)
    backend = KernelBackend(Recording())
    gradients = backend.empty((100,))
    for _ in range(5):
        backend.clip_by_global_norm(gradients, backend.global_norm(gradients), 1.0)
    assert [source.file for source in compiled] == ["step.cu"]
    assert len(made) == 3  # one for each kernel of the file


def test_a_training_is_planned_without_its_data():
    """The same kernels as the run compiles by itself."""
    config = load_config(Path(__file__).parents[3] / "configs" / "digits.toml")
    device, planned = PlanningDevice(), PlanningDevice()
    Trainer(config, KernelBackend(device))._data.rehearse(KernelBackend(planned))
    alone = PlanningDevice()
    rehearse_without_data(config, KernelBackend(alone), (8, 8, 1), Classification.of_count(10))
    assert set(alone.sources) == set(planned.sources)
    assert len(alone.sources) > 20


def test_memory_is_asked_for_and_not_touched():
    device = PlanningDevice()
    array = device.empty((1 << 28, 4), np.dtype(np.float32))
    assert array.shape == (1 << 28, 4)
    assert array.flags.c_contiguous
    assert device.address(array) % 64 == 0


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,), (5, 7)])
def test_arrays_have_the_shape_and_dtype(shape):
    device = PlanningDevice()
    array = device.asarray(np.ones(shape, np.int32))
    assert (array.shape, array.dtype) == (shape, np.int32)
    np.testing.assert_array_equal(device.to_numpy(array), np.zeros(shape, np.int32))


def test_a_kernel_is_whatever_it_is_called():
    module = PlanningDevice().compile(KernelSource("activation.cu"))
    assert str(module["relu_forward"]) == "relu_forward"
    assert module["relu_forward"] is module["relu_forward"]
    assert module["relu_forward"].parameter_count is None


def test_blocks_that_the_device_could_not_run_are_noticed():
    device = PlanningDevice(replace(EMULATED, block_dynamic_shared_bytes=100_000))
    kernel = device.compile(KernelSource("activation.cu"))["relu_forward"]
    device.launch(kernel, (1, 1, 1), (32, 32, 1), 100_000, ())
    for block, shared_bytes in (((32, 33, 1), 0), ((32, 1, 1), 100_001)):
        with pytest.raises(BackendError, match="relu_forward asks for blocks of"):
            device.launch(kernel, (1, 1, 1), block, shared_bytes, ())
