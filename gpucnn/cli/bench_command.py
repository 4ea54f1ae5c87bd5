"""``gpucnn bench COMMAND``."""

from __future__ import annotations

import click

from gpucnn.cli.lazy_group import LazyGroup


@click.command(cls=LazyGroup, prefix="bench_", modules=("step", "kernels", "train"))
def command() -> None:
    """Measure how fast this is, alone or against PyTorch.

    \b
    Example:
      gpucnn bench step configs/mnist.toml --against torch
      gpucnn bench kernels --backend cuda
    """
