"""``--kernels``: for commands that take kernels from a folder of the user's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from gpucnn.cli.output import wrapped

_F = TypeVar("_F", bound=Callable[..., Any])


def kernels_option(
    text: str = "A folder of your own kernels: a file there takes the place of ours of the same "
    "name.",
) -> Callable[[_F], _F]:
    """``--kernels``, as ``folder``; None where it is not given.

    Args:
        text: what is done with the folder, for --help.
    """
    return click.option(
        "--kernels",
        "folder",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        metavar="DIR",
        help=text,
    )


def check_folder(folder: Path) -> None:
    """Refuses a folder without a kernel of ours, and names files that will not be used.

    Raises:
        BackendError: no file there takes the place of one of ours.
    """
    from gpucnn.backends.devices.source import check_own_kernels

    if unused := check_own_kernels(folder):
        click.echo(f"not used, for no file of ours has the name: {', '.join(unused)}", err=True)


def tell_operations(doing: str, files: Iterable[str], operations: Iterable[str]) -> None:
    """Says on stderr what was chosen because it launches files of the user's folder."""
    chosen = ", ".join(dict.fromkeys(operations))
    click.echo(wrapped(f"{doing} what launches {', '.join(sorted(files))}: {chosen}"), err=True)
