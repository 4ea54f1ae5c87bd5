"""Draws the README's picture from a run folder: ``python docs/make_figures.py runs/digits-1``.

Needs ``pip install -e ".[plot]"``.
"""

import json
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import MaxNLocator

from gpucnn.data import digits
from gpucnn.inference import load

PICTURE = Path(__file__).parent / "digits.png"
COLUMNS, ROWS = 8, 3


def draw_curves(axes, run):
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if "epoch" in row]
    epochs = [row["epoch"] for row in rows]
    for key, label in (("train_accuracy", "training"), ("test_accuracy", "test")):
        axes.plot(epochs, [100 * row[key] for row in rows], marker=".", label=label)
    axes.set(xlabel="epoch", ylabel="accuracy, %", title="Learning", ylim=(20, 101))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")


def draw_confusion(axes, run):
    report = json.loads((run / "report.json").read_text(encoding="utf-8"))
    confusion = np.array(report["confusion"])
    axes.imshow(np.log1p(confusion), cmap="Blues")
    for (true, predicted), count in np.ndenumerate(confusion):
        if count:
            colour = "white" if true == predicted else "black"
            axes.text(predicted, true, count, ha="center", va="center", fontsize=7, color=colour)
    axes.set(
        xticks=range(10),
        yticks=range(10),
        xlabel="predicted",
        ylabel="true",
        title=f"Test split: {report['accuracy']:.2%} of {report['n']}",
    )


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
        right = predicted[n] == test.labels[n]
        axes.set_title(
            f"{predicted[n]}  {probabilities[n].max():.0%}",
            fontsize=8,
            color="tab:green" if right else "tab:red",
        )
    figure.suptitle("Wrong (red), then those it is least sure of")


def main():
    run = Path(sys.argv[1])
    figure = plt.figure(figsize=(13, 4), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1.5, 1))
    curves, confusion = left.subplots(1, 2)
    draw_curves(curves, run)
    draw_confusion(confusion, run)
    draw_examples(right, run)
    figure.savefig(PICTURE, dpi=110)


if __name__ == "__main__":
    main()
