"""``gpucnn kernels COMMAND``: what can be done with the CUDA sources themselves."""

from __future__ import annotations

import importlib

import click

_COMMANDS = ("check", "build")


class _Commands(click.Group):
    """Finds a command's module, ``kernels_NAME_command``, by its name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of use."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Imports the command's module."""
        if name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(
            f"gpucnn.cli.kernels_{name}_command"
        ).command
        return command


@click.command(cls=_Commands)
def command() -> None:
    """Compile and check the CUDA kernels.

    \b
    Example:
      gpucnn kernels check --quick
      gpucnn kernels build
    """
