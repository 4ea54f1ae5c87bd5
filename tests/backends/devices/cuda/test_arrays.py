"""Training treats arrays as CuPy's allow: through operations, not through NumPy."""

import numpy as np
import pytest
from fake_cupy import FakeCupy
from kernel_names import kernels_of

from gpucnn.backends.devices.cuda import store
from gpucnn.backends.devices.cuda.device import CudaDevice
from gpucnn.backends.devices.cuda.nvrtc import Program, Usage
from gpucnn.backends.devices.planner import PlanningDevice
from gpucnn.backends.kernel_backend import KernelBackend
from gpucnn.config import load_config
from gpucnn.emulator.cache import Cache
from gpucnn.training.resident import ResidentImages
from gpucnn.training.trainer import Trainer

CONFIG = """
seed = 1
[data]
name = "digits"
validation = 0.1
[augment]
flip = true
crop_padding = 1
[model]
name = "{model}"
{options}
[loss]
name = "softmax_cross_entropy"
label_smoothing = 0.1
[optimizer]
name = "{optimizer}"
learning_rate = 0.01
[training]
epochs = 1
batch_size = 700
clip_norm = 1.0
"""


class Guarded(np.ndarray):
    """An array that NumPy's functions do not take, as they do not take one on a GPU.

    What CuPy can do with its own arrays is refused too: it would compile a kernel for it.
    """

    def __array_ufunc__(self, function, *_, **__):
        raise TypeError(f"numpy.{function.__name__} of an array of the device")

    def __array_function__(self, function, *_, **__):
        raise TypeError(f"numpy.{function.__name__} of an array of the device")

    def __float__(self):
        raise TypeError("a number taken from an array of the device")

    def _compiles(self, *_, **__):
        raise TypeError("an operation of the array's own, for which CuPy would compile a kernel")

    fill = copy = astype = __setitem__ = sum = min = max = _compiles
    __int__ = __bool__ = __index__ = __float__


class GuardedDevice(PlanningDevice):
    """Gives such arrays, and takes no others in launches."""

    runs_ahead = True
    uploads = 0

    def upload(self, array):
        self.uploads += 1
        return super().upload(array)

    def write(self, array, host):
        assert isinstance(array, Guarded)
        assert type(host) is np.ndarray
        assert host.flags.c_contiguous
        assert (host.shape, host.dtype) == (array.shape, array.dtype)

    def empty(self, shape, dtype):
        return super().empty(shape, dtype).view(Guarded)

    def to_numpy(self, array):
        assert isinstance(array, Guarded)
        return super().to_numpy(array)

    def launch(self, kernel, grid, block, shared_bytes, arguments):
        for argument in arguments:
            assert argument is None or isinstance(argument, (Guarded, np.generic)), (
                kernel,
                argument,
            )
        super().launch(kernel, grid, block, shared_bytes, arguments)


@pytest.mark.parametrize(
    ("model", "options", "optimizer"),
    [
        ("lenet", "filters = [4, 8]\nkernel = 2\nhidden = 16", "adam"),
        ("vgg", "width = 4\nstages = 2", "sgd"),
        ("resnet9", "width = 4", "adamw"),
    ],
)
def test_a_run_with_arrays_that_numpy_does_not_take(tmp_path, model, options, optimizer):
    path = tmp_path / "config.toml"
    path.write_text(CONFIG.format(model=model, options=options, optimizer=optimizer))
    device = GuardedDevice()
    trainer = Trainer(load_config(path), KernelBackend(device), tmp_path / "run")
    trainer.fit()
    assert len(device.sources) > 10
    assert device.uploads >= 3  # the batches of the epoch, and those of its evaluations
    Trainer.resume(tmp_path / "run", KernelBackend(GuardedDevice()))


@pytest.mark.parametrize("free", [1 << 30, 1 << 19])
def test_a_run_on_the_device_itself(tmp_path, monkeypatch, free):
    """Its kernels do nothing; all else is there, and CuPy has nothing to compile."""

    def compile_to_cubin(source, _):
        kernels = kernels_of(source)
        usage = {name: Usage(20, 0, 0, 0) for name in kernels}
        return Program(b"cubin", {name: name for name in kernels}, usage, kernels)

    cupy = FakeCupy(memory=1 << 30)
    cupy.free = free
    cupy.install(monkeypatch)
    monkeypatch.setattr(store, "toolkit_version", lambda: "12090")
    monkeypatch.setattr(store, "compile_to_cubin", compile_to_cubin)
    path = tmp_path / "config.toml"
    path.write_text(
        CONFIG.format(model="resnet9", options="width = 4", optimizer="adam"), encoding="utf-8"
    )
    config = load_config(path)
    for begin in (
        lambda backend: Trainer(config, backend, tmp_path / "run"),
        lambda backend: Trainer.resume(tmp_path / "run", backend),
    ):
        trainer = begin(KernelBackend(CudaDevice(cache=Cache(tmp_path / "cache"))))
        assert isinstance(trainer.loader.dataset, ResidentImages) == (free == 1 << 30)
        weight = next(iter(trainer.network.state().values()))
        assert np.ptp(weight) > 0.01
        trainer.fit()
    assert cupy.launches
