"""What commands share: options, tables, JSON."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from gpucnn.backends import NAMES

_F = TypeVar("_F", bound=Callable[..., Any])


def backend_option(function: _F) -> _F:
    """``--backend`` and ``--device``, as one name for ``get_backend``.

    None where neither is given, for GPUCNN_BACKEND or "auto" to decide.
    """

    @functools.wraps(function)
    def with_backend(*, backend: str | None, device: int | None, **others: Any) -> Any:
        if device is not None:
            backend = f"{backend or ''}:{device}"
        return function(backend=backend, **others)

    option = click.option(
        "--backend",
        type=click.Choice(NAMES),
        help="What runs the operations. Default: GPUCNN_BACKEND, or else auto.",
    )
    return cast(_F, option(device_option(with_backend)))


def device_option(function: _F) -> _F:
    """``--device``, for commands that have no ``--backend``; None where it is not given."""
    return click.option(
        "--device",
        type=click.IntRange(min=0),
        metavar="N",
        help="Which GPU, counted from 0. Default: the first.",
    )(function)


def json_option(function: _F) -> _F:
    """``--json``."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print the result as JSON and nothing else."
    )(function)


class NewFile(click.Path):
    """A file to be written at a command's end: that it can be is known before the command begins.

    Args:
        endings: what its name may end in; none for anything.
    """

    def __init__(self, endings: Sequence[str] = ()) -> None:
        super().__init__(dir_okay=False, path_type=Path)
        self._endings = endings

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path, where a file can be written."""
        if value == "-":
            self.fail(
                "- is not the name of a file; for standard output give /dev/stdout", param, ctx
            )
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if self._endings and path.suffix not in self._endings:
            self.fail(f"{path} must end in {' or '.join(self._endings)}", param, ctx)
        if not path.parent.is_dir():
            self.fail(f"{path} cannot be written: there is no folder {path.parent}", param, ctx)
        is_new = not path.exists()
        if is_new or path.is_file():  # and not a pipe, which would wait for a reader
            try:
                path.open("ab").close()
            except OSError as error:
                self.fail(f"{path} cannot be written: {error.strerror}", param, ctx)
        if is_new:
            path.unlink()
        return path


def set_option(function: _F) -> _F:
    """``--set key=value``, any number of times."""
    return click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Change a key of the config, for example training.epochs=3. May be repeated.",
    )(function)


def print_json(content: Any) -> None:
    """Prints an object as JSON."""
    click.echo(json.dumps(content, indent=1))


def table(
    header: Sequence[str], rows: Sequence[Sequence[object]], left: Sequence[int] = (0,)
) -> str:
    """Columns as wide as they need to be, numbers to the right.

    Args:
        header: the columns' titles.
        rows: a value a column.
        left: the columns to align to the left.
    """
    cells = [list(header), *([str(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = [
        "  ".join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    return "\n".join([lines[0], "  ".join("─" * width for width in widths), *lines[1:]])
