"""``gpucnn bench train``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from gpucnn.cli.output import backend_option, json_option, print_json, set_option, table


@click.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--against", type=click.Choice(["torch"]), help="Compare with this library.")
@set_option
@json_option
@backend_option
def command(
    config: Path,
    against: str | None,
    overrides: tuple[str, ...],
    as_json: bool,
    backend: str | None,
) -> None:
    """Time a whole training run of CONFIG, with an evaluation after each epoch.

    With --against torch PyTorch then trains the same network from the same weights, on the same
    device, with the same batches, augmentation and schedule. Nothing is kept of either run.

    \b
    Example:
      gpucnn bench train configs/digits.toml --against torch
    """
    from gpucnn.backends import get_backend
    from gpucnn.bench.training import compare_training
    from gpucnn.config import load_config
    from gpucnn.training.environment import describe

    loaded = load_config(config, overrides)
    ours = get_backend(backend)
    results = compare_training(loaded, ours, against == "torch")
    if as_json:
        epochs = loaded.training.epochs
        answers = {one.name: asdict(one) for one in results}
        print_json({"environment": describe(ours), "epochs": epochs, **answers})
        return
    rows = [[one.name, f"{one.accuracy:.2%}", f"{one.seconds:.2f}"] for one in results]
    click.echo(table([f"{loaded.training.epochs} epochs", "test accuracy", "seconds"], rows))
