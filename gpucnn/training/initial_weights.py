"""Starting from weights: of a run, of a checkpoint of one, or of a safetensors file.

Such a file has our names, or those of the ResNets of torchvision and timm. A layer is loaded as a
whole or not at all: if one of its arrays is missing or has another shape, all of it starts anew.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from numpy.typing import NDArray

from gpucnn.config import Config
from gpucnn.data import Normalisation
from gpucnn.errors import CheckpointError, ConfigError, ShapeError, shortened
from gpucnn.layers import (
    Buffer,
    Context,
    Layer,
    Linear,
    Network,
    Parameter,
    Residual,
    Sequential,
    declare_layers,
    named_parameters,
    plain_layers,
)
from gpucnn.models import RESNETS
from gpucnn.text import shown
from gpucnn.training.model_card import ModelCard
from gpucnn.training.run_folder import RunFolder
from gpucnn.training.weight_files import InitialWeights, StoredArray, open_weights

_FROM_OIHW = (0, 2, 3, 1)
"""The axes of PyTorch's filters in the order of ours, KRSC."""
_SHOWN = 4
"""Names in a message."""

_STEM = {"conv1": "0.conv2d", "bn1": "1.batch_norm2d"}
_BLOCK = {
    "conv1": "body.0.conv2d",
    "bn1": "body.1.batch_norm2d",
    "conv2": "body.3.conv2d",
    "bn2": "body.4.batch_norm2d",
    "conv3": "body.6.conv2d",
    "bn3": "body.7.batch_norm2d",
    "downsample.0": "shortcut.0.conv2d",
    "downsample.1": "shortcut.1.batch_norm2d",
}
_HEAD = "fc"
_ARRAYS = {
    "scale": "weight",
    "shift": "bias",
    "running_mean": "running_mean",
    "running_variance": "running_var",
}
"""PyTorch's names of layers, and of the arrays of a batch normalisation, and ours."""
_IGNORED = "num_batches_tracked"


@dataclass(frozen=True)
class LoadedWeights:
    """What was loaded, part of environment.json.

    Attributes:
        path, sha256: as in ``InitialWeights``.
        loaded: the layers that were.
        anew: the layers that start with initial weights of their own.
        unused: the arrays of the file that the model does not have.
    """

    path: str
    sha256: str
    loaded: list[str]
    anew: list[str]
    unused: list[str]

    def as_json(self) -> dict[str, Any]:
        """As a dictionary."""
        return asdict(self)

    @property
    def line(self) -> str:
        """What was loaded, in one line."""
        total = len(self.loaded) + len(self.anew)
        text = f"started from {shown(self.path)}: {len(self.loaded)} of {total} layers loaded"
        if self.anew:
            text += f"; {_listed(self.anew)} anew"
        if self.unused:
            text += f"; the model has no {_listed(self.unused)}"
        return text


class Start:
    """What a run starts from, if its config names weights.

    Args:
        config: of the run.
        continued: the card of the run, if it goes on: then its checkpoint has the weights.

    Attributes:
        normalisation: of the run that the weights are from, or of the run that goes on: weights
            expect inputs like those that they were trained with. None for that of the data.

    Raises:
        CheckpointError: as ``open_weights``.
    """

    def __init__(self, config: Config, continued: ModelCard | None = None) -> None:
        self._config = config
        self._weights: InitialWeights | None = None
        self.normalisation: Normalisation | None = None
        if config.finetune.init_from is None:
            return
        if continued is None:
            self._weights = open_weights(config.finetune.init_from)
        card = continued or (self._weights and self._weights.card)
        if card and config.finetune.keep_normalisation:
            self.normalisation = card.normalisation

    def load_into(self, network: Network, outputs: Sequence[str]) -> LoadedWeights | None:
        """As ``load_weights``; None if there is nothing to load."""
        if self._weights is None:
            return None
        return load_weights(network, self._weights, self._config, outputs)


def check_unchanged(loaded: LoadedWeights | None, run: RunFolder) -> None:
    """Whether the weights are those with which a run began, as far as its folder says.

    Args:
        loaded: what was loaded now; None if the run starts from nothing.
        run: which has no checkpoint yet.

    Raises:
        CheckpointError: they are others now.
    """
    if loaded is None or not os.path.lexists(run.path / "environment.json"):
        return
    recorded = run.read_json("environment.json").get("initial_weights")
    if isinstance(recorded, Mapping) and recorded.get("sha256") != loaded.sha256:
        raise CheckpointError(
            f"{shown(loaded.path)} has changed since the run began, and the run has no checkpoint "
            f"yet; start a new run"
        )


def load_weights(
    network: Network, weights: InitialWeights, config: Config, outputs: Sequence[str]
) -> LoadedWeights:
    """Sets those layers of a network that the weights fit.

    The head, which is what depends on the number of classes, starts anew if that number differs, or
    if the weights are of a run with other classes. The same holds for targets of a regression.

    Args:
        network: as its config describes it, with initial weights.
        weights: to start from.
        config: of the run.
        outputs: the names of the data's classes or targets.

    Raises:
        CheckpointError: nothing fits, or an array that does has a dtype that is not read, or values
            that cannot be.
        ConfigError: a layer that starts anew is frozen.
    """
    arrays, unused = _by_our_names(network, weights, config)
    is_of_others = weights.card is not None and not weights.card.has_outputs(outputs)
    head = _head(network, config) if is_of_others else set()
    own: dict[str, Parameter | Buffer] = {**network.parameters(), **network.buffers()}
    loaded: list[str] = []
    anew: list[str] = []
    for layer in network.plain_layers():
        names = [f"{layer.name}.{name}" for name in (*layer.parameters, *layer.buffers)]
        if not names:
            continue
        fits = all(name in arrays and arrays[name].own_shape == own[name].shape for name in names)
        if not fits or layer.name in head:
            _refuse_frozen(layer)
            anew.append(layer.name)
            continue
        loaded.append(layer.name)
        for name in names:
            try:
                numbers = arrays[name].numbers(network.backend.dtype)
                _check_variance(name, numbers)
            except ValueError as error:
                place = f'{shown(weights.path)}: the array for "{name}"'
                raise CheckpointError(f"{place} {error}") from None
            network.backend.write(own[name].value, numbers)
    if not loaded:
        raise _nothing_fits(own, weights)
    return LoadedWeights(str(weights.path), weights.sha256, loaded, anew, unused)


def _refuse_frozen(layer: Layer) -> None:
    """Raises ConfigError if a layer that starts anew would stay as it starts."""
    if any(not parameter.learns for parameter in layer.parameters.values()):
        raise ConfigError(
            f'finetune.freeze: layer "{layer.name}" is frozen, but the weights have nothing that '
            f"fits it, so it starts anew; leave it out of the patterns"
        )


def _check_variance(name: str, numbers: NDArray[Any]) -> None:
    """Raises ValueError for a running variance that no data have."""
    if name.endswith(".running_variance") and numbers.min(initial=0.0) < 0.0:
        raise ValueError("has negative values, which a variance does not have")


def _by_our_names(
    network: Network, weights: InitialWeights, config: Config
) -> tuple[dict[str, StoredArray], list[str]]:
    """The arrays that the model has too, and the names of the others."""
    own = {**network.parameters(), **network.buffers()}
    is_resnet = config.tables["model"]["name"] in RESNETS
    ours = {name: own_name for own_name, name in pytorch_names(network.body).items()}
    found, unused = {}, []
    for name, array in weights.arrays.items():
        if name in own:
            found[name] = array
        elif is_resnet and name in ours:
            axes = _FROM_OIHW if len(array.shape) == len(_FROM_OIHW) else None
            found[ours[name]] = replace(array, axes=axes)
        elif not name.endswith(_IGNORED):
            unused.append(name)
    return found, unused


def pytorch_names(body: Sequential) -> dict[str, str]:
    """The names that torchvision and timm give the arrays of a ResNet, by ours.

    A stage is a run of blocks whose outputs have the same number of channels.
    """
    layers = {layer.name: layer for layer in plain_layers(body)}
    theirs = {ours: name for name, ours in _STEM.items()}
    stage = block = channels = 0
    for residual in (layer for layer in body.layers if isinstance(layer, Residual)):
        before, channels = channels, residual.output_shape[-1]
        stage, block = (stage, block + 1) if channels == before else (stage + 1, 0)
        for name, ours in _BLOCK.items():
            theirs[f"{residual.name}.{ours}"] = f"layer{stage}.{block}.{name}"
    theirs |= {name: _HEAD for name, layer in layers.items() if isinstance(layer, Linear)}
    return {
        f"{layer.name}.{array}": f"{theirs[layer.name]}.{_ARRAYS.get(array, array)}"
        for layer in layers.values()
        if layer.name in theirs
        for array in (*layer.parameters, *layer.buffers)
    }


def _head(network: Network, config: Config) -> set[str]:
    """The layers that depend on the number of classes; else, the last one that has parameters."""
    context = network.context
    more = Context(context.backend, context.seed, context.classes + 1)
    own = network.parameters()
    try:
        other = named_parameters(declare_layers(config.build_model(), network.input_shape, more))
    except ShapeError:  # a number in the config
        other = {}
    names = [name for name in own if name in other and own[name].shape != other[name].shape]
    return {name.rpartition(".")[0] for name in names or [*own][-1:]}


def _nothing_fits(
    own: Mapping[str, Parameter | Buffer], weights: InitialWeights
) -> CheckpointError:
    theirs = {name: array.shape for name, array in sorted(weights.arrays.items())}
    needed = {name: entry.shape for name, entry in own.items()}
    return CheckpointError(
        f"{shown(weights.path)} has nothing that fits this model. It has {_described(theirs)}; the "
        f"model has {_described(needed)}. Use the model that the weights are of"
    )


def _described(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Names and shapes, for a message."""
    texts = [f"{shortened(name)} {shape}" for name, shape in shapes.items()]
    return _listed(texts) if texts else "no arrays"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    shown_names = ", ".join(shortened(name) for name in names[:_SHOWN])
    return shown_names + (f" and {more} more" if more > 0 else "")
