"""A picture of training samples before and after augmentation, as a first step would see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.backends import get_backend
from gpucnn.config import Config
from gpucnn.data import BatchLoader, DatasetPair, no_normalisation, validation_split
from gpucnn.data.decoding import require_pillow
from gpucnn.data.targets import one_hot
from gpucnn.text import shown
from gpucnn.training.input_pipeline import InputPipeline
from gpucnn.training.run_data import RunData

if TYPE_CHECKING:
    from PIL.Image import Image

_PAIRS = 4
"""Samples in a row of the picture."""
_SIDE = 112
"""Pixels that the longer side of an image is enlarged to, or nearly."""
_LARGEST_SIDE = 224
"""Pixels that it is made smaller to, if it is longer."""
_GAP = 8
_CAPTION = 16
"""Pixels between images, and below them for their classes."""
_PAPER, _INK = (255, 255, 255), (0, 0, 0)


@dataclass(frozen=True)
class Samples:
    """Some training samples.

    Attributes:
        before: uint8 (n, H, W, C), as the data set has them.
        after: the same, augmented.
        captions: what each of them is, before and after.
    """

    before: NDArray[np.uint8]
    after: NDArray[np.uint8]
    captions: list[tuple[str, str]]


def first_samples(config: Config, data: DatasetPair, count: int) -> Samples:
    """The first samples of a training, of its first batch, with what is drawn for them there.

    Args:
        config: of the training.
        data: that it names.
        count: how many; as many as a batch has if it has fewer.

    Raises:
        ConfigError: an augmentation or a batch size that does not fit the data.
        DataError: files that are missing or damaged.
    """
    train, _ = validation_split(data.train, config.data.validation, config.seed)
    augmentation, backend = config.build_augmentation(), get_backend("numpy")
    loader = BatchLoader(train, config.training.batch_size, config.seed, augmentation)
    normalisation = no_normalisation(train.image_shape[2])
    if augmentation.cutout:  # by the mean colour, for which all images are read
        normalisation = RunData(config, backend, data).normalisation
    batch = loader.batch(0, 0)
    inputs = backend.to_numpy(InputPipeline(backend, normalisation).inputs(batch))
    pixels = 255.0 * (inputs * np.array(normalisation.std) + np.array(normalisation.mean))
    labels, targets = train.labels[batch.indices], train.targets
    before = one_hot(labels, len(train.classes)) if targets is None else targets[batch.indices]
    after = before if batch.targets is None else batch.targets
    pairs = list(zip(before, after, strict=True))[:count]
    return Samples(
        np.asarray(batch.images)[:count],
        np.rint(pixels[:count]).astype(np.uint8),
        [(_caption(own, train.classes), _caption(mix, train.classes)) for own, mix in pairs],
    )


def _caption(targets: NDArray[np.floating], classes: tuple[str, ...]) -> str:
    """What a sample is: numbers, or its classes with their shares unless it is of one alone."""
    if not classes:
        return ", ".join(f"{number:.4g}" for number in targets)
    largest = [label for label in np.argsort(-targets, kind="stable")[:2] if targets[label] > 0]
    if targets[largest[0]] == 1:
        return shown(classes[largest[0]])
    return ", ".join(f"{shown(classes[label])} {targets[label]:.0%}" for label in largest)


def draw_sheet(samples: Samples) -> Image:
    """The samples in rows, each before augmentation and, to the right of that, after it.

    Raises:
        DataError: Pillow is not installed.
    """
    require_pillow()
    from PIL import Image, ImageDraw, ImageFont

    pairs = [
        (_scaled(Image.fromarray(_rgb(before))), _scaled(Image.fromarray(_rgb(after))))
        for before, after in zip(samples.before, samples.after, strict=True)
    ]
    width, height = pairs[0][0].size
    step = (2 * width + 3 * _GAP, height + _CAPTION + _GAP)
    columns = min(_PAIRS, len(pairs))
    size = (columns * step[0] + _GAP, -(-len(pairs) // columns) * step[1] + _GAP)
    sheet = Image.new("RGB", size, _PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default()
    for number, (pair, captions) in enumerate(zip(pairs, samples.captions, strict=True)):
        row, column = divmod(number, columns)
        for place, (image, caption) in enumerate(zip(pair, captions, strict=True)):
            corner = (
                _GAP + column * step[0] + place * (width + _GAP),
                _GAP + row * step[1],
            )
            sheet.paste(image, corner)
            text = _fitting(caption, width, lambda text: pen.textlength(text, font=font))
            pen.text((corner[0], corner[1] + height + 1), text, fill=_INK, font=font)
    return sheet


def _rgb(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Three channels, of any number."""
    return image[..., :3] if image.shape[-1] >= 3 else image[..., :1].repeat(3, axis=-1)


def _scaled(image: Image) -> Image:
    """An image in a size to look at: whole multiples of small ones, so that pixels are seen."""
    from PIL import Image

    longest = max(image.size)
    if longest > _LARGEST_SIDE:
        width, height = (max(1, side * _LARGEST_SIDE // longest) for side in image.size)
        return image.resize((width, height), Image.Resampling.BILINEAR)
    factor = max(1, _SIDE // longest)
    return image.resize((factor * image.width, factor * image.height), Image.Resampling.NEAREST)


def _fitting(text: str, width: int, length: Any) -> str:
    """As much of a text as a width has room for."""
    if length(text) <= width:
        return text
    while text and length(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"
