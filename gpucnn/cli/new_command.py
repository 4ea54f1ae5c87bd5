"""``gpucnn new``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gpucnn.cli.output import UserPath, backend_option
from gpucnn.text import shown

if TYPE_CHECKING:
    from gpucnn.first_config import FirstConfig


@click.command()
@click.argument("data", type=UserPath())
@click.option(
    "--out",
    type=UserPath(),
    metavar="FILE.toml",
    help="Where to write the config. Default: the name of DATA, in the current folder.",
)
@backend_option
def command(data: Path, out: Path | None, backend: str | None) -> None:
    """Look at DATA and write a config that trains on it.

    DATA is a folder of images, an npz, csv, parquet or packed file, or the folder of a
    published data set. The config has comments that say why it is as it is. A file that exists is
    not overwritten.

    \b
    Example:
      gpucnn new photos
      gpucnn train photos.toml
    """
    from gpucnn.errors import ConfigError

    path = out or Path(f"{name_of(data)}.toml")
    exists = ConfigError(f"{shown(path)} exists already; give another file by --out")
    if path.exists():  # before the data is read, which may take long
        raise exists
    made = config_for(data, str(path), backend)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(made.text)
    except FileExistsError:
        raise exists from None
    show_made(made)
    for line in made.notes:
        click.echo(line)
    click.echo()
    click.echo(f"wrote {shown(path)}; train with: gpucnn train {shlex.quote(shown(path))}")


def show_made(made: FirstConfig) -> None:
    """Prints what was found and what was chosen."""
    for line in (*made.found, "", *made.chosen):
        click.echo(line)
    click.echo()


def name_of(data: Path) -> str:
    """What a config and its runs are called after a file or folder."""
    return data.absolute().resolve().stem or "data"


def config_for(data: Path, name: str, backend: str | None) -> FirstConfig:
    """A first config for what lies at a path; it has been checked.

    Args:
        data: the path.
        name: of the config's file.
        backend: that is to train; None as in ``get_backend``.

    Raises:
        BackendError, DataError: the backend does not work here, or the data cannot be read.
    """
    from gpucnn.backends import get_backend
    from gpucnn.config import Config
    from gpucnn.config_file import parse_toml
    from gpucnn.data.recognition import recognise
    from gpucnn.data.survey import survey
    from gpucnn.first_config import first_config

    is_gpu = get_backend(backend, quiet=True).name == "cuda"
    made = first_config(survey(recognise(data)), name, is_gpu)
    Config(parse_toml(made.text))
    return made
