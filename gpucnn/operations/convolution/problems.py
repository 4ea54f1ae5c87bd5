"""Two-dimensional convolution (cross-correlation): forward and both gradients.

With stride u, padding b (before), dilation d, and one group:

    y[n,p,q,k]  = Σ_{r,s,c} x[n, p·u − b + r·d, q·u − b + s·d, c] · w[k,r,s,c] + bias[k]
    dx[n,h,w,c] = Σ_{r,s,k} dy[n,p,q,k] · w[k,r,s,c]   over p·u − b + r·d = h, q·u − b + s·d = w
    dw[k,r,s,c] = Σ_{n,p,q} dy[n,p,q,k] · x[n, p·u − b + r·d, q·u − b + s·d, c]

With groups, filter k reads only the C/groups channels of group k // (K/groups). Forward can finish
y before it is written, which saves passes over memory: y = max(y + residual, 0).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

from gpucnn.operations.convolution import shapes
from gpucnn.operations.convolution.reference import filter_grad, forward, input_grad
from gpucnn.operations.convolution.sampling import draw_sizes
from gpucnn.operations.geometry import (
    Conv2dGeometry,
    Padding,
    Pair,
    Shape,
    Sides,
    as_integer,
    as_pair,
    as_sides,
    conv2d_geometry,
)
from gpucnn.operations.in_torch import tensor_beside
from gpucnn.operations.problem import Arguments, Dtypes, Operand, Problem, Timed, as_text
from gpucnn.operations.sampling import Generator, chosen, is_speckled, normal, speckled
from gpucnn.operations.shards import Shards, check_shards, cut_batch, drawn_shards, shards_text

# Values that are not finite are drawn in one factor alone, the one that is padded with zeros:
# whether a tap on the padding multiplies, and 0 · ∞ is NaN, is each implementation's own business.


@dataclass(frozen=True)
class Convolution(Problem):
    """One of the three passes.

    Attributes:
        conv: the sizes.
    """

    conv: Conv2dGeometry

    @classmethod
    def of_shapes(
        cls,
        dtypes: Dtypes,
        x_shape: Shape,
        w_shape: Shape,
        stride: Pair,
        padding: Padding,
        dilation: Pair,
        groups: int,
        *further: int,
    ) -> Self:
        """The pass between these arrays; a problem that was made lately is not made again.

        Args:
            dtypes: the arithmetic.
            x_shape: (N, H, W, C).
            w_shape: (K, R, S, C/groups).
            stride, dilation: (height, width).
            padding: (height, width), or ((top, bottom), (left, right)).
            groups: divides C and K.
            further: the fields of the problem after ``conv``.

        Raises:
            ShapeError: they do not fit, with the values.
        """
        problem: Self = _of_shapes(
            cls,
            dtypes,
            x_shape,
            w_shape,
            as_pair(stride, "stride"),
            as_sides(padding),
            as_pair(dilation, "dilation"),
            as_integer(groups, "groups"),
            *further,
        )
        return problem

    @property
    def flops(self) -> int:
        """Two for each multiply-add, those of taps on the padding included."""
        return 2 * self.conv.multiply_adds

    @property
    def text(self) -> str:
        """Such as "64×56×56×64, 64 of 3×3/2"."""
        conv = self.conv
        stride = f"/{conv.stride[0]}" if conv.stride[0] > 1 else ""
        groups = f", {conv.groups} groups" if conv.groups > 1 else ""
        return f"{as_text(conv.x_shape)}, {conv.K} of {conv.R}×{conv.S}{stride}{groups}"

    @classmethod
    def timed(cls) -> Iterable[Timed]:
        """Layers of well-known networks."""
        for name, group, conv in shapes.passes():
            yield Timed(name, group, cls(conv))

    @classmethod
    def built(cls) -> Iterable[Problem]:
        """Those whose tiles are awkward."""
        return map(cls._largest, shapes.TILED)

    @classmethod
    def built_as_chosen(cls) -> Iterable[Problem]:
        """Those whose filters, groups and strides are awkward."""
        return map(cls._largest, shapes.AWKWARD)

    @classmethod
    def _largest(cls, conv: Conv2dGeometry) -> Self:
        """The problem whose kernel does most."""
        return cls(conv)

    def _operand(self, shape: Shape) -> Operand:
        """An array that is read."""
        return Operand(shape, self.dtypes.storage)

    def _result(self, shape: Shape) -> Operand:
        return Operand(shape, self.dtypes.result)

    @property
    def _torch_options(self) -> tuple[Pair, Pair, Pair, int]:
        """As PyTorch takes them; its padding is the same on both sides."""
        (top, _), (left, _) = self.conv.padding
        return self.conv.stride, (top, left), self.conv.dilation, self.conv.groups

    def _backward_in_torch(
        self, torch: Any, dy: Any, x: Any, w: Any, wanted: Sequence[bool]
    ) -> tuple[Any, ...]:
        """The gradients of x, of w and of the bias, those that are wanted."""
        *sliding, groups = self._torch_options
        gradients: tuple[Any, ...] = torch.ops.aten.convolution_backward(
            dy, x, w, None, *sliding, False, [0, 0], groups, wanted
        )
        return gradients


@lru_cache(maxsize=8192)
def _of_shapes(
    kind: type[Convolution],
    dtypes: Dtypes,
    x_shape: Shape,
    w_shape: Shape,
    stride: Pair,
    padding: Sides,
    dilation: Pair,
    groups: int,
    *further: int,
) -> Any:
    conv = conv2d_geometry(x_shape, w_shape, stride, padding, dilation, groups)
    return kind.of(dtypes, conv, *further)


@dataclass(frozen=True)
class Conv2dForward(Convolution):
    """y = x ⋆ w, then + bias, + residual, and max(…, 0), in this order.

    Attributes:
        has_bias: whether there is a bias (K,).
        has_residual: whether there is a residual of the shape of y.
        relu: whether values below 0 become 0; NaN stays NaN.
    """

    operation = "conv2d_forward"
    takes, gives = ("x", "w", "bias", "residual"), ("y",)

    has_bias: bool = False
    has_residual: bool = False
    relu: bool = False

    def _operands(self) -> Iterable[Operand | None]:
        conv = self.conv
        yield self._operand(conv.x_shape)
        yield self._operand(conv.w_shape)
        yield self._operand((conv.K,)) if self.has_bias else None
        yield self._operand(conv.y_shape) if self.has_residual else None
        yield self._result(conv.y_shape)

    @property
    def flops(self) -> int:
        """One more for each result and part of the epilogue."""
        parts = self.has_bias + self.has_residual + self.relu
        return super().flops + parts * self.by_name["y"].size

    @property
    def text(self) -> str:
        """Such as "64×56×56×64, 64 of 3×3, bias, ReLU"."""
        parts = {"bias": self.has_bias, "residual": self.has_residual, "ReLU": self.relu}
        return ", ".join([super().text, *(part for part, has in parts.items() if has)])

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """With a ReLU wherever there are NaN: it must let them pass."""
        conv = draw_sizes(rng, number)
        bias = normal(rng, conv.K) if rng.random() < 0.5 else None
        residual = None
        if rng.random() < 0.5:
            residual = speckled(number, normal(rng, *conv.y_shape))
        x, w = speckled(number, normal(rng, *conv.x_shape)), normal(rng, *conv.w_shape)
        relu = chosen(rng, False, True) or is_speckled(number)
        epilogue = {"bias": bias, "residual": residual, "relu": relu}
        return {"x": x, "w": w, **epilogue, **_options(conv)}

    reference = staticmethod(forward)

    @classmethod
    def timed(cls) -> Iterable[Timed]:
        """Also with a bias, then a ReLU, then as the end of a residual block."""
        yield from super().timed()
        for name, group, conv in shapes.epilogues():
            yield Timed(f"{name}-bias", group, cls(conv, True))
            yield Timed(f"{name}-bias-relu", group, cls(conv, True, relu=True))
            yield Timed(f"{name}-bias-add-relu", group, cls(conv, True, True, relu=True))

    @classmethod
    def _largest(cls, conv: Conv2dGeometry) -> Self:
        return cls(conv, has_bias=True, has_residual=True, relu=True)

    def in_torch(self, torch: Any, x: Any, w: Any, *added: Any) -> Any:
        """The same in PyTorch; the residual and the ReLU are a call each, in place."""
        bias = added[0] if self.has_bias else None
        y = torch.nn.functional.conv2d(x, w, bias, *self._torch_options)
        if self.has_residual:
            y = y.add_(added[-1])
        return torch.relu_(y) if self.relu else y


@dataclass(frozen=True)
class Conv2dInputGrad(Convolution):
    """dx of y = x ⋆ w."""

    operation = "conv2d_input_grad"
    takes, gives = ("dy", "w"), ("dx",)

    def _operands(self) -> Iterable[Operand]:
        yield self._operand(self.conv.y_shape)
        yield self._operand(self.conv.w_shape)
        yield self._result(self.conv.x_shape)

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """Of all kinds of sizes."""
        conv = draw_sizes(rng, number)
        dy, w = speckled(number, normal(rng, *conv.y_shape)), normal(rng, *conv.w_shape)
        return {"dy": dy, "w": w, "x_shape": conv.x_shape, **_options(conv)}

    reference = staticmethod(input_grad)

    def prepare_torch(self, torch: Any, *tensors: Any) -> Sequence[Any]:
        """PyTorch's gradients ask for x, of which only the shape and the format count."""
        dy, w = tensors
        return dy, tensor_beside(torch, dy, self.conv.x_shape), w

    def in_torch(self, torch: Any, dy: Any, x: Any, w: Any) -> Any:
        """The same in PyTorch."""
        return self._backward_in_torch(torch, dy, x, w, [True, False, False])[0]


@dataclass(frozen=True)
class Conv2dFilterGrad(Convolution):
    """dw of y = x ⋆ w.

    Attributes:
        shards: of the batch (``operations.shards``).
    """

    operation = "conv2d_filter_grad"
    takes, gives = ("x", "dy"), ("dw",)

    shards: int = 1

    def __post_init__(self) -> None:
        check_shards(self.shards)

    @property
    def batch_shards(self) -> Shards:
        """The images in shards."""
        return cut_batch(self.conv.N, self.shards)

    @property
    def text(self) -> str:
        """With the shards, if there are several."""
        return super().text + shards_text(self.shards)

    def _operands(self) -> Iterable[Operand]:
        yield self._operand(self.conv.x_shape)
        yield self._operand(self.conv.y_shape)
        yield self._result(self.conv.w_shape)

    @staticmethod
    def draw(rng: Generator, number: int) -> Arguments:
        """Of all kinds of sizes."""
        conv = draw_sizes(rng, number)
        x, dy = speckled(number, normal(rng, *conv.x_shape)), normal(rng, *conv.y_shape)
        options = {**_options(conv), "shards": drawn_shards(number)}
        return {"x": x, "dy": dy, "w_shape": conv.w_shape, **options}

    reference = staticmethod(filter_grad)

    def prepare_torch(self, torch: Any, *tensors: Any) -> Sequence[Any]:
        """PyTorch's gradients ask for w, of which only the shape and the format count."""
        x, dy = tensors
        return dy, x, tensor_beside(torch, x, self.conv.w_shape)

    def in_torch(self, torch: Any, dy: Any, x: Any, w: Any) -> Any:
        """The same in PyTorch."""
        return self._backward_in_torch(torch, dy, x, w, [False, True, False])[1]


def _options(conv: Conv2dGeometry) -> Arguments:
    return {
        "stride": conv.stride,
        "padding": conv.padding,
        "dilation": conv.dilation,
        "groups": conv.groups,
    }
