"""A network in PyTorch, for comparisons and tests: same layers, weights, loss and optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpucnn.errors import BackendError, ConfigError, install_advice
from gpucnn.layers import (
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    Layer,
    Linear,
    MaxPool2d,
    Network,
    Residual,
    Sequential,
)
from gpucnn.layers.activation import Activation
from gpucnn.losses import Huber, Loss, MeanSquaredError, SoftmaxCrossEntropy
from gpucnn.operations import OPERATIONS, Problem
from gpucnn.optim import SGD, Adam, AdamW, Optimizer


def import_torch() -> Any:
    """PyTorch; raises BackendError if it is not installed."""
    try:
        import torch
    except ImportError:
        raise BackendError(
            "PyTorch is not installed, so there is nothing to compare with: "
            + install_advice("peers")
        ) from None
    return torch


def to_torch(network: Network) -> Any:
    """A torch.nn.Module with the layers and the weights of a network. It takes NCHW.

    Raises:
        ConfigError: PyTorch has no layer that computes the same, or parameters of the network are
            frozen or have rates of their own.
    """
    if any(parameter.rate_factor != 1.0 for parameter in network.parameters().values()):
        raise ConfigError(
            "finetune: in the comparison PyTorch freezes nothing and has one learning rate; leave "
            "finetune.freeze and finetune.rates out"
        )
    return torch_layer(network.body)


def torch_optimizer(module: Any, optimizer: Optimizer) -> Any:
    """The torch.optim optimizer that takes the same steps, with weight decay on weights only.

    Raises:
        ConfigError: PyTorch has none.
    """
    torch = import_torch()
    decayed = [p for p in module.parameters() if p.ndim > 1 or optimizer.decay_all]
    rest = [p for p in module.parameters() if p.ndim <= 1 and not optimizer.decay_all]
    groups = [
        {"params": decayed, "weight_decay": optimizer.weight_decay},
        {"params": rest, "weight_decay": 0.0},
    ]
    if isinstance(optimizer, SGD):
        return torch.optim.SGD(
            groups, optimizer.learning_rate, optimizer.momentum, nesterov=optimizer.nesterov
        )
    if isinstance(optimizer, Adam):
        kind = torch.optim.AdamW if isinstance(optimizer, AdamW) else torch.optim.Adam
        betas = (optimizer.beta1, optimizer.beta2)
        return kind(groups, optimizer.learning_rate, betas, optimizer.epsilon)
    raise ConfigError(f"PyTorch has no optimizer like {type(optimizer).__name__}")


def torch_loss(loss: Loss) -> Any:
    """The torch.nn loss that computes the same mean; raises ConfigError if there is none."""
    torch = import_torch()
    if isinstance(loss, SoftmaxCrossEntropy):
        if loss.class_weights is not None:
            raise ConfigError(
                "in the comparison all classes have the same weight; leave loss.class_weights out "
                "of the config"
            )
        return torch.nn.CrossEntropyLoss(label_smoothing=loss.label_smoothing)
    if isinstance(loss, Huber):
        return torch.nn.HuberLoss(delta=loss.delta)
    if isinstance(loss, MeanSquaredError):
        return _squared_error
    raise ConfigError(f"there is no comparison for the loss {type(loss).__name__}")


def _squared_error(outputs: Any, target: Any) -> Any:
    """The mean over all outputs; of labels, with unit vectors."""
    functional = import_torch().nn.functional
    if target.dim() == 1:
        target = functional.one_hot(target, outputs.shape[1]).to(outputs.dtype)
    return functional.mse_loss(outputs, target)


def torch_layer(layer: Layer) -> Any:
    """A torch.nn.Module with a layer's options and weights. It takes NCHW.

    Args:
        layer: attached, declared, and with values for its parameters.

    Raises:
        ConfigError: PyTorch has no layer that computes the same.
    """
    operation = OPERATIONS.get(f"{layer.kind}_forward")
    if isinstance(layer, Activation) and operation is not None:
        return _activation(layer, operation)
    if convert := _CONVERTERS.get(type(layer)):
        return convert(layer)
    raise ConfigError(f'PyTorch has no layer like "{layer.name}" ({layer.kind})')


def _conv2d(layer: Conv2d) -> Any:
    nn = import_torch().nn
    (top, bottom), (left, right) = layer.padding
    weight = layer.parameters["weight"]
    channels = weight.shape[3] * layer.groups
    symmetric = top == bottom and left == right
    convolution = nn.Conv2d(
        channels,
        layer.filters,
        layer.kernel,
        layer.stride,
        (top, left) if symmetric else 0,
        layer.dilation,
        layer.groups,
        layer.bias,
    )
    _copy(convolution.weight, _host(layer, "weight").transpose(0, 3, 1, 2))
    if layer.bias:
        _copy(convolution.bias, _host(layer, "bias"))
    if symmetric:
        return convolution
    return nn.Sequential(nn.ZeroPad2d((left, right, top, bottom)), convolution)


def _linear(layer: Linear) -> Any:
    features, inputs = layer.parameters["weight"].shape
    module = import_torch().nn.Linear(inputs, features, layer.bias)
    _copy(module.weight, _host(layer, "weight"))
    if layer.bias:
        _copy(module.bias, _host(layer, "bias"))
    return module


def _batch_norm2d(layer: BatchNorm2d) -> Any:
    channels = layer.parameters["scale"].shape[0]
    module = import_torch().nn.BatchNorm2d(channels, layer.epsilon, layer.momentum)
    _copy(module.weight, _host(layer, "scale"))
    _copy(module.bias, _host(layer, "shift"))
    return module


def _max_pool2d(layer: MaxPool2d) -> Any:
    return import_torch().nn.MaxPool2d(layer.window, layer.stride, layer.padding)


def _avg_pool2d(layer: AvgPool2d) -> Any:
    return import_torch().nn.AvgPool2d(layer.window, layer.stride, layer.padding)


def _global_avg_pool2d(layer: GlobalAvgPool2d) -> Any:  # noqa: ARG001
    nn = import_torch().nn
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())


def _activation(layer: Activation, operation: type[Problem]) -> Any:
    """Calls the equivalent in PyTorch that the layer's operation names."""
    torch = import_torch()
    numbers = {name: getattr(layer, name) for name in operation.numbers}

    class Elementwise(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            return operation.in_torch(torch, x, **numbers)

    return Elementwise()


def _flatten(layer: Flatten) -> Any:
    """Flattens in the order H, W, C, as NHWC does, so that the linear weights fit."""
    torch = import_torch()

    class FlattenChannelsLast(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            return x.permute(0, 2, 3, 1).flatten(1) if x.ndim == 4 else x.flatten(1)

    return FlattenChannelsLast() if len(layer.input_shape) == 3 else torch.nn.Flatten()


def _sequential(layer: Sequential) -> Any:
    return import_torch().nn.Sequential(*(torch_layer(child) for child in layer.layers))


def _residual(layer: Residual) -> Any:
    torch = import_torch()

    class ResidualSum(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.body, self.shortcut = torch_layer(layer.body), torch_layer(layer.shortcut)

        def forward(self, x: Any) -> Any:
            return self.body(x) + self.shortcut(x)

    return ResidualSum()


_CONVERTERS: dict[type[Layer], Callable[[Any], Any]] = {
    Conv2d: _conv2d,
    Linear: _linear,
    BatchNorm2d: _batch_norm2d,
    MaxPool2d: _max_pool2d,
    AvgPool2d: _avg_pool2d,
    GlobalAvgPool2d: _global_avg_pool2d,
    Flatten: _flatten,
    Sequential: _sequential,
    Residual: _residual,
    Dropout: lambda layer: import_torch().nn.Dropout(layer.rate),
}


def _host(layer: Layer, name: str) -> NDArray[Any]:
    return layer.backend.to_numpy(layer.parameters[name].value)


def _copy(target: Any, values: NDArray[Any]) -> None:
    torch = import_torch()
    with torch.no_grad():
        target.copy_(torch.from_numpy(np.ascontiguousarray(values)))
