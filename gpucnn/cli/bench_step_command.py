"""``gpucnn bench step``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gpucnn.cli.kernels_folder import check_training, kernels_option, use_kernels
from gpucnn.cli.output import (
    Integer,
    UserPath,
    backend_option,
    json_option,
    print_json,
    set_option,
    table,
)
from gpucnn.cli.shape_options import shape_options

if TYPE_CHECKING:
    from gpucnn.bench.step import Comparison
    from gpucnn.bench.timing import Timing


@click.command()
@click.argument("config", type=UserPath())
@click.option("--against", type=click.Choice(["torch"]), help="Compare with this library.")
@click.option("--repetitions", default=30, show_default=True, type=Integer(min=2),
              help="Steps that are timed, of each.")  # fmt: skip
@kernels_option()
@set_option
@shape_options
@json_option
@backend_option
def command(
    config: Path,
    against: str | None,
    repetitions: int,
    folder: Path | None,
    overrides: tuple[str, ...],
    image_shape: tuple[int, int, int] | None,
    classes: int | None,
    as_json: bool,
    backend: str | None,
) -> None:
    """Time training steps of CONFIG's model on random data.

    A step is forward, loss, backward, clipping and optimizer. What training does besides, to
    prepare inputs, to check that numbers are finite and to sum up metrics, is in "bench train".

    With --against torch the same network is trained by PyTorch in the same run, in turns, on the
    same GPU or as many threads, in both of its memory formats: contiguous (its default) and
    channels_last. It computes in true FP32, as gpucnn does; on a GPU that has TF32 also with
    convolutions in TF32, which is its default there. Times and ratios mean little on a busy
    machine: a warning says so, and a question mark follows each ratio.

    \b
    Example:
      gpucnn bench step configs/mnist.toml --against torch
      gpucnn bench step configs/cifar10_resnet9.toml --set model.width=16
          --set training.batch_size=64 --input 32x32x3 --classes 10 --against torch --json
    """
    from gpucnn.backends import get_backend
    from gpucnn.bench.load import warning
    from gpucnn.bench.step import compare_steps
    from gpucnn.cli.shape_options import data_shape
    from gpucnn.config import load_config
    from gpucnn.environment import describe

    loaded = load_config(config, overrides)
    shape, task = data_shape(loaded, image_shape, classes)
    ours = get_backend(backend)
    if folder is not None:
        use_kernels(ours, folder)
        check_training(ours, folder, loaded, shape, task)
    result = compare_steps(loaded, shape, task, ours, against == "torch", repetitions)
    if result.why_busy:
        click.echo(warning(result.why_busy), err=True)
    if as_json:
        print_json({"environment": describe(ours), **result.as_json()})
        return
    click.echo(_table(result))
    steps = f"{result.repetitions} steps"
    where = f"on {result.threads} threads"
    if result.torch:
        steps += " each, in turns"
        where += f", torch {result.torch_version} on {result.torch_device}"
    click.echo(f"\nbatch {result.batch_size}, {steps}, {where}")


def _table(result: Comparison) -> str:
    header = ["", "median ms", "quartiles", ""]
    if not result.torch:
        return table(header, [["gpucnn", *_milliseconds(result.ours)]])
    rows = [["gpucnn", *_milliseconds(result.ours), ""]]
    doubt = "?" if result.why_busy else ""
    rows += [
        [f"torch, {timing.name}", *_milliseconds(timing), f"{result.ratio(timing):.2f}{doubt}"]
        for timing in result.torch
    ]
    return table([*header, "gpucnn / torch"], rows)


def _milliseconds(timing: Timing) -> list[str]:
    return [f"{value:.2f}" for value in (timing.median, timing.low, timing.high)]
