"""When a run has come to its end: after its last epoch, or as ``training.patience`` says."""

from __future__ import annotations

from gpucnn.config import Config
from gpucnn.errors import ConfigError
from gpucnn.training.checkpoint import Progress
from gpucnn.training.task import Task


def is_complete(config: Config, progress: Progress) -> bool:
    """Whether nothing is left to train."""
    return progress.epoch >= config.epochs or has_stopped_early(config, progress)


def has_stopped_early(config: Config, progress: Progress) -> bool:
    """Whether a run ended before its last epoch, because of ``training.patience``."""
    patience = config.training.patience
    return (
        patience is not None
        and progress.epoch < config.epochs
        and _epochs_waited(config, progress) >= patience
    )


def _epochs_waited(config: Config, progress: Progress) -> int:
    """Epochs without an improvement; those before the last extension do not count."""
    last = config.extensions[-1].epochs if config.extensions else config.epochs
    return min(progress.stale_epochs, progress.epoch - (config.epochs - last))


def early_end(config: Config, progress: Progress, task: Task) -> str:
    """Why a run stopped early, in words, and how it would go on."""
    least = config.training.min_delta
    more = f" by more than {least:g}" if least else ""
    return (
        f"stopped early after epoch {progress.epoch} of {config.epochs}: the validation "
        f"{task.judged_by} has not improved{more} for {progress.stale_epochs} epochs "
        f"(training.patience); the best was {task.score_text(progress.best_accuracy)}, at step "
        f"{progress.best_step}"
    )


def check_finished(config: Config, progress: Progress) -> None:
    """Checks that a run has taken all its epochs, before it is extended.

    Raises:
        ConfigError: something is left of them.
    """
    if progress.epoch >= config.epochs:
        return
    done = f"{progress.epoch} of its {config.epochs} epochs (step {progress.step:,})"
    if has_stopped_early(config, progress):
        raise ConfigError(
            f"the run stopped early, after {done}, so it has epochs left and needs none added; "
            f"let it go on without --extend, with a training.patience above {progress.stale_epochs}"
        )
    raise ConfigError(
        f"the run has finished {done}, so none can be added yet; resume it first, without --extend"
    )
