"""``--input`` and ``--classes``: for commands that need the data's shape but not the data."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from gpucnn.config import Config

_F = TypeVar("_F", bound=Callable[..., Any])


class _ImageShape(click.ParamType):  # type: ignore[type-arg]
    """HxWxC."""

    name = "HxWxC"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Three positive integers."""
        match = re.fullmatch(r"([1-9]\d*)[x,]([1-9]\d*)[x,]([1-9]\d*)", str(value))
        if match is None:
            self.fail(f'"{value}" is not height x width x channels, such as 32x32x3', param, ctx)
        return tuple(int(part) for part in match.groups())


def shape_options(function: _F) -> _F:
    """Adds both options."""
    function = click.option(
        "--classes", type=click.IntRange(min=1), help="Number of classes, instead of the data's."
    )(function)
    return click.option(
        "--input",
        "image_shape",
        type=_ImageShape(),
        help="Image shape, instead of the data's; with --classes no data is read.",
    )(function)


def data_shape(
    config: Config, image_shape: tuple[int, int, int] | None, classes: int | None
) -> tuple[tuple[int, int, int], int]:
    """The images' shape and the number of classes: as given, else as the data set has them."""
    if image_shape is None or classes is None:
        from gpucnn.data import describe

        own_shape, own_classes = describe(config.data_options)
        image_shape, classes = image_shape or own_shape, classes or own_classes
    return image_shape, classes
