"""PyTorch, set up to be compared with a backend: the same device, threads and precision."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.base import Backend
from gpucnn.bench.device_clock import cuda_device
from gpucnn.bench.timing import Run
from gpucnn.bench.torch_peer import import_torch
from gpucnn.errors import BackendError
from gpucnn.processor import available_cores

MEMORY_FORMATS = ("contiguous", "channels_last")
"""NCHW, PyTorch's default, and NHWC."""
TF32 = ", TF32"
"""The end of the name of what runs as PyTorch does by itself: with convolutions in TF32."""
_FIRST_WITH_TF32 = (8, 0)


class TorchDevice:
    """PyTorch on the backend's device, in true FP32, with cuDNN free to choose its algorithms.

    On a GPU its work goes onto the backend's own stream, so that the same events time both.

    Args:
        backend: what PyTorch is compared with.

    Attributes:
        torch: the module.
        name: "cpu", or "cuda:0".
        has_tf32: whether PyTorch's own default is another one: convolutions in TF32.

    Raises:
        BackendError: PyTorch is not installed, or has no CUDA where the backend has a GPU.
    """

    def __init__(self, backend: Backend) -> None:
        torch = self.torch = import_torch()
        torch.set_num_threads(available_cores())
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = True
        self.name = "cpu"
        self.has_tf32 = False
        device = cuda_device(backend)
        if device is None:
            return
        if not torch.cuda.is_available():
            raise BackendError(
                f"PyTorch {torch.__version__} cannot use the GPU (it is made for CUDA "
                f"{torch.version.cuda}), so there is nothing to compare with; install a PyTorch "
                "that fits the driver"
            )
        self.name = f"cuda:{device.ordinal}"
        self.has_tf32 = torch.cuda.get_device_capability(device.ordinal) >= _FIRST_WITH_TF32
        torch.cuda.set_device(device.ordinal)
        torch.cuda.set_stream(
            torch.cuda.ExternalStream(device.stream.ptr, device=torch.device(self.name))
        )

    @property
    def version(self) -> str:
        """PyTorch's version, and cuDNN's on a GPU."""
        version = str(self.torch.__version__)
        if self.name == "cpu":
            return version
        return f"{version}, cuDNN {self.torch.backends.cudnn.version()}"

    def in_both(self, name: str, run: Run) -> dict[str, Run]:
        """A run in true FP32, and one in PyTorch's own default if that is TF32, by name."""
        return {name: run, name + TF32: self._in_tf32(run)} if self.has_tf32 else {name: run}

    def _in_tf32(self, run: Run) -> Run:
        flags = self.torch.backends.cudnn

        def run_in_tf32() -> object:
            flags.allow_tf32 = True
            try:
                return run()
            finally:
                flags.allow_tf32 = False

        return run_in_tf32

    def memory_format(self, name: str) -> Any:
        """PyTorch's object for one of MEMORY_FORMATS."""
        return {
            "contiguous": self.torch.contiguous_format,
            "channels_last": self.torch.channels_last,
        }[name]

    def tensor(self, array: NDArray[Any], memory_format: str = "contiguous") -> Any:
        """A host array as a tensor on the device; (N, H, W, C) becomes (N, C, H, W)."""
        return self.in_format(self.upload(array), memory_format)

    def upload(self, array: NDArray[Any]) -> Any:
        """A tensor with a host array's shape and numbers, never the array itself."""
        return self.torch.tensor(array, device=self.name)

    def enqueue(self, array: NDArray[Any]) -> Any:
        """As ``upload``, but the host does not wait until what the GPU does before is done."""
        host = self.torch.from_numpy(np.ascontiguousarray(array))
        if self.name != "cpu":
            host = host.pin_memory()
        return host.to(self.name, non_blocking=True)

    def in_format(self, tensor: Any, memory_format: str) -> Any:
        """(N, H, W, C) as (N, C, H, W) in one of MEMORY_FORMATS; what has no images, as it is."""
        if tensor.ndim != 4:
            return tensor
        return tensor.permute(0, 3, 1, 2).contiguous(
            memory_format=self.memory_format(memory_format)
        )

    def product(self, n: int) -> Callable[[], object]:
        """Multiplies two matrices of (n, n)."""
        x, w = (self.torch.rand(n, n, device=self.name) for _ in range(2))
        return lambda: self.torch.matmul(x, w)

    def array(self, tensor: Any) -> NDArray[Any]:
        """A tensor as a host array; (N, C, H, W) becomes (N, H, W, C)."""
        if tensor.ndim == 4:
            tensor = tensor.permute(0, 2, 3, 1)
        array: NDArray[Any] = tensor.detach().cpu().contiguous().numpy()
        return array


def has_torch() -> bool:
    """Whether there is a PyTorch to compare with."""
    return importlib.util.find_spec("torch") is not None
