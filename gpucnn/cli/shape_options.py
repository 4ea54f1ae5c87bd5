"""``--input`` and ``--classes``: for commands that need the data's shape but not the data."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gpucnn.cli.output import Integer
from gpucnn.errors import shortened

if TYPE_CHECKING:
    from gpucnn.config import Config
    from gpucnn.training.task import Task

_F = TypeVar("_F", bound=Callable[..., Any])

_LARGEST = 2**15
_MOST_CLASSES = 10**12


class _ImageShape(click.ParamType):  # type: ignore[type-arg]
    """HxWxC."""

    name = "HxWxC"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Three positive integers."""
        match = re.fullmatch(r"([1-9]\d*)[x,]([1-9]\d*)[x,]([1-9]\d*)", str(value), re.ASCII)
        if match is None:
            self.fail(
                f'"{shortened(value)}" is not height x width x channels, such as 32x32x3',
                param,
                ctx,
            )
        if any(len(part) > 5 or int(part) > _LARGEST for part in match.groups()):
            self.fail(f'"{shortened(value)}": each must be {_LARGEST:,} or less', param, ctx)
        return tuple(int(part) for part in match.groups())


def shape_options(function: _F) -> _F:
    """Adds both options."""
    function = click.option(
        "--classes",
        type=Integer(min=1, max=_MOST_CLASSES),
        help="Number of classes, or of numbers to predict, instead of the data's.",
    )(function)
    return click.option(
        "--input",
        "image_shape",
        type=_ImageShape(),
        help="Image shape, instead of the data's; with --classes no data is read.",
    )(function)


def data_shape(
    config: Config, image_shape: tuple[int, int, int] | None, classes: int | None
) -> tuple[tuple[int, int, int], Task]:
    """The images' shape, and what is learned from them: as given, or else those of the data set.

    Raises:
        ConfigError: the config's loss is not one for that.
    """
    from gpucnn.training.classification import Classification
    from gpucnn.training.regression import Regression

    loss = config.build_loss()
    is_regression = not loss.takes_classes
    if image_shape is None or classes is None:
        from gpucnn.data import describe_images

        own = describe_images(config.data_options)
        image_shape, classes = image_shape or own.image_shape, classes or own.outputs
        is_regression = own.is_regression
    task = Regression.of_count(classes) if is_regression else Classification.of_count(classes)
    task.check_loss(loss, config.tables["loss"]["name"])
    return image_shape, task
