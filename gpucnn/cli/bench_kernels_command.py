"""``gpucnn bench kernels``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gpucnn.cli.complaints import show_complaints
from gpucnn.cli.kernels_folder import kernels_option, tell_operations, use_kernels
from gpucnn.cli.output import Integer, NewFile, Number, backend_option, sections, table, wrapped
from gpucnn.files import write_atomically
from gpucnn.json_text import json_text

if TYPE_CHECKING:
    from gpucnn.backends.base import Backend
    from gpucnn.bench.kernels import KernelBenchmark
    from gpucnn.bench.measurement import Measurement
    from gpucnn.operations import Timed


@click.command()
@click.option("--problem", "names", multiple=True, metavar="NAME",
              help="Only problems whose names begin with NAME. May be repeated.")  # fmt: skip
@click.option("--operation", "operations", multiple=True, metavar="NAME",
              help="Only this operation, such as conv2d_forward. May be repeated. Default: all, or "
              "those that launch a file of --kernels.")  # fmt: skip
@click.option("--variant", "variants", multiple=True, metavar="NAME",
              help="Only this variant of the kernels. May be repeated.")  # fmt: skip
@click.option("--quick", is_flag=True,
              help="Only a few small problems, as is the default on the emulator.")  # fmt: skip
@click.option("--torch/--no-torch", "with_torch", default=None,
              help="Time PyTorch's kernels too. Default: if it is installed.")  # fmt: skip
@click.option("--repetitions", default=20, show_default=True, type=Integer(min=3),
              help="How often each is timed; slow ones are timed less often.")  # fmt: skip
@click.option("--time-limit", type=Number(min=0.0), metavar="SECONDS",
              help="Start no further problem after this time.")  # fmt: skip
@kernels_option()
@click.option("--json", "json_path", type=NewFile(), metavar="FILE",
              help="Write all measurements; rewritten after each problem.")  # fmt: skip
@click.option("--plot", "plot_path", type=NewFile((".png", ".pdf", ".svg")), metavar="FILE.png",
              help="Draw the roofline; needs the extra [plot].")  # fmt: skip
@click.option("--list", "only_list", is_flag=True, help="Show the problems, and time nothing.")
@backend_option
def command(
    names: tuple[str, ...],
    operations: tuple[str, ...],
    variants: tuple[str, ...],
    quick: bool,
    with_torch: bool | None,
    repetitions: int,
    time_limit: float | None,
    folder: Path | None,
    json_path: Path | None,
    plot_path: Path | None,
    only_list: bool,
    backend: str | None,
) -> int:
    """Time single operations, in every variant of the kernels, against PyTorch's.

    Each time is compared with the least that the device could take: the bandwidth of its memory
    and of its caches and the rate of its arithmetic are measured in the same run, before and after
    the operations. On a GPU, times are the GPU's own, between CUDA events, with inputs that its
    cache does not hold. If something fails it is reported, and the exit status is 1.

    \b
    Example:
      gpucnn bench kernels --backend cuda --json kernels.json --plot roofline.png
      gpucnn bench kernels --problem resnet50 --operation conv2d_forward
      gpucnn bench kernels --list
    """
    from gpucnn.backends import get_backend
    from gpucnn.bench.problems import ALL, QUICK, select
    from gpucnn.plotting import import_pyplot

    if only_list and (json_path or plot_path):
        raise click.UsageError("--list times nothing, so --json and --plot have nothing to write.")
    if only_list:
        _show(select((*QUICK, *ALL), names, operations))
        return 0
    ours = get_backend(backend)
    if folder is not None:
        use_kernels(ours, folder)
    problems = select(_candidates(ours, quick, names), names, operations)
    if plot_path is not None:
        import_pyplot()
    benchmark = _benchmark(ours, with_torch, repetitions, time_limit)
    if folder is not None:
        problems = _of_own_kernels(benchmark, problems, variants, bool(operations))

    measurements: list[Measurement] = []

    def keep(measured: Sequence[Measurement]) -> None:
        measurements[:] = measured
        if json_path is not None:
            _write_json(json_path, benchmark.as_json(measured))

    try:
        benchmark.measure_all(problems, variants, keep)
    except KeyboardInterrupt:  # what was measured is shown before it ends the command
        if measurements:
            _report(benchmark, measurements, len(problems), plot_path)
        raise
    _report(benchmark, measurements, len(problems), plot_path)
    return 1 if benchmark.failures else 0


def _report(
    benchmark: KernelBenchmark,
    measurements: Sequence[Measurement],
    problems: int,
    plot_path: Path | None,
) -> None:
    """The table, what failed, and the plot if one is wanted."""
    from gpucnn.bench.kernel_report import footer, legend, table_of
    from gpucnn.bench.load import warning
    from gpucnn.bench.roofline import can_be_drawn, draw

    failures = benchmark.failures
    if measurements:
        header, rows = table_of(measurements, failures)
        click.echo(table(header, sections(rows)))
        click.echo(f"\n{wrapped(legend(measurements))}\n{wrapped(footer(benchmark))}")
    if why := benchmark.why_busy(measurements):
        click.echo(warning(why), err=True)
    show_complaints((str(failure), failure.message) for failure in failures)
    met = {one.timed for one in measurements} | {failure.timed for failure in failures}
    left = problems - len(met)
    if left:
        click.echo(f"{left} of {problems} problems were left out", err=True)
    if plot_path is None:
        return
    if can_be_drawn(measurements):
        draw(measurements, benchmark.ceilings, plot_path, footer(benchmark))
    else:
        click.echo("nothing to draw: these operations do no arithmetic", err=True)


def _write_json(path: Path, content: Mapping[str, object]) -> None:
    """Leaves the whole new file or the one before it, even if the process is killed meanwhile."""
    text = (json_text(content, indent=1) + "\n").encode()
    try:
        if path.exists() and not path.is_file():  # such as /dev/stdout
            path.write_bytes(text)
        else:
            write_atomically(path, text)
    except OSError as error:  # which names no file where it comes from a write
        raise type(error)(error.errno, error.strerror, str(path)) from None


def _show(problems: Sequence[Timed]) -> None:
    from gpucnn.launch import variants_of

    rows = [
        (
            wrapped(f"{timed.name}: {timed.problem.text}", 4),
            [
                timed.problem.operation,
                ", ".join(variants_of(timed.problem)),
                f"{timed.problem.flops / 1e9:.4g}",
                f"{timed.problem.traffic / 1e6:.4g}",
            ],
        )
        for timed in problems
    ]
    header = ["problem, operation", "variants", "GFLOP", "MB"]
    click.echo(table(header, sections(rows), left=(0, 1)))


def _of_own_kernels(
    benchmark: KernelBenchmark,
    problems: list[Timed],
    variants: Sequence[str],
    are_named: bool,
) -> list[Timed]:
    """The problems that launch a file of the user's folder, which are listed; all if named.

    Raises:
        BackendError: none does.
    """
    own = benchmark.launching_own(problems, variants)
    if are_named:
        return problems
    files = set().union(*own.values())
    tell_operations("measuring", files, [timed.problem.operation for timed in own])
    return list(own)


def _candidates(backend: Backend, quick: bool, names: Sequence[str]) -> tuple[Timed, ...]:
    """All problems if names were given; without any, those that the backend has time for."""
    from gpucnn.bench.problems import ALL, QUICK

    if quick or (backend.name == "emulator" and not names):
        return QUICK
    return (*QUICK, *ALL) if names else ALL


def _benchmark(
    backend: Backend, with_torch: bool | None, repetitions: int, time_limit: float | None
) -> KernelBenchmark:
    from gpucnn.bench.ceilings import measure_ceilings
    from gpucnn.bench.device_clock import device_clock
    from gpucnn.bench.kernels import KernelBenchmark
    from gpucnn.bench.torch_device import TorchDevice, has_torch

    if with_torch is None:
        with_torch = has_torch()
    clock = device_clock(backend)
    torch = TorchDevice(backend) if with_torch else None
    products = [torch.product] if torch else []
    return KernelBenchmark(
        backend,
        clock,
        lambda: measure_ceilings(backend, clock, products),
        torch,
        repetitions,
        time_limit=time_limit,
    )
