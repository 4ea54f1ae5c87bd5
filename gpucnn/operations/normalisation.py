"""Batch normalisation over all axes but the last, the channels, and what often follows it.

With M values a channel, x̂ = (x − mean) · inverse_std, inverse_std = 1/√(variance + ε):

    y      = scale · x̂ + shift
    dshift = Σ dy,   dscale = Σ dy · x̂
    dx     = scale · inverse_std · (dy − dshift/M − x̂ · dscale/M)

At the end of a residual block, the residual is added to that y, and a ReLU takes max(y, 0) of the
sum. After a ReLU, dy counts as 0 in these formulas where y is not above 0; what is left of dy is
the gradient of the residual too.

Source: Ioffe, Szegedy, "Batch normalization" (2015).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gpucnn.errors import ShapeError
from gpucnn.operations.problem import (
    Arguments,
    Expectation,
    Operand,
    Problem,
    Shape,
    Timed,
    as_text,
)
from gpucnn.operations.sampling import (
    CHANNELS,
    MANY_CHANNELS,
    Generator,
    chosen,
    normal,
    rows_of,
    speckled,
)
from gpucnn.operations.shard_sums import combine_shards
from gpucnn.operations.shards import Shards, check_shards, cut_rows, drawn_shards, shards_text
from gpucnn.operations.tracked import Tracked, stack

_Moments: TypeAlias = tuple[float, Tracked, Tracked]
Values: TypeAlias = Mapping[str, Callable[[NDArray[np.float32]], NDArray[Any]]]

EPSILON = 1e-5
_NUMBERS = {"momentum": 0.1, "epsilon": EPSILON}
ENDS = ((False, False), (False, True), (True, True))
"""Residual and ReLU, as networks have them."""
_SHAPES = (
    ("quick-norm", "quick", (4, 16, 16, 32)),
    ("resnet50-norm-56", "telling", (64, 56, 56, 256)),
    ("resnet9-norm", "cifar", (512, 32, 32, 128)),
    ("resnet-norm-112", "imagenet", (64, 112, 112, 64)),
    ("resnet50-norm-7", "imagenet", (64, 7, 7, 2048)),
    ("mobilenet-norm-56", "mobilenet", (64, 56, 56, 128)),
)
_BUILT_CHANNELS = (1, 3, 10, 100, 1000)


@dataclass(frozen=True)
class Normalisation(Problem):
    """A normalisation, or its gradients, of x (…, C); all vectors are (C,).

    Attributes:
        shape: of x.
        residual: whether an array like x is added to the result.
        relu: whether a ReLU ends it.
    """

    shape: Shape
    residual: bool = False
    relu: bool = False
    passes: ClassVar[int]
    """How many arrays like x are read or written, without a residual."""
    residual_passes: ClassVar[int] = 1
    """How many more with a residual."""
    timed_values: ClassVar[Values] = {}
    """As ``Timed.values``."""
    ends: ClassVar[tuple[tuple[bool, bool], ...]] = (
        (False, False),
        (False, True),
        (True, False),
        (True, True),
    )
    """Pairs of residual and ReLU that there can be."""

    def __post_init__(self) -> None:
        if not self.shape or self.shape[-1] < 1:
            raise ShapeError(f"x has shape {self.shape}; expected (…, C), C at least 1")

    @property
    def channels(self) -> int:
        """C."""
        return self.shape[-1]

    @property
    def rows(self) -> int:
        """Values of a channel."""
        return math.prod(self.shape[:-1])

    def _operands(self) -> Iterable[Operand | None]:
        absent = self._absent()
        for name in (*self.takes, *self.gives):
            shape = self.shape if name in _LIKE_X else (self.channels,)
            dtype = self.dtypes.result if name in self.gives else self.dtypes.storage
            yield None if name in absent else Operand(shape, dtype)

    def _absent(self) -> tuple[str, ...]:
        """Names of arrays that are left out."""
        return () if self.residual else ("residual",)

    @property
    def traffic(self) -> int:
        """No cache holds an image from one pass over it to the next; vectors are nothing to it."""
        passes = self.passes + self.residual * self.residual_passes
        return passes * Operand(self.shape, self.dtypes.storage).bytes

    @property
    def text(self) -> str:
        """The shape, and what follows."""
        return ", ".join(
            [as_text(self.shape), *["residual"] * self.residual, *["ReLU"] * self.relu]
        )

    @classmethod
    def timed(cls) -> Iterable[Timed]:
        """Alone, with a ReLU, and with a residual and a ReLU."""
        numbers = {name: _NUMBERS[name] for name in cls.numbers}
        for name, group, shape in _SHAPES:
            for residual, relu in ENDS:
                end = "-add" * residual + "-relu" * relu
                problem = cls(shape, residual, relu)
                yield Timed(f"{name}{end}", group, problem, numbers, cls.timed_values)

    @classmethod
    def built(cls) -> Iterable[Problem]:
        """With few channels, and with numbers of them that no vector or warp divides."""
        for C, (residual, relu) in product(_BUILT_CHANNELS, cls.ends):
            yield cls((64, 8, 8, C), residual, relu)


@dataclass(frozen=True)
class BatchNormalisation(Normalisation):
    """One that sums over the rows of a batch.

    Attributes:
        shards: of the first axis of x (``operations.shards``).
    """

    shards: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_shards(self.shards)

    @property
    def row_shards(self) -> Shards:
        """The rows of C values in shards."""
        return cut_rows(self.shape, self.shards)

    @property
    def text(self) -> str:
        """With the shards, if there are several."""
        return super().text + shards_text(self.shards)


_LIKE_X = ("x", "y", "dy", "dx", "residual", "dresidual")


class BatchNormForward(BatchNormalisation):
    """Normalises by the batch's own statistics, and moves the running ones towards them.

    Raises:
        ShapeError: one value a channel.
    """

    operation = "batch_norm_forward"
    takes = ("x", "scale", "shift", "running_mean", "running_variance", "residual")
    gives = ("y", "mean", "inverse_std")
    changes = ("running_mean", "running_variance")
    numbers = ("momentum", "epsilon")
    passes = 3  # x for the statistics, and again for y
    timed_values: ClassVar[Values] = {"running_variance": np.abs}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rows <= 1:
            raise ShapeError(
                f"batch normalisation of {self.shape} has one value a channel and no variance; "
                f"use a larger batch"
            )

    @property
    def flops(self) -> int:
        """A sum, a sum of squares of differences, a multiply-add, and what follows."""
        return (6 + self.residual + self.relu) * math.prod(self.shape)

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """A value that is not finite is in all of its channel; the mean with ∞ may be it or NaN."""
        drawn = draw_x(rng, number)
        drawn["x"] = speckled(number, drawn["x"], (np.nan,))
        C = drawn["x"].shape[-1]
        running = {"running_mean": normal(rng, C), "running_variance": abs(normal(rng, C))}
        factors = {"momentum": chosen(rng, 0.1, 0.01, 1.0), "epsilon": EPSILON}
        end = _draw_end(rng, number, drawn["x"].shape)
        return {**drawn, **running, **factors, **end, "shards": drawn_shards(number)}

    @staticmethod
    def reference(
        x: Tracked,
        scale: Tracked,
        shift: Tracked,
        running_mean: Tracked,
        running_variance: Tracked,
        momentum: float,
        epsilon: float,
        residual: Tracked | None,
        relu: bool,
        shards: int = 1,
    ) -> Expectation:
        """Channel by channel; the variance from the deviations, in a second pass."""
        C = x.shape[-1]
        M = float(x.value.size // C)
        y, mean, variance, inverse_std, moved_mean, moved_variance = [], [], [], [], [], []
        for c in range(C):
            values = x[..., c].reshape(-1)
            of_shard = partial(_moments, x[..., c])
            _, centre, squares = combine_shards(len(x), shards, of_shard, _joined)
            mean.append(centre)
            variance.append(squares / M)
            inverse_std.append(1.0 / (variance[c] + epsilon).sqrt())
            y.append(_normalised(values, mean[c], variance[c], epsilon) * scale[c] + shift[c])
            unbiased = variance[c] * M / (M - 1.0)
            moved_mean.append((1.0 - momentum) * running_mean[c] + momentum * mean[c])
            moved_variance.append((1.0 - momentum) * running_variance[c] + momentum * unbiased)
        return {
            "y": _with_end(like(x, y), residual, relu),
            "mean": stack(mean),
            "inverse_std": stack(inverse_std),
            "running_mean": stack(moved_mean),
            "running_variance": stack(moved_variance),
        }

    def in_torch(
        self,
        torch: Any,
        x: Any,
        scale: Any,
        shift: Any,
        running_mean: Any,
        running_variance: Any,
        residual: Any = None,
        *,
        momentum: float,
        epsilon: float,
    ) -> Any:
        """y; what follows is a call each."""
        y = torch.nn.functional.batch_norm(
            x, running_mean, running_variance, scale, shift, True, momentum, epsilon
        )
        return end_in_torch(torch, y, residual, self.relu)


class BatchNormInference(Normalisation):
    """Normalises by given statistics."""

    operation = "batch_norm_inference"
    takes = ("x", "scale", "shift", "mean", "variance", "residual")
    gives = ("y",)
    numbers = ("epsilon",)
    passes = 2
    timed_values: ClassVar[Values] = {"variance": np.abs}

    @property
    def flops(self) -> int:
        """A multiply-add, and what follows."""
        return (2 + self.residual + self.relu) * math.prod(self.shape)

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """A value that is NaN stays alone."""
        drawn = draw_x(rng, number)
        drawn["x"] = speckled(number, drawn["x"], (np.nan,))
        C = drawn["x"].shape[-1]
        statistics = {"mean": normal(rng, C), "variance": abs(normal(rng, C))}
        epsilon = chosen(rng, EPSILON, 1e-3)
        end = _draw_end(rng, number, drawn["x"].shape)
        return {**drawn, **statistics, "epsilon": epsilon, **end}

    @staticmethod
    def reference(
        x: Tracked,
        scale: Tracked,
        shift: Tracked,
        mean: Tracked,
        variance: Tracked,
        epsilon: float,
        residual: Tracked | None,
        relu: bool,
    ) -> Expectation:
        """Channel by channel."""
        y = [
            _normalised(x[..., c].reshape(-1), mean[c], variance[c], epsilon) * scale[c] + shift[c]
            for c in range(x.shape[-1])
        ]
        return {"y": _with_end(like(x, y), residual, relu)}

    def in_torch(
        self,
        torch: Any,
        x: Any,
        scale: Any,
        shift: Any,
        mean: Any,
        variance: Any,
        residual: Any = None,
        *,
        epsilon: float,
    ) -> Any:
        """y; what follows is a call each."""
        y = torch.nn.functional.batch_norm(x, mean, variance, scale, shift, False, eps=epsilon)
        return end_in_torch(torch, y, residual, self.relu)


def draw_x(rng: Generator, number: int) -> dict[str, Any]:
    """x with its own mean in every channel, and vectors of its channels."""
    C = (*CHANNELS, MANY_CHANNELS)[number % 6]
    rows, images = rows_of(rng, number, C), chosen(rng, 1, 2, 3)
    shape = images, 1, max(2, rows // images), C
    x = normal(rng, *shape) * (1 + 3 * abs(normal(rng, C))) + 5 * normal(rng, C)
    return {"x": x, "scale": normal(rng, C), "shift": normal(rng, C)}


def _draw_end(rng: Generator, number: int, shape: Shape) -> Arguments:
    """A residual and a ReLU, both, one or none in turn; each with all channels in a series' 24."""
    residual, relu = ((True, True), (False, False), (False, True), (True, False))[
        (number + number // 12) % 4
    ]
    return {"residual": speckled(number, normal(rng, *shape)) if residual else None, "relu": relu}


def _moments(channel: Tracked, images: slice) -> _Moments:
    """The number of values, their mean, and the sum of the squares about it."""
    values = channel[images].reshape(-1)
    mean = values.sum(0) / float(len(values))
    deviations = values - mean
    return float(len(values)), mean, (deviations * deviations).sum(0)


def _joined(a: _Moments, b: _Moments) -> _Moments:
    """The same of two parts (Chan, Golub, LeVeque, 1979)."""
    count, apart, share = a[0] + b[0], b[1] - a[1], b[0] / (a[0] + b[0])
    return count, a[1] + apart * share, a[2] + b[2] + apart * apart * (a[0] * share)


def _normalised(x: Tracked, mean: Tracked, variance: Tracked, epsilon: float) -> Tracked:
    return (x - mean) / (variance + epsilon).sqrt()


def like(x: Tracked, channels: Sequence[Tracked]) -> Tracked:
    """An array like x, from what each of its channels is."""
    return stack(list(channels)).transpose().reshape(*x.shape)


def _with_end(y: Tracked, residual: Tracked | None, relu: bool) -> Tracked:
    """With the residual and the ReLU; max(y, 0) is never further off than y."""
    if residual is not None:
        y = y + residual
    return Tracked(np.maximum(y.value, 0.0), y.error, y.magnitude, y.dtype) if relu else y


def end_in_torch(torch: Any, y: Any, residual: Any, relu: bool) -> Any:
    """The sum with a residual, if there is one, and the ReLU: a call each, in place."""
    if residual is not None:
        y = y.add_(residual)
    return torch.relu_(y) if relu else y
