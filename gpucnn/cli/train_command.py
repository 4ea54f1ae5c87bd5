"""``gpucnn train``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gpucnn.cli.kernels_folder import check_training, kernels_option, use_kernels
from gpucnn.cli.output import (
    PLUGINS,
    Integer,
    UserPath,
    backend_option,
    json_option,
    plugins_option,
    print_json,
    set_option,
)
from gpucnn.text import shown

if TYPE_CHECKING:
    from gpucnn.backends.base import Backend
    from gpucnn.config import Config
    from gpucnn.training.display import Display
    from gpucnn.training.task import Evaluation
    from gpucnn.training.trainer import Trainer


@click.command()
@click.argument("config", required=False, type=UserPath())
@set_option
@click.option(
    "--data",
    type=UserPath(),
    metavar="PATH",
    help="Train on this folder or file, with the config that gpucnn new writes for it.",
)
@click.option("--resume", type=UserPath(), metavar="RUN", help="Continue a stopped run.")
@click.option(
    "--init-from",
    type=UserPath(),
    metavar="RUN|FILE",
    help="Start from the weights of a run, of a checkpoint in one, or of a safetensors file, also "
    "of torchvision's and timm's ResNets. What does not fit starts anew, as does the head if the "
    "classes differ.",
)
@click.option(
    "--step",
    type=Integer(min=0),
    metavar="N",
    help="With --resume: continue from the checkpoint of step N; later checkpoints are deleted.",
)
@click.option(
    "--extend",
    type=Integer(min=1),
    metavar="EPOCHS",
    help="With --resume: add this many epochs to a finished run. --set schedule.name=... "
    "gives them a schedule of their own.",
)
@click.option(
    "--run-dir",
    type=UserPath(),
    metavar="DIR",
    help="The new run's folder. Default: runs/NAME-1, or the next free number.",
)
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
@kernels_option(
    "A folder of your own kernels: a file in it replaces our file of the same name. The run "
    "does not keep them."
)
@plugins_option
@json_option
@backend_option
def command(
    config: Path | None,
    overrides: tuple[str, ...],
    data: Path | None,
    resume: Path | None,
    init_from: Path | None,
    step: int | None,
    extend: int | None,
    run_dir: Path | None,
    quiet: bool,
    folder: Path | None,
    as_json: bool,
    backend: str | None,
) -> int:
    """Train the model of CONFIG and evaluate it on the test split.

    Everything that is needed to repeat, resume or use the run is kept in its folder.

    \b
    Example:
      gpucnn train configs/digits.toml
      gpucnn train --data photos
      gpucnn train configs/mnist.toml --set data.root=FOLDER --set training.epochs=1
      gpucnn train configs/digits.toml --init-from runs/mnist-1 --set 'finetune.freeze=["0.*"]'
      gpucnn train --resume runs/mnist-1
      gpucnn train --resume runs/mnist-1 --extend 10
    """
    from gpucnn.config import load_config
    from gpucnn.training.display import Display
    from gpucnn.training.signals import StopOnSignal

    if data is not None and (config, resume) != (None, None):
        raise click.UsageError("--data makes a config: leave out CONFIG and --resume.")
    if resume is None and (step, extend) != (None, None):
        raise click.UsageError("--step and --extend are for a run that exists: give --resume RUN.")
    if extend is not None and (step is not None or config is not None):
        raise click.UsageError(
            "--extend adds epochs to the end of a run, by the run's own config: leave out "
            + ("--step." if step is not None else "CONFIG.")
        )
    if resume is not None and init_from is not None:
        raise click.UsageError("--init-from is for a new run; --resume has its own weights.")
    plugins = click.get_current_context().meta[PLUGINS]
    if resume is None and plugins is not None:
        raise click.UsageError("--plugins is for a run that exists; a CONFIG names its own.")
    if resume is not None and run_dir is not None:
        raise click.UsageError("--run-dir is for a new run; --resume continues in its own.")
    display = Display(quiet or as_json)
    with StopOnSignal():
        if extend is not None and resume is not None:
            trainer = _extended(resume, extend, overrides, backend, folder, display)
        elif resume is not None:
            trainer = _resumed(resume, config, overrides, step, backend, folder, display)
        elif data is not None:
            trainer = _begun_on(data, overrides, init_from, run_dir, backend, folder, display)
        elif config is not None:
            loaded = load_config(config, overrides)
            trainer = _begun(loaded, config.stem, init_from, run_dir, backend, folder, display)
        else:
            raise click.UsageError("Give a CONFIG, --data PATH, or --resume RUN.")
        for option, given in (("--kernels", folder), ("--plugins", plugins)):
            if given is not None:
                trainer.recorder.resume_options += f" {option} {shlex.quote(shown(given))}"
        result = trainer.fit()
        assert trainer.run is not None
        if as_json:
            print_json({"run": str(trainer.run.path), **result.as_json(trainer.task.names)})
        else:
            _show_result(trainer, result, display)
    return 0


def _begun_on(
    data: Path,
    overrides: tuple[str, ...],
    init_from: Path | None,
    run_dir: Path | None,
    backend: str | None,
    folder: Path | None,
    display: Display,
) -> Trainer:
    """A run with a first config, which is kept in its folder."""
    from gpucnn.cli.new_command import config_for, name_of
    from gpucnn.config import Config, apply_overrides
    from gpucnn.config_file import parse_toml

    made = config_for(data, "config.toml", backend)
    for line in (*made.found, *made.chosen):
        display.line(line)
    config = Config(apply_overrides(parse_toml(made.text), overrides))
    trainer = _begun(config, name_of(data), init_from, run_dir, backend, folder, display)
    assert trainer.run is not None
    trainer.run.write_first_config(made.text, overrides)
    file = shown(trainer.run.path / "config.toml")
    display.line(f"to change the config: cp {shlex.quote(file)} NAME.toml, gpucnn train NAME.toml")
    return trainer


def _begun(
    config: Config,
    name: str,
    init_from: Path | None,
    run_dir: Path | None,
    backend: str | None,
    folder: Path | None,
    display: Display,
) -> Trainer:
    from gpucnn.training.run_folder import RunFolder
    from gpucnn.training.trainer import Trainer

    if init_from is not None:
        config = config.starting_from(init_from)
    if run_dir is not None:
        RunFolder(run_dir).refuse_if_taken()  # before the data is read, which may take long
    trainer = Trainer(config, _with_kernels(backend, folder, display), display=display)
    if folder is not None:
        shape = trainer.loader.dataset.image_shape
        check_training(trainer.backend, folder, config, shape, trainer.task)
    if run_dir is not None:
        trainer.create_run(run_dir)
    else:
        trainer.create_numbered_run(Path("runs"), name)
    assert trainer.run is not None
    test = len(trainer.test)
    held_out = f", {len(trainer.validation)} for validation" if trainer.validation else ""
    display.line(
        f"{config.tables['model']['name']} with {trainer.network.parameter_count():,} parameters "
        f"on the {trainer.backend.name} backend"
    )
    display.line(
        f"{len(trainer.loader.dataset):,} images for training{held_out}, {test:,} for testing"
    )
    if trainer.initial_weights is not None:
        display.line(trainer.initial_weights.line)
    display.line(f"run folder {shown(trainer.run.path)}")
    warmup, epochs = trainer.schedule.warmup_epochs, config.training.epochs
    if warmup >= epochs:
        display.line(
            f"all of it is warm-up: schedule.warmup_epochs = {warmup:g}, training.epochs = {epochs}"
        )
    return trainer


def _with_kernels(
    backend: str | None, folder: Path | None, display: Display
) -> Backend | str | None:
    """The backend that has the user's kernels; its name where there are none."""
    from gpucnn.backends import get_backend

    if folder is None:
        return backend
    ours = get_backend(backend, quiet=display.quiet)
    use_kernels(ours, folder)
    return ours


def _resumed(
    run: Path,
    path: Path | None,
    overrides: tuple[str, ...],
    step: int | None,
    backend: str | None,
    folder: Path | None,
    display: Display,
) -> Trainer:
    from gpucnn.config import load_config
    from gpucnn.training.ending import early_end, has_stopped_early, is_complete
    from gpucnn.training.run_folder import RunFolder
    from gpucnn.training.trainer import Trainer

    opened = RunFolder.open(run)
    if path is None:
        config = opened.config(overrides)
    else:
        config = load_config(path, overrides).with_extensions_of(opened.config())
    trainer = Trainer.resume(run, _with_kernels(backend, folder, display), config, display, step)
    if is_complete(config, trainer.progress):
        early = has_stopped_early(config, trainer.progress)
        why = f" ({early_end(config, trainer.progress, trainer.task)})" if early else ""
        display.line(f"{shown(run)} was complete{why}: its best checkpoint is evaluated once more")
        return trainer
    _show_place(trainer, run, display)
    return trainer


def _extended(
    run: Path,
    epochs: int,
    overrides: tuple[str, ...],
    backend: str | None,
    folder: Path | None,
    display: Display,
) -> Trainer:
    """A finished run with more epochs; overrides of the schedule are for these alone."""
    from gpucnn.training.run_folder import RunFolder
    from gpucnn.training.trainer import Trainer

    ours = [
        text for text in overrides if text.partition("=")[0].split(".")[0].strip() == "schedule"
    ]
    config = RunFolder.open(run).config(text for text in overrides if text not in ours)
    schedule = config.next_schedule(ours) if ours else None
    config.extended(epochs, schedule)  # what is wrong with it is reported before data is read
    trainer = Trainer.resume(run, _with_kernels(backend, folder, display), config, display)
    trainer.extend(epochs, schedule)
    _show_place(trainer, run, display)
    return trainer


def _show_place(trainer: Trainer, run: Path, display: Display) -> None:
    progress = trainer.progress
    display.line(
        f"resumed {shown(run)} at step {progress.step} of {trainer.total_steps} "
        f"(epoch {progress.epoch + 1}, batch {progress.batch} of {trainer.steps_per_epoch})"
    )


def _show_result(trainer: Trainer, result: Evaluation, display: Display) -> None:
    from gpucnn.cli.result_tables import result_table

    display.line()
    display.line(result_table(result, trainer.task.names))
    display.line()
    display.line(f"test {result.text}")
    assert trainer.run is not None
    display.line(f"everything is in {shown(trainer.run.path)}")
