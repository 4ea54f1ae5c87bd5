"""``gpucnn gradcheck``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gpucnn.backends import NAMES
from gpucnn.cli.output import Integer, Number, UserPath, json_option, print_json, set_option, table
from gpucnn.cli.shape_options import shape_options
from gpucnn.errors import BackendError

if TYPE_CHECKING:
    from gpucnn.gradcheck import Check


@click.command()
@click.argument("config", type=UserPath())
@set_option
@shape_options
@click.option("--bound", default=1e-6, show_default=True, type=Number(1e-9, 1.0),
              help="The largest relative error allowed.")  # fmt: skip
@click.option("--batch", default=3, show_default=True, type=Integer(2, 1000),
              help="Number of random samples.")  # fmt: skip
@click.option("--backend", type=click.Choice(NAMES), default="numpy", show_default=True,
              help="Only numpy has the float64 that finite differences need.")  # fmt: skip
@json_option
def command(
    config: Path,
    overrides: tuple[str, ...],
    image_shape: tuple[int, int, int] | None,
    classes: int | None,
    bound: float,
    batch: int,
    backend: str,
    as_json: bool,
) -> int:
    """Check every gradient of CONFIG's model against finite differences in float64.

    Each layer alone, the loss, and the whole model, with random inputs. Ends with status 1 if a
    relative error exceeds the bound.

    \b
    Example:
      gpucnn gradcheck configs/tutorial.toml
      gpucnn gradcheck configs/cifar10_resnet9.toml --set model.width=8 --input 32x32x3 --classes 10
    """
    from gpucnn.backends import get_backend
    from gpucnn.cli.shape_options import data_shape
    from gpucnn.config import load_config
    from gpucnn.gradcheck import check_network
    from gpucnn.layers import Network

    if backend not in ("numpy", "auto"):
        raise BackendError(
            f"finite differences need float64, which the {backend} backend does not have; leave "
            f"--backend {backend} out, and its kernels to gpucnn kernels check"
        )
    loaded = load_config(config, overrides)
    shape, task = data_shape(loaded, image_shape, classes)
    numpy, has_classes = get_backend("numpy", "fp64"), task.target_normalisation is None
    network = Network(
        loaded.build_model(), shape, task.outputs, numpy, loaded.seed, loaded.training.fuse
    )
    loss, seed = loaded.build_loss(), loaded.seed
    checks = list(check_network(network, loss, bound, batch, seed=seed, has_classes=has_classes))
    worst = max(checks, key=lambda check: check.error)
    passed = worst.error <= bound
    if as_json:
        print_json(
            {
                "passed": passed,
                "bound": bound,
                "worst": worst.error,
                "checks": [asdict(check) for check in checks],
            }
        )
        return 0 if passed else 1
    header = ["layer", "error", "derivatives", "redrawn", "in"]
    click.echo(table(header, [row for check in checks for row in _rows(check)], left=(0, 4)))
    verdict = "within" if passed else "OVER"
    click.echo(
        f"\nworst relative error: {worst.error:.1e}, {verdict} the bound of {bound:.0e}, in\n"
        f'"{worst.name}"'
    )
    return 0 if passed else 1


def _rows(check: Check) -> Iterator[Sequence[object] | str]:
    """A row, and what is too long for its last column below it."""
    is_long = "." in check.where
    where = "" if is_long else check.where
    yield check.name, f"{check.error:.1e}", check.derivatives, check.redrawn, where
    if is_long:
        yield f"  in {check.where}"
