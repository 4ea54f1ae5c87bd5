"""``gpucnn emulate``."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gpucnn.backends import MODES
from gpucnn.cli.output import Integer, Number, UserPath, json_option, print_json, wrapped
from gpucnn.errors import BackendError, shortened
from gpucnn.text import shown

if TYPE_CHECKING:
    from gpucnn.cli.emulate_arguments import GivenArgument, Value
    from gpucnn.cli.emulate_launch import KernelFaultError, Launch
    from gpucnn.cli.emulate_report import Difference

_BLOCK = 256
"""Threads of a block without ``--block``."""
_LARGEST_SEED = 2**63
_MOST_SHARED = 2**20
_MOST_OPCODES = 6


class _Sizes(click.ParamType):  # type: ignore[type-arg]
    """One to three numbers."""

    name = "X[,Y[,Z]]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Positive integers."""
        if not re.fullmatch(r"[1-9]\d{0,9}([x,][1-9]\d{0,9}){0,2}", str(value), re.ASCII):
            self.fail(f'"{shortened(value)}" is not one to three numbers, such as 32,8', param, ctx)
        return tuple(int(number) for number in re.split("[x,]", value))


@click.command()
@click.argument("file", type=UserPath(exists=True))
@click.option("--kernel", metavar="NAME", help="Which kernel of FILE. Default: its only one.")
@click.option(
    "--arg",
    "arguments",
    multiple=True,
    metavar="ARG",
    help="An argument: float32:16x32:random, int32:100:range, @x.npy, int32=5, null. Repeated, in "
    "the order of the parameters.",
)
@click.option("--grid", type=_Sizes(), help="Blocks. Default: a thread for each element of the "
              "largest array.")  # fmt: skip
@click.option("--block", type=_Sizes(), help=f"Threads of a block. Default: {_BLOCK}.")
@click.option("--shared-mem", default=0, show_default=True, type=Integer(0, _MOST_SHARED),
              help="Bytes of dynamic shared memory.")  # fmt: skip
@click.option("--mode", type=click.Choice(MODES), default="race", show_default=True,
              help="What is checked; ptx runs what NVRTC makes of FILE.")  # fmt: skip
@click.option("--jitter", is_flag=True,
              help="In mode ptx, let approximate functions err as they may.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, type=Integer(0, _LARGEST_SEED),
              help="Decides the order of threads and blocks.")  # fmt: skip
@click.option("--seeds", default=1, show_default=True, type=Integer(1, 10000), metavar="N",
              help="Run N orders and compare the results.")  # fmt: skip
@click.option("--data-seed", default=0, show_default=True, type=Integer(0, _LARGEST_SEED),
              help="Decides the random numbers in the arguments.")  # fmt: skip
@click.option("--option", "options", multiple=True, metavar="OPTION",
              help="An option of the compiler, such as -DN=16. May be repeated.")  # fmt: skip
@click.option("--time-limit", type=Number(0.001, 1e6), metavar="SECONDS",
              help="Ends a launch that takes longer.")  # fmt: skip
@click.option("--save", type=UserPath(), metavar="DIR",
              help="Write the arrays into this new folder, as argument1.npy …")  # fmt: skip
@json_option
def command(
    file: Path,
    kernel: str | None,
    arguments: tuple[str, ...],
    grid: tuple[int, ...] | None,
    block: tuple[int, ...] | None,
    shared_mem: int,
    mode: str,
    jitter: bool,
    seed: int,
    seeds: int,
    data_seed: int,
    options: tuple[str, ...],
    time_limit: float | None,
    save: Path | None,
    as_json: bool,
) -> int:
    """Run a kernel of FILE on the CPU, and show what it did to its arrays.

    An ARG is an array, DTYPE:SHAPE[:FILL], or a number, DTYPE=VALUE, or null. FILL is zeros (the
    default), ones, random (normally distributed floats, integers from 0 to 99), LOW..HIGH (random,
    without HIGH), range (0, 1, 2, …) or a number. @FILE.npy is an array of NumPy's.

    With --seeds N the kernel runs N times on the same data, in different orders of threads and
    blocks. Ends with status 1 if the emulator finds a fault in the kernel, or if the results
    differ.

    \b
    Example:
      gpucnn emulate tile.cu --kernel transpose --grid 4,4 --block 32,8
          --arg float32:128x128:random --arg float32:128x128 --arg int32=128
    """
    import numpy as np

    from gpucnn.cli.emulate_arguments import parse_argument
    from gpucnn.cli.emulate_launch import KernelFaultError, Launch, chosen_kernel, covering_grid
    from gpucnn.cli.emulate_report import facts_of_arrays, facts_table, save_arrays

    if save is not None and save.exists():
        raise BackendError(f"{shown(save)} exists already; give --save a new folder")
    rng = np.random.default_rng(data_seed)
    given = [parse_argument(text, rng) for text in arguments]
    block = block or (_BLOCK,)
    launch = Launch(
        file,
        chosen_kernel(kernel, file, options, mode),
        grid or covering_grid(given, block),
        block,
        shared_mem,
        mode,
        options,
        time_limit,
        jitter,
    )
    begin = time.perf_counter()
    try:
        left, differing = _run(launch, given, range(seed, seed + seeds))
    except KernelFaultError as fault:
        return _report_fault(launch, fault, as_json)
    seconds = time.perf_counter() - begin
    facts = facts_of_arrays(given, left)
    if as_json:
        found = None if differing is None else asdict(differing)
        counts = launch.instruction_counts()
        report = {
            "seconds": round(seconds, 3),
            "arrays": facts,
            "difference": found,
            "instructions": None if counts is None else dict(counts.most_common()),
        }
        print_json({**launch.as_json(), "seed": seed, "seeds": seeds, "fault": None, **report})
    else:
        click.echo(wrapped(f"{launch}, {_seeds(seed, seeds)}, {seconds:.1f} s", 2))
        click.echo(facts_table(given, facts))
        _tell_instructions(launch.instruction_counts())
        _tell_difference(differing, seed, seeds)
    if save is not None:
        names = save_arrays(save, left)
        click.echo(f"wrote {', '.join(names)} into {shown(save)}", err=as_json)
    return 1 if differing else 0


def _run(
    launch: Launch, given: Sequence[GivenArgument], seeds: Sequence[int]
) -> tuple[list[Value], Difference | None]:
    """What the first seed leaves, and where another leaves something else first."""
    from gpucnn.cli.emulate_report import difference
    from gpucnn.progress import progress

    with progress("running", len(seeds)) as advance:
        first = launch.run(given, seeds[0])
        advance(1)
        for seed in seeds[1:]:
            if found := difference(first, launch.run(given, seed), seed):
                return first, found
            advance(1)
    return first, None


def _seeds(seed: int, seeds: int) -> str:
    return f"seed {seed}" if seeds == 1 else f"seeds {seed} to {seed + seeds - 1}"


def _tell_instructions(counts: Counter[str] | None) -> None:
    """A line with the opcodes that were executed most often, if the mode counts them."""
    if counts is not None:
        most = ", ".join(
            f"{opcode} {count:,}" for opcode, count in counts.most_common(_MOST_OPCODES)
        )
        click.echo()
        click.echo(wrapped(f"{counts.total():,} instructions of warps: {most} …", 2))


def _tell_difference(differing: Difference | None, seed: int, seeds: int) -> None:
    if differing is not None:
        index = ", ".join(map(str, differing.index))
        click.echo()
        click.echo(
            wrapped(
                f"the result depends on the order of threads: element [{index}] of argument "
                f"{differing.argument} is {differing.first} with seed {seed}, and "
                f"{differing.other} with seed {differing.seed}"
            )
        )
    elif seeds > 1:
        click.echo(f"\n{seeds} orders of threads and blocks: the same bits each time")


def _report_fault(launch: Launch, fault: KernelFaultError, as_json: bool) -> int:
    """Shows a fault and the lines that it names; returns the status."""
    from gpucnn.cli.emulate_report import quoted_lines

    if as_json:
        print_json({**launch.as_json(), "seed": fault.seed, "fault": str(fault)})
        return 1
    click.echo(f"{launch}, seed {fault.seed}\n")
    click.echo(f"fault: {fault}")
    for line in quoted_lines(str(fault), launch.file):
        click.echo(line)
    return 1
