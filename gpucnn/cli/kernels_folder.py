"""``--kernels``: for commands that take kernels from a folder of the user's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gpucnn.cli.output import UserPath, wrapped
from gpucnn.errors import BackendError
from gpucnn.text import shown

if TYPE_CHECKING:
    from gpucnn.backends.base import Backend
    from gpucnn.config import Config
    from gpucnn.training.task import Task

_F = TypeVar("_F", bound=Callable[..., Any])


def kernels_option(
    text: str = "A folder of your own kernels: a file in it replaces our file of the same name.",
) -> Callable[[_F], _F]:
    """``--kernels``, as ``folder``; None where it is not given.

    Args:
        text: what is done with the folder, for --help.
    """
    return click.option(
        "--kernels",
        "folder",
        type=UserPath(exists=True, file_okay=False),
        metavar="DIR",
        help=text,
    )


def check_folder(folder: Path) -> None:
    """Refuses a folder without a kernel of ours, and names files that will not be used.

    Raises:
        BackendError: no file there takes the place of one of ours.
    """
    from gpucnn.backends.devices.source import check_own_kernels

    if unused := check_own_kernels(folder):
        names = ", ".join(map(shown, unused))
        click.echo(f"not used, for no file of ours has the name: {names}", err=True)


def use_kernels(backend: Backend, folder: Path) -> None:
    """Has a backend take the folder's files in the place of ours.

    Raises:
        BackendError: a backend without kernels, or as in ``check_folder``.
    """
    from gpucnn.backends.kernel_backend import KernelBackend

    if not isinstance(backend, KernelBackend):
        raise BackendError(
            f"the {backend.name} backend has no kernels; --kernels is for emulator and cuda"
        )
    check_folder(folder)
    backend.kernels = folder.absolute()


def check_training(
    backend: Backend, folder: Path, config: Config, image_shape: tuple[int, int, int], task: Task
) -> None:
    """Refuses a folder of which a training launches nothing.

    Args:
        backend: what trains.
        folder: the user's.
        config: what is trained.
        image_shape: (H, W, C).
        task: what is learned.
    """
    from gpucnn.backends.devices.source import check_used
    from gpucnn.backends.dry_run import dry_run
    from gpucnn.backends.kernel_backend import KernelBackend
    from gpucnn.training.rehearsal import rehearse_without_data

    assert isinstance(backend, KernelBackend)
    launched = dry_run(
        lambda planner: rehearse_without_data(config, planner, image_shape, task),
        backend.device.machine,
    )
    check_used(launched.sources, folder, advice="")


def tell_operations(doing: str, files: Iterable[str], operations: Iterable[str]) -> None:
    """Says on stderr what was chosen because it launches files of the user's folder."""
    chosen = ", ".join(dict.fromkeys(operations))
    click.echo(wrapped(f"{doing} what launches {', '.join(sorted(files))}: {chosen}"), err=True)
