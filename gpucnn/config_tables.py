"""The tables of a config whose keys are fixed: their keys, defaults, meanings and ranges."""

from __future__ import annotations

from typing import Any

import msgspec

from gpucnn import docstrings
from gpucnn.errors import ConfigError, out_of_range
from gpucnn.fp32 import require_fp32

MOST_EPOCHS = 10**6
"""Of a run, extensions included."""
_LARGEST_BATCH = 10**6
_MOST_STEPS = 10**12
_MOST_SECONDS = 10**9


class Table(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A table with fixed keys; another key is an error."""


class Top(Table):
    """The keys before the first table.

    Attributes:
        seed: the seed of all randomness, from 0 to 2**64 - 1.
    """

    seed: int = 0


class Augment(Table):
    """``[augment]``: random changes of the training images, new ones in each epoch.

    Attributes:
        flip: whether to mirror images left to right, at random.
        crop_padding: shift by up to this many pixels; the border is filled by reflection.
    """

    flip: bool = False
    crop_padding: int = 0


class Training(Table):
    """``[training]``: the length of the training, its batches, and limits of the gradient.

    Attributes:
        epochs: passes over the training split.
        batch_size: samples in a batch.
        clip_norm: the largest global norm of the gradient; no limit if left out.
        clip_value: the largest size of an element of the gradient; no limit if left out.
        evaluation_batch_size: samples in a batch of an evaluation.
        fuse: compute neighbouring layers in one operation if possible; affects speed only.
    """

    epochs: int = 10
    batch_size: int = 128
    clip_norm: float | None = None
    clip_value: float | None = None
    evaluation_batch_size: int = 500
    fuse: bool = True


class Checkpoint(Table):
    """``[checkpoint]``: when to save, besides at the end of each epoch.

    Attributes:
        every_steps: save each time this many steps are done; never if 0 or left out.
        every_seconds: save when this much time has passed since the last checkpoint; never if 0.
    """

    every_steps: int | None = None
    every_seconds: float | None = 300.0


class CommonData(Table):
    """``[data]``: keys that every data set has, besides its own options.

    Attributes:
        validation: the share of the training split to hold out, for choosing the best checkpoint.
        normalise: whether to give each channel mean 0 and deviation 1 (of the training split).
    """

    validation: float = 0.0
    normalise: bool = True


def check_ranges(training: Training, checkpoint: Checkpoint) -> None:
    """Raises ConfigError, with the key, for a number that is out of range."""
    for key, value, least, most in (
        ("training.epochs", training.epochs, 1, MOST_EPOCHS),
        ("training.batch_size", training.batch_size, 1, _LARGEST_BATCH),
        ("training.evaluation_batch_size", training.evaluation_batch_size, 1, _LARGEST_BATCH),
        ("checkpoint.every_steps", checkpoint.every_steps, 0, _MOST_STEPS),
        ("checkpoint.every_seconds", checkpoint.every_seconds, 0, _MOST_SECONDS),
    ):
        reason = None if value is None else out_of_range(value, least, most)
        if reason is not None:
            raise ConfigError(f"{key} = {value}: {reason}")
    for key, bound in (
        ("training.clip_norm", training.clip_norm),
        ("training.clip_value", training.clip_value),
    ):
        if bound is not None and not bound > 0.0:
            raise ConfigError(f"{key} = {bound}: it must be above 0")
        require_fp32(**{key: bound})


def describe_table(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The keys of a table, with what its docstring says of them under "Attributes:"."""
    meanings = docstrings.meanings(kind, "Attributes")
    summary = docstrings.summary(kind).rpartition("]: ")[2]
    return {
        "summary": summary[0].upper() + summary[1:],
        "options": [
            {
                "name": field.name,
                "type": str(kind.__annotations__[field.name]),
                "default": None if field.required else field.default,
                "required": field.required,
                "meaning": meanings[field.name],
            }
            for field in msgspec.structs.fields(kind)
        ],
    }
