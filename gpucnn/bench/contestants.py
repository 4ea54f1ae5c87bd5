"""What is timed: an operation in each variant of our kernels, and the same in PyTorch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import cycle
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends.base import Backend
from gpucnn.backends.interface.arrays import Array
from gpucnn.backends.kernel_backend import KernelBackend
from gpucnn.bench.random_inputs import random_array
from gpucnn.bench.timing import Run
from gpucnn.bench.torch_device import MEMORY_FORMATS, TorchDevice
from gpucnn.launch.variants import Variant
from gpucnn.operations import Operand, Timed
from gpucnn.operations.convolution.problems import Convolution
from gpucnn.operations.problem import Problem, Shape

Floats: TypeAlias = NDArray[np.float32]

_TORCH_DTYPES = {"uint8": "uint8", "int32": "int64", "int64": "int64", "float64": "float64"}
"""PyTorch's dtypes of labels, indices and norms, by NumPy's."""


def input_shapes(timed: Timed) -> list[Shape]:
    """The shapes of the arrays that an operation takes."""
    return [operand.shape for operand in _inputs(timed.problem).values()]


def draw_inputs(timed: Timed) -> list[Floats]:
    """Random inputs, the same at each call, all in FP32; integers are whole numbers."""
    generator = np.random.default_rng(0)
    return [
        timed.values.get(name, _as_drawn)(random_array(generator, operand.shape)).astype(
            np.float32, copy=False
        )
        for name, operand in _inputs(timed.problem).items()
    ]


def our_run(timed: Timed, backend: Backend, arrays: Sequence[Array]) -> Run:
    """A run on a backend, given its arrays of the inputs, that returns the results."""
    storage, numbers = timed.problem.dtypes.storage, timed.numbers
    inputs = {
        name: array
        if operand.dtype == storage
        # Other numbers are converted on the host.
        else backend.asarray(backend.to_numpy(array), operand.dtype)
        for (name, operand), array in zip(_inputs(timed.problem).items(), arrays, strict=True)
    }
    problem = replace(timed.problem, dtypes=backend.dtypes)
    given = [inputs.get(name) for name in problem.takes] + [None] * len(problem.gives)
    changed = [inputs[name] for name in problem.changes if name in inputs]

    def run() -> object:
        results = backend.run(problem, *given, **numbers) or changed
        return tuple(results) if len(results) > 1 else results[0]

    return run


def torch_run(timed: Timed, torch: Any, tensors: Sequence[Any]) -> Run:
    """A run in PyTorch, given the module and tensors of the inputs, that returns the results."""
    problem, numbers = timed.problem, timed.numbers
    dtypes = [_TORCH_DTYPES.get(each.dtype.name) for each in _inputs(problem).values()]
    inputs = [
        tensor.to(getattr(torch, dtype)) if dtype else tensor
        for dtype, tensor in zip(dtypes, tensors, strict=True)
    ]
    arguments = problem.prepare_torch(torch, *inputs)
    return lambda: problem.in_torch(torch, *arguments, **numbers)


def our_runs(
    timed: Timed, backend: Backend, arrays: Sequence[Floats], variants: Sequence[str], sets: int
) -> dict[str, Run]:
    """A run of each variant, by name.

    Args:
        timed: what is run.
        backend: where.
        arrays: the inputs.
        variants: of the kernels; "" leaves the choice to the backend.
        sets: how many sets of inputs each run uses in rotation; all but the first are copied on
            the device.
    """
    first = [backend.asarray(array) for array in arrays]
    inputs = [first, *(copied(backend, first) for _ in range(sets - 1))]
    return {
        name: _with_variant(
            backend, name, rotating([our_run(timed, backend, each) for each in inputs])
        )
        for name in variants
    }


def torch_runs(
    timed: Timed, torch: TorchDevice, arrays: Sequence[Floats], sets: int
) -> dict[str, Run]:
    """Runs of PyTorch, by name: in each memory format if there are images.

    Those of convolutions are in true FP32, and in TF32 if that is what PyTorch does by itself.
    """
    there = [torch.upload(array) for array in arrays]
    has_images = any(array.ndim == 4 for array in arrays)
    runs: dict[str, Run] = {}
    for memory_format in MEMORY_FORMATS if has_images else MEMORY_FORMATS[:1]:
        first = [torch.in_format(tensor, memory_format) for tensor in there]
        copies = ([tensor.clone() for tensor in first] for _ in range(sets - 1))
        run = rotating([torch_run(timed, torch.torch, tensors) for tensors in (first, *copies)])
        name = f"torch, {memory_format}"
        is_convolution = isinstance(timed.problem, Convolution)
        runs |= torch.in_both(name, run) if is_convolution else {name: run}
    return runs


def run_in_variants(backend: Backend, timed: Timed, variants: Sequence[str]) -> None:
    """Runs an operation once in each variant, on inputs without contents; "" is any variant."""
    arrays = [backend.empty(shape) for shape in input_shapes(timed)]
    for variant in variants:
        _with_variant(backend, variant, our_run(timed, backend, arrays))()


def copied(backend: Backend, arrays: Sequence[Array]) -> list[Array]:
    """Copies made on the device, by an addition: for CuPy's own, CuPy would compile a kernel."""
    return [backend.add(array, backend.zeros(array.shape)) for array in arrays]


def rotating(runs: Sequence[Run]) -> Callable[[], None]:
    """The runs in turn. As many results are kept, so that each has memory of its own."""
    turn = cycle(runs)
    results: deque[object] = deque(maxlen=len(runs))

    def run() -> None:
        results.append(next(turn)())

    return run


def _inputs(problem: Problem) -> Mapping[str, Operand]:
    """The arrays that a problem takes, by name."""
    return {name: problem.by_name[name] for name in problem.takes if name in problem.by_name}


def _as_drawn(drawn: Floats) -> Floats:
    return drawn


def _with_variant(backend: Backend, variant: str, run: Run) -> Run:
    if not variant or not isinstance(backend, KernelBackend):
        return run
    held = backend.held_to(Variant(variant))

    def run_variant() -> object:
        with held:
            return run()

    return run_variant
