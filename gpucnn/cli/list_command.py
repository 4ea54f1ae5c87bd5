"""``gpucnn list``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from gpucnn.cli.output import json_option, print_json

if TYPE_CHECKING:
    from gpucnn.registry import Registry

_KINDS = ("models", "layers", "losses", "optimizers", "schedules", "datasets", "initialisers")


@click.command()
@click.argument("kinds", nargs=-1, type=click.Choice(_KINDS))
@json_option
def command(kinds: tuple[str, ...], as_json: bool) -> None:
    """List what a config can name, with options, their types and defaults.

    \b
    Example:
      gpucnn list
      gpucnn list layers optimizers
    """
    catalogue = {kind: _entries(kind) for kind in kinds or _KINDS}
    if as_json:
        print_json(catalogue)
        return
    for number, (kind, entries) in enumerate(catalogue.items()):
        if number:
            click.echo()
        click.secho(kind, bold=True)
        for entry in entries:
            click.echo(f"  {entry['name']:<24}{entry['summary']}")
            for option in entry["options"]:
                default = "required" if option["required"] else json.dumps(option["default"])
                click.echo(f"      {option['name']:<20}{option['type']:<54}{default}")


def _entries(kind: str) -> list[dict[str, Any]]:
    from gpucnn import init
    from gpucnn.data import datasets
    from gpucnn.layers import layers
    from gpucnn.losses import losses
    from gpucnn.models import models
    from gpucnn.optim import optimizers, schedules

    if kind == "initialisers":
        return [
            {"name": name, "summary": init.summary(name), "options": []} for name in init.names()
        ]
    registries: dict[str, Registry[Any]] = {
        "models": models,
        "layers": layers,
        "losses": losses,
        "optimizers": optimizers,
        "schedules": schedules,
        "datasets": datasets,
    }
    registry = registries[kind]
    return [
        {
            "name": name,
            "summary": registry.summary(name),
            "options": [vars(option) for option in registry.options(name)],
        }
        for name in registry.names()
    ]
