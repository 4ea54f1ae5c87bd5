"""``gpucnn data COMMAND``: what can be done with data before a training."""

from __future__ import annotations

import click

from gpucnn.cli.lazy_group import LazyGroup


@click.command(cls=LazyGroup, prefix="data_", modules=("check", "pack", "show"))
def command() -> None:
    """Check and pack data sets, and look at them.

    \b
    Example:
      gpucnn data check photos
      gpucnn data pack photos --set data.size=64 --out photos.packed
      gpucnn data show configs/mnist.toml
    """
