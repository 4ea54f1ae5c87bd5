"""Groups of commands, each command in a module that is imported when it is used."""

from __future__ import annotations

import importlib
from typing import Any

import click

from gpucnn.errors import did_you_mean


class LazyGroup(click.Group):
    """Finds a command, ``NAME`` of the group, in the module ``gpucnn.cli.PREFIXNAME_command``.

    Args:
        modules: names of commands, in the order a newcomer needs them.
        prefix: of the modules' names, such as "bench_".
    """

    def __init__(
        self, *arguments: Any, modules: tuple[str, ...], prefix: str = "", **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self._modules, self._prefix = modules, prefix

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order a newcomer needs them."""
        return list(self._modules)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's own; of a name that there is none of, the nearest is told."""
        name = args[0]
        if name not in self._modules and not name.startswith("-"):
            ctx.fail(f'No such command "{name}"; {did_you_mean(name, self._modules)}')
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Imports the command's module."""
        if name not in self._modules:
            return None
        module = importlib.import_module(f"gpucnn.cli.{self._prefix}{name}_command")
        command: click.Command = module.command
        return command
