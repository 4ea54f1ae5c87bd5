"""What a drawn problem should give: the naive loops of ``oracle``, with bounds of ``tolerance``.

``expected(problem)`` has a pair of value and bound for each array of the problem's outcome: its
results, and what the argument arrays hold afterwards. Bound 0 is exact. Each operation has a
function of its own name, from its arguments to the pairs that change.
"""

import numpy as np
import oracle
from tolerance import assert_close, bounds, sum_bound, track, values

from gpucnn.kernelcheck.reference import expect
from gpucnn.operations import OPERATIONS

FLOAT = np.float32


def expected(problem):
    if problem.operation.name in OPERATIONS:
        wanted = expect(problem)
        return {name: (v, wanted.bounds.get(name, 0.0)) for name, v in wanted.outcome.items()}
    arguments = problem.arguments
    outcome = {name: (v, 0.0) for name, v in arguments.items() if isinstance(v, np.ndarray)}
    if not _is_held_back(problem):
        with np.errstate(all="ignore"):  # of values that are not finite
            outcome |= globals()[problem.operation.name](dict(arguments))
    # An array under two names was worked on in place: whichever name its result has.
    results = problem.operation.results
    for name, value in arguments.items():
        if name == "out" or (name in results and name in arguments):
            written = outcome[results[0] if name == "out" else name]
            outcome |= {other: written for other, v in arguments.items() if v is value}
    return outcome


def _is_held_back(problem):
    """Whether a guard forbids that the operation changes anything."""
    guard = problem.arguments.get("guard")
    return problem.operation.name != "guard_step" and guard is not None and guard[0] != 0


def check(problem, outcome):
    """Every array of the outcome is what the oracle says, within its bound."""
    wanted = expected(problem)
    assert outcome.keys() == wanted.keys()
    for name, (value, bound) in wanted.items():
        assert_close(outcome[name], np.asarray(value, np.float64), bound)


def _pair(tracked):
    return values(tracked), bounds(tracked, FLOAT)


def _tracked(a, *names):
    return [track(a[name], FLOAT) for name in names]


def _wide(array):
    return None if array is None else array.astype(np.float64)


def _linear(function, terms, *arrays):
    """Value and bound of sums of products, each linear in all of the arrays."""
    arrays = [_wide(array) for array in arrays]
    magnitudes = function(*(None if array is None else abs(array) for array in arrays))
    return function(*arrays), sum_bound(terms, magnitudes, FLOAT)


# Matrices


def matmul(a):
    def product(left, right, bias):
        result = oracle.matmul(left, right, a["transpose_a"], a["transpose_b"], bias)
        return np.maximum(result, 0) if a["relu"] else result

    terms = a["a"].shape[0 if a["transpose_a"] else 1] + 1
    return {"product": _linear(product, terms, a["a"], a["b"], a["bias"])}


def channel_sum(a):
    def total(x):
        return np.array([sum(column) for column in x.reshape(-1, x.shape[-1]).T])

    return {"total": _linear(total, a["x"].size // a["x"].shape[-1], a["x"])}


# Losses


def _logits(a):
    """With a very small number for −∞, whose exponential is 0 too."""
    return track(np.maximum(a["logits"], -1e4), FLOAT)


def softmax(a):
    return {"probabilities": _pair(oracle.softmax(_logits(a)))}


def softmax_cross_entropy_forward(a):
    logits = _logits(a)
    losses = oracle.softmax_cross_entropy(logits, a["labels"], a["label_smoothing"])
    return {"losses": _pair(losses), "probabilities": _pair(oracle.softmax(logits))}


def softmax_cross_entropy_input_grad(a):
    probabilities = track(a["probabilities"], FLOAT)
    options = (a["labels"], a["label_smoothing"], a["scale"])
    return {"dlogits": _pair(oracle.softmax_cross_entropy_input_grad(probabilities, *options))}


def mean_squared_error_forward(a):
    return {"losses": _pair(oracle.mean_squared_error(track(a["predictions"], FLOAT), a["labels"]))}


def mean_squared_error_input_grad(a):
    predictions = track(a["predictions"], FLOAT)
    return {
        "gradient": _pair(
            oracle.mean_squared_error_input_grad(predictions, a["labels"], a["scale"])
        )
    }


def accumulate_metrics(a):
    loss, right = a["totals"]
    for scores, label in zip(a["scores"], a["labels"], strict=True):
        first_largest = min(range(len(scores)), key=lambda k: (-scores[k], k))
        right += not np.isnan(scores).any() and first_largest == label
    loss += a["losses"].astype(np.float64).sum()
    bound = sum_bound(len(a["losses"]) + 1, loss, np.float64)
    return {"totals": ([loss, right], [bound, 0.0])}


# Vectors, in place


def _steps(a, step, names):
    """The oracle's step on each parameter: a pair for each name."""
    columns = zip(*_tracked(a, *names), strict=True)
    results = zip(*(step(*column) for column in columns), strict=True)
    return [_pair(np.array(result, object)) for result in results]


def sgd_step(a):
    options = (a["learning_rate"], a["momentum"], a["nesterov"], a["weight_decay"])

    def step(w, g, v):
        return oracle.sgd_step(w, g, v, *options)

    if a["velocity"] is None:
        a = a | {"velocity": np.zeros_like(a["parameters"])}
        names = ("parameters", "gradients", "velocity")
        return {"parameters": _steps(a, step, names)[0]}
    names = ("parameters", "gradients", "velocity")
    return dict(zip(("parameters", "velocity"), _steps(a, step, names), strict=True))


def _adam(step):
    def after(a):
        names = ("step", "learning_rate", "beta1", "beta2", "epsilon", "weight_decay")
        options = [a[name] for name in names]
        vectors = ("parameters", "gradients", "mean", "square")
        results = _steps(a, lambda *column: step(*column, *options), vectors)
        return dict(zip(("parameters", "mean", "square"), results, strict=True))

    return after


adam_step, adamw_step = _adam(oracle.adam_step), _adam(oracle.adamw_step)


def guard_step(a):
    is_right = np.isfinite(a["norm"]).all() and np.isfinite(a["losses"]).all()
    return {} if is_right or a["guard"][0] else {"guard": ([a["step"]], 0.0)}


def global_norm(a):
    squares = sum(float(g) ** 2 for g in a["gradients"])
    norm = np.sqrt([squares])
    # d√s = ds / 2√s, and one rounding more for the root. All of it is in double.
    bound = sum_bound(a["gradients"].size, squares, np.float64) / (2 * norm)
    return {"norm": (norm, bound + np.finfo(np.float64).eps * norm)}


def clip_by_global_norm(a):
    (norm,), limit, gradients = a["norm"], a["limit"], _wide(a["gradients"])
    if norm <= limit:
        return {}
    clipped = gradients * (limit / norm)
    return {"gradients": (clipped, sum_bound(2, abs(clipped), FLOAT))}


def clip_by_value(a):
    """The limit is rounded to float32."""
    limit, gradients = a["limit"], _wide(a["gradients"])
    clipped = [g if np.isnan(g) else min(max(g, -limit), limit) for g in gradients]
    is_within = abs(gradients) < limit * (1 - np.finfo(FLOAT).eps)
    return {"gradients": (clipped, np.where(is_within, 0.0, np.finfo(FLOAT).eps * limit))}
