"""Opening a checkpoint of a run, with the config and the model card that belong to it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gpucnn.config import Config
from gpucnn.errors import CheckpointError, ConfigError
from gpucnn.text import shown
from gpucnn.training.checkpoint import Checkpoint, is_checkpoint_name
from gpucnn.training.model_card import ModelCard
from gpucnn.training.run_folder import RunFolder


@dataclass(frozen=True)
class OpenedCheckpoint:
    """A verified checkpoint with the config and the model card of its run.

    Attributes:
        raw: whether the weights are used even if there are averages of them.
    """

    checkpoint: Checkpoint
    config: Config
    card: ModelCard
    raw: bool = False


def open_checkpoint(
    path: str | Path, overrides: Iterable[str] = (), step: int | None = None, raw: bool = False
) -> OpenedCheckpoint:
    """Opens a run folder's best checkpoint, or a checkpoint file within a run folder.

    Args:
        path: the folder, or a ``.safetensors`` or ``.json`` file in its ``checkpoints``.
        overrides: changes to the run's config, ``key=value``.
        step: of a folder, the step of the checkpoint to open; None for the best.
        raw: whether to use the weights of a run that keeps averages of them.

    Raises:
        CheckpointError: neither of them, damaged, or there is no checkpoint of that step.
        ConfigError: an override cannot be, a step is given with a file, or ``raw`` for a run
            without averages.
    """
    path = Path(path)
    if path.is_file():
        if step is not None:
            raise ConfigError(f"{shown(path)} is one checkpoint; a step is for a run folder")
        if path.suffix != ".safetensors" and not is_checkpoint_name(path.name):
            raise CheckpointError(
                f"{shown(path)} is neither a checkpoint (.safetensors) nor a run folder; give a "
                f"folder that gpucnn train made, or a file of its checkpoints"
            )
        run = RunFolder.open(path.resolve().parent.parent)
    else:
        run = RunFolder.open(path, _to_stderr)
    config, card = run.config(overrides), run.card()
    if path.is_file():
        checkpoint = run.checkpoints.read_file(path.resolve())
    else:
        checkpoint = run.checkpoints.best() if step is None else run.checkpoints.at(step)
    if raw and not checkpoint.group("ema"):
        raise ConfigError(
            f"{shown(path)} has no averages of weights (training.ema_decay), so the weights "
            f"themselves are used in any case; leave out --raw"
        )
    return OpenedCheckpoint(checkpoint, config, card, raw)


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr)
