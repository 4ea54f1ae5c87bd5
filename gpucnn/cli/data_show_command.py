"""``gpucnn data show``."""

from __future__ import annotations

from pathlib import Path

import click

from gpucnn.cli.output import Integer, NewFile, UserPath, set_option
from gpucnn.text import shown


@click.command()
@click.argument("config", type=UserPath())
@set_option
@click.option("--out", "output", type=NewFile((".png",)), metavar="FILE.png",
              help="The picture to write. Default: CONFIG-samples.png.")  # fmt: skip
@click.option("--count", default=16, show_default=True, type=Integer(min=1, max=400), metavar="N",
              help="How many samples to show; a batch of the training at most.")  # fmt: skip
def command(config: Path, overrides: tuple[str, ...], output: Path | None, count: int) -> None:
    """Draw training samples of CONFIG before and after augmentation.

    They are those of the first batch that a training with this config takes, changed as it changes
    them. Needs the extra [images]: pip install -e ".[images]" in a checkout.

    \b
    Example:
      gpucnn data show configs/mnist.toml
      gpucnn data show configs/cifar10_resnet9.toml --set augment.rotation=15 --out rotated.png
    """
    from gpucnn.config import load_config
    from gpucnn.data.decoding import require_pillow
    from gpucnn.training.contact_sheet import draw_sheet, first_samples

    require_pillow()
    loaded = load_config(config, overrides)
    sheet = draw_sheet(first_samples(loaded, loaded.load_data(), count))
    path = output or Path(f"{config.stem}-samples.png")
    sheet.save(path)
    click.echo(shown(path))
