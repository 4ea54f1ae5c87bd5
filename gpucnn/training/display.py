"""What a run shows: a bar on a terminal, a line per epoch, all of it in the run's log too."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from gpucnn.progress import ProgressBar, progress_bar

if TYPE_CHECKING:
    from gpucnn.training.run_folder import RunFolder
    from gpucnn.training.task import Measure


_BAR = "{desc}{percentage:3.0f}%|{bar}| {remaining} left, {rate_fmt}{postfix}"
"""What fits into 80 columns with a bar that can be seen."""
_WORTH_SHOWING = 0.05
"""The share of time spent waiting for data from which it is shown."""


class Display:
    """Prints to stdout, draws a bar on stderr where that is a terminal, and keeps a log.

    Args:
        quiet: print nothing; the log is still kept.
    """

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self.run: RunFolder | None = None
        self._bar: ProgressBar | None = None

    def open_bar(self, images: int, done: int) -> Display:
        """Starts the bar of a run over ``images`` images; use as a context manager."""
        if not self.quiet and sys.stderr.isatty():
            self._bar = progress_bar(
                total=images,
                initial=done,
                unit=" img",
                unit_scale=True,
                bar_format=_BAR,
                dynamic_ncols=True,
                leave=False,
                mininterval=0.2,
            )
        return self

    def __enter__(self) -> Display:
        """The bar is open already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Takes the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def line(self, text: str = "") -> None:
        """Prints a line, above the bar if there is one."""
        if self.run is not None:
            self.run.append_log(text + "\n")
        if self.quiet:
            return
        if self._bar is not None:
            self._bar.write(text, file=sys.stdout)
        else:
            print(text, flush=True)

    @property
    def wants_totals(self) -> bool:
        """Whether it is time to show the loss: reading it from a device costs a wait."""
        bar = self._bar
        return bar is not None and bar._time() - bar.last_print_t >= bar.mininterval

    def advance(self, images: int, label: str = "", shown: str = "") -> None:
        """Moves the bar on, with ``label`` before it and ``shown`` after it, if given."""
        if self._bar is None:
            return
        if shown:
            self._bar.set_description_str(f"{label} ", refresh=False)
            self._bar.set_postfix_str(shown, refresh=False)
        self._bar.update(images)


def totals_text(means: Mapping[str, float | None], measure: Measure, wait_share: float) -> str:
    """What is shown after the bar: means of the epoch so far, and whether data hold it up."""
    waiting = f", waits for data {wait_share:.0%}" if wait_share >= _WORTH_SHOWING else ""
    value = measure.text(means[measure.key])
    return f"loss {means['loss']:.4f}, {measure.title} {value}{waiting}"


def epoch_header(split: str, measure: Measure) -> str:
    """The titles of what ``epoch_line`` shows, for the same split and measure."""
    title = f"{measure.title:>8}"
    return f"{'epoch':>9}   train loss  {title}   {split} loss  {title}   seconds"


def epoch_line(row: Mapping[str, float | None], split: str, epochs: int, measure: Measure) -> str:
    """What is shown of an epoch, under ``epoch_header``; numbers of any size keep to their columns.

    Args:
        row: the epoch's line of metrics.jsonl.
        split: that it was evaluated on, "validation" or "test".
        epochs: of the whole run.
        measure: that is shown of both splits, next to the loss.
    """
    train, other = (measure.text(row[f"{name}_{measure.key}"]) for name in ("train", split))
    number = f"{row['epoch']}/{epochs}"
    number = number if len(number) <= 9 else str(row["epoch"])
    return (
        f"{number:>9}   {number_text(row['train_loss'], 10, 4)}  {train:>8}   "
        f"{number_text(row[f'{split}_loss'], len(split) + 5, 4)}  {other:>8}   "
        f"{number_text(row['seconds'], 7, 1)}"
    )


def number_text(value: float | None, width: int, decimals: int) -> str:
    """A number with ``decimals`` decimals, or with an exponent if it would not fit its column."""
    if value is None:
        return f"{'-':>{width}}"
    text = f"{value:.{decimals}f}"
    for digits in range(decimals, -1, -1):
        if len(text) <= width:
            break
        text = f"{value:.{digits}e}"
    return text.rjust(width)
