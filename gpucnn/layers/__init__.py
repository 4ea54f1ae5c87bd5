"""Layers: eager and plain, each with a forward and a backward written out."""

from gpucnn.layers.activation import GELU, LeakyReLU, ReLU, Sigmoid, Tanh
from gpucnn.layers.base import Buffer, Context, Layer, Parameter, decode_layer, layers
from gpucnn.layers.containers import Residual, Sequential
from gpucnn.layers.convolution import Conv2d
from gpucnn.layers.dropout import Dropout
from gpucnn.layers.fusion import (
    BatchNormReLU2d,
    Conv2dReLU,
    LinearReLU,
    ResidualReLU,
    fuse_layers,
    observed,
    unfused,
)
from gpucnn.layers.learning import set_rate_factors
from gpucnn.layers.linear import Flatten, Linear
from gpucnn.layers.network import Network, declare_layers, named_parameters, plain_layers
from gpucnn.layers.normalisation import BatchNorm2d
from gpucnn.layers.pooling import AvgPool2d, GlobalAvgPool2d, MaxPool2d

__all__ = [
    "GELU",
    "AvgPool2d",
    "BatchNorm2d",
    "BatchNormReLU2d",
    "Buffer",
    "Context",
    "Conv2d",
    "Conv2dReLU",
    "Dropout",
    "Flatten",
    "GlobalAvgPool2d",
    "Layer",
    "LeakyReLU",
    "Linear",
    "LinearReLU",
    "MaxPool2d",
    "Network",
    "Parameter",
    "ReLU",
    "Residual",
    "ResidualReLU",
    "Sequential",
    "Sigmoid",
    "Tanh",
    "declare_layers",
    "decode_layer",
    "fuse_layers",
    "layers",
    "named_parameters",
    "observed",
    "plain_layers",
    "set_rate_factors",
    "unfused",
]
