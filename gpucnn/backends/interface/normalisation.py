"""Batch normalisation over all axes but the last, the channels.

With M values a channel, x̂ = (x − mean) · inverse_std, inverse_std = 1/√(variance + ε):

    y      = scale · x̂ + shift
    dshift = Σ dy,   dscale = Σ dy · x̂
    dx     = scale · inverse_std · (dy − dshift/M − x̂ · dscale/M)

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
        C = x.shape[-1]
        self._check("x", x)
        for name, vector in (
            ("scale", scale),
            ("shift", shift),
            ("running_mean", running_mean),
            ("running_variance", running_variance),
        ):
            self._check(name, vector, (C,))
        if x.size <= C:
            raise ShapeError(
                f"batch normalisation of {x.shape} has one value a channel and no variance; "
                f"use a larger batch"
            )
        y, mean, inverse_std = self.empty(x.shape), self.empty((C,)), self.empty((C,))
        self._batch_norm_forward(
            x, scale, shift, running_mean, running_variance, momentum, epsilon,
            y, mean, inverse_std,
        )  # fmt: skip
        return y, mean, inverse_std

    def batch_norm_inference(
        self, x: Array, scale: Array, shift: Array, mean: Array, variance: Array, epsilon: float
    ) -> Array:
        """Normalises by given statistics: y like x."""
        C = x.shape[-1]
        self._check("x", x)
        for name, vector in (
            ("scale", scale),
            ("shift", shift),
            ("mean", mean),
            ("variance", variance),
        ):
            self._check(name, vector, (C,))
        y = self.empty(x.shape)
        self._batch_norm_inference(x, scale, shift, mean, variance, epsilon, y)
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
        C = x.shape[-1]
        self._check("x", x)
        self._check("dy", dy, x.shape)
        for name, vector in (("scale", scale), ("mean", mean), ("inverse_std", inverse_std)):
            self._check(name, vector, (C,))
        dscale, dshift = self._result(dscale, (C,)), self._result(dshift, (C,))
        dx = self._result(dx, x.shape)
        self._batch_norm_gradients(dy, x, scale, mean, inverse_std, dx, dscale, dshift)
        return dx, dscale, dshift

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
