"""The command line: ``gpucnn COMMAND``. Each command has a file, imported when it is used."""

from __future__ import annotations

import atexit
import os
import sys
import traceback
from typing import NoReturn

import click

from gpucnn import plugins
from gpucnn.cli.hints import INSTEAD, explain_option
from gpucnn.cli.lazy_group import LazyGroup
from gpucnn.cli.streams import give_up_stdout, prepare_streams, printable
from gpucnn.errors import GpucnnError, NonFiniteError
from gpucnn.text import shown
from gpucnn.training.signals import Interrupted, exit_on_next_signal, ignore_signals

_COMMANDS = (
    "new",
    "train",
    "evaluate",
    "predict",
    "plot",
    "summary",
    "gradcheck",
    "data",
    "bench",
    "kernels",
    "emulate",
    "doctor",
    "list",
)


@click.command(
    cls=LazyGroup,
    modules=_COMMANDS,
    instead=INSTEAD,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="gpucnn")
def cli() -> None:
    """Train convolutional networks, and see how it is done.

    \b
    Example:
      gpucnn train configs/digits.toml
      gpucnn evaluate runs/digits-1

    A user's mistake ends with one message and status 2, a training that diverges with status 1;
    --debug, given to any command, shows the traceback too.
    """


def main() -> NoReturn:
    """Runs the command line and exits.

    The status is 0, 1 if a check or a training failed, 2 for a user's mistake, 128 + its number
    after a signal, and 141 if the reader of a pipe has gone.
    """
    atexit.register(ignore_signals)  # first, so that it comes last
    prepare_streams()
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        status = _run(arguments)
        sys.stdout.flush()
    except click.ClickException as error:
        _show_usage(error)
        status = error.exit_code
    except KeyboardInterrupt as stop:
        exit_on_next_signal()
        # If there is nothing more to say, on its own line, after the terminal's ^C.
        click.echo(printable(_explain(stop)) if _notes(stop) else "\nstopped", err=True)
        status = stop.status if isinstance(stop, Interrupted) else 130
    except BrokenPipeError:  # the reader of a pipe has gone: there is no one left to tell
        give_up_stdout()
        status = 141
    except (GpucnnError, OSError, MemoryError) as error:
        if debug:
            traceback.print_exc()
        click.echo(f"error: {printable(_explain(error))}", err=True)
        if isinstance(error, OSError):
            give_up_stdout()
        status = 1 if isinstance(error, NonFiniteError) else 2
    except Exception as error:
        place = plugins.place_of(error)
        if not place:
            raise
        if debug:
            traceback.print_exc()
        text = "; ".join([plugins.explain(error, place), *_notes(error)])
        click.echo(f"error: {printable(text)}", err=True)
        status = 2
    exit_on_next_signal()
    sys.exit(status)


def _run(arguments: list[str]) -> int:
    """Does what click's own ``main`` does, which takes a pipe without a reader for a failure."""
    if "_GPUCNN_COMPLETE" in os.environ:  # a shell asks what may follow
        cli.main(arguments, prog_name="gpucnn")
    try:
        with cli.make_context("gpucnn", arguments) as context:
            return cli.invoke(context) or 0
    except click.exceptions.Exit as end:  # after --help
        return end.exit_code
    except click.NoSuchOption as error:
        raise explain_option(error, arguments) from None


def _show_usage(error: click.ClickException) -> None:
    """Shows what click says of a mistake, as click does, but escaped: it quotes arguments."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None:
        help_text = f"Try '{context.command_path} --help' for help."
        click.echo(f"{context.get_usage()}\n{help_text}\n", err=True)
    click.echo(f"Error: {shown(error.format_message())}", err=True)


def _explain(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        details = f" ({error})" if str(error) else ""
        text = f"there is not enough memory{details}; make the model or the batch smaller"
    elif isinstance(error, OSError):
        place = f"{shown(os.fsdecode(error.filename))}: " if error.filename else ""
        text = f"{place}{error.strerror or error}"
    else:
        text = str(error)
    return "; ".join([text, *_notes(error)])


def _notes(error: BaseException) -> list[str]:
    """What was added to an error on its way, such as how to continue."""
    return list(getattr(error, "__notes__", ()))
