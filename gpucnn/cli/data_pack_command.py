"""``gpucnn data pack``."""

from __future__ import annotations

from pathlib import Path

import click

from gpucnn.cli.data_source import data_options, source_argument
from gpucnn.cli.output import UserPath, set_option
from gpucnn.text import shown
from gpucnn.units import byte_text


@click.command()
@source_argument
@set_option
@click.option(
    "--out", required=True, type=UserPath(), metavar="FILE", help="The file to write; a new one."
)
def command(source: Path, overrides: tuple[str, ...], out: Path) -> None:
    """Decode all images once and write them into one file, for training to read from.

    Training on it, by name = "packed" and path = "FILE" in [data], gives the same numbers as on the
    source, and reads images as fast as memory if they fit there, or else as fast as the disk. The
    images are written a few at a time, so that they need not fit into memory. Those of several
    sizes need --set data.size=SIDE.

    \b
    Example:
      gpucnn data pack configs/cifar10_resnet9.toml --set data.root=FOLDER --out cifar10.packed
      gpucnn train configs/cifar10_resnet9.toml --set 'data={name="packed", path="cifar10.packed"}'
    """
    from gpucnn.data import load_on_demand
    from gpucnn.data.packed import pack

    pair = load_on_demand(data_options(source, overrides))
    size = pack(pair, out)
    images = len(pair.train) + len(pair.test)
    click.echo(f"wrote {shown(out)}: {images:,} images, {byte_text(size)}")
    click.echo(f'to train on it: in [data], name = "packed" and path = "{shown(out)}"')
