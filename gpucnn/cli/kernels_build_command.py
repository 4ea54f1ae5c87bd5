"""``gpucnn kernels build``."""

from __future__ import annotations

import re
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gpucnn.cli.complaints import MOST, alike
from gpucnn.cli.kernels_folder import kernels_option
from gpucnn.cli.output import UserPath, json_option, print_json, table, wrapped
from gpucnn.cli.shape_options import shape_options
from gpucnn.errors import BackendError, did_you_mean
from gpucnn.text import shown

if TYPE_CHECKING:
    from gpucnn.backends.devices.source import Constant
    from gpucnn.backends.kernel_backend import KernelBackend
    from gpucnn.inspect.build import Built, KernelReport, Plan

_INSTRUCTIONS = ("FFMA", "LDG", "STG", "LDS", "STS", "LDGSTS", "LDSM", "HMMA", "HGMMA", "UTCHMMA",
                 "UTMALDG", "LDL", "STL", "BAR", "SHFL")  # fmt: skip
"""Those that are told, if a kernel has them."""
_DEFINITION = re.compile(r"([A-Za-z_]\w*)=(-?\d{1,18}|true|false)", re.ASCII)


@click.command()
@click.argument("files", nargs=-1)
@click.option(
    "--arch",
    "architectures",
    multiple=True,
    metavar="SM",
    help="An architecture, such as sm_90a. May be repeated. Default: all, Volta to Blackwell.",
)
@kernels_option("A folder of kernels to compile instead of gpucnn's own.")
@click.option(
    "--define",
    "defined",
    multiple=True,
    metavar="NAME=VALUE",
    help="A constant, such as TILE=32, of files that no operation launches. May be repeated.",
)
@click.option(
    "--config",
    "configs",
    multiple=True,
    type=UserPath(),
    metavar="CONFIG",
    help="Also what the training of this config launches. May be repeated.",
)
@shape_options
@click.option("--bench", is_flag=True, help="Also the problems of gpucnn bench kernels.")
@click.option(
    "--instructions/--no-instructions",
    default=True,
    help="Count instructions, if nvdisasm is installed.",
)
@json_option
def command(
    files: tuple[str, ...],
    architectures: tuple[str, ...],
    folder: Path | None,
    defined: tuple[str, ...],
    configs: tuple[Path, ...],
    image_shape: tuple[int, int, int] | None,
    classes: int | None,
    bench: bool,
    instructions: bool,
    as_json: bool,
) -> int:
    """Compile all kernels, or those of FILES, in all variants, and report what they use.

    Every variant and every tile is compiled, for representative shapes; --config and --bench add
    the shapes of networks and of benchmarks. Needs one of the extras [ptx], [cuda12] and [cuda13],
    but neither a GPU nor a driver. Ends with status 1 if a kernel does not compile, or spills
    registers to memory, or if a file lacks a kernel that is launched from it.

    \b
    Example:
      gpucnn kernels build
      gpucnn kernels build conv2d_forward.cu --arch sm_80 --arch sm_90a
      gpucnn kernels build --arch sm_90a --config configs/cifar10_resnet9.toml
          --input 32x32x3 --classes 10
    """
    from gpucnn.backends.devices.cuda.nvrtc import compiler_version
    from gpucnn.backends.devices.source import KERNELS
    from gpucnn.inspect.build import build_all, plan_build
    from gpucnn.progress import progress

    chosen = _architectures(architectures)
    others = [*_trainings(configs, image_shape, classes), *([_benchmarks] if bench else [])]
    planned = _chosen(plan_build(chosen, folder or KERNELS, others, _constants(defined)), files)
    sources = planned.sources
    if instructions:
        _tell_what_is_not_counted(chosen)
    begin = time.perf_counter()
    with progress("compiling", sum(map(len, sources.values()))) as advance:
        built = build_all(sources, instructions, lambda: advance(1))
    seconds = time.perf_counter() - begin
    misfits = planned.misfits(built)
    failures = [*misfits, *(failure for one in built for failure in one.failures)]
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
                "warnings": list(dict.fromkeys(text for one in built for text in one.warnings)),
            }
        )
    else:
        _show(kernels, chosen)
        _show_remarks("does not compile", [(one, text) for one in built for text in one.errors])
        _show_remarks("has warnings", [(one, text) for one in built for text in one.warnings])
        for line in (*misfits, *(spill for one in built for spill in one.spills)):
            click.echo(line)
        click.echo(wrapped(_summary(built, kernels, len(failures), version, seconds)))
    return 1 if failures else 0


def _architectures(named: tuple[str, ...]) -> list[str]:
    """Those that were named, each once, or all that the compiler makes code for."""
    from gpucnn.backends.devices.cuda.nvrtc import (
        ARCHITECTURES,
        check_architecture,
        why_unsupported,
    )

    if named:
        for name in named:
            check_architecture(name)
        return list(dict.fromkeys(named))
    chosen = []
    for name in ARCHITECTURES:
        if reason := why_unsupported(name):
            click.echo(f"left out: {reason}", err=True)
        else:
            chosen.append(name)
    return chosen


def _tell_what_is_not_counted(architectures: list[str]) -> None:
    """A line on stderr for each reason why there are no instructions in the report."""
    from gpucnn.backends.devices.cuda.disassembly import why_not

    reasons: dict[str, list[str]] = {}
    for architecture in architectures:
        if reason := why_not(architecture):
            reasons.setdefault(reason, []).append(architecture)
    for reason, without in reasons.items():
        click.echo(f"no instructions are counted for {', '.join(without)}: {reason}", err=True)


def _trainings(
    configs: tuple[Path, ...], image_shape: tuple[int, int, int] | None, classes: int | None
) -> Iterator[Callable[[KernelBackend], object]]:
    """What the steps and evaluations of these configs run, on images of the given shape if any."""
    from gpucnn.cli.shape_options import data_shape
    from gpucnn.config import load_config
    from gpucnn.training.rehearsal import rehearse_without_data

    for path in configs:
        config = load_config(path)
        shape, task = data_shape(config, image_shape, classes)
        yield partial(rehearse_without_data, config, image_shape=shape, task=task)


def _benchmarks(backend: KernelBackend) -> None:
    """What ``gpucnn bench kernels`` times, in every variant."""
    from gpucnn.bench.contestants import run_in_variants
    from gpucnn.bench.problems import ALL, QUICK
    from gpucnn.launch import variants_of

    for timed in (*QUICK, *ALL):
        run_in_variants(backend, timed, variants_of(timed.problem) or ("",))


def _chosen(planned: Plan, files: tuple[str, ...]) -> Plan:
    known = {source.file for sources in planned.sources.values() for source in sources}
    for file in files:
        if file not in known:
            raise BackendError(
                f"there is no kernel file {shown(file)}; {did_you_mean(file, known)}"
            )
    return planned.of_files(files or known)


def _constants(defined: tuple[str, ...]) -> tuple[tuple[str, Constant], ...]:
    """Names and values; of a name that is defined twice, the last."""
    found: dict[str, Constant] = {}
    for definition in defined:
        match = _DEFINITION.fullmatch(definition)
        if match is None:
            raise BackendError(
                f'--define "{definition}" is not such as TILE=32 or HAS_BIAS=true: a name, and a '
                "whole number, true or false"
            )
        name, value = match.groups()
        found[name] = value == "true" if value in ("true", "false") else int(value)
    return tuple(found.items())


def _show_remarks(heading: str, told: Sequence[tuple[Built, str]]) -> None:
    """What the compiler says, each remark once, below its file, and of what it says so.

    Args:
        heading: of a file, after its name.
        told: what was compiled, and a remark of it.
    """
    for file in dict.fromkeys(one.source.file for one, _ in told):
        remarks = alike((one, text) for one, text in told if one.source.file == file)
        of_file = _architectures_of(one for _, places in remarks for one in places)
        click.echo(f"{shown(file)} {heading} for {', '.join(of_file)}:")
        for text, places in remarks[:MOST]:
            click.echo(textwrap.indent(text, "  "))
            if places[0].source.constants or _architectures_of(places) != of_file:
                click.echo(wrapped(f"  ({_where(places)})", 4))
        if rest := remarks[MOST:]:
            click.echo(f"  and {len(rest)} more")
        click.echo()


def _where(places: Sequence[Built]) -> str:
    first, count = places[0].source, len({one.source for one in places})
    variants = f"{count} variants, such as {first}" if count > 1 else str(first)
    return f"in {variants}; for {', '.join(_architectures_of(places))}"


def _architectures_of(built: Iterable[Built]) -> list[str]:
    return list(dict.fromkeys(one.architecture for one in built))


def _show(kernels: list[KernelReport], architectures: list[str]) -> None:
    """A table an architecture, a line or two a kernel: the most that any variant of it has."""
    for architecture in architectures:
        groups: dict[tuple[str, str], list[KernelReport]] = {}
        for kernel in kernels:
            if kernel.architecture == architecture:
                groups.setdefault((kernel.source.file, kernel.name), []).append(kernel)
        if not groups:
            continue
        header = ["kernel", "variants", "registers", "shared", "stack", "spills"]
        rows: list[Sequence[object] | str] = []
        for (file, name), variants in groups.items():
            if shown(file) not in rows:
                rows.append(shown(file))
            rows.append([f"  {name}", *_most(variants)])
            if counts := [k.instructions for k in variants if k.instructions is not None]:
                rows.append(_instructions(counts))
        click.echo(click.style(architecture, bold=True))
        click.echo(table(header, rows))
        click.echo()


def _most(variants: list[KernelReport]) -> list[int]:
    usages = [kernel.usage for kernel in variants]
    return [
        len(variants),
        max(usage.registers for usage in usages),
        max(usage.shared_bytes for usage in usages),
        max(usage.stack_bytes for usage in usages),
        max(usage.spill_bytes for usage in usages),
    ]


def _instructions(counts: Sequence[Mapping[str, int]]) -> str:
    """The most of each kind that any variant has, and of all; kinds that none has are left out."""
    most = {name: max(count.get(name, 0) for count in counts) for name in _INSTRUCTIONS}
    told = [f"{name} {count}" for name, count in most.items() if count]
    total = max(sum(count.values()) for count in counts)
    return wrapped(f"    {', '.join([*told, f'all {total}'])}", 4)


def _summary(
    built: list[Built], kernels: list[KernelReport], failures: int, version: str, seconds: float
) -> str:
    variants = len({one.source for one in built})
    names = len({(kernel.source.file, kernel.name) for kernel in kernels})
    count = len({one.architecture for one in built})
    architectures = f"{count} architecture{'' if count == 1 else 's'}"
    return (
        f"{names} kernels in {variants} variants of their files, {architectures}: "
        f"{failures or 'no'} failure{'' if failures == 1 else 's'}; NVRTC {version}, "
        f"{seconds:.0f} s"
    )
