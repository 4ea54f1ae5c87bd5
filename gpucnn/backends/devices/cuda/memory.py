"""What to say when a GPU's memory is full."""

from __future__ import annotations

from typing import Any

from gpucnn.errors import BackendError


def out_of_memory(cupy: Any, asked: int, what: str) -> BackendError:
    """An error that tells what was asked for, what is held, and what to change.

    Args:
        cupy: the module.
        asked: bytes.
        what: what they were for.
    """
    pool = cupy.get_default_memory_pool()
    free, total = cupy.cuda.runtime.memGetInfo()
    limit = pool.get_limit()
    limited = f", of {amount(limit)} that CUPY_GPU_MEMORY_LIMIT allows" if limit else ""
    return BackendError(
        f"the GPU's memory is full: {amount(asked)} for {what} do not fit; arrays hold "
        f"{amount(pool.used_bytes())}{limited}, and {amount(free)} of the GPU's {amount(total)} "
        "are free; make the batch smaller (training.batch_size), or the model"
    )


def amount(number: int) -> str:
    """Bytes as people read them, such as "1.5 GiB"."""
    if number < 1024:
        return f"{number} bytes"
    power = min((number.bit_length() - 1) // 10, 4)
    return f"{number / 1024**power:.1f} {'KMGT'[power - 1]}iB"
