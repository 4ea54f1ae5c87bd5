"""Problems of the losses, their gradients and the running totals."""

from __future__ import annotations

import numpy as np

from gpucnn.backends.base import Backend
from gpucnn.kernelcheck.problem import Arguments, Bounds, Operation
from gpucnn.kernelcheck.running_error import DOUBLE, Bounded, Floats, sum_bound
from gpucnn.operations.guard import draw_guard
from gpucnn.operations.sampling import Generator, chosen, integer, normal, speckled

_SPOILING = (np.nan, np.inf)
"""A row with one of these has no probabilities."""
_SMALLEST = -1e4
_CLASSES = (10, 129, 1, 33, 300, 2, 3, 1030, 32, 31)


def _draw_scores(rng: Generator, number: int) -> Arguments:
    K = _CLASSES[number % len(_CLASSES)]
    N = integer(rng, 1, max(1, min(300, 3000 // K)))
    labels = rng.integers(0, K, N, np.int32)
    return {"scores": 3 * normal(rng, N, K), "labels": labels}


def _draw_logits(rng: Generator, number: int) -> Arguments:
    """Some rows have one that is so large, at the first class, the last or any, that e to its
    power is infinite.
    """
    drawn = _draw_scores(rng, number)
    N, K = drawn["scores"].shape
    place = rng.choice([0, K - 1, integer(rng, 0, K - 1)], N)
    drawn["scores"][np.arange(N), place] += rng.choice([0, 200], N)
    return drawn


def _draw_softmax(rng: Generator, number: int) -> Arguments:
    return {"logits": speckled(number, _draw_logits(rng, number)["scores"], _SPOILING)}


def _draw_cross_entropy(rng: Generator, number: int) -> Arguments:
    drawn = _draw_logits(rng, number)
    logits, labels = drawn["scores"], drawn["labels"]
    smoothing = chosen(rng, 0.0, 0.0, 0.1, 0.5)
    if smoothing == 0.0:  # −∞ rules a class out.
        ruled_out = rng.random(logits.shape) < 0.1
        ruled_out[np.arange(len(labels)), labels] = False
        logits[ruled_out] = -np.inf
    logits = speckled(number, logits, _SPOILING)
    return {"logits": logits, "labels": labels, "label_smoothing": smoothing}


def _draw_cross_entropy_input_grad(rng: Generator, number: int) -> Arguments:
    drawn = _draw_scores(rng, number)
    powers = np.exp(drawn["scores"])
    return {
        "probabilities": powers / powers.sum(axis=1, keepdims=True),
        "labels": drawn["labels"],
        "label_smoothing": chosen(rng, 0.0, 0.1, 0.5),
        "scale": 1 / integer(rng, 1, 300),
    }


def _draw_squared_error(rng: Generator, number: int) -> Arguments:
    drawn = _draw_scores(rng, number)
    return {"predictions": speckled(number, drawn["scores"]), "labels": drawn["labels"]}


def _draw_squared_error_input_grad(rng: Generator, number: int) -> Arguments:
    return {**_draw_squared_error(rng, number), "scale": 1 / integer(rng, 1, 300)}


def _draw_metrics(rng: Generator, number: int) -> Arguments:
    """Scores of few different values, with NaN among them: ties everywhere.

    In every other row one score is above the label's, or it is the label's, and all others below.
    """
    drawn = _draw_scores(rng, number)
    scores = rng.choice([-1.0, 0.0, 1.0, 1.5], drawn["scores"].shape).astype(np.float32)
    scores[rng.random(scores.shape) < 0.01] = np.nan
    alone = np.arange(0, len(scores), 2)
    scores[alone] = 0.0
    scores[alone, drawn["labels"][alone]] = 1.0
    scores[alone, rng.integers(0, scores.shape[1], len(alone))] = 2.0
    # As many rows are right as wrong.
    labels = np.where(rng.random(len(scores)) < 0.5, scores.argmax(axis=1), drawn["labels"])
    return {
        "totals": np.array([rng.random(), integer(rng, 0, 100)]),
        "losses": abs(normal(rng, len(scores))),
        "scores": scores,
        "labels": labels.astype(np.int32),
        "guard": draw_guard(rng),
    }


def _target(a: Arguments, classes: int) -> Bounded:
    smoothing: float = a["label_smoothing"]
    rest = Bounded(1.0) - smoothing
    hot = np.arange(classes) == a["labels"][:, None]
    return Bounded(hot.astype(np.float64)) * rest + Bounded(smoothing) / float(classes)


def _shifted(logits: Floats) -> Bounded:
    """With a very small number for −∞: its exponential is 0 too."""
    finite = np.maximum(logits, _SMALLEST)
    return Bounded(finite) - Bounded(finite.max(axis=1, keepdims=True))


def _softmax(logits: Floats) -> Bounded:
    powers = _shifted(logits).exp()
    return powers / powers.sum(1, keepdims=True)


def _softmax_bounds(a: Arguments, _exact: Backend) -> Bounds:
    return {"probabilities": _softmax(a["logits"]).bound}


def _cross_entropy_bounds(a: Arguments, _exact: Backend) -> Bounds:
    """Of log Σ exp − (1 − ε) · the label's − ε · the mean of all, each from the largest."""
    smoothing: float = a["label_smoothing"]
    shifted = _shifted(a["logits"])
    of_label = shifted.take(a["labels"])
    losses = shifted.exp().sum(1).log() - of_label * (Bounded(1.0) - smoothing)
    if smoothing > 0.0:
        losses = losses - shifted.mean(1) * smoothing
    return {"losses": losses.bound, "probabilities": _softmax(a["logits"]).bound}


def _cross_entropy_input_grad_bounds(a: Arguments, _exact: Backend) -> Bounds:
    probabilities = Bounded(a["probabilities"])
    target = _target(a, a["probabilities"].shape[1])
    return {"dlogits": ((probabilities - target) * a["scale"]).bound}


def _difference(a: Arguments) -> Bounded:
    hot = np.arange(a["predictions"].shape[1]) == a["labels"][:, None]
    return Bounded(a["predictions"]) - Bounded(hot.astype(np.float64))


def _squared_error_bounds(a: Arguments, _exact: Backend) -> Bounds:
    difference = _difference(a)
    return {"losses": (difference * difference).mean(1).bound}


def _squared_error_input_grad_bounds(a: Arguments, _exact: Backend) -> Bounds:
    K = float(a["predictions"].shape[1])
    return {"gradient": (_difference(a) * 2.0 / K * a["scale"]).bound}


def _metrics_bounds(a: Arguments, _exact: Backend) -> Bounds:
    """The sum of losses is in double, the count exact; and all is, where nothing may be added."""
    if a["guard"] is not None and a["guard"][0] != 0:
        return {}
    terms, total = len(a["losses"]) + 1, a["totals"][0] + a["losses"].sum()
    return {"totals": np.array([sum_bound(terms, total, DOUBLE), 0.0])}


OPERATIONS = (
    Operation("softmax", ("probabilities",), _draw_softmax, _softmax_bounds),
    Operation(
        "softmax_cross_entropy_forward",
        ("losses", "probabilities"),
        _draw_cross_entropy,
        _cross_entropy_bounds,
    ),
    Operation(
        "softmax_cross_entropy_input_grad",
        ("dlogits",),
        _draw_cross_entropy_input_grad,
        _cross_entropy_input_grad_bounds,
    ),
    Operation(
        "mean_squared_error_forward", ("losses",), _draw_squared_error, _squared_error_bounds
    ),
    Operation(
        "mean_squared_error_input_grad",
        ("gradient",),
        _draw_squared_error_input_grad,
        _squared_error_input_grad_bounds,
    ),
    Operation("accumulate_metrics", (), _draw_metrics, _metrics_bounds),
)
