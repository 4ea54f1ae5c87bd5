"""Batch normalisation over all axes but the last, the channels, and what often comes behind it.

With M values a channel, x̂ = (x − mean) · inverse_std, inverse_std = 1/√(variance + ε):

    y      = scale · x̂ + shift
    dshift = Σ dy,   dscale = Σ dy · x̂
    dx     = scale · inverse_std · (dy − dshift/M − x̂ · dscale/M)

A residual is added to that y, and a ReLU makes max(y, 0) of the sum, as at the end of a residual
block. Behind a ReLU, 0 counts as dy in these formulas where y is not above 0; what counts as dy is
the residual's gradient too.

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
        residual: Array | None = None,
        relu: bool = False,
    ) -> tuple[Array, Array, Array]:
        """Normalises by the batch's own statistics, and moves the running ones towards them.

        ``running ← (1 − momentum) · running + momentum · batch``, in place, the variance there
        with Bessel's correction, as other frameworks do.

        Args:
            x, scale, shift, running_mean, running_variance, momentum, epsilon: the normalisation.
            residual: like x, added behind it, or None.
            relu: whether values below 0 become 0 at the end; NaN stays NaN.

        Returns:
            y like x, mean (C,) and inverse_std (C,) of the batch, which the gradient needs.

        Raises:
            ShapeError: shapes that do not fit, or one value a channel only.
        """
        self._check_channels(
            x,
            scale=scale,
            shift=shift,
            running_mean=running_mean,
            running_variance=running_variance,
        )
        self._check_residual(residual, x)
        C = x.shape[-1]
        if x.size <= C:
            raise ShapeError(
                f"batch normalisation of {x.shape} has one value a channel and no variance; "
                f"use a larger batch"
            )
        y, mean, inverse_std = self.empty(x.shape), self.empty((C,)), self.empty((C,))
        self._batch_norm_forward(
            x, scale, shift, running_mean, running_variance, momentum, epsilon,
            residual, relu, y, mean, inverse_std,
        )  # fmt: skip
        return y, mean, inverse_std

    def batch_norm_inference(
        self,
        x: Array,
        scale: Array,
        shift: Array,
        mean: Array,
        variance: Array,
        epsilon: float,
        residual: Array | None = None,
        relu: bool = False,
    ) -> Array:
        """Normalises by given statistics: y like x; residual and relu as ``batch_norm_forward``."""
        self._check_channels(x, scale=scale, shift=shift, mean=mean, variance=variance)
        self._check_residual(residual, x)
        y = self.empty(x.shape)
        self._batch_norm_inference(x, scale, shift, mean, variance, epsilon, residual, relu, y)
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
        """The gradients without a ReLU: dx like x, dscale (C,), dshift (C,).

        They are written to the arrays given, where they are; dx may be dy itself. A residual's is
        dy.
        """
        self._check_channels(x, scale=scale, mean=mean, inverse_std=inverse_std)
        self._check("dy", dy, x.shape)
        dx, dscale, dshift = self._gradient_results(x, dx, dscale, dshift)
        self._batch_norm_gradients(
            dy, None, x, scale, None, mean, inverse_std, dx, dscale, dshift, None
        )
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
        """The gradients with a ReLU and no residual, as ``batch_norm_gradients``.

        Where y was above 0 is computed again from x, by the arithmetic of the forward pass, so
        that it is the same to the last bit; y itself need not be kept.
        """
        self._check_channels(x, scale=scale, shift=shift, mean=mean, inverse_std=inverse_std)
        self._check("dy", dy, x.shape)
        dx, dscale, dshift = self._gradient_results(x, dx, dscale, dshift)
        self._batch_norm_gradients(
            dy, None, x, scale, shift, mean, inverse_std, dx, dscale, dshift, None
        )
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
        """The gradients with a residual and a ReLU, which had made y.

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
        self._batch_norm_gradients(
            dy, y, x, scale, None, mean, inverse_std, dx, dscale, dshift, dresidual
        )
        return dx, dscale, dshift, dresidual

    def _check_channels(self, x: Array, **vectors: Array) -> None:
        """x, and vectors that must each have its C elements."""
        self._check_has_channels("x", x)
        for name, vector in vectors.items():
            self._check(name, vector, x.shape[-1:])

    def _check_residual(self, residual: Array | None, x: Array) -> None:
        if residual is not None:
            self._check("residual", residual, x.shape)

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
        y: Array | None,
        x: Array,
        scale: Array,
        shift: Array | None,
        mean: Array,
        inverse_std: Array,
        dx: Array,
        dscale: Array,
        dshift: Array,
        dresidual: Array | None,
    ) -> None:
        """With y and dresidual behind a residual and a ReLU, with shift behind a ReLU alone."""
