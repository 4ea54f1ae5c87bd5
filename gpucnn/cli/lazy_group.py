"""Groups of commands, each command in a module that is imported when it is used."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click

from gpucnn.errors import did_you_mean, shortened


class LazyGroup(click.Group):
    """Finds a command, ``NAME`` of the group, in the module ``gpucnn.cli.PREFIXNAME_command``.

    Args:
        modules: names of commands, in the order a newcomer needs them.
        prefix: of the modules' names, such as "bench_".
        instead: what to do instead of commands that other tools have, by their names.
    """

    def __init__(
        self,
        *arguments: Any,
        modules: tuple[str, ...],
        prefix: str = "",
        instead: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self._modules, self._prefix, self._instead = modules, prefix, instead or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order a newcomer needs them."""
        return list(self._modules)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's own; the error for an unknown command says what may have been meant."""
        name = args[0]
        if name not in self._modules and not name.startswith("-"):
            hint = self._instead.get(name) or did_you_mean(name, self._modules)
            ctx.fail(f'No such command "{shortened(name)}"; {hint}')
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Imports the command's module."""
        if name not in self._modules:
            return None
        module = importlib.import_module(f"gpucnn.cli.{self._prefix}{name}_command")
        command: click.Command = module.command
        return command
