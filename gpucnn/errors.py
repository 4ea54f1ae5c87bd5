"""The errors a user can cause. Each is one message: what is wrong, where, and what to do.

The command line prints such an error without a traceback and ends with status 2, or 1 if the
training itself failed.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from gpucnn.text import shown

_LENGTH = 60
"""Characters of a value or a name in a message."""

_ALIKE = 0.65
"""How alike two words must be for one to be suggested in place of the other; 1 is equal."""

_OTHER_NAMES = {
    "lr": "learning_rate",
    "epoch": "epochs",
    "num_epochs": "epochs",
    "bs": "batch_size",
    "batch": "batch_size",
    "wd": "weight_decay",
    "data_dir": "root",
    "data_root": "root",
    "num_workers": "workers",
    "image_size": "size",
    "img_size": "size",
    "val_split": "validation",
    "grad_clip": "clip_norm",
    "optim": "optimizer",
    "scheduler": "schedule",
    "dataset": "data.name",
    "cifar": "cifar10",
    "cifar-10": "cifar10",
    "cifar-100": "cifar100",
    "imagenet": "image_folder",
    "imagefolder": "image_folder",
    "dense": "linear",
    "fc": "linear",
    "bn": "batch_norm2d",
    "gap": "global_avg_pool2d",
    "out_channels": "filters",
    "out_features": "features",
    "units": "features",
    "p": "rate",
    "negative_slope": "slope",
    "eps": "epsilon",
    "betas": "beta1",
    "mse": "mean_squared_error",
    "none": "constant",
    "multistep": "step",
}
"""Names of keys, layers, losses and so on in a config, by the names that other tools use."""


class GpucnnError(Exception):
    """Base of every error that is explained by its message alone."""


class ConfigError(GpucnnError, ValueError):
    """An invalid key, type or value in a config, or an invalid argument of a layer."""


class ShapeError(GpucnnError, ValueError):
    """An argument of an operation that cannot be: its shape, its dtype, or a value out of range."""


class DataError(GpucnnError):
    """A data file that is missing, damaged, or not what it should be."""


class CheckpointError(GpucnnError):
    """A checkpoint or run folder that is missing, damaged, or of another model."""


class PluginError(GpucnnError):
    """A plugin that is missing, cannot be imported, or must be allowed first."""


class BackendError(GpucnnError):
    """A backend that cannot work here, or cannot do what was asked of it."""


class NonFiniteError(GpucnnError):
    """Losses, gradients or weights that are infinite or not a number: the training failed."""


def brief(value: object) -> str:
    """A value for a message: as Python writes it, shortened if it is long."""
    is_huge = isinstance(value, int) and value.bit_length() > 4 * _LENGTH
    text = hex(value) if is_huge else repr(value)  # type: ignore[arg-type]
    return shortened(text)


def shortened(text: str) -> str:
    """A name or a piece of text for a message: on one line, escaped, cut if it is long."""
    text = shown(text[: _LENGTH + 1])
    return text if len(text) <= _LENGTH else f"{text[: _LENGTH - 1]}…"


def out_of_range(value: float, least: float, most: float) -> str | None:
    """What a message says of a number outside a range, bounds included; None if it is within."""
    if value < least:
        return f"it must be {least:,} or more"
    return None if value <= most else f"it must be {most:,} or less"


def check_range(name: str, value: float, least: float, most: float) -> None:
    """Raises ConfigError, with the name, unless a number is within a range, bounds included."""
    if reason := out_of_range(value, least, most):
        raise ConfigError(f"{name} is {brief(value)}; {reason}")


def install_advice(*extras: str) -> str:
    """How to install an optional dependency, or one of several, from a checkout."""
    return " or ".join(f'pip install -e ".[{extra}]"' for extra in extras) + " in a checkout"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A closing sentence for an error about ``word``: the most similar known word, or all of them.

    If none is similar, those that contain the word, if there are any.
    """
    names = sorted(known)
    if near := nearest(word, names):
        return f'did you mean "{near}"?'
    around = [name for name in names if len(word) > 2 and word in name]
    if len(around) == 1:
        return f'did you mean "{around[0]}"?'
    return f"did you mean one of {', '.join(around)}?" if around else "known: " + ", ".join(names)


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that is most like ``word``, or begins with it; empty if there is none."""
    names = sorted(known)
    word = word[: 2 * _LENGTH].lower()
    other = other_name(word)
    by_lower = {name.lower(): name for name in names}
    alike = difflib.get_close_matches(word, by_lower, n=1, cutoff=_ALIKE)
    longer = [name for name in by_lower if len(word) > 1 and name.startswith(word)]
    return next((by_lower[name] for name in (other, *alike, *longer) if name in by_lower), "")


def other_name(word: str) -> str:
    """What gpucnn calls something in a config that other tools call ``word``, if it knows it."""
    return _OTHER_NAMES.get(word, word)
