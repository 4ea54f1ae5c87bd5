"""A first config for data that nothing was trained on yet: what ``gpucnn new`` writes.

What it chooses has trained well on data of that kind. It is a file to be read and changed, so each
table has a comment that says why it is as it is.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from gpucnn.data.class_names import listed
from gpucnn.data.survey import Survey
from gpucnn.text import shown

_Table: TypeAlias = dict[str, Any]

_TINY_SIDE, _SMALL_SIDE, _MIDDLE_SIDE = 12, 40, 96
"""Sides below which images suit a small VGG, LeNet (if they are grey) and ResNet-9."""
_LARGE_SIDE = 48
"""Sides above which a small VGG has a stage more."""
_LARGEST_SIDE, _LARGEST_SIDE_ON_GPU = 48, 128
"""To which larger image files are resized."""
_LONG = 1.4
"""Images whose sides differ by more than this factor are stretched; others are cropped."""
_ENOUGH_TO_VALIDATE, _ENOUGH_OF_A_CLASS = 2000, 50
_VALIDATION = 0.1
_STEPS = 32
"""Batches are as large as leaves at least so many steps in an epoch, from 16 to 128 images."""
_SMALLEST_BATCH, _USUAL_BATCH = 16, 128
_MOST_EPOCHS = 40
_RATE_OF_ADAMW = 0.004


@dataclass(frozen=True)
class FirstConfig:
    """A config and why it is as it is.

    Attributes:
        found: what the data is, in lines.
        chosen: what the config has and why, in lines.
        notes: what training will say of the data, too.
        text: of the TOML file.
    """

    found: tuple[str, ...]
    chosen: tuple[str, ...]
    notes: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class _Model:
    """A model, and what has trained models of its kind well.

    Attributes:
        table: [model].
        why: it was chosen.
        rate: the highest learning rate, of SGD for batches of 128, or else of AdamW.
        passes: images that all epochs together should have.
        epochs: the least.
        smoothing: of labels.
    """

    table: _Table
    why: str
    rate: float
    passes: int
    epochs: int
    smoothing: float = 0.1


def first_config(survey: Survey, name: str, is_gpu: bool) -> FirstConfig:
    """Chooses a config.

    Args:
        survey: of the data.
        name: of the file that it will have, for its comments.
        is_gpu: whether it is to be trained on a GPU, which can do more in the same time.
    """
    H, W = _sides(survey, is_gpu)
    model = _model(survey, min(H, W), is_gpu)
    tables = {
        "data": _data(survey, H, W),
        "augment": _augment(survey, min(H, W)),
        "model": (model.table, model.why),
        **_loss(survey, model),
        **_training(survey, model),
    }
    found = _found(survey)
    reasons = tuple(why for _, why in tables.values() if why)
    return FirstConfig(found, reasons, survey.notes, _text(found, name, tables))


def _found(survey: Survey) -> tuple[str, ...]:
    kind = "grey" if survey.is_grey else "colour"
    heights, widths = survey.heights, survey.widths
    size = f"{heights[0]}×{widths[0]}"
    if not survey.has_one_size:
        size = f"{heights.min()}×{widths.min()} to {heights.max()}×{widths.max()}"
    if survey.classes:
        what = f"{len(survey.classes)} classes: {listed(survey.classes)}"
        low, high = survey.counts.min(), survey.counts.max()
        what += f" ({low:,}{'' if low == high else f' to {high:,}'} images of each to train on)"
    else:
        what = f"numbers to predict: {listed(survey.target_names)}"
    lines = [
        f"{shown(survey.place)} is read as {survey.options['name']}",
        f"{survey.images:,} images to train on and {survey.tests:,} to test on",
        f"{kind}, {size} pixels (height×width)",
        what,
    ]
    if survey.damaged:
        lines.append(
            f"{survey.damaged} of {survey.damaged + len(heights)} files that were looked at cannot "
            f"be read: gpucnn data check lists all such files"
        )
    return tuple(lines)


def _sides(survey: Survey, is_gpu: bool) -> tuple[int, int]:
    """The height and the width of the images that are trained on."""
    H, W = int(np.median(survey.heights)), int(np.median(survey.widths))
    if not survey.are_files:
        return H, W
    largest = _LARGEST_SIDE_ON_GPU if is_gpu else _LARGEST_SIDE
    if survey.target_names:
        largest = _SMALL_SIDE
    if survey.has_one_size and max(H, W) <= largest:
        return H, W
    side = min(H, W)
    side = min(largest, side if side < _TINY_SIDE else side - side % 4)
    return side, side


def _data(survey: Survey, H: int, W: int) -> tuple[_Table, str]:
    table: _Table = dict(survey.options)
    reasons = []
    if survey.are_files:
        table["size"] = [H, W]
        if survey.is_grey:
            table["colour"] = "grey"
        if not survey.has_one_size or (survey.heights[0], survey.widths[0]) != (H, W):
            longer = np.maximum(survey.heights, survey.widths)
            shape = float(np.median(longer / np.minimum(survey.heights, survey.widths)))
            table["fit"] = "stretch" if shape > _LONG else "crop"
            how = "stretched" if shape > _LONG else "resized, and what is too long is cut off"
            reasons.append(f"All images become {H}×{W}: {how}.")
    per_class = int(survey.counts.min())
    if survey.images >= _ENOUGH_TO_VALIDATE and per_class >= _ENOUGH_OF_A_CLASS:
        table["validation"] = _VALIDATION
        reasons.append(
            f"{_VALIDATION:.0%} of the images to train on are held out, to keep the checkpoint "
            f"that is best on them."
        )
    return table, " ".join(reasons)


def _augment(survey: Survey, side: int) -> tuple[_Table, str]:
    padding = max(1, side // (16 if survey.is_grey else 8))
    pixels = f"up to {padding} pixel{'s' if padding > 1 else ''}"
    if survey.target_names:
        return {}, "Images are neither moved nor mirrored: that might change their numbers."
    if survey.is_grey or not survey.is_photographic or _are_signs(survey):
        return {"crop_padding": padding}, (
            f"Images are moved by {pixels}, and not mirrored: that might change what they show."
        )
    return {"flip": True, "crop_padding": padding}, (
        f"Photographs show the same if they are mirrored, and moved by {pixels}."
    )


def _are_signs(survey: Survey) -> bool:
    """Whether mirrored images may be of another class, by the classes' names, or of none."""
    names = [name.casefold() for name in survey.classes]
    sides = any("left" in name or "right" in name for name in names)
    return sides or all(len(name) < 3 or name.isdecimal() for name in names)


def _model(survey: Survey, side: int, is_gpu: bool) -> _Model:
    is_little = _batch_size(survey) < _USUAL_BATCH
    if side < _TINY_SIDE:
        table = {"name": "vgg", "width": 48, "stages": 1 + (side >= 8)}
        rate = _RATE_OF_ADAMW if is_little else 0.1
        return _Model(table, "A small VGG, for images of so few pixels.", rate, 60_000, 20)
    if side <= _SMALL_SIDE and (survey.is_grey or survey.target_names):
        table = {"name": "lenet", "filters": [32, 64], "kernel": 5 if side >= 16 else 3}
        why = "LeNet, which is enough for small grey images."
        if survey.target_names:
            why = "LeNet, which knows where in an image something is."
        return _Model(table, why, 0.001 if is_little else 0.05, 240_000, 4, 0.0)
    passes, width = (1_200_000, 64) if is_gpu else (400_000, 16)
    why = f"Its width, {width}, is for {'a GPU' if is_gpu else 'a CPU; on a GPU, take 64'}."
    if side <= _MIDDLE_SIDE and is_little:
        table = {"name": "vgg", "width": width, "stages": 3 + (side > _LARGE_SIDE)}
        why = f"A small VGG, which gets on with few images better than a ResNet. {why}"
        return _Model(table, why, _RATE_OF_ADAMW, passes, 8)
    if side <= _MIDDLE_SIDE:
        return _Model({"name": "resnet9", "width": width}, f"ResNet-9. {why}", 0.1, passes, 8)
    table = {"name": "resnet18", "width": width, "small_images": False}
    why = f"ResNet-18, which begins with strides, for larger images. {why}"
    return _Model(table, why, _RATE_OF_ADAMW if is_little else 0.1, passes, 8)


def _loss(survey: Survey, model: _Model) -> dict[str, tuple[_Table, str]]:
    if survey.target_names:
        return {"loss": ({"name": "mean_squared_error"}, "Numbers are predicted.")}
    if not model.smoothing:
        return {}
    table = {"name": "softmax_cross_entropy", "label_smoothing": model.smoothing}
    return {"loss": (table, "Smoothed labels keep the network from being too sure.")}


def _training(survey: Survey, model: _Model) -> dict[str, tuple[_Table, str]]:
    batch = _batch_size(survey)
    epochs = min(_MOST_EPOCHS, max(model.epochs, round(model.passes / survey.images)))
    return {
        "optimizer": _optimizer(model, batch),
        "schedule": (
            {"name": "one_cycle"},
            "The learning rate rises to the optimizer's, and falls to 0 at the end.",
        ),
        "training": (
            {"epochs": epochs, "batch_size": batch},
            "If accuracy still rises in the last epochs, more of them help.",
        ),
    }


def _batch_size(survey: Survey) -> int:
    batch = _SMALLEST_BATCH
    while 2 * batch * _STEPS <= survey.images and batch < _USUAL_BATCH:
        batch *= 2
    return batch


def _optimizer(model: _Model, batch: int) -> tuple[_Table, str]:
    if batch < _USUAL_BATCH:
        return {"name": "adamw", "learning_rate": model.rate, "weight_decay": 0.01}, (
            "AdamW, which gets on with few images and small batches."
        )
    table = {"name": "sgd", "learning_rate": model.rate, "nesterov": True, "weight_decay": 5e-4}
    return table, ""


# TOML ---------------------------------------------------------------------------------------------


def _text(found: tuple[str, ...], name: str, tables: Mapping[str, tuple[_Table, str]]) -> str:
    lines = [
        *(line for text in found for line in _comment(text)),
        f"#   gpucnn train {shown(name)}",
        '# "gpucnn list tables datasets models" explains all keys.',
        "seed = 1",
    ]
    for key, (table, why) in tables.items():
        lines += ["", *_comment(why), f"[{key}]"]
        lines += [f"{option} = {_toml(value)}" for option, value in table.items()]
    return "\n".join(lines) + "\n"


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, 100, initial_indent="# ", subsequent_indent="# ")


def _toml(value: Any) -> str:
    """A value in TOML: JSON's, but for the character DEL, which TOML wants escaped."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
