"""What a drawn problem should give: the naive loops of ``oracle``, with bounds of ``tolerance``.

``expected(problem)`` has a pair of value and bound for each array of the problem's outcome: its
results, and what the argument arrays hold afterwards. Bound 0 is exact. Each operation has a
function of its own name, from its arguments to the pairs that change.
"""

import numpy as np
import oracle
from tolerance import Tracked, assert_close, bounds, sum_bound, track, unit_roundoff, values

from gpucnn.kernelcheck.reference import expect
from gpucnn.operations import OPERATIONS

FLOAT = np.float32


def expected(problem):
    if problem.operation.name in OPERATIONS:
        wanted = expect(problem)
        return {name: (v, wanted.bounds.get(name, 0.0)) for name, v in wanted.outcome.items()}
    arguments = problem.arguments
    outcome = {name: (v, 0.0) for name, v in arguments.items() if isinstance(v, np.ndarray)}
    with np.errstate(all="ignore"):  # of values that are not finite
        outcome |= globals()[problem.operation.name](dict(arguments))
    # An array under two names was worked on in place: whichever name its result has.
    results = problem.operation.results
    for name, value in arguments.items():
        if name == "out" or (name in results and name in arguments):
            written = outcome[results[0] if name == "out" else name]
            outcome |= {other: written for other, v in arguments.items() if v is value}
    return outcome


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


# Convolution


def _options(a):
    return a["stride"], a["padding"], a["dilation"], a["groups"]


def _linear(function, terms, *arrays):
    """Value and bound of sums of products, each linear in all of the arrays."""
    arrays = [_wide(array) for array in arrays]
    magnitudes = function(*(None if array is None else abs(array) for array in arrays))
    return function(*arrays), sum_bound(terms, magnitudes, FLOAT)


def conv2d_forward(a):
    _, R, S, channels = a["w"].shape

    def forward(x, w, bias, residual):
        return oracle.conv2d_forward(x, w, bias, *_options(a), residual, a["relu"])

    arrays = a["x"], a["w"], a["bias"], a["residual"]
    # max(y, 0) is never further off than y.
    return {"y": _linear(forward, R * S * channels + 2, *arrays)}


def conv2d_input_grad(a):
    K, R, S, _ = a["w"].shape

    def gradient(dy, w):
        return oracle.conv2d_input_grad(dy, w, a["x_shape"], *_options(a))

    return {"dx": _linear(gradient, R * S * (K // a["groups"]), a["dy"], a["w"])}


def conv2d_filter_grad(a):
    def gradient(x, dy):
        return oracle.conv2d_filter_grad(x, dy, a["w_shape"], *_options(a))

    return {"dw": _linear(gradient, a["dy"][..., 0].size, a["x"], a["dy"])}


# Pooling


def _windows(a):
    return a["window"], a["stride"], a["padding"]


def max_pool2d_forward(a):
    y, argmax = oracle.max_pool2d(_wide(a["x"]), *_windows(a))
    return {"y": (y, 0.0), "argmax": (argmax, 0.0)}


def max_pool2d_input_grad(a):
    dy = track(a["dy"], FLOAT)
    dx = oracle.max_pool2d_input_grad(dy, a["argmax"], a["x_shape"], *_windows(a))
    return {"dx": _pair(dx)}


def avg_pool2d_forward(a):
    return {"y": _pair(oracle.avg_pool2d(track(a["x"], FLOAT), *_windows(a)))}


def avg_pool2d_input_grad(a):
    dy = track(a["dy"], FLOAT)
    return {"dx": _pair(oracle.avg_pool2d_input_grad(dy, a["x_shape"], *_windows(a)))}


def global_avg_pool2d_forward(a):
    return {"y": _pair(oracle.global_avg_pool2d(track(a["x"], FLOAT)))}


def global_avg_pool2d_input_grad(a):
    dy = track(a["dy"], FLOAT)
    return {"dx": _pair(oracle.global_avg_pool2d_input_grad(dy, a["x_shape"]))}


# Normalisation


def _rows(x):
    return track(x, FLOAT).reshape(-1, x.shape[-1])


def _shaped(tracked, shape):
    return _pair(tracked.reshape(shape))


def _with_end(y, a):
    """With the residual and the ReLU; max(y, 0) is never further off than y."""
    y, bound = _shaped(y if a["residual"] is None else y + _rows(a["residual"]), a["x"].shape)
    return np.maximum(y, 0.0) if a["relu"] else y, bound


def batch_norm_forward(a):
    vectors = _tracked(a, "scale", "shift", "running_mean", "running_variance")
    y, mean, inverse_std, running_mean, running_variance = oracle.batch_norm_forward(
        _rows(a["x"]), *vectors, a["momentum"], a["epsilon"]
    )
    return {
        "y": _with_end(y, a),
        "mean": _pair(mean),
        "inverse_std": _pair(inverse_std),
        "running_mean": _pair(running_mean),
        "running_variance": _pair(running_variance),
    }


def batch_norm_inference(a):
    vectors = _tracked(a, "scale", "shift", "mean", "variance")
    y = oracle.batch_norm_inference(_rows(a["x"]), *vectors, a["epsilon"])
    return {"y": _with_end(y, a)}


def batch_norm_gradients(a, dy=None):
    """The oracle works the statistics out of x, with bounds that cover rounding them."""
    dy = _rows(a["dy"]) if dy is None else dy
    scale = track(a["scale"], FLOAT)
    dx, dscale, dshift = oracle.batch_norm_gradients(dy, _rows(a["x"]), scale, 1e-5)
    return {"dx": _shaped(dx, a["x"].shape), "dscale": _pair(dscale), "dshift": _pair(dshift)}


def batch_norm_relu_gradients(a):
    """dy where y is above 0; where roundings may have decided that, off by all of dy."""
    C = a["x"].shape[-1]
    mean, inverse_std, scale, shift = _tracked(a, "mean", "inverse_std", "scale", "shift")
    y = (_rows(a["x"]) - mean) * inverse_std * scale + shift
    dy = _rows(a["dy"])
    for place, before in np.ndenumerate(y):
        arriving = dy[place].value
        is_uncertain = abs(before.value) <= bounds(np.array([before], object), FLOAT)[0]
        error = abs(arriving) if is_uncertain else 0.0
        passed = arriving if before.value > 0 else 0.0
        dy[place] = Tracked(passed, error, abs(passed), unit_roundoff(FLOAT))
    return batch_norm_gradients(a, dy.reshape(-1, C))


def batch_norm_add_relu_gradients(a):
    """y is given, so what comes through is certain."""
    passed = oracle.relu_input_grad(_wide(a["dy"]), a["y"])
    return batch_norm_gradients(a, _rows(passed)) | {"dresidual": (passed, 0.0)}


# Element by element


def _dropped(x, mask, rate):
    value = _wide(x) * mask / (1.0 - rate)
    return value, sum_bound(2, abs(value), FLOAT)


def dropout_forward(a):
    x, words = a["x"], (a["rate"], a["seed"], a["stream"], a["step"], a["offset"])
    mask = oracle.dropout_mask(x.size, *words).reshape(x.shape)
    return {"y": _dropped(x, mask, a["rate"]), "mask": (mask, 0.0)}


def dropout_input_grad(a):
    return {"dx": _dropped(a["dy"], a["mask"], a["rate"])}


def take_images(a):
    return {"y": ([a["images"][index] for index in a["indices"]], 0.0)}


def augment_images(a):
    def augmented(scale, offset):
        images = a["images"].astype(np.float64)
        return oracle.augment_images(images, scale, offset, a["flip"], a["shift"])

    return {"y": _linear(augmented, 2, a["scale"], a["offset"])}
