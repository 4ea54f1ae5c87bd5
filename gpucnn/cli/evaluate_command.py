"""``gpucnn evaluate``."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from gpucnn.cli.output import (
    UserPath,
    backend_option,
    json_option,
    plugins_option,
    print_json,
    raw_option,
    set_option,
    step_option,
    tta_option,
)


@click.command()
@click.argument("run", type=UserPath())
@click.option(
    "--split",
    type=click.Choice(["test", "validation", "train"]),
    default="test",
    show_default=True,
    help="Which part of the data.",
)
@step_option
@raw_option
@tta_option
@plugins_option
@set_option
@json_option
@backend_option
def command(
    run: Path,
    split: str,
    step: int | None,
    raw: bool,
    tta: str | None,
    overrides: tuple[str, ...],
    as_json: bool,
    backend: str | None,
) -> None:
    """Evaluate the model of RUN, which is a run folder or one checkpoint file.

    Images are normalised as in training, also those of other data (--set data.root=FOLDER), which
    must have the same classes, or the same numbers to predict.

    \b
    Example:
      gpucnn evaluate runs/digits-1
      gpucnn evaluate runs/mnist-1 --step 469
      gpucnn evaluate runs/cifar10_resnet9-1 --tta flip+shift
      gpucnn evaluate runs/mnist-1/checkpoints/step-00000469.safetensors --json
    """
    from gpucnn.cli.result_tables import fullest_table
    from gpucnn.inference import TrainedModel
    from gpucnn.training.opened_checkpoint import open_checkpoint

    opened = open_checkpoint(run, overrides, step, raw)
    model = TrainedModel(opened, backend)
    result = model.evaluate(opened.config.load_split(split), tta)
    if as_json:
        print_json(
            {
                "split": split,
                "tta": tta,
                "step": opened.checkpoint.progress.step,
                **result.as_json(model.task.names),
            }
        )
        return
    width = shutil.get_terminal_size().columns
    what, table = fullest_table(result, model.task.names, width)
    click.echo(f"step {opened.checkpoint.progress.step}{what and f', {what}'}")
    click.echo(table)
    click.echo(f"\n{split} {result.text}")
