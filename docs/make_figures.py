"""Draws the README's picture from a run folder: ``python docs/make_figures.py runs/digits-1``.

Needs ``pip install -e ".[plot]"``.
"""

import sys
from pathlib import Path

import numpy as np

from gpucnn.data import digits
from gpucnn.inference import load
from gpucnn.plotting import import_pyplot
from gpucnn.training.plots import draw_confusion, draw_curves, read_epochs, read_report
from gpucnn.training.run_folder import RunFolder

PICTURE = Path(__file__).parent / "digits.png"
COLUMNS, ROWS = 6, 4


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


def main():
    run = RunFolder.open(Path(sys.argv[1]))
    pyplot = import_pyplot()
    figure = pyplot.figure(figsize=(13, 4.2), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1.75, 1))
    curves, confusion = left.subplots(1, 2)
    draw_curves(curves, read_epochs(run), "accuracy")
    draw_confusion(confusion, read_report(run))
    draw_examples(right, run.path)
    figure.savefig(PICTURE, dpi=110)


if __name__ == "__main__":
    main()
