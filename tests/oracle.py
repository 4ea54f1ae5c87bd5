"""What every operation should give, as naive loops written straight from the formulas.

Nothing here comes from the package. Arrays are float64, or arrays of ``tolerance.Tracked``
numbers, which follow the same loops and bound the rounding errors as they go. Convolutions and
matrix products are float64 only; the bound for those is one formula.
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


# Convolution


def _taps(x_shape, w_shape, stride, padding, dilation):
    """Every (n, p, q, r, s, h, w) where tap (r, s) of output (p, q) reads a pixel (h, w)."""
    N, H, W, _ = x_shape
    _, R, S, _ = w_shape
    (top, bottom), (left, right) = sides(padding)
    for n in range(N):
        for p in range(output_length(H, R, stride[0], top, bottom, dilation[0])):
            for q in range(output_length(W, S, stride[1], left, right, dilation[1])):
                for r in range(R):
                    for s in range(S):
                        h = p * stride[0] - top + r * dilation[0]
                        w = q * stride[1] - left + s * dilation[1]
                        if 0 <= h < H and 0 <= w < W:
                            yield n, p, q, r, s, h, w


def _channels_read(C, w_shape, groups):
    """channel[k][c]: which channel of x the c-th weight of filter k multiplies."""
    K = w_shape[0]
    return np.array(
        [[(k // (K // groups)) * (C // groups) + c for c in range(w_shape[3])] for k in range(K)]
    )


def conv2d_forward(x, w, bias, stride, padding, dilation, groups, residual=None, relu=False):
    N, H, W, C = x.shape
    K, R, S, _ = w.shape
    (top, bottom), (left, right) = sides(padding)
    P = output_length(H, R, stride[0], top, bottom, dilation[0])
    Q = output_length(W, S, stride[1], left, right, dilation[1])
    channel = _channels_read(C, w.shape, groups)
    y = np.zeros((N, P, Q, K))
    for n, p, q, r, s, h, v in _taps(x.shape, w.shape, stride, padding, dilation):
        y[n, p, q] += (x[n, h, v][channel] * w[:, r, s]).sum(axis=1)
    y = y if bias is None else y + bias
    y = y if residual is None else y + residual
    return np.where(y < 0.0, 0.0, y) if relu else y


def conv2d_input_grad(dy, w, x_shape, stride, padding, dilation, groups):
    channel = _channels_read(x_shape[3], w.shape, groups)
    dx = np.zeros(x_shape)
    for n, p, q, r, s, h, v in _taps(x_shape, w.shape, stride, padding, dilation):
        np.add.at(dx[n, h, v], channel, dy[n, p, q][:, None] * w[:, r, s])
    return dx


def conv2d_filter_grad(x, dy, w_shape, stride, padding, dilation, groups):
    channel = _channels_read(x.shape[3], w_shape, groups)
    dw = np.zeros(w_shape)
    for n, p, q, r, s, h, v in _taps(x.shape, w_shape, stride, padding, dilation):
        dw[:, r, s] += dy[n, p, q][:, None] * x[n, h, v][channel]
    return dw


# Pooling


def _windows(x_shape, window, stride, padding):
    """Each output (n, p, q) with its window's elements (r·S + s, h, w) that are no padding."""
    N, H, W, _ = x_shape
    (top, bottom), (left, right) = sides(padding)
    for n in range(N):
        for p in range(output_length(H, window[0], stride[0], top, bottom)):
            for q in range(output_length(W, window[1], stride[1], left, right)):
                inside = []
                for r in range(window[0]):
                    for s in range(window[1]):
                        h, w = p * stride[0] - top + r, q * stride[1] - left + s
                        if 0 <= h < H and 0 <= w < W:
                            inside.append((r * window[1] + s, h, w))
                yield (n, p, q), inside


def _pooled_shape(x_shape, window, stride, padding):
    N, H, W, C = x_shape
    (top, bottom), (left, right) = sides(padding)
    return (
        N,
        output_length(H, window[0], stride[0], top, bottom),
        output_length(W, window[1], stride[1], left, right),
        C,
    )


def max_pool2d(x, window, stride, padding):
    """(y, argmax): the first of equal values; the first NaN over any number."""
    shape = _pooled_shape(x.shape, window, stride, padding)
    y, argmax = np.empty(shape), np.empty(shape, int)
    for (n, p, q), inside in _windows(x.shape, window, stride, padding):
        for c in range(x.shape[3]):
            winner, best = None, None
            for number, h, w in inside:
                value = x[n, h, w, c]
                if best is None or value > best or (value != value and best == best):
                    winner, best = number, value
            y[n, p, q, c], argmax[n, p, q, c] = best, winner
    return y, argmax


def max_pool2d_input_grad(dy, argmax, x_shape, window, stride, padding):
    dx = np.zeros(x_shape, dy.dtype)
    for (n, p, q), inside in _windows(x_shape, window, stride, padding):
        for number, h, w in inside:
            for c in range(x_shape[3]):
                if argmax[n, p, q, c] == number:
                    dx[n, h, w, c] = dx[n, h, w, c] + dy[n, p, q, c]
    return dx


def avg_pool2d(x, window, stride, padding):
    """Padding counts as zeros: the divisor is always the window's size."""
    y = np.zeros(_pooled_shape(x.shape, window, stride, padding), x.dtype)
    for (n, p, q), inside in _windows(x.shape, window, stride, padding):
        for c in range(x.shape[3]):
            total = 0.0
            for _, h, w in inside:
                total = total + x[n, h, w, c]
            y[n, p, q, c] = total / float(window[0] * window[1])
    return y


def avg_pool2d_input_grad(dy, x_shape, window, stride, padding):
    dx = np.zeros(x_shape, dy.dtype)
    for (n, p, q), inside in _windows(x_shape, window, stride, padding):
        for _, h, w in inside:
            for c in range(x_shape[3]):
                share = dy[n, p, q, c] / float(window[0] * window[1])
                dx[n, h, w, c] = dx[n, h, w, c] + share
    return dx


def global_avg_pool2d(x):
    return avg_pool2d(x, x.shape[1:3], (1, 1), (0, 0))[:, 0, 0]


def global_avg_pool2d_input_grad(dy, x_shape):
    return avg_pool2d_input_grad(dy[:, None, None], x_shape, x_shape[1:3], (1, 1), (0, 0))


# Batch normalisation; x is (M, C)


def _mean(values):
    total = 0.0
    for value in values:
        total = total + value
    return total / float(len(values))


def batch_statistics(x):
    """Mean and biased variance of each channel."""
    C = x.shape[1]
    mean = [_mean(x[:, c]) for c in range(C)]
    variance = [
        _mean([(value - mean[c]) * (value - mean[c]) for value in x[:, c]]) for c in range(C)
    ]
    return mean, variance


def batch_norm_inference(x, scale, shift, mean, variance, epsilon):
    y = np.empty(x.shape, x.dtype)
    for m, c in np.ndindex(x.shape):
        y[m, c] = scale[c] * ((x[m, c] - mean[c]) / np.sqrt(variance[c] + epsilon)) + shift[c]
    return y


def batch_norm_forward(x, scale, shift, running_mean, running_variance, momentum, epsilon):
    """(y, mean, inverse_std, new running mean, new running variance)."""
    M, C = x.shape
    mean, variance = batch_statistics(x)
    y = batch_norm_inference(x, scale, shift, mean, variance, epsilon)
    inverse_std = [1.0 / np.sqrt(variance[c] + epsilon) for c in range(C)]
    new_mean = [(1.0 - momentum) * running_mean[c] + momentum * mean[c] for c in range(C)]
    new_variance = [
        (1.0 - momentum) * running_variance[c] + momentum * (variance[c] * float(M) / float(M - 1))
        for c in range(C)
    ]
    as_array = [np.array(v, x.dtype) for v in (mean, inverse_std, new_mean, new_variance)]
    return y, *as_array


def batch_norm_gradients(dy, x, scale, epsilon):
    """(dx, dscale, dshift), through the batch's own statistics."""
    M, C = x.shape
    mean, variance = batch_statistics(x)
    dx = np.empty(x.shape, x.dtype)
    dscale, dshift = np.empty(C, x.dtype), np.empty(C, x.dtype)
    for c in range(C):
        inverse_std = 1.0 / np.sqrt(variance[c] + epsilon)
        normal = [(x[m, c] - mean[c]) * inverse_std for m in range(M)]
        dshift[c] = _mean(dy[:, c]) * float(M)
        dscale[c] = _mean([dy[m, c] * normal[m] for m in range(M)]) * float(M)
        for m in range(M):
            inner = dy[m, c] - dshift[c] / float(M) - normal[m] * (dscale[c] / float(M))
            dx[m, c] = scale[c] * inverse_std * inner
    return dx, dscale, dshift


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


# Images and random numbers


def augment_images(images, scale, offset, flip, shift):
    """Each pixel from its place in the source; ``images`` as numbers (N, H, W, C)."""

    def reflect(i, size):
        while not 0 <= i < size:
            i = -i if i < 0 else 2 * (size - 1) - i
        return i

    N, H, W, C = images.shape
    y = np.empty(images.shape, images.dtype)
    for n, h, w, c in np.ndindex(N, H, W, C):
        down, right = (0, 0) if shift is None else shift[n]
        row, column = reflect(h + int(down), H), reflect(w + int(right), W)
        if flip is not None and flip[n]:
            column = W - 1 - column
        y[n, h, w, c] = images[n, row, column, c] * scale[c] + offset[c]
    return y


def philox_block(counter, key):
    """Philox 4x32-10 (Salmon et al. 2011): four words from four counter words and two of key."""
    c, k, mask = list(counter), list(key), 2**32 - 1
    for _ in range(10):
        a, b = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [(b >> 32) ^ c[1] ^ k[0], b & mask, (a >> 32) ^ c[3] ^ k[1], a & mask]
        k = [(k[0] + 0x9E3779B9) & mask, (k[1] + 0xBB67AE85) & mask]
    return c


def philox_word(seed, stream, step, position):
    block, mask = position // 4, 2**32 - 1
    counter = (block & mask, block >> 32, step, stream)
    return philox_block(counter, (seed & mask, seed >> 32))[position % 4]


def dropout_mask(count, rate, seed, stream, step, offset):
    words = [philox_word(seed, stream, step, offset + i) for i in range(count)]
    return np.array([0 if word < rate * 2**32 else 1 for word in words], np.uint8)
