"""Pillow's global state while images are decoded: its limit on pixels and what it reports."""

from __future__ import annotations

import ctypes
import functools
import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_one_thread = threading.Lock()


@contextmanager
def quiet_pillow(max_pixels: int) -> Iterator[None]:
    """No warnings, no log, nothing from libtiff on stderr, and no limit on pixels but ours.

    Other users of Pillow in this process see that state meanwhile. Two threads could not restore
    it one after the other, so only one at a time decodes.
    """
    import PIL.Image

    with _one_thread, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit, PIL.Image.MAX_IMAGE_PIXELS = PIL.Image.MAX_IMAGE_PIXELS, max_pixels
        log = logging.getLogger("PIL")
        level = log.level
        log.setLevel(logging.CRITICAL + 1)
        handlers = [(set_handler, set_handler(None)) for set_handler in _libtiff_handlers()]
        try:
            yield
        finally:
            for set_handler, handler in handlers:
                set_handler(handler)
            log.setLevel(level)
            PIL.Image.MAX_IMAGE_PIXELS = limit


_Handler = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
"""Sets what libtiff calls with a message; returns what it called before."""


@functools.cache
def _libtiff_handlers() -> list[ctypes._CFunctionType]:
    """Those for errors and for warnings; none if they cannot be found."""
    from PIL import _imaging

    try:
        library = ctypes.CDLL(_imaging.__file__)  # searches the libraries that this has loaded, too
        names = ("TIFFSetErrorHandler", "TIFFSetWarningHandler")
        return [_Handler((name, library)) for name in names]
    except (OSError, AttributeError):
        return []
