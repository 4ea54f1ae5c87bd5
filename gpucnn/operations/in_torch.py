"""What the equivalents of operations in PyTorch share."""

from __future__ import annotations

from typing import Any

from gpucnn.operations.problem import Shape


def tensor_beside(torch: Any, tensor: Any, shape: Shape) -> Any:
    """An uninitialised (N, C, H, W) for ``shape`` (N, H, W, C), in another tensor's format.

    PyTorch's gradients ask for the inputs of their forward pass, of which only the shape and the
    format count.
    """
    N, H, W, C = shape
    channels_last = tensor.is_contiguous(memory_format=torch.channels_last)
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    return tensor.new_empty((N, C, H, W)).contiguous(memory_format=memory_format)
