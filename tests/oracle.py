"""The length of a sliding window's output, counted; nothing here comes from the package."""


def output_length(size, window, stride, before, after, dilation=1):
    """Counts the window's places one by one."""
    places, start = 0, -before
    while start + (window - 1) * dilation <= size - 1 + after:
        places, start = places + 1, start + stride
    return places
