"""The command line: ``gpucnn COMMAND``. Each command has a file, imported when it is used."""

from __future__ import annotations

import atexit
import os
import sys
import traceback
from typing import NoReturn

import click

from gpucnn.cli.lazy_group import LazyGroup
from gpucnn.errors import GpucnnError, NonFiniteError
from gpucnn.training.signals import Interrupted, exit_on_next_signal, ignore_signals

_COMMANDS = (
    "train",
    "evaluate",
    "predict",
    "plot",
    "summary",
    "gradcheck",
    "bench",
    "kernels",
    "doctor",
    "list",
)


@click.command(
    cls=LazyGroup, modules=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]}
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
    """Runs the command line and exits: 0, 1 if a check or a training failed, 2 for a mistake.

    And with 141 if a pipe's reader has left, and 128 + the signal's number after a signal.
    """
    atexit.register(ignore_signals)  # first, so that it comes last
    _open_closed_streams()
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        status = _run(arguments)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except KeyboardInterrupt as stop:
        exit_on_next_signal()
        # Without more to say, on a line of its own, after the terminal's ^C.
        click.echo(_explain(stop) if _notes(stop) else "\nstopped", err=True)
        status = stop.status if isinstance(stop, Interrupted) else 130
    except BrokenPipeError:  # the reader of a pipe has left: nothing more to say to it
        _give_up_stdout()
        status = 141
    except (GpucnnError, OSError, MemoryError) as error:
        if debug:
            traceback.print_exc()
        click.echo(f"error: {_explain(error)}", err=True)
        if isinstance(error, OSError):
            _give_up_stdout()
        status = 1 if isinstance(error, NonFiniteError) else 2
    exit_on_next_signal()
    sys.exit(status)


def _run(arguments: list[str]) -> int:
    """As click's own ``main``, which takes a pipe without a reader for a failure, status 1."""
    if "_GPUCNN_COMPLETE" in os.environ:  # a shell asks what may follow
        cli.main(arguments, prog_name="gpucnn")
    try:
        with cli.make_context("gpucnn", arguments) as context:
            return cli.invoke(context) or 0
    except click.exceptions.Exit as end:  # after --help
        return end.exit_code


def _open_closed_streams() -> None:
    """Gives a stream that was closed by the caller (``>&-``) a place where all goes nowhere.

    Else Python has None for it, and the next file that is opened gets its number, and its text.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), "r+"))


def _explain(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        text = f"there is not enough memory ({error}); make the model or the batch smaller"
    elif isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        text = f"{place}{error.strerror or error}"
    else:
        text = str(error)
    return "; ".join([text, *_notes(error)])


def _notes(error: BaseException) -> list[str]:
    """What was added to an error on its way, such as how to go on."""
    return list(getattr(error, "__notes__", ()))


def _give_up_stdout() -> None:
    """Lets what cannot be written go nowhere, or Python would try again at its exit and fail."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
