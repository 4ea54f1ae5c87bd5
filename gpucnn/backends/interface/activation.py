"""Elementwise activations and their gradients, and the sum of two branches."""

from __future__ import annotations

from gpucnn.backends.interface.arrays import Array, ArrayOperations
from gpucnn.operations import activation


class ActivationOperations(ArrayOperations):
    """y = f(x) for arrays of any shape; gradients take what their formula needs.

    ``out`` may be the first argument itself: then the operation works in place.
    """

    def relu_forward(self, x: Array, out: Array | None = None) -> Array:
        """y = max(x, 0); NaN stays NaN."""
        problem = activation.ReluForward.of(self.dtypes, self._shape("x", x))
        return self.run(problem, x, out)[0]

    def relu_input_grad(self, dy: Array, y: Array, out: Array | None = None) -> Array:
        """dx = dy where y > 0, else 0 (so the derivative at 0 is 0)."""
        problem = activation.ReluInputGrad.of(self.dtypes, self._shape("y", y))
        return self.run(problem, dy, y, out)[0]

    def leaky_relu_forward(self, x: Array, slope: float) -> Array:
        """y = x where x > 0, else slope · x."""
        problem = activation.LeakyReluForward.of(self.dtypes, self._shape("x", x))
        return self.run(problem, x, None, slope=slope)[0]

    def leaky_relu_input_grad(self, dy: Array, x: Array, slope: float) -> Array:
        """dx = dy where x > 0, else slope · dy."""
        problem = activation.LeakyReluInputGrad.of(self.dtypes, self._shape("x", x))
        return self.run(problem, dy, x, None, slope=slope)[0]

    def sigmoid_forward(self, x: Array) -> Array:
        """y = 1 / (1 + exp(−x)); 0 where exp(−x) is infinite."""
        return self.run(activation.SigmoidForward.of(self.dtypes, self._shape("x", x)), x, None)[0]

    def sigmoid_input_grad(self, dy: Array, y: Array) -> Array:
        """dx = dy · y · (1 − y)."""
        problem = activation.SigmoidInputGrad.of(self.dtypes, self._shape("y", y))
        return self.run(problem, dy, y, None)[0]

    def tanh_forward(self, x: Array) -> Array:
        """y = tanh(x)."""
        return self.run(activation.TanhForward.of(self.dtypes, self._shape("x", x)), x, None)[0]

    def tanh_input_grad(self, dy: Array, y: Array) -> Array:
        """dx = dy · (1 − y²)."""
        problem = activation.TanhInputGrad.of(self.dtypes, self._shape("y", y))
        return self.run(problem, dy, y, None)[0]

    def gelu_forward(self, x: Array) -> Array:
        """y = x · (1 + tanh(√(2/π) · (x + 0.044715 · x³))) / 2; NaN at −∞."""
        return self.run(activation.GeluForward.of(self.dtypes, self._shape("x", x)), x, None)[0]

    def gelu_input_grad(self, dy: Array, x: Array) -> Array:
        """dx = dy · ((1 + t) + x · (1 − t²) · v′) / 2, with t = tanh(v) as in the forward pass."""
        problem = activation.GeluInputGrad.of(self.dtypes, self._shape("x", x))
        return self.run(problem, dy, x, None)[0]

    def add(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """a + b, of one shape: where a residual branch joins."""
        return self.run(activation.Add.of(self.dtypes, self._shape("a", a)), a, b, out)[0]
