"""``gpucnn list``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gpucnn.cli.output import UserPath, json_option, print_json, wrapped
from gpucnn.errors import did_you_mean, shortened

if TYPE_CHECKING:
    from gpucnn.registry import Registry

_KINDS = (
    "tables",
    "models",
    "layers",
    "losses",
    "optimizers",
    "schedules",
    "datasets",
    "initialisers",
)


class _Kind(click.ParamType):  # type: ignore[type-arg]
    """What can be listed."""

    name = "KIND"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The same."""
        kind = str(value)
        if kind not in _KINDS:
            hint = did_you_mean(kind, _KINDS)
            self.fail(f'there is no "{shortened(kind)}" to list; {hint}', param, ctx)
        return kind


@click.command()
@click.argument("kinds", nargs=-1, type=_Kind(), metavar="[KIND]...")
@click.option(
    "--config", type=UserPath(), metavar="CONFIG", help="Include what the plugins of CONFIG add."
)
@json_option
def command(kinds: tuple[str, ...], config: Path | None, as_json: bool) -> None:
    """List what a config can have: its tables and keys, and what it can name, with all options.

    KIND is tables, models, layers, losses, optimizers, schedules, datasets or initialisers;
    without one, everything is listed. A key whose default is None is left out by default.

    \b
    Example:
      gpucnn list
      gpucnn list layers optimizers
    """
    if config is not None:
        from gpucnn.config import load_config

        load_config(config)
    catalogue = {kind: _entries(kind) for kind in kinds or _KINDS}
    if as_json:
        print_json(catalogue)
        return
    for number, (kind, entries) in enumerate(catalogue.items()):
        if number:
            click.echo()
        click.secho(kind, bold=True)
        for entry in entries:
            _show(entry)


def _show(entry: Mapping[str, Any]) -> None:
    click.echo(wrapped(f"  {entry['name']:<22}  {entry['summary']}", 26))
    for option in entry["options"]:
        click.echo(f"      {option['name']}: {option['type']}{_default(option)}")
        click.echo(wrapped(f"          {option['meaning']}", 10))


def _default(option: Mapping[str, Any]) -> str:
    if option["required"]:
        return ", required"
    return f" = {None if option['default'] is None else json.dumps(option['default'])}"


def _entries(kind: str) -> list[dict[str, Any]]:
    """The name and summary of each, and its options."""
    special: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "tables": _tables,
        "initialisers": _initialisers,
    }
    if kind in special:
        return special[kind]()
    registry = _registry(kind)
    return [
        {
            "name": name,
            "summary": registry.summary(name),
            "options": [vars(option) for option in registry.options(name)],
        }
        for name in registry.names()
    ]


def _tables() -> list[dict[str, Any]]:
    from gpucnn.config import fixed_tables

    return [{"name": name, **table} for name, table in fixed_tables().items()]


def _initialisers() -> list[dict[str, Any]]:
    from gpucnn import init

    return [{"name": name, "summary": init.summary(name), "options": []} for name in init.names()]


def _registry(kind: str) -> Registry[Any]:
    from gpucnn.data import datasets
    from gpucnn.layers import layers
    from gpucnn.losses import losses
    from gpucnn.models import models
    from gpucnn.optim import optimizers, schedules

    registries: dict[str, Registry[Any]] = {
        "models": models,
        "layers": layers,
        "losses": losses,
        "optimizers": optimizers,
        "schedules": schedules,
        "datasets": datasets,
    }
    return registries[kind]
