"""gpucnn: a CNN trainer whose convolutions and pooling are its own, made to be read.

What a script needs is here, each part imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpucnn import layers, losses, models, optim, plugins
    from gpucnn.backends import get_backend
    from gpucnn.config import Config, load_config
    from gpucnn.data.python_data import dataset
    from gpucnn.inference import load
    from gpucnn.layers import Network
    from gpucnn.training.display import Display
    from gpucnn.training.trainer import Trainer

__version__ = "0.1.0"

_HOMES = {
    "Config": "gpucnn.config",
    "Display": "gpucnn.training.display",
    "Network": "gpucnn.layers",
    "Trainer": "gpucnn.training.trainer",
    "dataset": "gpucnn.data.python_data",
    "get_backend": "gpucnn.backends",
    "load": "gpucnn.inference",
    "load_config": "gpucnn.config",
}
_MODULES = ("layers", "losses", "models", "optim", "plugins")

__all__ = [
    "Config",
    "Display",
    "Network",
    "Trainer",
    "dataset",
    "get_backend",
    "layers",
    "load",
    "load_config",
    "losses",
    "models",
    "optim",
    "plugins",
]


def __dir__() -> list[str]:
    """The public names, also of what has not been imported yet."""
    return sorted((*__all__, "__version__"))


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"gpucnn.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'gpucnn' has no attribute {name!r}")
