"""The errors a user can cause. Each is one message: what is wrong, where, and what to do.

The command line prints such an error without a traceback and ends with status 2, or 1 if the
training itself failed.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class GpucnnError(Exception):
    """Base of every error that is explained by its message alone."""


class ConfigError(GpucnnError, ValueError):
    """A key, a type or a value in a config (or an argument of a layer) that cannot be."""


class ShapeError(GpucnnError, ValueError):
    """An argument of an operation that cannot be: its shape, its dtype, or a value out of range."""


class DataError(GpucnnError):
    """A data file that is missing, damaged, or not what it should be."""


class CheckpointError(GpucnnError):
    """A checkpoint or run folder that is missing, damaged, or of another model."""


class BackendError(GpucnnError):
    """A backend that cannot work here, or cannot do what was asked of it."""


class NonFiniteError(GpucnnError):
    """Losses, gradients or weights that are infinite or not a number: the training failed."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A closing sentence for an error about ``word``: the nearest known one, or all of them.

    Where none is near, those that contain the word, if there are any.
    """
    names = sorted(known)
    if near := nearest(word, names):
        return f'did you mean "{near}"?'
    around = [name for name in names if len(word) > 2 and word in name]
    if len(around) == 1:
        return f'did you mean "{around[0]}"?'
    return f"did you mean one of {', '.join(around)}?" if around else "known: " + ", ".join(names)


def nearest(word: str, known: Iterable[str]) -> str:
    """The known one that is most like ``word``, or begins with it; empty where none is."""
    names = sorted(known)
    alike = difflib.get_close_matches(word, names, n=1)
    longer = [name for name in names if len(word) > 1 and name.startswith(word)]
    return next(iter((*alike, *longer)), "")
