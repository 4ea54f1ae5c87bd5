"""``gpucnn plot``."""

from __future__ import annotations

from pathlib import Path

import click

from gpucnn.cli.output import NewFile, UserPath
from gpucnn.text import shown


@click.command()
@click.argument("run", type=UserPath())
@click.option("--output", type=NewFile((".png", ".pdf", ".svg")), metavar="FILE.png",
              help="The picture to write. Default: curves.png in the run's folder.")  # fmt: skip
def command(run: Path, output: Path | None) -> None:
    """Draw RUN's loss and accuracy by epoch, and its confusion matrix if it came to its end.

    Of a regression: R² instead of accuracy, and predicted numbers over true ones.

    Needs the extra [plot]: pip install -e ".[plot]" in a checkout.

    \b
    Example:
      gpucnn plot runs/digits-1
      gpucnn plot runs/mnist-1 --output mnist.svg
    """
    from gpucnn.training.plots import draw_run
    from gpucnn.training.run_folder import RunFolder

    folder = RunFolder.open(run)
    path = output or run / "curves.png"
    draw_run(folder, path)
    click.echo(shown(path))
