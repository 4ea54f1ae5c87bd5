"""Launches with a thread for each element of an image, as include/image_grid.cuh expects them."""

from __future__ import annotations

from gpucnn.launch.elementwise import THREADS
from gpucnn.launch.launch import LARGEST_GRID
from gpucnn.operations.geometry import ceil_divide


def image_grid(elements: int, images: int) -> tuple[int, int]:
    """Blocks along x for the elements of an image, along y for the images.

    Args:
        elements: of one image; each has a thread.
        images: how many; if the grid has no room for all, blocks take several.
    """
    return ceil_divide(elements, THREADS), min(images, LARGEST_GRID[1])
