"""What every operation should give, as naive loops written straight from the formulas.

Nothing here comes from the package. Arrays are float64, or arrays of ``tolerance.Tracked``
numbers, which follow the same loops and bound the rounding errors as they go. Matrix products are
float64 only; the bound for those is one formula.
"""

import numpy as np


def sides(padding):
    (height, width) = padding
    height = (height, height) if np.isscalar(height) else height
    width = (width, width) if np.isscalar(width) else width
    return height, width


def output_length(size, window, stride, before, after, dilation=1):
    """Counts the window's places one by one."""
    places, start = 0, -before
    while start + (window - 1) * dilation <= size - 1 + after:
        places, start = places + 1, start + stride
    return places


# Activations


def _each(function, *arrays):
    result = np.empty(arrays[0].shape, arrays[0].dtype)
    for index in np.ndindex(result.shape):
        result[index] = function(*(array[index] for array in arrays))
    return result


def relu(x):
    return _each(lambda x: 0.0 if x < 0.0 else x, x)


def relu_input_grad(dy, y):
    return _each(lambda dy, y: dy if y > 0.0 else 0.0 * y, dy, y)


def leaky_relu(x, slope):
    return _each(lambda x: x if x > 0.0 else slope * x, x)


def leaky_relu_input_grad(dy, x, slope):
    return _each(lambda dy, x: dy if x > 0.0 else slope * dy, dy, x)


def sigmoid(x):
    return _each(lambda x: 1.0 / (1.0 + np.exp(-x)), x)


def sigmoid_input_grad(dy, y):
    return _each(lambda dy, y: dy * (y * (1.0 - y)), dy, y)


def tanh(x):
    return _each(np.tanh, x)


def tanh_input_grad(dy, y):
    return _each(lambda dy, y: dy * (1.0 - y * y), dy, y)


def _mean(values):
    total = 0.0
    for value in values:
        total = total + value
    return total / float(len(values))
