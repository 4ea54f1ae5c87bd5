"""``gpucnn bench train``."""

from __future__ import annotations

from pathlib import Path

import click

from gpucnn.cli.output import UserPath, backend_option, set_option
from gpucnn.json_text import json_text


@click.command()
@click.argument("config", type=UserPath())
@click.option("--against", type=click.Choice(["torch"]), help="Compare with this library.")
@click.option("--json", "as_json", is_flag=True,
              help="Print a line of JSON for each run, and nothing else.")  # fmt: skip
@set_option
@backend_option
def command(
    config: Path,
    against: str | None,
    overrides: tuple[str, ...],
    as_json: bool,
    backend: str | None,
) -> None:
    """Time a whole training run of CONFIG, with an evaluation after each epoch and at the end.

    With --against torch PyTorch then trains the same network from the same weights, on the same
    device, with the same batches, augmentation and schedule. Each run is shown when it is done;
    nothing else is kept of it.

    \b
    Example:
      gpucnn bench train configs/digits.toml --against torch
    """
    from gpucnn.backends import get_backend
    from gpucnn.bench.load import warning
    from gpucnn.bench.training import compare_training
    from gpucnn.config import load_config
    from gpucnn.environment import describe

    loaded = load_config(config, overrides)
    ours, epochs = get_backend(backend), loaded.epochs
    about = {"environment": describe(ours), "epochs": epochs}
    if not as_json:
        click.echo(f"{epochs} epoch{'s' if epochs > 1 else '':<2} test accuracy   seconds")
    for one in compare_training(loaded, ours, against == "torch"):
        if as_json:
            click.echo(json_text({**about, **one.as_json()}))
        else:
            click.echo(f"{one.name:<10}{one.accuracy:>13.2%}{one.seconds:>10.2f}")
        if why := one.load.why_busy:
            click.echo(warning(f"{one.name}: {why}"), err=True)
