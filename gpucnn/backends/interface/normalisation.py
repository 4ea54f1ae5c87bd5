"""Batch normalisation over all axes but the last, the channels, and what often follows it."""

from __future__ import annotations

from gpucnn.backends.interface.arrays import Array, ArrayOperations
from gpucnn.errors import ShapeError
from gpucnn.operations.geometry import as_integer
from gpucnn.operations.normalisation import BatchNormForward, BatchNormInference
from gpucnn.operations.normalisation_gradients import BatchNormGradients


class NormalisationOperations(ArrayOperations):
    """Batch normalisation of x (…, C); all vectors are (C,).

    The formulas are in ``gpucnn.operations.normalisation``.
    """

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
        *,
        shards: int = 1,
    ) -> tuple[Array, Array, Array]:
        """Normalises by the batch's own statistics, and moves the running ones towards them.

        ``running ← (1 − momentum) · running + momentum · batch``, in place, the variance there
        with Bessel's correction, as other frameworks do.

        Args:
            x, scale, shift, running_mean, running_variance, momentum, epsilon: the normalisation.
            residual: like x, added to the result, or None.
            relu: whether values below 0 become 0 at the end; NaN stays NaN.
            shards: of the first axis of x (``operations.shards``).

        Returns:
            y like x, mean (C,) and inverse_std (C,) of the batch, which the gradients need.

        Raises:
            ShapeError: shapes that do not fit, or one value a channel only.
        """
        shape, shards = self._shape("x", x), as_integer(shards, "shards")
        problem = BatchNormForward.of(self.dtypes, shape, residual is not None, bool(relu), shards)
        vectors = (scale, shift, running_mean, running_variance)
        results = (None, None, None)
        y, mean, inverse_std = self.run(
            problem, x, *vectors, residual, *results, momentum=momentum, epsilon=epsilon
        )
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
        """Normalises by given statistics: y like x; residual and relu as ``batch_norm_forward``.

        Raises:
            ShapeError: shapes that do not fit.
        """
        problem = BatchNormInference.of(
            self.dtypes, self._shape("x", x), residual is not None, bool(relu)
        )
        vectors = (scale, shift, mean, variance)
        return self.run(problem, x, *vectors, residual, None, epsilon=epsilon)[0]

    def batch_norm_gradients(
        self,
        dy: Array,
        x: Array,
        scale: Array,
        mean: Array,
        inverse_std: Array,
        shift: Array | None = None,
        y: Array | None = None,
        dscale: Array | None = None,
        dshift: Array | None = None,
        dx: Array | None = None,
        dresidual: Array | None = None,
        *,
        shards: int = 1,
    ) -> tuple[Array, ...]:
        """The gradients of the normalisation alone, with a ReLU, or with a residual and a ReLU.

        Args:
            dy, x, scale, mean, inverse_std: the gradient that arrives, and the forward pass.
            shift: if the forward pass ended with a ReLU and had no residual. Whether y was above 0
                is computed again from x by the arithmetic of the forward pass, so it is the same
                to the last bit; y need not be kept.
            y: if the forward pass ended with a residual and a ReLU: its result.
            dscale, dshift, dx, dresidual: where the results are written; None for new arrays. dx
                or dresidual may be dy itself.
            shards: of the first axis of x (``operations.shards``).

        Returns:
            dx like x, dscale (C,) and dshift (C,); with ``y``, dresidual like x too. The gradient
            of a residual without a ReLU is dy.

        Raises:
            ShapeError: shapes that do not fit, both shift and y, dresidual without y, or one array
                for both dx and dresidual.
        """
        if dx is not None and dx is dresidual:
            raise ShapeError("dx and dresidual are one array; they need an array each")
        has_residual = y is not None
        relu = has_residual or shift is not None
        shape, shards = self._shape("x", x), as_integer(shards, "shards")
        problem = BatchNormGradients.of(self.dtypes, shape, has_residual, relu, shards)
        given = (dy, x, scale, mean, inverse_std, shift, y)
        return tuple(self.run(problem, *given, dx, dscale, dshift, dresidual))
