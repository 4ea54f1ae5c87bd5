"""``gpucnn data COMMAND``: what can be done with data before a training."""

from __future__ import annotations

import click

from gpucnn.cli.lazy_group import LazyGroup


@click.command(cls=LazyGroup, prefix="data_", modules=("check", "pack"))
def command() -> None:
    """Check and pack data sets.

    \b
    Example:
      gpucnn data check photos
      gpucnn data pack photos --set data.size=64 --out photos.packed
    """
