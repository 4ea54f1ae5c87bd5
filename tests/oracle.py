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


# Matrix product


def matmul(a, b, transpose_a=False, transpose_b=False, bias=None):
    at = (lambda i, k: a[k, i]) if transpose_a else (lambda i, k: a[i, k])
    bt = (lambda k, j: b[j, k]) if transpose_b else (lambda k, j: b[k, j])
    rows, inner = a.shape[::-1] if transpose_a else a.shape
    product = np.zeros((rows, b.shape[0] if transpose_b else b.shape[1]))
    for i, j in np.ndindex(product.shape):
        for k in range(inner):
            product[i, j] += at(i, k) * bt(k, j)
        if bias is not None:
            product[i, j] += bias[j]
    return product


# Losses


def softmax(logits):
    probabilities = np.empty(logits.shape, logits.dtype)
    for n, row in enumerate(logits):
        largest = max(row)
        powers = [np.exp(z - largest) for z in row]
        total = sum(powers, 0.0)
        for k, power in enumerate(powers):
            probabilities[n, k] = power / total
    return probabilities


def _target(k, label, classes, smoothing):
    return (1.0 - smoothing) * float(k == label) + smoothing / classes


def softmax_cross_entropy(logits, labels, smoothing):
    """−Σ t·log p with log p = (z − max) − log Σ exp(z − max); a target of 0 adds nothing."""
    losses = np.empty(len(labels), logits.dtype)
    for n, row in enumerate(logits):
        largest = max(row)
        log_sum = np.log(sum((np.exp(z - largest) for z in row), 0.0))
        loss = 0.0
        for k, z in enumerate(row):
            target = _target(k, labels[n], len(row), smoothing)
            if target > 0.0:
                loss = loss - target * ((z - largest) - log_sum)
        losses[n] = loss
    return losses


def softmax_cross_entropy_input_grad(probabilities, labels, smoothing, scale):
    gradient = np.empty(probabilities.shape, probabilities.dtype)
    for n, k in np.ndindex(gradient.shape):
        target = _target(k, labels[n], gradient.shape[1], smoothing)
        gradient[n, k] = scale * (probabilities[n, k] - target)
    return gradient


def _mean(values):
    total = 0.0
    for value in values:
        total = total + value
    return total / float(len(values))


def mean_squared_error(predictions, labels):
    losses = np.empty(len(labels), predictions.dtype)
    for n, row in enumerate(predictions):
        difference = [value - float(k == labels[n]) for k, value in enumerate(row)]
        losses[n] = _mean([d * d for d in difference])
    return losses


def mean_squared_error_input_grad(predictions, labels, scale):
    gradient = np.empty(predictions.shape, predictions.dtype)
    for n, k in np.ndindex(gradient.shape):
        difference = predictions[n, k] - float(k == labels[n])
        gradient[n, k] = scale * (2.0 * difference / float(gradient.shape[1]))
    return gradient


# Optimizer steps, on one parameter


def sgd_step(w, g, v, learning_rate, momentum, nesterov, weight_decay):
    """(w, v) after the step."""
    g = g + weight_decay * w
    v = momentum * v + g
    return w - learning_rate * (g + momentum * v if nesterov else v), v


def adam_step(w, g, m, v, step, learning_rate, beta1, beta2, epsilon, weight_decay):
    """(w, m, v) after the step."""
    g = g + weight_decay * w
    m = beta1 * m + (1.0 - beta1) * g
    v = beta2 * v + (1.0 - beta2) * (g * g)
    m_hat = m / (1.0 - beta1**step)
    v_hat = v / (1.0 - beta2**step)
    return w - learning_rate * m_hat / (np.sqrt(v_hat) + epsilon), m, v


def adamw_step(w, g, m, v, step, learning_rate, beta1, beta2, epsilon, weight_decay):
    w = (1.0 - learning_rate * weight_decay) * w
    return adam_step(w, g, m, v, step, learning_rate, beta1, beta2, epsilon, 0.0)
