"""The command line: ``gpucnn COMMAND``. Each command has a file, imported when it is used."""

from __future__ import annotations

import importlib
import sys
from typing import NoReturn

import click

_COMMANDS = ("train", "evaluate", "predict", "summary", "gradcheck", "bench", "doctor", "list")


class _Commands(click.Group):
    """Finds a command's module by its name."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """In the order a newcomer needs them."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        """Imports the command's module."""
        if name not in _COMMANDS:
            return None
        module = importlib.import_module(f"gpucnn.cli.{name}_command")
        command: click.Command = module.command
        return command


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gpucnn")
def cli() -> None:
    """Train convolutional networks, and see how it is done.

    \b
    Example:
      gpucnn train configs/digits.toml
      gpucnn evaluate runs/digits-1

    A user's mistake ends with one message and status 2; --debug, given to any command, shows the
    traceback too.
    """


def main() -> NoReturn:
    """Runs the command line and exits: 0, 1 where a check failed, 2 for a mistake, 130, 143."""
    from gpucnn.errors import GpucnnError

    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        status = cli.main(arguments, prog_name="gpucnn", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        status = 130
    except BrokenPipeError:  # the reader of a pipe has left: nothing more to say to it
        sys.stderr.close()
        status = 141
    except GpucnnError as error:
        if debug:
            raise
        click.echo(f"error: {error}", err=True)
        status = 2
    sys.exit(status)
