"""``gpucnn data COMMAND``: what can be done with data before a training."""

from __future__ import annotations

import click

from gpucnn.cli.lazy_group import LazyGroup


@click.command(cls=LazyGroup, prefix="data_", modules=("check",))
def command() -> None:
    """Check data sets.

    \b
    Example:
      gpucnn data check photos
    """
