"""Elementwise activations and their gradients, and the sum of two branches."""

from __future__ import annotations

from abc import abstractmethod

from gpucnn.backends.interface.arrays import Array, ArrayOperations


class ActivationOperations(ArrayOperations):
    """y = f(x) for arrays of any shape; gradients take what their formula needs.

    ``out`` may be the first argument itself: then the operation works in place.
    """

    def relu_forward(self, x: Array, out: Array | None = None) -> Array:
        """y = max(x, 0); NaN stays NaN."""
        self._check("x", x)
        y = self._result(out, x.shape)
        self._relu_forward(x, y)
        return y

    def relu_input_grad(self, dy: Array, y: Array, out: Array | None = None) -> Array:
        """dx = dy where y > 0, else 0 (so the derivative at 0 is 0)."""
        self._check("y", y)
        self._check("dy", dy, y.shape)
        dx = self._result(out, y.shape)
        self._relu_input_grad(dy, y, dx)
        return dx

    def leaky_relu_forward(self, x: Array, slope: float) -> Array:
        """y = x where x > 0, else slope · x."""
        self._check("x", x)
        y = self.empty(x.shape)
        self._leaky_relu_forward(x, slope, y)
        return y

    def leaky_relu_input_grad(self, dy: Array, x: Array, slope: float) -> Array:
        """dx = dy where x > 0, else slope · dy."""
        self._check("x", x)
        self._check("dy", dy, x.shape)
        dx = self.empty(x.shape)
        self._leaky_relu_input_grad(dy, x, slope, dx)
        return dx

    def sigmoid_forward(self, x: Array) -> Array:
        """y = 1 / (1 + exp(−x)); 0 where exp(−x) is infinite."""
        self._check("x", x)
        y = self.empty(x.shape)
        self._sigmoid_forward(x, y)
        return y

    def sigmoid_input_grad(self, dy: Array, y: Array) -> Array:
        """dx = dy · y · (1 − y)."""
        self._check("y", y)
        self._check("dy", dy, y.shape)
        dx = self.empty(y.shape)
        self._sigmoid_input_grad(dy, y, dx)
        return dx

    def tanh_forward(self, x: Array) -> Array:
        """y = tanh(x)."""
        self._check("x", x)
        y = self.empty(x.shape)
        self._tanh_forward(x, y)
        return y

    def tanh_input_grad(self, dy: Array, y: Array) -> Array:
        """dx = dy · (1 − y²)."""
        self._check("y", y)
        self._check("dy", dy, y.shape)
        dx = self.empty(y.shape)
        self._tanh_input_grad(dy, y, dx)
        return dx

    def add(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """a + b, of one shape: where a residual branch joins."""
        self._check("a", a)
        self._check("b", b, a.shape)
        total = self._result(out, a.shape)
        self._add(a, b, total)
        return total

    @abstractmethod
    def _relu_forward(self, x: Array, y: Array) -> None: ...

    @abstractmethod
    def _relu_input_grad(self, dy: Array, y: Array, dx: Array) -> None: ...

    @abstractmethod
    def _leaky_relu_forward(self, x: Array, slope: float, y: Array) -> None: ...

    @abstractmethod
    def _leaky_relu_input_grad(self, dy: Array, x: Array, slope: float, dx: Array) -> None: ...

    @abstractmethod
    def _sigmoid_forward(self, x: Array, y: Array) -> None: ...

    @abstractmethod
    def _sigmoid_input_grad(self, dy: Array, y: Array, dx: Array) -> None: ...

    @abstractmethod
    def _tanh_forward(self, x: Array, y: Array) -> None: ...

    @abstractmethod
    def _tanh_input_grad(self, dy: Array, y: Array, dx: Array) -> None: ...

    @abstractmethod
    def _add(self, a: Array, b: Array, total: Array) -> None: ...
