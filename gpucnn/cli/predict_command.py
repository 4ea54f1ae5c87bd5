"""``gpucnn predict``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gpucnn.cli.output import UserPath, backend_option, json_option, print_json
from gpucnn.errors import DataError

if TYPE_CHECKING:
    from gpucnn.data.decoding import Fit

_CHUNK = 500


@click.command()
@click.argument("run", type=UserPath())
@click.argument("images", nargs=-1, required=True, type=UserPath())
@click.option("--top", default=3, show_default=True, type=click.IntRange(min=1), metavar="K",
              help="How many classes to show.")  # fmt: skip
@click.option("--fit", type=click.Choice(["crop", "stretch"]), default="crop", show_default=True,
              help="How an image of another size is made to fit.")  # fmt: skip
@click.option(
    "--invert", is_flag=True, help="Swap black and white first: for dark digits on paper."
)
@json_option
@backend_option
def command(
    run: Path,
    images: tuple[Path, ...],
    top: int,
    fit: Fit,
    invert: bool,
    as_json: bool,
    backend: str | None,
) -> None:
    """Classify IMAGES, files or folders of them, with the model of RUN.

    \b
    Example:
      gpucnn predict runs/mnist-1 seven.png
      gpucnn predict runs/cifar10_resnet9-1 photos/ --top 5 --json
    """
    import numpy as np

    from gpucnn.data import load_image
    from gpucnn.inference import load

    model = load(run, backend)
    paths = [file for path in images for file in _files(path)]
    answers = []
    for start in range(0, len(paths), _CHUNK):
        chunk = paths[start : start + _CHUNK]
        pixels = np.stack([load_image(path, model.card.input_shape, fit) for path in chunk])
        probabilities = model.predict(255 - pixels if invert else pixels)
        for path, row in zip(chunk, probabilities, strict=True):
            order = np.argsort(-row, kind="stable")[:top]
            answers.append((path, [(model.classes[i], float(row[i])) for i in order]))
    if as_json:
        print_json(
            [
                {
                    "image": str(path),
                    "predictions": [
                        {"class": name, "probability": probability} for name, probability in best
                    ],
                }
                for path, best in answers
            ]
        )
        return
    for path, top_classes in answers:
        shown = "   ".join(f"{name} {probability:.2%}" for name, probability in top_classes)
        click.echo(f"{path}: {shown}")


def _files(path: Path) -> Iterator[Path]:
    """The file itself, or the images in a folder, by name."""
    if not path.is_dir():
        yield path
        return
    from gpucnn.data import is_image

    found = sorted(file for file in path.rglob("*") if file.is_file() and is_image(file))
    if not found:
        raise DataError(f"{path}: there are no images in this folder")
    yield from found
