"""Optimizers: the state they keep for a network, and one step over all its parameters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from typing import Any

from numpy.typing import NDArray

from gpucnn.backends.interface.arrays import Array
from gpucnn.errors import CheckpointError, ConfigError
from gpucnn.fp32 import is_below_one, require_fp32
from gpucnn.layers.learning import Segment
from gpucnn.layers.network import Network
from gpucnn.registry import Registry

optimizers: Registry[Optimizer] = Registry("optimizer")


class Optimizer(ABC):
    """Steps over a network's flat vectors, segment by segment: what learns alike, all at once.

    Attributes:
        learning_rate: the base rate, which a schedule multiplies.
        weight_decay: of weights; biases, scales and shifts have none, unless decay_all.
        decay_all: whether all parameters have weight decay.
        state_names: a vector of state each, as long as the network's gradients.
        is_changing: whether ``step`` has begun to change arrays and has not finished; it stays True
            after an error.

    Raises:
        ConfigError: an option that cannot be; of subclasses too.
    """

    state_names: tuple[str, ...] = ()

    def __init__(self, learning_rate: float, weight_decay: float, decay_all: bool) -> None:
        if learning_rate <= 0.0:
            raise ConfigError(f"learning_rate is {learning_rate}; it must be above 0")
        if weight_decay < 0.0:
            raise ConfigError(f"weight_decay is {weight_decay}; it must not be negative")
        require_fp32(learning_rate=learning_rate, weight_decay=weight_decay)
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.decay_all = decay_all
        self.is_changing = False
        self._state: dict[str, Array] = {}

    def attach(self, network: Network) -> None:
        """Makes the state for this network's parameters, all zero."""
        self.network = network
        self._state = {
            name: network.backend.zeros(network.gradients.shape) for name in self.state_names
        }

    def step(self, number: int, factor: float = 1.0, guard: Array | None = None) -> None:
        """Changes the parameters by their gradients.

        Args:
            number: of the step, from 1.
            factor: what the schedule multiplies the learning rate by.
            guard: holds the step back where it is not 0 (``guard_step``); None for no guard.
        """
        self.is_changing = True
        for part, rate_factor, weight_decay in self._parts():
            self._step(
                self.network.values[part],
                self.network.gradients[part],
                {name: vector[part] for name, vector in self._state.items()},
                number,
                self.learning_rate * factor * rate_factor,
                weight_decay,
                guard,
            )
        self.is_changing = False

    def _parts(self) -> Iterator[tuple[slice, float, float]]:
        """Ranges of the vectors, each with its rate factor and its weight decay."""

        def numbers(segment: Segment) -> tuple[float, float]:
            decays = segment.decay or self.decay_all
            return segment.rate_factor, self.weight_decay if decays else 0.0

        for (rate_factor, weight_decay), alike in groupby(self.network.segments, numbers):
            together = list(alike)
            yield slice(together[0].start, together[-1].stop), rate_factor, weight_decay

    @abstractmethod
    def _step(
        self,
        values: Array,
        gradients: Array,
        state: Mapping[str, Array],
        number: int,
        learning_rate: float,
        weight_decay: float,
        guard: Array | None,
    ) -> None: ...

    def state(self) -> dict[str, NDArray[Any]]:
        """The state's vectors by name, on the host."""
        return {name: self.network.backend.to_numpy(vector) for name, vector in self._state.items()}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Sets the state from what ``state`` returned; CheckpointError if it does not fit."""
        for name in sorted(state.keys() - self._state.keys()):
            raise CheckpointError(
                f'the checkpoint has optimizer state "{name}", which {type(self).__name__} does '
                f"not have; it was made with another optimizer"
            )
        for name, vector in self._state.items():
            saved = state.get(name)
            if saved is None or (saved.shape, saved.dtype) != (vector.shape, vector.dtype):
                raise CheckpointError(
                    f'the checkpoint has no optimizer state "{name}" of {vector.size} values of '
                    f"{vector.dtype}; it was made with another optimizer or model"
                )
            self.network.backend.write(vector, state[name])


@optimizers.register("sgd")
class SGD(Optimizer):
    """Stochastic gradient descent, with momentum.

    Args:
        learning_rate: the base rate.
        momentum: the share of the velocity that is kept, at least 0 and below 1.
        nesterov: whether to look ahead along the velocity.
        weight_decay: added to the gradient, times the weight.
        decay_all: whether biases, scales and shifts decay too.
    """

    def __init__(
        self,
        learning_rate: float,
        momentum: float = 0.9,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        decay_all: bool = False,
    ) -> None:
        super().__init__(learning_rate, weight_decay, decay_all)
        if not (momentum >= 0.0 and is_below_one(momentum)):
            raise ConfigError(f"momentum is {momentum}; it must be at least 0 and below 1")
        if nesterov and momentum == 0.0:
            raise ConfigError("nesterov needs a momentum above 0")
        self.momentum, self.nesterov = momentum, nesterov
        self.state_names = ("velocity",) if momentum else ()

    def _step(
        self,
        values: Array,
        gradients: Array,
        state: Mapping[str, Array],
        number: int,
        learning_rate: float,
        weight_decay: float,
        guard: Array | None,
    ) -> None:
        self.network.backend.sgd_step(
            values,
            gradients,
            state.get("velocity"),
            learning_rate,
            self.momentum,
            self.nesterov,
            weight_decay,
            guard,
        )


@optimizers.register("adam")
class Adam(Optimizer):
    """Adam (Kingma, Ba 2015); weight decay is part of the gradient.

    Args:
        learning_rate: the base rate.
        beta1: the share of the mean of gradients that is kept.
        beta2: the share of the mean of squares that is kept.
        epsilon: added to the root of the mean of squares.
        weight_decay: added to the gradient, times the weight.
        decay_all: whether biases, scales and shifts decay too.
    """

    state_names = ("mean", "square")

    def __init__(
        self,
        learning_rate: float,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
        decay_all: bool = False,
    ) -> None:
        super().__init__(learning_rate, weight_decay, decay_all)
        betas_fit = all(beta >= 0.0 and is_below_one(beta) for beta in (beta1, beta2))
        if not (betas_fit and epsilon > 0.0):
            raise ConfigError(
                f"beta1={beta1}, beta2={beta2}, epsilon={epsilon}: the betas must be at least 0 "
                f"and below 1, epsilon above 0"
            )
        require_fp32(epsilon=epsilon)
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon

    def _step(
        self,
        values: Array,
        gradients: Array,
        state: Mapping[str, Array],
        number: int,
        learning_rate: float,
        weight_decay: float,
        guard: Array | None,
    ) -> None:
        self._operation()(
            values,
            gradients,
            state["mean"],
            state["square"],
            number,
            learning_rate,
            self.beta1,
            self.beta2,
            self.epsilon,
            weight_decay,
            guard,
        )

    def _operation(self) -> Callable[..., None]:
        return self.network.backend.adam_step


@optimizers.register("adamw")
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov, Hutter 2019).

    Args:
        learning_rate: the base rate.
        beta1: the share of the mean of gradients that is kept.
        beta2: the share of the mean of squares that is kept.
        epsilon: added to the root of the mean of squares.
        weight_decay: times the learning rate, the share of each weight taken away in a step.
        decay_all: whether biases, scales and shifts decay too.
    """

    def __init__(
        self,
        learning_rate: float,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.01,
        decay_all: bool = False,
    ) -> None:
        super().__init__(learning_rate, beta1, beta2, epsilon, weight_decay, decay_all)

    def _operation(self) -> Callable[..., None]:
        return self.network.backend.adamw_step
