"""Problems of the matrix product, and of sums over all axes but the last."""

from __future__ import annotations

from gpucnn.backends.base import Backend
from gpucnn.kernelcheck.problem import Arguments, Bounds, Operation
from gpucnn.kernelcheck.running_error import sum_bound
from gpucnn.launch.tiles import TILES
from gpucnn.operations.sampling import (
    CHANNELS,
    MANY_CHANNELS,
    Generator,
    chosen,
    integer,
    normal,
    rows_of,
    speckled,
)

_SIZES = (1, 2, 3, 5, 8, 17, 31, 32, 33, 64, 65, 100, 130)


def _draw_product(rng: Generator, number: int) -> Arguments:
    """Every third inner length is long, so that the sum may be cut into slices."""
    M, N, K = (chosen(rng, *_SIZES) for _ in range(3))
    if number % 3 == 2:
        M, N, K = chosen(rng, 1, 3, 17), chosen(rng, 1, 5, 32), integer(rng, 512, 1500)
    transpose_a, transpose_b = bool(number & 1), bool(number & 2)
    return {
        "a": speckled(number, normal(rng, *((K, M) if transpose_a else (M, K)))),
        "b": normal(rng, *((N, K) if transpose_b else (K, N))),
        "transpose_a": transpose_a,
        "transpose_b": transpose_b,
        "bias": normal(rng, N) if rng.random() < 0.5 else None,
        "relu": bool(number & 4),
    }


def _draw_channel_sum(rng: Generator, number: int) -> Arguments:
    C = (*CHANNELS, MANY_CHANNELS)[number % 6]
    return {"x": speckled(number, normal(rng, rows_of(rng, number, C), 1, C))}


def _product_bounds(a: Arguments, exact: Backend) -> Bounds:
    terms = a["a"].shape[0 if a["transpose_a"] else 1] + (a["bias"] is not None)
    bias = None if a["bias"] is None else abs(a["bias"])
    magnitudes = {"a": abs(a["a"]), "b": abs(a["b"]), "bias": bias}
    # max(c, 0) is never further off than c.
    return {"product": sum_bound(terms, exact.matmul(**{**a, **magnitudes}))}


def _channel_sum_bounds(a: Arguments, exact: Backend) -> Bounds:
    x = abs(a["x"])
    return {"total": sum_bound(x.size // x.shape[-1], exact.channel_sum(x))}


OPERATIONS = (
    Operation("matmul", ("product",), _draw_product, _product_bounds, tiles={None: TILES}),
    Operation("channel_sum", ("total",), _draw_channel_sum, _channel_sum_bounds),
)
