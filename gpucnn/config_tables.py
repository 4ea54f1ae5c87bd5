"""The tables of a config whose keys are fixed: their keys, types, defaults, ranges and meanings."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

from gpucnn import docstrings
from gpucnn.errors import ConfigError, did_you_mean, shortened
from gpucnn.registry import ALLOWED, convert

MOST_EPOCHS = 10**6
"""Of a run, extensions included."""

_T = TypeVar("_T", bound="Table")

_Epochs: TypeAlias = Annotated[int, Meta(ge=1, le=MOST_EPOCHS)]
_BatchSize: TypeAlias = Annotated[int, Meta(ge=1, le=10**6)]
_Decay: TypeAlias = Annotated[float, Meta(gt=0, lt=1)]
_Bound: TypeAlias = Annotated[float, Meta(gt=0)]
_Steps: TypeAlias = Annotated[int, Meta(ge=0, le=10**12)]
_Seconds: TypeAlias = Annotated[float, Meta(ge=0, le=10**9)]
# A seed has more bits than msgspec can compare with; ``convert`` refuses what has over 64.
_Seed: TypeAlias = Annotated[int, Meta(ge=0, extra={ALLOWED: "it must be from 0 to 2**64 - 1"})]
_HELD_OUT = "the share of the training split that is held out must be at least 0 and below 1"
_RateFactor: TypeAlias = Annotated[
    float, Meta(gt=0, le=10**6, extra={ALLOWED: "it must be above 0; finetune.freeze is for 0"})
]
_Std: TypeAlias = Annotated[float, Meta(gt=0)]
_Share: TypeAlias = Annotated[float, Meta(ge=0, lt=1, extra={ALLOWED: _HELD_OUT})]


class Table(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A table with fixed keys; another key is an error."""


class Top(Table):
    """The keys before the first table."""

    seed: Annotated[_Seed, Meta(description="the seed of all randomness, from 0 to 2**64 - 1.")] = 0


class Augment(Table):
    """``[augment]``: random changes of the training images, new ones in each epoch."""

    flip: Annotated[
        bool, Meta(description="whether to mirror images left to right, at random.")
    ] = False
    alternating_flip: Annotated[
        bool,
        Meta(description="mirror each image in every other epoch; half of them begin with it."),
    ] = False
    crop_padding: Annotated[
        int,
        Meta(description="shift by up to this many pixels; the border is filled by reflection."),
    ] = 0
    translate: Annotated[
        float, Meta(description="the same, up to this share of the image's sides.")
    ] = 0.0
    random_resized_crop: Annotated[
        float,
        Meta(
            description="crop at least this share of the area, anywhere, and enlarge it to the "
            "image's size; 1 for no such crops."
        ),
    ] = 1.0
    crop_aspect: Annotated[
        float,
        Meta(description="the largest ratio of the sides of such a crop, for square images."),
    ] = 4 / 3
    rotation: Annotated[
        float, Meta(description="rotate by up to this many degrees, in either direction.")
    ] = 0.0
    cutout: Annotated[
        int,
        Meta(description="cover a square of this many pixels a side with the mean colour."),
    ] = 0
    brightness: Annotated[
        float, Meta(description="multiply pixels by a factor within 1 ± this.")
    ] = 0.0
    contrast: Annotated[
        float,
        Meta(description="multiply the pixels' distance from 128 by a factor within 1 ± this."),
    ] = 0.0
    saturation: Annotated[
        float,
        Meta(description="multiply their distance from grey by one, in images of three channels."),
    ] = 0.0
    mixup: Annotated[
        float,
        Meta(
            description="mix each image and its label with the next one in the batch, with a "
            "weight from Beta(mixup, mixup); 0 for none, often 0.2."
        ),
    ] = 0.0
    cutmix: Annotated[
        float,
        Meta(
            description="put a rectangle of the next image into each, and mix labels by area, from "
            "Beta(cutmix, cutmix); 0 for none, often 1."
        ),
    ] = 0.0


class Training(Table):
    """``[training]``: the length of the training, its batches, and limits of the gradient."""

    epochs: Annotated[_Epochs, Meta(description="passes over the training split.")] = 10
    batch_size: Annotated[_BatchSize, Meta(description="samples in a batch.")] = 128
    accumulate: Annotated[
        _BatchSize,
        Meta(
            description="batches that one step learns from, one after the other; the last step of "
            "an epoch takes those that are left."
        ),
    ] = 1
    ema_decay: Annotated[
        _Decay | None,
        Meta(
            description="use the exponential moving average of the weights, which keeps this share "
            "of itself in each step; the weights themselves if left out."
        ),
    ] = None
    clip_norm: Annotated[
        _Bound | None,
        Meta(description="the largest global norm of the gradient; no limit if left out."),
    ] = None
    clip_value: Annotated[
        _Bound | None,
        Meta(description="the largest size of an element of the gradient; no limit if left out."),
    ] = None
    patience: Annotated[
        _Epochs | None,
        Meta(
            description="end after this many epochs without an improvement of the validation "
            "accuracy (of a regression, its loss); train all epochs if left out. A resumed run may "
            "have another one."
        ),
    ] = None
    min_delta: Annotated[
        float,
        Meta(ge=0, description="for patience: smaller improvements do not count."),
    ] = 0.0
    evaluation_batch_size: Annotated[
        _BatchSize, Meta(description="samples in a batch of an evaluation.")
    ] = 500
    fuse: Annotated[
        bool,
        Meta(
            description="compute neighbouring layers in one operation if possible; affects speed "
            "only."
        ),
    ] = True
    watch: Annotated[
        bool,
        Meta(
            description="record gradients, weights and dead units of each layer in metrics.jsonl, "
            "in steps 1, 2, 4, 8, 16, 32 and every 50th; say what is wrong."
        ),
    ] = False


class Plugins(Table):
    """``[plugins]``: your own layers, losses, data sets and so on. See docs/plugins.md."""

    modules: Annotated[
        list[str],
        Meta(description="names of Python modules, which are executed when the config is read."),
    ] = []
    folder: Annotated[
        str | None, Meta(description="where they are; the folder of the config if left out.")
    ] = None


class Cadence(Table):
    """``[checkpoint]``: when to save, besides at the end of each epoch."""

    every_steps: Annotated[
        _Steps | None,
        Meta(description="save each time this many steps are done; never if 0 or left out."),
    ] = None
    every_seconds: Annotated[
        _Seconds | None,
        Meta(
            description="save when this much time has passed since the last checkpoint; never if 0."
        ),
    ] = 300.0


class CommonData(Table):
    """``[data]``: keys that every data set has, besides its own options."""

    validation: Annotated[
        _Share,
        Meta(
            description="the share of the training split to hold out, for choosing the best "
            "checkpoint."
        ),
    ] = 0.0
    normalise: Annotated[
        bool,
        Meta(
            description="whether to give each channel mean 0 and deviation 1 (of the training "
            "split)."
        ),
    ] = True
    normalise_targets: Annotated[
        bool,
        Meta(
            description="the same for the numbers that a regression predicts, while it learns; "
            "predictions are in their own units."
        ),
    ] = True
    mean: Annotated[
        list[float] | None,
        Meta(
            description="normalise by this mean of each channel instead, of pixels from 0 to 1; "
            "ImageNet's is [0.485, 0.456, 0.406]."
        ),
    ] = None
    std: Annotated[
        list[_Std] | None,
        Meta(
            description="the deviation of each channel that goes with mean; ImageNet's is "
            "[0.229, 0.224, 0.225]."
        ),
    ] = None


class Finetune(Table):
    """``[finetune]``: the weights that a run starts from, and which of them learn how fast."""

    init_from: Annotated[
        str | None,
        Meta(description="a run folder, a checkpoint in one, or a safetensors file (--init-from)."),
    ] = None
    keep_normalisation: Annotated[
        bool,
        Meta(
            description="normalise images as the run that the weights are from, rather than by the "
            "new training split; data.mean and data.normalise=false come first."
        ),
    ] = True
    freeze: Annotated[
        list[str],
        Meta(
            description="parameters that stay as they are, by patterns of their names, or of names "
            'of layers (gpucnn summary): ["0.*", "4.residual"]; all but one layer: '
            '["*", "!13.linear"].'
        ),
    ] = []
    rates: Annotated[
        dict[str, _RateFactor],
        Meta(
            description="what the learning rate is multiplied by, by patterns as in freeze: "
            '{"*" = 0.1, "13.linear" = 1}; the last that matches counts.'
        ),
    ] = {}

    @property
    def rate_factors(self) -> dict[str, float]:
        """By pattern; 0 for what is frozen, which comes last, and so counts."""
        rates = {pattern: f for pattern, f in self.rates.items() if pattern not in self.freeze}
        return rates | dict.fromkeys(self.freeze, 0.0)


def key_types(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The types of a table's keys, with their ranges and meanings."""
    return typing.get_type_hints(kind, include_extras=True)


def read_table(table: Mapping[str, Any], where: str, kind: type[_T]) -> _T:
    """A table with fixed keys, checked.

    Args:
        table: as it is in the config.
        where: its place there, for messages.
        kind: what it is read as.

    Raises:
        ConfigError: a key that does not exist, or a value of a wrong type or out of range.
    """
    known = key_types(kind)
    for key in table:
        if key not in known:
            hint = did_you_mean(key, known)
            raise ConfigError(f"{where}.{shortened(key)}: there is no such key; {hint}")
    for key, value in table.items():
        convert(value, known[key], f"{where}.{key}")
    return msgspec.convert(table, kind)


def describe_table(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """What ``gpucnn list`` shows of a table: a summary, and its keys as its "options"."""
    summary = docstrings.summary(kind).rpartition("]: ")[2]
    described, plain = key_types(kind), typing.get_type_hints(kind)
    return {
        "summary": summary[0].upper() + summary[1:],
        "options": [
            {
                "name": field.name,
                "type": _written(plain[field.name]),
                "default": None if field.required else _default(field),
                "required": field.required,
                "meaning": _meaning(described[field.name]),
            }
            for field in msgspec.structs.fields(kind)
        ],
    }


def _default(field: msgspec.structs.FieldInfo) -> Any:
    make = field.default_factory
    return field.default if make is msgspec.NODEFAULT else make()


def _meaning(annotation: Any) -> str:
    metas: list[Meta] = list(annotation.__metadata__)
    return next(meta.description for meta in metas if meta.description is not None)


def _written(annotation: Any) -> str:
    """A type as an annotation has it in a source: "float | None"."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return " | ".join(map(_written, typing.get_args(annotation)))
    if annotation is types.NoneType:
        return "None"
    if isinstance(annotation, type):
        return annotation.__name__
    return str(annotation).replace("typing.", "")
