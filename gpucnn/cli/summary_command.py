"""``gpucnn summary``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gpucnn.cli.output import UserPath, json_option, print_json, set_option, table
from gpucnn.cli.shape_options import shape_options
from gpucnn.units import byte_text

if TYPE_CHECKING:
    from gpucnn.layers import Layer

_FP32_BYTES = 4


@click.command()
@click.argument("config", type=UserPath())
@set_option
@shape_options
@json_option
def command(
    config: Path,
    overrides: tuple[str, ...],
    image_shape: tuple[int, int, int] | None,
    classes: int | None,
    as_json: bool,
) -> None:
    """Show CONFIG's model: each layer's output shape, parameters, multiply-adds and memory.

    Multiply-adds and activation memory (FP32) are those of one image, forward.

    \b
    Example:
      gpucnn summary configs/digits.toml
      gpucnn summary configs/cifar10_resnet18.toml --input 32x32x3 --classes 10
    """
    from gpucnn.backends import get_backend
    from gpucnn.cli.shape_options import data_shape
    from gpucnn.config import load_config
    from gpucnn.layers import (
        Context,
        declare_layers,
        named_parameters,
        plain_layers,
        set_rate_factors,
    )

    loaded = load_config(config, overrides)
    shape, task = data_shape(loaded, image_shape, classes)
    context = Context(get_backend("numpy"), loaded.seed, task.outputs)
    body = declare_layers(loaded.build_model(), shape, context)
    set_rate_factors(named_parameters(body), loaded.finetune.rate_factors)
    layers = [_describe(layer) for layer in plain_layers(body)]
    total = {
        "parameters": sum(layer["parameters"] for layer in layers),
        "frozen": sum(layer["frozen"] for layer in layers),
        "multiply_adds": sum(layer["multiply_adds"] for layer in layers),
        "activation_bytes": sum(layer["activation_bytes"] for layer in layers),
    }
    if as_json:
        print_json({"input": shape, "classes": task.outputs, "layers": layers, "total": total})
        return
    rows = [["input", _shape(shape), "", "", ""]]
    rows += [[layer["name"], _shape(layer["output_shape"]), *_figures(layer)] for layer in layers]
    rows.append(["total", "", *_figures(total)])
    header = ["layer", "output", "parameters", "multiply-adds", "memory"]
    click.echo(table(header, rows, left=(0, 1)))
    training = total["activation_bytes"] * loaded.training.batch_size
    click.echo(
        f"\nactivations of a batch of {loaded.training.batch_size}: {byte_text(training)}; "
        f"parameters, gradients: {byte_text(2 * _FP32_BYTES * total['parameters'])}"
    )
    if total["frozen"]:
        names = ", ".join(layer["name"] for layer in layers if layer["frozen"])
        click.echo(f"frozen: {total['frozen']:,} of {total['parameters']:,} parameters, in {names}")


def _describe(layer: Layer) -> dict[str, Any]:
    return {
        "name": layer.name,
        "kind": layer.kind,
        "output_shape": layer.output_shape,
        "parameters": sum(parameter.size for parameter in layer.parameters.values()),
        "frozen": sum(p.size for p in layer.parameters.values() if not p.learns),
        "names": [f"{layer.name}.{name}" for name in layer.parameters],
        "multiply_adds": layer.multiply_adds(),
        "activation_bytes": _FP32_BYTES * math.prod(layer.output_shape),
    }


def _figures(row: dict[str, Any]) -> list[str]:
    return [
        f"{row['parameters']:,}",
        f"{row['multiply_adds']:,}",
        byte_text(row["activation_bytes"]),
    ]


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
