"""``gpucnn kernels build``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gpucnn.cli.output import json_option, print_json, table

if TYPE_CHECKING:
    from gpucnn.backends.devices.cuda.gate import Built, KernelReport
    from gpucnn.backends.devices.source import KernelSource

_INSTRUCTIONS = ("FFMA", "LDG", "STG", "LDS", "STS", "LDGSTS", "LDSM", "HMMA", "HGMMA", "UTCHMMA",
                 "UTMALDG", "LDL", "STL", "BAR", "SHFL")  # fmt: skip
"""Those that have a column, if any kernel has them."""


@click.command()
@click.argument("files", nargs=-1)
@click.option(
    "--arch",
    "architectures",
    multiple=True,
    metavar="SM",
    help="An architecture, such as sm_90a. May be repeated. Default: all, Volta to Blackwell.",
)
@click.option(
    "--kernels",
    "folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="A folder of kernels instead of gpucnn's own.",
)
@click.option(
    "--instructions/--no-instructions",
    default=True,
    help="Count instructions, where nvdisasm is installed.",
)
@json_option
def command(
    files: tuple[str, ...],
    architectures: tuple[str, ...],
    folder: Path | None,
    instructions: bool,
    as_json: bool,
) -> int:
    """Compile all kernels, or those of FILES, in all variants, and tell what they take.

    Needs neither a GPU nor a driver. Ends with status 1 if a kernel does not compile, or spills
    registers to memory.

    \b
    Example:
      gpucnn kernels build
      gpucnn kernels build conv2d_forward.cu --arch sm_80 --arch sm_90a
    """
    from tqdm import tqdm

    from gpucnn.backends.devices.cuda.gate import build_all, planned_sources
    from gpucnn.backends.devices.cuda.nvrtc import compiler_version
    from gpucnn.backends.devices.source import KERNELS

    chosen = _architectures(architectures)
    sources = _chosen(planned_sources(KERNELS if folder is None else folder), files)
    begin = time.perf_counter()
    built = list(
        tqdm(
            build_all(sources, chosen, instructions),
            "compiling",
            len(chosen) * len(sources),
            leave=False,
            disable=None,
        )
    )
    seconds = time.perf_counter() - begin
    failures = [failure for one in built for failure in one.failures]
    kernels = [kernel for one in built for kernel in one.kernels]
    version = ".".join(str(part) for part in compiler_version())
    if as_json:
        print_json(
            {
                "compiler": f"NVRTC {version}",
                "architectures": chosen,
                "seconds": round(seconds, 3),
                "kernels": [kernel.as_json() for kernel in kernels],
                "failures": failures,
            }
        )
    else:
        _show(kernels, chosen)
        for failure in failures:
            click.echo(failure)
        click.echo(_summary(built, kernels, len(failures), version, seconds))
    return 1 if failures else 0


def _architectures(named: tuple[str, ...]) -> list[str]:
    """Those that were named, each once, or all that the compiler makes code for."""
    from gpucnn.backends.devices.cuda.nvrtc import ARCHITECTURES, check_architecture
    from gpucnn.errors import BackendError

    if named:
        for name in named:
            check_architecture(name)
        return list(dict.fromkeys(named))
    chosen = []
    for name in ARCHITECTURES:
        try:
            check_architecture(name)
        except BackendError as error:
            if "makes no code" not in str(error):
                raise
            click.echo(f"left out: {error}", err=True)
        else:
            chosen.append(name)
    return chosen


def _chosen(sources: tuple[KernelSource, ...], files: tuple[str, ...]) -> list[KernelSource]:
    from gpucnn.errors import BackendError
    from gpucnn.registry import did_you_mean

    known = {source.file for source in sources}
    for file in files:
        if file not in known:
            raise BackendError(f"there is no kernel file {file}; {did_you_mean(file, known)}")
    return [source for source in sources if not files or source.file in files]


def _show(kernels: list[KernelReport], architectures: list[str]) -> None:
    """A table an architecture, a line a kernel: the most that any of its variants has."""
    for architecture in architectures:
        groups: dict[tuple[str, str], list[KernelReport]] = {}
        for kernel in kernels:
            if kernel.architecture == architecture:
                groups.setdefault((kernel.source.file, kernel.name), []).append(kernel)
        if not groups:
            continue
        columns = [
            name
            for name in _INSTRUCTIONS
            if any((kernel.instructions or {}).get(name) for kernel in kernels)
        ]
        header = ["file", "kernel", "variants", "registers", "shared", "stack", "spills"]
        rows = [[*names, *_most(variants, columns)] for names, variants in groups.items()]
        click.echo(click.style(architecture, bold=True))
        click.echo(table([*header, *columns, "all"], rows, left=(0, 1)))
        click.echo()


def _most(variants: list[KernelReport], columns: Sequence[str]) -> list[object]:
    usages = [kernel.usage for kernel in variants]
    counts = [kernel.instructions for kernel in variants if kernel.instructions is not None]
    return [
        len(variants),
        max(usage.registers for usage in usages),
        max(usage.shared_bytes for usage in usages),
        max(usage.stack_bytes for usage in usages),
        max(usage.spill_bytes for usage in usages),
        *(max((count.get(name, 0) for count in counts), default="–") for name in columns),
        max((sum(count.values()) for count in counts), default="–"),
    ]


def _summary(
    built: list[Built], kernels: list[KernelReport], failures: int, version: str, seconds: float
) -> str:
    variants = len({one.source for one in built})
    names = len({(kernel.source.file, kernel.name) for kernel in kernels})
    architectures = len({one.architecture for one in built})
    return (
        f"{names} kernels in {variants} variants of their files, {architectures} architectures: "
        f"{failures or 'no'} failure{'' if failures == 1 else 's'}; NVRTC {version}, "
        f"{seconds:.0f} s"
    )
