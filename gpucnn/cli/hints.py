"""What to write instead of commands and options that other tools have."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import click

from gpucnn.errors import other_name, shortened

_WEIGHTS = (
    "the weights of a run are in RUN/checkpoints/*.safetensors, which any safetensors library reads"
)

INSTEAD = {
    **dict.fromkeys(("export", "convert", "save", "onnx"), _WEIGHTS),
    **dict.fromkeys(("init", "create"), 'for a config for your data, use "gpucnn new FOLDER"'),
    "resume": 'a stopped run is continued by "gpucnn train --resume RUN"',
    "fit": 'to train a model, use "gpucnn train"',
    "test": 'to evaluate a trained model, use "gpucnn evaluate"',
    "validate": 'to evaluate a trained model, use "gpucnn evaluate"',
    "infer": 'to classify images, use "gpucnn predict"',
    "inference": 'to classify images, use "gpucnn predict"',
    "classify": 'to classify images, use "gpucnn predict"',
    "info": 'use "gpucnn summary CONFIG" for a model, "gpucnn doctor" for this machine',
    "devices": 'use "gpucnn doctor"',
    "version": 'use "gpucnn --version"',
    "help": 'use "gpucnn --help", or "gpucnn COMMAND --help"',
    "build": 'use "gpucnn kernels build"',
    "check": 'use "gpucnn data check" for data, "gpucnn kernels check" for kernels, "gpucnn '
    'gradcheck CONFIG" for gradients',
    "config": 'use "gpucnn list" to see what a config can have',
    "tables": 'use "gpucnn list tables"',
    "models": 'use "gpucnn list models"',
    "layers": 'use "gpucnn list layers"',
    "losses": 'use "gpucnn list losses"',
    "optimizers": 'use "gpucnn list optimizers"',
    "schedules": 'use "gpucnn list schedules"',
    "datasets": 'use "gpucnn list datasets"',
}
"""By the name of a command that gpucnn does not have."""

_OPTIONS = {
    "gpu": "--backend cuda",
    "cuda": "--backend cuda",
    "cpu": "--backend numpy",
    **dict.fromkeys(("pretrained", "weights", "init", "finetune"), "--init-from RUN|FILE"),
    "output": "--run-dir DIR",
    "output_dir": "--run-dir DIR",
    "out": "--run-dir DIR",
}
"""Options by the names that they have in other tools."""


def explain_option(error: click.NoSuchOption, arguments: Sequence[str]) -> click.UsageError:
    """The error for an unknown option, with what to write if it is a key of the config.

    Args:
        error: from click.
        arguments: of the command line.
    """
    options = {} if error.ctx is None else {p.name: p for p in error.ctx.command.params}
    name = error.option_name.lstrip("-").replace("-", "_").lower()
    key = _key(name) if "overrides" in options else None
    if key is not None:
        hint = f"it is a key of the config: --set {key}={_value(error.option_name, arguments)}"
    elif name in _OPTIONS and _parameter(_OPTIONS[name]) in options:
        hint = f"use {_OPTIONS[name]}"
    else:
        return error
    option = shortened(error.option_name)
    return click.UsageError(f'No such option "{option}"; {hint}', error.ctx)


def _key(name: str) -> str | None:
    """The dotted key that is meant by the name of an option."""
    from gpucnn.config import find_key

    name = "root" if name == "data" else other_name(name)
    if name in ("model", "loss", "optimizer", "schedule"):
        return f"{name}.name"
    return name if "." in name else find_key(name)


def _parameter(option: str) -> str:
    return option.split()[0].lstrip("-").replace("-", "_")


def _value(option: str, arguments: Sequence[str]) -> str:
    """What was given for the option, as a shell takes it."""
    for argument, following in zip(arguments, (*arguments[1:], ""), strict=True):
        if argument.startswith(f"{option}="):
            return shlex.quote(argument.partition("=")[2])
        if argument == option and following and not following.startswith("--"):
            return shlex.quote(following)
    return "VALUE"
