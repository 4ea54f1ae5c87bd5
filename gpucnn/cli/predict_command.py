"""``gpucnn predict``."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gpucnn.cli.output import (
    Integer,
    NewFile,
    UserPath,
    backend_option,
    json_option,
    plugins_option,
    raw_option,
    step_option,
    tta_option,
)
from gpucnn.cli.prediction_output import answers_of, csv_table, json_list, lines
from gpucnn.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gpucnn.cli.prediction_output import Answer, Show
    from gpucnn.data.decoding import Fit
    from gpucnn.inference import TrainedModel
    from gpucnn.training.opened_checkpoint import OpenedCheckpoint

_TOP = 3
_STDOUT = Path("-")
_MOST_IMAGES = 100
_MOST_BYTES = 1 << 26
"""Limits of a chunk of images that is decoded and classified at once."""


class _TableFile(NewFile):
    """A csv file to write, or standard output."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path."""
        return _STDOUT if value == str(_STDOUT) else super().convert(value, param, ctx)


@click.command()
@click.argument("run", type=UserPath())
@click.argument("images", nargs=-1, required=True, type=UserPath())
@click.option("--top", type=Integer(min=1), metavar="K",
              help=f"How many classes to show. Default: {_TOP}, and with --csv 1.")  # fmt: skip
@click.option("--fit", type=click.Choice(["crop", "stretch"]),
              help="How an image of another size is made to fit. Default: as in training, or crop "
                   "if the model was not trained on image files.")  # fmt: skip
@click.option(
    "--invert", is_flag=True, help="Swap black and white first: for dark digits on paper."
)
@click.option("--on-damaged", type=click.Choice(["report", "skip", "error"]), default="report",
              show_default=True,
              help="What happens if a file cannot be read. report: it is named, the others are "
                   "classified, and the exit status is 1. skip: the same with status 0. error: the "
                   "command stops there with status 2.")  # fmt: skip
@step_option
@raw_option
@tta_option
@plugins_option
@json_option
@click.option("--csv", "table", type=_TableFile((".csv",)), is_flag=False, flag_value=str(_STDOUT),
              metavar="[FILE.csv]",
              help="Print a table in csv and nothing else, or write it to FILE.csv.")  # fmt: skip
@backend_option
def command(
    run: Path,
    images: tuple[Path, ...],
    top: int | None,
    fit: Fit | None,
    invert: bool,
    on_damaged: str,
    step: int | None,
    raw: bool,
    tta: str | None,
    as_json: bool,
    table: Path | None,
    backend: str | None,
) -> int:
    """Classify IMAGES, files or folders of them, with the model of RUN, or predict their numbers.

    Folders are searched at any depth, and hidden files and folders in them are left out. Answers
    are printed one after another, in the order of the images. If no image can be read, the exit
    status is 2.

    \b
    Example:
      gpucnn predict runs/mnist-1 seven.png
      gpucnn predict runs/cifar10_resnet9-1 photos/ --top 5 --json
      gpucnn predict runs/ages-1 faces/ --csv ages.csv
    """
    from gpucnn.data.decoding import require_pillow
    from gpucnn.inference import TrainedModel
    from gpucnn.training.opened_checkpoint import open_checkpoint

    if as_json and table is not None:
        raise click.UsageError("--json and --csv exclude each other; give one of them.")
    opened = open_checkpoint(run, step=step, raw=raw)
    model = TrainedModel(opened, backend)
    require_pillow()
    if top is not None and not model.classes:
        raise click.UsageError("--top is for classes, and the model of this run predicts numbers.")
    output = _output(model, top, as_json, table)
    classified, unread = 0, 0
    with output as show:
        read = _reader(opened, fit, invert)
        for path, result in _results(model, read, _found(images), tta):
            if not isinstance(result, DataError):
                classified += 1
                show(path, result)
                continue
            if on_damaged == "error":
                raise result
            unread += 1
            click.echo(f"{'error' if on_damaged == 'report' else 'skipped'}: {result}", err=True)
            if on_damaged == "report":
                show(path, result)
    if not classified:
        return 2
    if unread:
        click.echo(f"{unread} of {classified + unread} images could not be read", err=True)
    return 1 if unread and on_damaged == "report" else 0


def _output(
    model: TrainedModel, top: int | None, as_json: bool, table: Path | None
) -> AbstractContextManager[Show]:
    """What shows the answers."""
    if table is not None:
        return csv_table(answers_of(model, top or 1), None if table == _STDOUT else table)
    answers = answers_of(model, top or _TOP)
    return json_list(answers) if as_json else lines(answers)


def _found(paths: Iterable[Path]) -> Iterator[tuple[str, DataError | None]]:
    """The files themselves, and those in folders; with an error, what cannot be read there."""
    from gpucnn.data import images_below

    for path in paths:
        if os.path.isdir(path):  # noqa: PTH112 # Path.is_dir raises if the name is too long
            yield from images_below(path)
        else:
            yield str(path), None


def _reader(
    opened: OpenedCheckpoint, fit: Fit | None, invert: bool
) -> Callable[[str], NDArray[np.uint8]]:
    """What reads an image as the run read its own, by the options of its data set."""
    from gpucnn.data import load_image, load_options

    shape, options = opened.card.input_shape, opened.config.data_options
    chosen: Fit = fit or options.get("fit", "crop")
    limits = load_options(options)

    def read(path: str) -> NDArray[np.uint8]:
        pixels = load_image(path, shape, chosen, **limits)
        return 255 - pixels if invert else pixels

    return read


def _results(
    model: TrainedModel,
    read: Callable[[str], NDArray[np.uint8]],
    found: Iterable[tuple[str, DataError | None]],
    tta: str | None,
) -> Iterator[tuple[str, Answer | DataError]]:
    """What the model says of each image, or why it could not be read, in their order."""
    image_bytes = math.prod(model.card.input_shape)
    chunk_size = max(1, min(_MOST_IMAGES, _MOST_BYTES // image_bytes))
    chunk: list[tuple[str, NDArray[np.uint8] | DataError]] = []
    for path, problem in found:
        try:
            chunk.append((path, problem or read(path)))
        except DataError as error:
            chunk.append((path, error))
        if len(chunk) == chunk_size:
            yield from _classified(model, chunk, tta)
            chunk = []
    yield from _classified(model, chunk, tta)


def _classified(
    model: TrainedModel, chunk: list[tuple[str, NDArray[np.uint8] | DataError]], tta: str | None
) -> Iterator[tuple[str, Answer | DataError]]:
    import numpy as np

    pixels = [image for _, image in chunk if not isinstance(image, DataError)]
    rows = iter(model.predict(np.stack(pixels), tta) if pixels else ())
    for path, image in chunk:
        yield path, image if isinstance(image, DataError) else next(rows)
