"""``gpucnn kernels check``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gpucnn.backends import MODES
from gpucnn.cli.complaints import show_complaints
from gpucnn.cli.kernels_folder import check_folder, kernels_option, tell_operations
from gpucnn.cli.output import (
    UserPath,
    device_option,
    json_option,
    machine_option,
    print_json,
    table,
)
from gpucnn.errors import BackendError, did_you_mean
from gpucnn.text import shown

if TYPE_CHECKING:
    from gpucnn.check.checker import Checker, Finding

_MODES_OF_THE_SOURCE = ("fast", "race", "sanitize")
"""Those that need no compiler of NVIDIA's."""
_FULL = {"fast": 40, "race": 12, "sanitize": 12, "ptx": 12, "cuda": 40}
"""Cases of each operation and variant: fewer in the modes that are slow."""
_QUICK = {"fast": 3, "race": 1, "sanitize": 1, "ptx": 2, "cuda": 3}
_MOST = max(_FULL.values())


@click.command()
@click.option("--quick", is_flag=True, help="A few problems of each operation.")
@click.option(
    "--mode",
    "modes",
    multiple=True,
    type=click.Choice((*MODES, "cuda")),
    help="On the emulator, under its race detector or sanitizers, as NVIDIA's compiler NVRTC has "
    "compiled it (ptx), or on a GPU. May be repeated. Default: fast, race and sanitize.",
)
@click.option(
    "--jitter",
    is_flag=True,
    help="In mode ptx, let approximate functions err as far as NVIDIA says they may.",
)
@click.option(
    "--operation",
    "operations",
    multiple=True,
    metavar="NAME",
    help="An operation, such as conv2d_forward. May be repeated. Default: all, those that launch "
    "a file of --kernels, or those of the plugins of --config.",
)
@click.option(
    "--config", type=UserPath(), metavar="CONFIG", help="A config whose plugins have operations."
)
@kernels_option()
@device_option
@machine_option
@json_option
def command(
    quick: bool,
    modes: tuple[str, ...],
    jitter: bool,
    operations: tuple[str, ...],
    config: Path | None,
    folder: Path | None,
    device: int | None,
    machine: str | None,
    as_json: bool,
) -> int:
    """Check every kernel, in all variants, against naive loops.

    Needs no GPU: kernels run under the emulator, as they are launched on the GPU that --machine
    names. An error of 1 is the largest that rounding can cause in a correct kernel; "wrong" stands
    for what no rounding explains, such as NaN or a wrong index. Ends with status 1 if a kernel is
    wrong.

    \b
    Example:
      gpucnn kernels check --quick
      gpucnn kernels check --operation max_pool2d_forward --kernels my_kernels
    """
    from gpucnn.backends import find_machine
    from gpucnn.check.checker import Checker

    chosen = _operations(operations, config)
    if device is not None and "cuda" not in modes:
        raise BackendError("only --mode cuda has GPUs to choose from by --device")
    if folder is not None:
        check_folder(folder)
    if jitter and "ptx" not in modes:
        raise BackendError("only --mode ptx has approximate functions that can --jitter")
    modes = modes or _MODES_OF_THE_SOURCE
    if machine is not None and "cuda" in modes:
        raise BackendError("only the emulator stands in for a --machine; --mode cuda has its own")
    checkers = (
        Checker(mode, folder, device or 0, find_machine(machine or ""), jitter and mode == "ptx")
        for mode in dict.fromkeys(modes)
    )
    findings, drawn = _check(chosen, checkers, quick)
    wrong = [finding for finding in findings if finding.complaint]
    if as_json:
        print_json(
            {
                "n": len(findings),
                "wrong": len(wrong),
                "problems": [_as_json(group) for group in _grouped(findings)],
            }
        )
        return 1 if wrong else 0
    rows = [_row(group) for group in _grouped(findings)]
    header = ["operation", "mode", "problems", "wrong", "error", "seconds"]
    click.echo(table(header, rows, left=(0, 1)))
    show_complaints((f"{finding.case}, {finding.mode}", finding.complaint) for finding in wrong)
    left = drawn - len(findings)
    left_out = f"; {left} left out after one that took too long" if left else ""
    click.echo(f"\n{len(findings)} problems, {len(wrong) or 'none'} wrong{left_out}")
    return 1 if wrong else 0


def _operations(named: tuple[str, ...], config: Path | None) -> list[str]:
    """The named operations, each once; without any, those of a config's plugins."""
    from gpucnn import plugins
    from gpucnn.operations import OPERATIONS

    if config is not None:
        from gpucnn.config import load_config

        load_config(config)
        added = plugins.operations(OPERATIONS)
        if not added:
            raise BackendError(f"the plugins of {shown(config)} have no operations to check")
        named = named or tuple(added)
    for name in named:
        if name not in OPERATIONS:
            raise BackendError(f'there is no operation "{name}"; {did_you_mean(name, OPERATIONS)}')
    return list(dict.fromkeys(named))


def _check(named: list[str], checkers: Iterable[Checker], quick: bool) -> tuple[list[Finding], int]:
    """What was found, and how many cases were drawn."""
    from gpucnn.check.selection import choose
    from gpucnn.progress import progress

    findings: list[Finding] = []
    drawn = 0
    operations = named
    for checker in checkers:
        count = (_QUICK if quick else _FULL)[checker.mode]
        operations = operations or _unnamed(checker)
        cases = [each for name in operations for each in choose(checker, name, count, _MOST)]
        drawn += len(cases)
        with progress(checker.mode, len(cases)) as advance:
            for finding in checker.check_all(cases):
                advance(1)
                findings.append(finding)
    return findings, drawn


def _unnamed(checker: Checker) -> list[str]:
    """All operations, or those that launch a file of the user's folder, which are then listed."""
    from gpucnn.check.cases import draw
    from gpucnn.operations import OPERATIONS

    if checker.kernels is None:
        return list(OPERATIONS)
    launched: dict[str, set[str]] = {}
    for name in OPERATIONS:
        for case in draw(name, _MOST):
            for file, _ in checker.own_kernels(case):
                launched.setdefault(name, set()).add(file)
    if not launched:
        raise BackendError(f"no operation launches a file of {shown(checker.kernels)}")
    tell_operations("checking", set().union(*launched.values()), launched)
    return list(launched)


def _grouped(findings: list[Finding]) -> list[list[Finding]]:
    """By operation and variant, and then by mode."""
    groups: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        case = finding.case
        key = (case.kind.operation, case.variant or "", finding.mode)
        groups.setdefault(key, []).append(finding)
    order = list(dict.fromkeys(key[:2] for key in groups))
    return [groups[key] for key in sorted(groups, key=lambda key: order.index(key[:2]))]


def _row(group: list[Finding]) -> list[object]:
    first, wrong = group[0], sum(bool(finding.complaint) for finding in group)
    return [
        f"{first.case.kind.operation} {first.case.variant or ''}".rstrip(),
        first.mode,
        len(group),
        wrong or "",
        _error(max(finding.worst for finding in group)),
        f"{sum(finding.seconds for finding in group):.2f}",
    ]


def _error(worst: float) -> str:
    return f"{worst:.2f}" if worst < float("inf") else "wrong"


def _as_json(group: list[Finding]) -> dict[str, object]:
    """A row of the table. An infinite error, for which JSON has no number, is null.

    To users, a case is a problem, and so the keys say.
    """
    first = group[0]
    worst = max(finding.worst for finding in group)
    return {
        "operation": first.case.kind.operation,
        "variant": first.case.variant,
        "mode": first.mode,
        "problems": len(group),
        "worst_error": worst if worst < float("inf") else None,
        "seconds": round(sum(finding.seconds for finding in group), 3),
        "wrong": [
            {"problem": str(finding.case), "complaint": finding.complaint}
            for finding in group
            if finding.complaint
        ],
    }
