"""Batch normalisation over all axes but the last, the channels, and what often comes behind it.

With M values a channel, x̂ = (x − mean) · inverse_std, inverse_std = 1/√(variance + ε):

    y      = scale · x̂ + shift
    dshift = Σ dy,   dscale = Σ dy · x̂
    dx     = scale · inverse_std · (dy − dshift/M − x̂ · dscale/M)

The operations with ReLU have y = max(scale · x̂ + shift, 0), and take 0 for dy where y is not above
0 in these formulas. Those with a sum and ReLU, the end of a residual block, have
y = max(scale · x̂ + shift + residual, 0), and what they take for dy is the residual's gradient too.

Source: Ioffe, Szegedy, "Batch normalization" (2015).
"""

from __future__ import annotations

from abc import abstractmethod

from gpucnn.backends.interface.arrays import Array, ArrayOperations
from gpucnn.errors import ShapeError


class NormalisationOperations(ArrayOperations):
    """Batch normalisation of x (…, C); all vectors are (C,)."""

    def batch_norm_forward(
        self,
        x: Array,
        scale: Array,
        shift: Array,
        running_mean: Array,
        running_variance: Array,
        momentum: float,
        epsilon: float,
    ) -> tuple[Array, Array, Array]:
        """Normalises by the batch's own statistics, and moves the running ones towards them.

        ``running ← (1 − momentum) · running + momentum · batch``, in place, the variance there
        with Bessel's correction, as other frameworks do.

        Returns:
            y like x, mean (C,) and inverse_std (C,) of the batch, which the gradient needs.

        Raises:
            ShapeError: shapes that do not fit, or one value a channel only.
        """
        y, mean, inverse_std = self._forward_results(
            x, scale, shift, running_mean, running_variance
        )
        self._batch_norm_forward(
            x, scale, shift, running_mean, running_variance, momentum, epsilon,
            None, False, y, mean, inverse_std,
        )  # fmt: skip
        return y, mean, inverse_std

    def batch_norm_relu_forward(
        self,
        x: Array,
        scale: Array,
        shift: Array,
        running_mean: Array,
        running_variance: Array,
        momentum: float,
        epsilon: float,
    ) -> tuple[Array, Array, Array]:
        """``batch_norm_forward``, then y = max(y, 0); NaN stays NaN."""
        y, mean, inverse_std = self._forward_results(
            x, scale, shift, running_mean, running_variance
        )
        self._batch_norm_forward(
            x, scale, shift, running_mean, running_variance, momentum, epsilon,
            None, True, y, mean, inverse_std,
        )  # fmt: skip
        return y, mean, inverse_std

    def batch_norm_add_relu_forward(
        self,
        x: Array,
        residual: Array,
        scale: Array,
        shift: Array,
        running_mean: Array,
        running_variance: Array,
        momentum: float,
        epsilon: float,
    ) -> tuple[Array, Array, Array]:
        """``batch_norm_forward``, then y = max(y + residual, 0); NaN stays NaN."""
        y, mean, inverse_std = self._forward_results(
            x, scale, shift, running_mean, running_variance
        )
        self._check("residual", residual, x.shape)
        self._batch_norm_forward(
            x, scale, shift, running_mean, running_variance, momentum, epsilon,
            residual, True, y, mean, inverse_std,
        )  # fmt: skip
        return y, mean, inverse_std

    def batch_norm_inference(
        self, x: Array, scale: Array, shift: Array, mean: Array, variance: Array, epsilon: float
    ) -> Array:
        """Normalises by given statistics: y like x."""
        self._check_channels(x, scale=scale, shift=shift, mean=mean, variance=variance)
        y = self.empty(x.shape)
        self._batch_norm_inference(x, scale, shift, mean, variance, epsilon, None, False, y)
        return y

    def batch_norm_relu_inference(
        self, x: Array, scale: Array, shift: Array, mean: Array, variance: Array, epsilon: float
    ) -> Array:
        """``batch_norm_inference``, then y = max(y, 0); NaN stays NaN."""
        self._check_channels(x, scale=scale, shift=shift, mean=mean, variance=variance)
        y = self.empty(x.shape)
        self._batch_norm_inference(x, scale, shift, mean, variance, epsilon, None, True, y)
        return y

    def batch_norm_add_relu_inference(
        self,
        x: Array,
        residual: Array,
        scale: Array,
        shift: Array,
        mean: Array,
        variance: Array,
        epsilon: float,
    ) -> Array:
        """``batch_norm_inference``, then y = max(y + residual, 0); NaN stays NaN."""
        self._check_channels(x, scale=scale, shift=shift, mean=mean, variance=variance)
        self._check("residual", residual, x.shape)
        y = self.empty(x.shape)
        self._batch_norm_inference(x, scale, shift, mean, variance, epsilon, residual, True, y)
        return y

    def batch_norm_gradients(
        self,
        dy: Array,
        x: Array,
        scale: Array,
        mean: Array,
        inverse_std: Array,
        dscale: Array | None = None,
        dshift: Array | None = None,
        dx: Array | None = None,
    ) -> tuple[Array, Array, Array]:
        """All three gradients of ``batch_norm_forward``: dx like x, dscale (C,), dshift (C,).

        They are written to the arrays given, where they are; dx may be dy itself.
        """
        self._check_channels(x, scale=scale, mean=mean, inverse_std=inverse_std)
        self._check("dy", dy, x.shape)
        dx, dscale, dshift = self._gradient_results(x, dx, dscale, dshift)
        self._batch_norm_gradients(dy, x, scale, mean, inverse_std, dx, dscale, dshift)
        return dx, dscale, dshift

    def batch_norm_relu_gradients(
        self,
        dy: Array,
        x: Array,
        scale: Array,
        shift: Array,
        mean: Array,
        inverse_std: Array,
        dscale: Array | None = None,
        dshift: Array | None = None,
        dx: Array | None = None,
    ) -> tuple[Array, Array, Array]:
        """All three gradients of ``batch_norm_relu_forward``, as ``batch_norm_gradients``.

        Where y was above 0 is computed again from x, by the arithmetic of the forward pass, so
        that it is the same to the last bit; y itself need not be kept.
        """
        self._check_channels(x, scale=scale, shift=shift, mean=mean, inverse_std=inverse_std)
        self._check("dy", dy, x.shape)
        dx, dscale, dshift = self._gradient_results(x, dx, dscale, dshift)
        self._batch_norm_relu_gradients(dy, x, scale, shift, mean, inverse_std, dx, dscale, dshift)
        return dx, dscale, dshift

    def batch_norm_add_relu_gradients(
        self,
        dy: Array,
        y: Array,
        x: Array,
        scale: Array,
        mean: Array,
        inverse_std: Array,
        dscale: Array | None = None,
        dshift: Array | None = None,
        dx: Array | None = None,
        dresidual: Array | None = None,
    ) -> tuple[Array, Array, Array, Array]:
        """All four gradients of ``batch_norm_add_relu_forward``, which had made y.

        They are written to the arrays given, where they are; dx or dresidual may be dy itself.

        Returns:
            dx like x, dscale (C,), dshift (C,) and dresidual like x.

        Raises:
            ShapeError: shapes that do not fit, or one array for both dx and dresidual.
        """
        self._check_channels(x, scale=scale, mean=mean, inverse_std=inverse_std)
        self._check("dy", dy, x.shape)
        self._check("y", y, x.shape)
        if dx is not None and dx is dresidual:
            raise ShapeError("dx and dresidual are one array; they need an array each")
        dx, dscale, dshift = self._gradient_results(x, dx, dscale, dshift)
        dresidual = self._result(dresidual, x.shape)
        self._batch_norm_add_relu_gradients(
            dy, y, x, scale, mean, inverse_std, dx, dscale, dshift, dresidual
        )
        return dx, dscale, dshift, dresidual

    def _check_channels(self, x: Array, **vectors: Array) -> None:
        """x, and vectors that must each have its C elements."""
        self._check_has_channels("x", x)
        for name, vector in vectors.items():
            self._check(name, vector, x.shape[-1:])

    def _forward_results(
        self, x: Array, scale: Array, shift: Array, running_mean: Array, running_variance: Array
    ) -> tuple[Array, Array, Array]:
        """New arrays for y, mean and inverse_std, after the checks."""
        self._check_channels(
            x,
            scale=scale,
            shift=shift,
            running_mean=running_mean,
            running_variance=running_variance,
        )
        C = x.shape[-1]
        if x.size <= C:
            raise ShapeError(
                f"batch normalisation of {x.shape} has one value a channel and no variance; "
                f"use a larger batch"
            )
        return self.empty(x.shape), self.empty((C,)), self.empty((C,))

    def _gradient_results(
        self, x: Array, dx: Array | None, dscale: Array | None, dshift: Array | None
    ) -> tuple[Array, Array, Array]:
        """The arrays given, or new ones."""
        C = x.shape[-1]
        return self._result(dx, x.shape), self._result(dscale, (C,)), self._result(dshift, (C,))

    @abstractmethod
    def _batch_norm_forward(
        self,
        x: Array,
        scale: Array,
        shift: Array,
        running_mean: Array,
        running_variance: Array,
        momentum: float,
        epsilon: float,
        residual: Array | None,
        relu: bool,
        y: Array,
        mean: Array,
        inverse_std: Array,
    ) -> None: ...

    @abstractmethod
    def _batch_norm_inference(
        self,
        x: Array,
        scale: Array,
        shift: Array,
        mean: Array,
        variance: Array,
        epsilon: float,
        residual: Array | None,
        relu: bool,
        y: Array,
    ) -> None: ...

    @abstractmethod
    def _batch_norm_gradients(
        self,
        dy: Array,
        x: Array,
        scale: Array,
        mean: Array,
        inverse_std: Array,
        dx: Array,
        dscale: Array,
        dshift: Array,
    ) -> None: ...

    @abstractmethod
    def _batch_norm_relu_gradients(
        self,
        dy: Array,
        x: Array,
        scale: Array,
        shift: Array,
        mean: Array,
        inverse_std: Array,
        dx: Array,
        dscale: Array,
        dshift: Array,
    ) -> None: ...

    @abstractmethod
    def _batch_norm_add_relu_gradients(
        self,
        dy: Array,
        y: Array,
        x: Array,
        scale: Array,
        mean: Array,
        inverse_std: Array,
        dx: Array,
        dscale: Array,
        dshift: Array,
        dresidual: Array,
    ) -> None: ...
