"""``gpucnn kernels COMMAND``: what can be done with the CUDA sources themselves."""

from __future__ import annotations

import click

from gpucnn.cli.lazy_group import LazyGroup


@click.command(cls=LazyGroup, prefix="kernels_", modules=("check", "build"))
def command() -> None:
    """Compile and check the CUDA kernels.

    \b
    Example:
      gpucnn kernels check --quick
      gpucnn kernels build
    """
