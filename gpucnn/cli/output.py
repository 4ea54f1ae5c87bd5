"""What commands share: options, tables, JSON."""

from __future__ import annotations

import functools
import itertools
import os
import textwrap
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from gpucnn.backends import CHOICES
from gpucnn.errors import BackendError, ConfigError
from gpucnn.json_text import json_text
from gpucnn.paths import user_path
from gpucnn.text import shown

_F = TypeVar("_F", bound=Callable[..., Any])


def backend_option(function: _F) -> _F:
    """``--backend``, ``--device`` and ``--machine``, as one name for ``get_backend``.

    None if none is given, for GPUCNN_BACKEND or "auto" to decide.
    """

    @functools.wraps(function)
    def with_backend(
        *, backend: str | None, device: int | None, machine: str | None, **others: Any
    ) -> Any:
        if machine is not None:
            name = backend or "emulator"
            if name.partition(":")[0] != "emulator" or device is not None:
                raise BackendError("only the emulator stands in for a --machine")
            backend = f"{name}:{machine}"
        elif device is not None:
            backend = f"{backend or ''}:{device}"
        return function(backend=backend, **others)

    option = click.option(
        "--backend",
        type=click.Choice(CHOICES),
        help="What runs the operations. Default: GPUCNN_BACKEND, or else auto.",
    )
    return cast(_F, option(device_option(machine_option(with_backend))))


def machine_option(function: _F) -> _F:
    """``--machine``: the GPU that the emulator stands in for; None if it is not given."""
    return click.option(
        "--machine",
        metavar="ARCH",
        help="The GPU whose launches the emulator runs, such as sm_80. Default: sm_90a.",
    )(function)


def device_option(function: _F) -> _F:
    """``--device``, for commands that have no ``--backend``; None where it is not given."""
    return click.option(
        "--device",
        type=Integer(min=0),
        metavar="N",
        help="Which GPU, counted from 0. Default: the first.",
    )(function)


def step_option(function: _F) -> _F:
    """``--step``, for commands that use a trained model; None for its best checkpoint."""
    return click.option(
        "--step",
        type=Integer(min=0),
        metavar="N",
        help="Use RUN's checkpoint of this step. Default: the best one.",
    )(function)


PLUGINS = "gpucnn.plugins"
"""In ``meta`` of a command's context: the folder of ``--plugins``, or None."""


def plugins_option(function: _F) -> _F:
    """``--plugins``, for commands that open a run: it allows the folder, and is not passed on."""
    return click.option(
        "--plugins",
        type=UserPath(exists=True, file_okay=False),
        metavar="DIR",
        expose_value=False,
        callback=_allow_plugins,
        help="The folder of the plugins that RUN needs, whose code is executed.",
    )(function)


def _allow_plugins(context: click.Context, _option: click.Parameter, folder: Path | None) -> None:
    context.meta[PLUGINS] = folder
    if folder is not None:
        from gpucnn import plugins

        plugins.allow(folder)


def raw_option(function: _F) -> _F:
    """``--raw``, for commands that use a trained model."""
    return click.option(
        "--raw",
        is_flag=True,
        help="Use the weights themselves if RUN keeps averages of them (training.ema_decay).",
    )(function)


def _checked_views(
    _context: click.Context, _parameter: click.Parameter, name: str | None
) -> str | None:
    if name is not None:
        from gpucnn.data.views import check_views

        check_views(name)
    return name


def tta_option(function: _F) -> _F:
    """``--tta``, for commands that use a trained model; None if it is not given."""
    return click.option(
        "--tta",
        metavar="VIEWS",
        callback=_checked_views,
        help="Average over views of each image, for a little more accuracy: flip (and its mirror "
        "image), shift (and shifted by a pixel in four directions), or flip+shift (all of these "
        "and their mirror images). Mirror only what may be mirrored: not digits.",
    )(function)


def json_option(function: _F) -> _F:
    """``--json``."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print the result as JSON and nothing else."
    )(function)


class Integer(click.IntRange):
    """A whole number within bounds, under a name that fits into a message and into --help."""

    name = "integer"


class Number(click.FloatRange):
    """A number within bounds, under a name that fits into a message and into --help."""

    name = "number"


class UserPath(click.Path):
    """A path as ``pathlib.Path``, in which ``~`` is the home folder.

    Args:
        exists: whether there must be something at the path.
        file_okay: whether it may lead to a file.
    """

    def __init__(self, exists: bool = False, file_okay: bool = True) -> None:
        super().__init__(exists=exists, file_okay=file_okay, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path, with the home folder in the place of ``~``."""
        try:
            path = user_path(value)
        except ConfigError as error:
            self.fail(str(error), param, ctx)
        super().convert(os.fspath(path), param, ctx)
        return path


class NewFile(UserPath):
    """A file to be written when a command ends: whether it can be is checked before it begins.

    Args:
        endings: what its name may end in; none for anything.
    """

    def __init__(self, endings: Sequence[str] = ()) -> None:
        super().__init__()
        self._endings = endings

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path, if a file can be written there."""
        if value == "-":
            self.fail(
                "- is not the name of a file; for standard output give /dev/stdout", param, ctx
            )
        path = super().convert(value, param, ctx)
        if self._endings and path.suffix not in self._endings:
            self.fail(f"{shown(path)} must end in {' or '.join(self._endings)}", param, ctx)
        if reason := _why_not_writable(path):
            self.fail(f"{shown(path)} cannot be written: {reason}", param, ctx)
        return path


def _why_not_writable(path: Path) -> str | None:
    try:
        if path.is_dir():
            return "it is a folder"
        if not path.parent.is_dir():
            return f"there is no folder {shown(path.parent)}"
        is_new = not path.exists()
        if is_new or path.is_file():  # a FIFO would wait for a reader
            path.open("ab").close()
        if is_new:
            path.unlink()
    except OSError as error:
        return error.strerror
    return None


def set_option(function: _F) -> _F:
    """``--set key=value``, any number of times."""
    return click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Change a key of the config, for example training.epochs=3. May be repeated.",
    )(function)


def print_json(content: object) -> None:
    """Prints an object as JSON."""
    click.echo(json_text(content, indent=1))


def table(
    header: Sequence[str], rows: Sequence[Sequence[object] | str], left: Sequence[int] = (0,)
) -> str:
    """Columns as wide as they need to be, numbers to the right.

    Args:
        header: the columns' titles.
        rows: a value a column; or one text, which is a line by itself, over all columns.
        left: the columns to align to the left.
    """
    cells = [row if isinstance(row, str) else [*map(str, row)] for row in (header, *rows)]
    columns = zip(*(row for row in cells if not isinstance(row, str)), strict=True)
    widths = [max(map(len, column)) for column in columns]

    def line(row: Sequence[str]) -> str:
        return "  ".join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()

    lines = [row if isinstance(row, str) else line(row) for row in cells]
    return "\n".join([lines[0], "  ".join("─" * width for width in widths), *lines[1:]])


def wrapped(text: str, indent: int = 0) -> str:
    """The text in lines of 80 columns, all but the first indented; words stay whole."""
    return textwrap.fill(
        text, 80, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    )


def sections(
    rows: Iterable[tuple[str, Sequence[object]]],
) -> list[Sequence[object] | str]:
    """Rows for ``table``, each below the title that it has in common with its neighbours.

    Args:
        rows: the title and the row, whose first value is indented.
    """
    told: list[Sequence[object] | str] = []
    for title, group in itertools.groupby(rows, key=lambda row: row[0]):
        told.append(title)
        told += [[f"  {first}", *others] for _, (first, *others) in group]
    return told
