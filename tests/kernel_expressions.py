"""Expressions of CUDA, evaluated by the emulator for every element of arrays."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import DTypeLike, NDArray

from gpucnn.emulator import RawKernel

MODES = ("fast", "race", "sanitize")


def in_all_modes(*kinds: str) -> list[Any]:
    """Pairs of a kind and a mode; the modes with checks are slow but for the first kind."""
    return [
        pytest.param(
            kind, mode, marks=[pytest.mark.slow] if kind != kinds[0] and mode != "fast" else []
        )
        for kind in kinds
        for mode in MODES
    ]


def evaluate(
    expressions: Iterable[str],
    inputs: Mapping[str, tuple[str, NDArray]],
    result: tuple[str, DTypeLike],
    mode: str,
    headers: Sequence[str] = (),
) -> NDArray:
    """What each expression is for each element: an array of them by elements.

    Args:
        expressions: of the inputs, by their names.
        inputs: for each name, the type in CUDA and an array; all arrays have one length.
        result: the type in CUDA to which each expression is converted, and NumPy's of its size.
        mode: the emulator's.
        headers: what the kernel includes.
    """
    expressions = list(expressions)
    arrays = [aligned(array) for _, array in inputs.values()]
    results = aligned(np.zeros((len(expressions), arrays[0].size), result[1]))
    types = {name: kind for name, (kind, _) in inputs.items()}
    kernel = RawKernel(kernel_text(expressions, types, result[0], headers), "evaluate", mode=mode)
    kernel((1,), (32,), (*arrays, results, np.int32(arrays[0].size)))
    return results


def result_of(function: Callable[..., Any], **values: Any) -> Any:
    """What a function is of those values that it has parameters for."""
    parameters = inspect.signature(function).parameters
    return function(**{name: values[name] for name in parameters if name in values})


def aligned(array: NDArray) -> NDArray:
    """A copy that begins where a GPU's memory would, at a multiple of 256 bytes."""
    memory = np.empty(array.nbytes + 256, np.uint8)
    begin = -memory.ctypes.data % 256
    copy = memory[begin : begin + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def kernel_text(
    expressions: Iterable[str], types: Mapping[str, str], result: str, headers: Sequence[str] = ()
) -> str:
    """A kernel that calls a function for each expression, so that no function is large."""
    expressions = list(expressions)
    includes = "\n".join(f"#include <{header}>" for header in headers)
    inputs = ", ".join(f"const {kind}* {name}_in" for name, kind in types.items())
    parameters = ", ".join(f"{kind} {name}" for name, kind in types.items())
    functions = "\n".join(
        f"__device__ {result} expression{j}({parameters}) {{ return {text}; }}"
        for j, text in enumerate(expressions)
    )
    values = ", ".join(f"{name}_in[i]" for name in types)
    calls = "\n".join(
        f"out[{j} * n + i] = expression{j}({values});" for j in range(len(expressions))
    )
    return f"""{includes}
{functions}
extern "C" __global__ void evaluate({inputs}, {result}* out, int n) {{
    for (int i = threadIdx.x; i < n; i += blockDim.x) {{
        {calls}
    }}
}}
"""
