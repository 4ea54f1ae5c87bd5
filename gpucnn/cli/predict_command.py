"""``gpucnn predict``."""

from __future__ import annotations

import math
import os
import textwrap
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from gpucnn.cli.output import (
    Integer,
    UserPath,
    backend_option,
    json_option,
    plugins_option,
    raw_option,
    step_option,
    tta_option,
)
from gpucnn.errors import DataError
from gpucnn.json_text import json_text
from gpucnn.text import shown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gpucnn.data.decoding import Fit
    from gpucnn.inference import TrainedModel
    from gpucnn.training.opened_checkpoint import OpenedCheckpoint

_Best: TypeAlias = list[tuple[str, float]]
"""Classes and their probabilities, the most probable first."""

_MOST_IMAGES = 100
_MOST_BYTES = 1 << 26
"""Limits of a chunk of images that is decoded and classified at once."""


@click.command()
@click.argument("run", type=UserPath())
@click.argument("images", nargs=-1, required=True, type=UserPath())
@click.option("--top", default=3, show_default=True, type=Integer(min=1), metavar="K",
              help="How many classes to show.")  # fmt: skip
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
@backend_option
def command(
    run: Path,
    images: tuple[Path, ...],
    top: int,
    fit: Fit | None,
    invert: bool,
    on_damaged: str,
    step: int | None,
    raw: bool,
    tta: str | None,
    as_json: bool,
    backend: str | None,
) -> int:
    """Classify IMAGES, files or folders of them, with the model of RUN.

    Folders are searched at any depth, and hidden files and folders in them are left out. Answers
    are printed one after another, in the order of the images. If no image can be read, the exit
    status is 2.

    \b
    Example:
      gpucnn predict runs/mnist-1 seven.png
      gpucnn predict runs/cifar10_resnet9-1 photos/ --top 5 --json
    """
    from gpucnn.data.decoding import require_pillow
    from gpucnn.inference import TrainedModel
    from gpucnn.training.opened_checkpoint import open_checkpoint

    opened = open_checkpoint(run, step=step, raw=raw)
    model = TrainedModel(opened, backend)
    require_pillow()
    classified, unread = 0, 0
    with _json_list() if as_json else _lines() as show:
        read = _reader(opened, fit, invert)
        for path, result in _results(model, read, _found(images), top, tta):
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
    top: int,
    tta: str | None,
) -> Iterator[tuple[str, _Best | DataError]]:
    """The most probable classes of each image, or why it could not be read, in their order."""
    image_bytes = math.prod(model.card.input_shape)
    chunk_size = max(1, min(_MOST_IMAGES, _MOST_BYTES // image_bytes))
    chunk: list[tuple[str, NDArray[np.uint8] | DataError]] = []
    for path, problem in found:
        try:
            chunk.append((path, problem or read(path)))
        except DataError as error:
            chunk.append((path, error))
        if len(chunk) == chunk_size:
            yield from _classified(model, chunk, top, tta)
            chunk = []
    yield from _classified(model, chunk, top, tta)


def _classified(
    model: TrainedModel,
    chunk: list[tuple[str, NDArray[np.uint8] | DataError]],
    top: int,
    tta: str | None,
) -> Iterator[tuple[str, _Best | DataError]]:
    import numpy as np

    pixels = [image for _, image in chunk if not isinstance(image, DataError)]
    rows = iter(model.predict(np.stack(pixels), tta) if pixels else ())
    for path, image in chunk:
        if isinstance(image, DataError):
            yield path, image
            continue
        row = next(rows)
        order = np.argsort(-row, kind="stable")[:top]
        yield path, [(model.classes[label], float(row[label])) for label in order]


@contextmanager
def _lines() -> Iterator[Callable[[str, _Best | DataError], None]]:
    """What prints a line for each image that was classified."""

    def show(path: str, result: _Best | DataError) -> None:
        if not isinstance(result, DataError):
            classes = "   ".join(f"{shown(name)} {probability:.2%}" for name, probability in result)
            click.echo(f"{shown(path)}: {classes}")

    yield show


@contextmanager
def _json_list() -> Iterator[Callable[[str, _Best | DataError], None]]:
    """What prints an entry of a JSON list for each image; the list is complete in any event."""
    is_empty = True

    def show(path: str, result: _Best | DataError) -> None:
        nonlocal is_empty
        entry: dict[str, Any] = {"image": path}
        if isinstance(result, DataError):
            entry["error"] = str(result)
        else:
            entry["predictions"] = [
                {"class": name, "probability": probability} for name, probability in result
            ]
        text = textwrap.indent(json_text(entry, indent=1), " ")
        click.echo(f"{'[' if is_empty else ','}\n{text}", nl=False)
        is_empty = False

    try:
        yield show
    finally:
        click.echo("[]" if is_empty else "\n]")
