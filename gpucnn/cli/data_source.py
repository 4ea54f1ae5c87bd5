"""The argument of commands that read data: a config, a data set's name, or a file or folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from gpucnn.cli.output import UserPath

source_argument = click.argument("source", metavar="NAME|PATH|CONFIG", type=UserPath())


def data_options(source: Path, overrides: Iterable[str]) -> dict[str, Any]:
    """What is to be read: a data set's name and its options.

    Args:
        source: what is there, if anything is; otherwise it is a data set's name.
        overrides: of keys of [data], ``data.key=value``.

    Raises:
        ConfigError: a config or an override that cannot be.
        DataError: there is no such data.
    """
    from gpucnn.config import apply_overrides, load_config
    from gpucnn.config_tables import CommonData
    from gpucnn.data import datasets
    from gpucnn.data.recognition import recognise

    if source.suffix == ".toml":
        return load_config(source, overrides).data_options
    if not source.exists() and str(source) in datasets.names():
        found = {"name": str(source)}
    else:
        found = recognise(source)
    options = apply_overrides({"data": found}, overrides)["data"]
    return {key: options[key] for key in options if key not in CommonData.__struct_fields__}
