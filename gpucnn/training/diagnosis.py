"""What a watched run suffers from: gradients that vanish or explode, dead units, no progress.

Each finding is a plain sentence with the layer, and another one with what helps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import msgspec

_IN_A_ROW = 3
"""Records, or epochs, that must agree: one alone may be an accident, as is the first with weights
of zero."""
_VANISHED = 1e-4
"""The ratio of the smallest to the largest norm of a gradient from which it has vanished."""
_EXPLODED = 10.0
"""The ratio of the gradient's norm to that of the first step from which it has exploded."""
_TOO_LARGE = 1.0
"""The ratio of an update to the weights that makes such a gradient harmful."""
_MANY = 0.5
"""The share of dead units from which a layer is worth a word."""
_MOVED = 0.01
"""The share of the loss by which it must change to have moved."""


class LayerRecord(msgspec.Struct, omit_defaults=True):
    """A row of metrics.jsonl: a layer in a step.

    Attributes:
        step: from 1.
        layer: its name.
        gradient_norm: of its parameters' gradient, as the optimizer takes it, so after clipping.
        weight_norm: of its parameters after the step.
        update_ratio: the norm of their change over their norm before it; None if that was 0.
        dead: of a ReLU, the share of units (channels, or features) whose output is 0 for the whole
            batch, at all positions.
        saturated: of a sigmoid or tanh, the share of outputs at which the derivative is below a
            tenth of its maximum.
    """

    step: int
    layer: str
    gradient_norm: float | None = None
    weight_norm: float | None = None
    update_ratio: float | None = None
    dead: float | None = None
    saturated: float | None = None


class Epoch(msgspec.Struct):
    """What is read of the row of an epoch; both are finite, or the run would have ended.

    Attributes:
        train_loss: over the epoch.
        train_accuracy: the same; 1 in a regression, in which there is no chance to be right.
    """

    train_loss: float
    train_accuracy: float = 1.0


_WHAT_HELPS = " What helps:"
"""Between what a message says of the run and the advice at its end."""


class Finding(msgspec.Struct):
    """What a run suffers from.

    Attributes:
        finding: "vanishing", "exploding", "dead" or "stuck".
        layer: to look at; None if no step was recorded.
        message: for the user.
    """

    finding: str
    layer: str | None
    message: str

    def explained_by(self, cause: str) -> Finding:
        """The same with another cause, and without what helps against the usual ones."""
        what, _, _ = self.message.partition(_WHAT_HELPS)
        return Finding(self.finding, self.layer, f"{what} {cause}")


class History:
    """The records of a run so far, as far as they are looked at.

    Args:
        weighted: the layers with weights, in the order of the forward pass.
        chance: the accuracy of who always answers the commonest class; 0 in a regression.

    Attributes:
        epochs: all of them.
        said: the findings that were reported.
        first: the records of the first step, by layer.
    """

    def __init__(self, weighted: Sequence[str] = (), chance: float = 0.0) -> None:
        self.weighted, self.chance = list(weighted), chance
        self.clear()

    def clear(self) -> None:
        """Forgets all records."""
        self.epochs: list[Epoch] = []
        self.said: set[str] = set()
        self.first: dict[str, LayerRecord] = {}
        self._steps: list[dict[str, LayerRecord]] = []

    def add(self, record: LayerRecord) -> None:
        """Adds a record; all those of a step come one after another."""
        if not self._steps or next(iter(self._steps[-1].values())).step != record.step:
            self._steps = [*self._steps[-_IN_A_ROW + 1 :], {}]
        self._steps[-1][record.layer] = record
        self.first = self.first or self._steps[0]

    def latest(self, count: int = 1) -> list[dict[str, LayerRecord]]:
        """The records of the last steps, by layer; empty if there are fewer."""
        return self._steps[-count:] if len(self._steps) >= count else []

    def norms(self, step: dict[str, LayerRecord]) -> dict[str, float]:
        """The gradients' norms of the layers with weights."""
        records = (step[name] for name in self.weighted if name in step)
        return {r.layer: r.gradient_norm for r in records if r.gradient_norm is not None}

    def updates(self, step: dict[str, LayerRecord]) -> dict[str, float]:
        """The ratios of update to weight of the layers with weights."""
        records = (step[name] for name in self.weighted if name in step)
        return {r.layer: r.update_ratio for r in records if r.update_ratio is not None}


def diagnose(history: History) -> Iterator[Finding]:
    """What the records show that was not said."""
    for look in (_exploding, _dead, _vanishing, _stuck):
        finding = look(history)
        if finding is not None and finding.finding not in history.said:
            yield finding


def _exploding(history: History) -> Finding | None:
    first = math.hypot(*history.norms(history.first).values())
    for step in history.latest():
        updates, norm = history.updates(step), math.hypot(*history.norms(step).values())
        layer = max(updates, key=updates.__getitem__, default=None)
        if layer and norm >= _EXPLODED * first and updates[layer] >= _TOO_LARGE:
            return Finding(
                "exploding",
                layer,
                f"the gradient explodes. Its norm is {norm:.2g}, after {first:.2g} in the first "
                f'step, and this step changed the weights of layer "{layer}" by '
                f"{updates[layer]:.2g} times their own norm.{_WHAT_HELPS} training.clip_norm = 1, "
                f"a lower optimizer.learning_rate, or batch normalisation.",
            )
    return None


def _dead(history: History) -> Finding | None:
    steps = history.latest(_IN_A_ROW)
    for layer, record in steps[-1].items() if steps else ():
        if all(layer in step and (step[layer].dead or 0) >= _MANY for step in steps):
            return Finding(
                "dead",
                layer,
                f'{record.dead or 0:.0%} of the units of layer "{layer}" are dead: their output is '
                f"0 for the whole batch, so they receive no gradient.{_WHAT_HELPS} a lower "
                f"optimizer.learning_rate, batch normalisation before the ReLU, or leaky_relu "
                f"instead of it.",
            )
    return None


def _vanishing(history: History) -> Finding | None:
    if "dead" in history.said or _dead(history) is not None:
        return None  # that is why
    smallest, largest = "", ""
    for step in history.latest(_IN_A_ROW):
        norms = history.norms(step)
        smallest = min(norms, key=norms.__getitem__, default="")
        largest = max(norms, key=norms.__getitem__, default="")
        if not norms or not norms[smallest] < _VANISHED * norms[largest]:
            return None
    if not smallest:
        return None
    return Finding(
        "vanishing",
        smallest,
        f'the gradient vanishes. At layer "{smallest}" its norm is {norms[smallest]:.1e}, at layer '
        f'"{largest}" {norms[largest]:.1e}, so layers far from the loss learn nothing.'
        f"{_WHAT_HELPS} relu instead of sigmoid or tanh, batch normalisation after each "
        f"convolution, or residual blocks.",
    )


def _stuck(history: History) -> Finding | None:
    losses = [epoch.train_loss for epoch in history.epochs]
    accuracies = [epoch.train_accuracy for epoch in history.epochs[-_IN_A_ROW:]]
    if len(losses) < _IN_A_ROW:
        return None
    first = losses[0]
    limit = min(1.5 * history.chance, history.chance + 0.1 * (1 - history.chance))
    if all(accuracy < limit for accuracy in accuracies):
        what = (
            f"the network does no better than chance: after {len(losses)} epochs "
            f"{accuracies[-1]:.1%} of the training samples are right, and the commonest class has "
            f"{history.chance:.1%} of them."
        )
    elif all(abs(loss - first) <= _MOVED * abs(first) for loss in losses):
        what = f"the loss does not move: it was {first:.4g} in epoch 1 and is {losses[-1]:.4g} now."
    else:
        return None
    layer = None
    for step in history.latest():
        updates = history.updates(step)
        layer = min(updates, key=updates.__getitem__, default=None)
        if layer:
            what += (
                f' Layer "{layer}" changes least, by {updates[layer]:.1e} of its norm in a step.'
            )
    return Finding(
        "stuck",
        layer,
        f"{what}{_WHAT_HELPS} another optimizer.learning_rate (about 1e-3 of the norm is usual for "
        f"a step), batch normalisation, and a look at whether images and labels belong together.",
    )
