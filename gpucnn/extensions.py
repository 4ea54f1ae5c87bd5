"""``[[extensions]]`` in a config: epochs added to a finished run, and their schedules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from gpucnn.config_tables import key_types
from gpucnn.errors import ConfigError, did_you_mean, shortened
from gpucnn.optim import Parts, Schedule, schedules
from gpucnn.registry import convert

EXTENSIONS = "extensions"


class Extension(msgspec.Struct, frozen=True, omit_defaults=True):
    """``[[extensions]]``: epochs added to a finished run by ``gpucnn train --extend``."""

    epochs: Annotated[int, Meta(ge=1, description="how many are added.")]
    schedule: Annotated[
        dict[str, Any] | None,
        Meta(
            description="for these epochs, as in [schedule]; if left out, the previous one "
            "continues."
        ),
    ] = None


def read_extensions(value: Any) -> list[Extension]:
    """The extensions of a config, checked, with the defaults of their schedules filled in.

    Args:
        value: the config's list of tables.

    Raises:
        ConfigError: a key that does not exist or is missing, or a value that cannot be.
    """
    tables = convert(value, list[dict[str, Any]], EXTENSIONS)
    return [_read(table, f"{EXTENSIONS}[{number}]") for number, table in enumerate(tables)]


def _read(table: dict[str, Any], where: str) -> Extension:
    known = Extension.__struct_fields__
    for key in table:
        if key not in known:
            raise ConfigError(
                f"{where}.{shortened(key)}: there is no such key; {did_you_mean(key, known)}"
            )
    if "epochs" not in table:
        raise ConfigError(f"{where}.epochs: say how many epochs are added")
    epochs = convert(table["epochs"], key_types(Extension)["epochs"], f"{where}.epochs")
    schedule = table.get("schedule")
    if schedule is None:
        return Extension(epochs)
    return Extension(epochs, schedules.resolve(schedule, f"{where}.schedule"))


def join_schedules(first: Schedule, epochs: int, extensions: Sequence[Extension]) -> Schedule:
    """The schedule of a whole run.

    Args:
        first: that the run begins with.
        epochs: before the first extension.
        extensions: in order.

    Raises:
        ConfigError: a schedule refuses its options.
    """
    parts, begin = {0: (first, epochs)}, epochs
    for number, extension in enumerate(extensions):
        if extension.schedule is not None:
            schedule = schedules.create(extension.schedule, f"{EXTENSIONS}[{number}].schedule")
            parts[begin] = schedule, extension.epochs
        begin += extension.epochs
    return Parts(parts) if extensions else first
