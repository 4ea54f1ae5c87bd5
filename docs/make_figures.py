"""Draws the pictures of README.md and of backpropagation.md.

    python docs/make_figures.py digits runs/digits-1     # from that run, docs/digits.png
    python docs/make_figures.py gradients                # takes a few steps; docs/gradients.png

Needs ``pip install -e ".[plot]"``.
"""

import sys
from contextlib import suppress
from itertools import islice
from pathlib import Path

import numpy as np

from gpucnn.config import load_config
from gpucnn.data import digits
from gpucnn.errors import NonFiniteError
from gpucnn.inference import load
from gpucnn.plotting import import_pyplot
from gpucnn.training.plots import draw_confusion, draw_curves, read_epochs, read_report
from gpucnn.training.run_folder import RunFolder
from gpucnn.training.trainer import Trainer

FOLDER = Path(__file__).parent
CONFIGS = FOLDER.parent / "configs"
COLUMNS, ROWS = 6, 4
PAIRS = {"vanishing": (1, 20), "exploding": (1, 2, 3)}
"""Of each pair of configs, the steps whose gradients are drawn."""
CURED = "_cured"


def draw_digits(pyplot, path):
    run = RunFolder.open(Path(path))
    figure = pyplot.figure(figsize=(13, 4.2), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1.75, 1))
    curves, confusion = left.subplots(1, 2)
    draw_curves(curves, read_epochs(run), "accuracy")
    draw_confusion(confusion, read_report(run))
    draw_examples(right, run.path)
    figure.savefig(FOLDER / "digits.png", dpi=110)


def draw_examples(figure, run):
    test = digits().test
    images = test.images(np.arange(len(test)))
    probabilities = load(run, "numpy").predict(images)
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != test.labels)
    least_sure = np.argsort(probabilities.max(axis=1), kind="stable")
    shown = np.concatenate([wrong, least_sure[~np.isin(least_sure, wrong)]])[: COLUMNS * ROWS]
    for axes, n in zip(figure.subplots(ROWS, COLUMNS).flat, shown, strict=True):
        axes.imshow(images[n, :, :, 0], cmap="gray_r")
        axes.set_axis_off()
        is_right = predicted[n] == test.labels[n]
        classes = f"{predicted[n]}" if is_right else f"{test.labels[n]}→{predicted[n]}"
        axes.set_title(
            f"{classes}  {probabilities[n].max():.0%}",
            fontsize=8,
            pad=2,
            color="tab:green" if is_right else "tab:red",
        )
    figure.suptitle(
        "Wrong (red, true→predicted), then least sure,\nand the probability of the prediction"
    )


def draw_gradients(pyplot):
    figure = pyplot.figure(figsize=(11, 4.6), layout="constrained")
    for axes, (name, steps) in zip(figure.subplots(1, 2), PAIRS.items(), strict=True):
        for suffix, colours, marker in (("", "autumn", "o"), (CURED, "winter", "s")):
            norms = gradient_norms(name + suffix, max(steps))
            shades = pyplot.get_cmap(colours)(np.linspace(0.1, 0.6, len(steps)))
            for step, shade in zip(steps, shades, strict=True):
                numbers = range(1, len(norms[step - 1]) + 1)
                label = f"{name}{suffix}, step {step}"
                axes.plot(numbers, norms[step - 1], color=shade, marker=marker, ms=4, label=label)
        axes.set(yscale="log", xlabel="layer with weights, from the input", xticks=numbers)
        axes.set(ylabel="norm of its gradient", title=f"configs/{name}.toml and its cure")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.15))
    figure.savefig(FOLDER / "gradients.png", dpi=90)


def gradient_norms(name, steps):
    """Of each layer's weights, in each step, as the optimizer gets them: after clipping."""
    trainer = Trainer(load_config(CONFIGS / f"{name}.toml"), "numpy")
    parameters = trainer.network.parameters()
    weights = [parameter for path, parameter in parameters.items() if path.endswith(".weight")]
    norms = []
    with suppress(NonFiniteError):
        for batch in islice(trainer.loader.batches(0), steps):
            trainer.train_step(batch)
            norms.append([np.linalg.norm(weight.gradient.astype(float)) for weight in weights])
    return norms


def main():
    match sys.argv[1:]:
        case ["digits", path]:
            draw_digits(import_pyplot(), path)
        case ["gradients"]:
            draw_gradients(import_pyplot())
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
