import os
import signal

import numpy as np
import pytest

from gpucnn.backends import get_backend
from gpucnn.backends.numpy_backend import NumpyBackend
from gpucnn.config import flatten
from gpucnn.errors import CheckpointError, ConfigError
from gpucnn.training.display import Display
from gpucnn.training.run_folder import RunFolder
from gpucnn.training.signals import Interrupted
from gpucnn.training.trainer import Trainer

STEPS_PER_EPOCH = 4
STEPS = 3 * STEPS_PER_EPOCH
"""100 images in batches of 28: three whole ones and one of 16."""

pytestmark = pytest.mark.usefixtures("tiny_data")


def before_step(trainer, number, action):
    """Does something when the step of that number (from 1) is about to be taken."""
    take = trainer.train_step

    def wrapped(batch):
        if trainer.progress.step == number - 1:
            action()
        take(batch)

    trainer.train_step = wrapped


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, tiny_pair, make_config, outcome):
    """The run that all stopped ones are compared with."""
    path = tmp_path_factory.mktemp("whole") / "run"
    Trainer(make_config(), "numpy", path, data=tiny_pair).fit()
    return outcome(path)


def test_the_loss_falls(uninterrupted):
    epochs = [row for row in uninterrupted["metrics"] if "epoch" in row]
    assert [row["epoch"] for row in epochs] == [1, 2, 3]
    assert epochs[-1]["train_loss"] < epochs[0]["train_loss"]


def test_it_learns(make_trainer):
    overrides = ("training.epochs=20", "training.batch_size=10", "augment.flip=false")
    result = make_trainer(*overrides).fit()
    assert result.n == 40
    assert result.accuracy > 0.7


def test_the_same_seed_gives_the_same_bits(make_trainer, tmp_path, outcome, uninterrupted):
    make_trainer(run_dir=tmp_path / "run").fit()
    assert outcome(tmp_path / "run") == uninterrupted


def test_another_seed_gives_others(make_trainer, tmp_path, outcome, uninterrupted):
    make_trainer("seed=8", run_dir=tmp_path / "run").fit()
    assert outcome(tmp_path / "run")["last"] != uninterrupted["last"]


def test_a_folder_changes_no_numbers(make_trainer, tmp_path):
    with_folder, without = make_trainer(run_dir=tmp_path / "run"), make_trainer()
    for trainer in (with_folder, without):
        trainer.config.data.validation = 0.0  # else the first ends with its best checkpoint
        trainer.validation = None
        trainer.fit()
    np.testing.assert_array_equal(with_folder.network.values, without.network.values)


def test_steps_and_the_last_smaller_batch(make_trainer):
    trainer = make_trainer()
    assert (trainer.steps_per_epoch, trainer.total_steps) == (STEPS_PER_EPOCH, STEPS)
    sizes = [batch.labels.size for batch in trainer.loader.batches(0)]
    assert sizes == [28, 28, 28, 16]
    trainer.fit()
    assert trainer.progress.step == STEPS


@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_stopped_by_a_signal_and_resumed(step, make_trainer, tmp_path, outcome, uninterrupted):
    trainer = make_trainer(run_dir=tmp_path / "run")
    before_step(trainer, step, lambda: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(Interrupted) as stopped:
        trainer.fit()
    assert stopped.value.status == 143
    resumed = Trainer.resume(tmp_path / "run", "numpy")
    assert resumed.progress.step == step
    resumed.fit()
    assert outcome(tmp_path / "run") == uninterrupted


@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_died_and_resumed(step, make_trainer, tmp_path, outcome, uninterrupted):
    """No checkpoint is saved on the way down: the last one before is what counts."""

    def die():
        raise RuntimeError("died")

    trainer = make_trainer(run_dir=tmp_path / "run")
    before_step(trainer, step, die)
    with pytest.raises(RuntimeError, match="died"):
        trainer.fit()
    Trainer.resume(tmp_path / "run", "numpy").fit()
    assert outcome(tmp_path / "run") == uninterrupted


def test_stopped_again_and_again(make_trainer, tmp_path, outcome, uninterrupted):
    trainer = make_trainer(run_dir=tmp_path / "run")
    for step in range(1, STEPS + 1):
        before_step(trainer, step, lambda: signal.raise_signal(signal.SIGINT))
        with pytest.raises(Interrupted) as stopped:
            trainer.fit()
        assert stopped.value.status == 130
        trainer = Trainer.resume(tmp_path / "run", "numpy")
    trainer.fit()
    assert outcome(tmp_path / "run") == uninterrupted


def test_stopped_in_an_evaluation(make_trainer, tmp_path, outcome, uninterrupted):
    """The epoch's steps are taken; its evaluation begins anew."""
    trainer = make_trainer(run_dir=tmp_path / "run")
    batches, seen = trainer._data.evaluation_batches, []

    def stopping(dataset):
        for batch in batches(dataset):
            seen.append(batch.index)
            if len(seen) == 1:
                signal.raise_signal(signal.SIGINT)
            yield batch

    trainer._data.evaluation_batches = stopping
    with pytest.raises(Interrupted):
        trainer.fit()
    resumed = Trainer.resume(tmp_path / "run", "numpy")
    assert (resumed.progress.step, resumed.progress.epoch) == (STEPS_PER_EPOCH, 0)
    resumed.fit()
    assert outcome(tmp_path / "run") == uninterrupted


def test_a_finished_run_is_resumed_to_the_same_end(make_trainer, tmp_path, outcome, uninterrupted):
    make_trainer(run_dir=tmp_path / "run").fit()
    (tmp_path / "run" / "report.json").unlink()
    Trainer.resume(tmp_path / "run", "numpy").fit()
    assert outcome(tmp_path / "run") == uninterrupted


def test_resumed_from_an_older_checkpoint(make_trainer, tmp_path, outcome, uninterrupted):
    make_trainer(run_dir=tmp_path / "run").fit()
    newest = tmp_path / "run" / "checkpoints" / f"step-{STEPS:08d}.safetensors"
    newest.write_bytes(newest.read_bytes()[:-1])
    Trainer.resume(tmp_path / "run", "numpy").fit()
    assert outcome(tmp_path / "run") == uninterrupted


def test_unfinished_files_are_removed_on_resume(make_trainer, tmp_path):
    make_trainer(run_dir=tmp_path / "run").fit()
    for folder in (tmp_path / "run", tmp_path / "run" / "checkpoints"):
        (folder / "file.unfinished").write_bytes(b"half")
    Trainer.resume(tmp_path / "run", "numpy")
    assert not list(tmp_path.rglob("*.unfinished"))


def test_metrics_are_durable_before_a_checkpoint_tells_their_length(
    make_trainer, tmp_path, monkeypatch
):
    trainer = make_trainer(run_dir=tmp_path / "run")
    metrics, durable, saved = tmp_path / "run" / "metrics.jsonl", {}, []
    fsync, save = os.fsync, trainer.run.checkpoints.save

    def noted_fsync(descriptor):
        fsync(descriptor)
        status = os.fstat(descriptor)
        durable[status.st_ino] = status.st_size

    def noted_save(checkpoint):
        length = checkpoint.progress.metrics_bytes
        saved.append((length, durable.get(metrics.stat().st_ino) if length else length))
        save(checkpoint)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    trainer.run.checkpoints.save = noted_save
    trainer.fit()
    assert len({length for length, _ in saved}) == 4  # none, and a line more each epoch
    assert all(length == on_disk for length, on_disk in saved)


def test_every_zero_steps_or_seconds_is_never(make_trainer, tmp_path):
    overrides = ("checkpoint.every_steps=0", "checkpoint.every_seconds=0")
    trainer, saved = make_trainer(*overrides, run_dir=tmp_path / "run"), []
    trainer.run.checkpoints.save = lambda c: saved.append(c.progress.step)
    trainer._finish = lambda: None  # there is no best checkpoint to evaluate
    trainer.fit()
    assert saved == [0, *range(STEPS_PER_EPOCH, STEPS + 1, STEPS_PER_EPOCH)]


def test_every_seconds_saves_too(make_trainer, tmp_path):
    trainer = make_trainer(
        "checkpoint.every_steps=1000", "checkpoint.every_seconds=1e-9", run_dir=tmp_path / "run"
    )
    saved = []
    save = trainer.run.checkpoints.save
    trainer.run.checkpoints.save = lambda c: (saved.append(c.progress.step), save(c))
    trainer.fit()
    assert sorted(set(saved)) == list(range(STEPS + 1))


def test_the_best_checkpoint_is_the_one_with_the_best_validation(make_trainer, tmp_path):
    overrides = ("training.epochs=8", "optimizer.learning_rate=0.05", "schedule.name=constant")
    trainer = make_trainer(*overrides, run_dir=tmp_path / "run")
    states = {}
    save = trainer.save

    def keeping():
        states[trainer.progress.step] = trainer.network.values.copy()
        save()

    trainer.save = keeping
    trainer.fit()
    rows = [r for r in map(_json, _lines(tmp_path / "run" / "metrics.jsonl")) if "epoch" in r]
    best = max(rows, key=lambda row: row["validation_accuracy"])  # the first of equal ones
    assert trainer.progress.best_step == best["step"]
    assert trainer.progress.best_accuracy == best["validation_accuracy"]
    np.testing.assert_array_equal(trainer.network.values, states[best["step"]])
    kept = trainer.run.checkpoints.best()
    assert kept.progress.step == best["step"]


def _lines(path):
    return path.read_text().splitlines()


def _json(line):
    import json

    return json.loads(line)


def test_validation_is_held_out_of_training(make_trainer, tiny_pair):
    trainer = make_trainer()
    assert len(trainer.loader.dataset) + len(trainer.validation) == len(tiny_pair.train)
    assert trainer.evaluate("validation").n == len(trainer.validation) == 20
    with pytest.raises(ConfigError, match="this run has test, train"):
        make_trainer("data.validation=0.0").evaluate("validation")


def kept_gradient(trainer):
    """The gradient of the first batch as the optimizer gets it."""
    seen = []
    trainer.optimizer.step = lambda *_: seen.append(trainer.network.gradients.astype(np.float64))
    trainer.train_step(next(trainer.loader.batches(0)))
    return seen[0]


def test_clip_by_norm(make_trainer):
    free = kept_gradient(make_trainer("training.clip_norm=1e9"))
    norm = np.linalg.norm(free)
    clipped = kept_gradient(make_trainer(f"training.clip_norm={norm / 4}"))
    np.testing.assert_allclose(clipped, free / 4, rtol=1e-5, atol=1e-12)
    np.testing.assert_array_equal(
        kept_gradient(make_trainer(f"training.clip_norm={norm * 4}")), free
    )


def test_clip_by_value_then_by_norm(make_trainer):
    free = kept_gradient(make_trainer("training.clip_norm=1e9"))
    bound = np.float32(np.abs(free).max() / 3)
    by_value = np.clip(free, -bound, bound)
    assert not np.array_equal(by_value, free)
    options = (f"training.clip_value={bound}", "training.clip_norm=1e9")
    np.testing.assert_allclose(kept_gradient(make_trainer(*options)), by_value, rtol=1e-6)
    norm = np.linalg.norm(by_value)
    both = (f"training.clip_value={bound}", f"training.clip_norm={norm / 2}")
    np.testing.assert_allclose(
        kept_gradient(make_trainer(*both)), by_value / 2, rtol=1e-5, atol=1e-12
    )


@pytest.mark.parametrize(
    ("by_value", "by_norm", "norms"),
    [(False, False, 1), (True, False, 1), (False, True, 1), (True, True, 2)],
)
def test_the_norm_is_computed_again_only_where_clipping_needs_it(
    by_value, by_norm, norms, make_config, monkeypatch
):
    config, calls, global_norm = make_config(), [], NumpyBackend.global_norm
    config.training.clip_value = 1.0 if by_value else None
    config.training.clip_norm = 1.0 if by_norm else None
    trainer = Trainer(config, "numpy")
    monkeypatch.setattr(
        NumpyBackend, "global_norm", lambda self, g: (calls.append(g), global_norm(self, g))[1]
    )
    trainer.train_step(next(trainer.loader.batches(0)))
    assert len(calls) == norms


def harmless(name):
    return name.startswith(("data.root", "data.workers", "data.memory_limit_mb", "checkpoint."))


@pytest.mark.parametrize("override", ["checkpoint.every_steps=1", "checkpoint.every_seconds=0.5"])
def test_harmless_keys_may_change(override, make_trainer, make_config, tmp_path, outcome,
                                  uninterrupted):  # fmt: skip
    trainer = make_trainer(run_dir=tmp_path / "run")
    before_step(trainer, 6, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(Interrupted):
        trainer.fit()
    Trainer.resume(tmp_path / "run", "numpy", make_config(override)).fit()
    assert outcome(tmp_path / "run") == uninterrupted


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", "8"),
        ("data.validation", "0.3"),
        ("data.normalise", "false"),
        ("augment.flip", "false"),
        ("augment.crop_padding", "2"),
        ("loss.label_smoothing", "0.1"),
        ("optimizer.learning_rate", "0.02"),
        ("optimizer.beta1", "0.8"),
        ("schedule.final", "0.1"),
        ("training.epochs", "4"),
        ("training.batch_size", "20"),
        ("training.clip_norm", "4.0"),
        ("training.clip_value", "1.0"),
        ("training.evaluation_batch_size", "10"),
    ],
)
def test_other_keys_are_refused_by_name(key, value, make_trainer, make_config, tmp_path):
    make_trainer(run_dir=tmp_path / "run").run.unlock()
    changed = make_config(f"{key}={value}")
    assert not harmless(key)
    with pytest.raises(ConfigError, match=rf"^{key} was .* and cannot become .* start a new run"):
        Trainer.resume(tmp_path / "run", "numpy", changed)


def test_the_first_key_by_name_is_refused(make_trainer, make_config, tmp_path):
    make_trainer(run_dir=tmp_path / "run").run.unlock()
    changed = make_config(
        "training.epochs=4",
        "seed=8",
        "optimizer.beta1=0.8",
        "schedule.final=0.1",
        "augment.flip=false",
    )
    with pytest.raises(ConfigError, match=r"^augment\.flip"):
        Trainer.resume(tmp_path / "run", "numpy", changed)


def test_another_model_is_refused(make_trainer, make_config, tmp_path):
    make_trainer(run_dir=tmp_path / "run").run.unlock()
    changed = make_config()
    changed.tables["model"] = {"name": "lenet"}
    with pytest.raises(ConfigError, match=r"^model\."):
        Trainer.resume(tmp_path / "run", "numpy", changed)


def test_the_harmless_keys_are_these(make_config):
    """A key that is added to the config is looked at here: may it change in a run's middle?"""
    assert {key for key in flatten(make_config().tables) if harmless(key)} == {
        "checkpoint.every_steps",
        "checkpoint.every_seconds",
    }


def test_a_checkpoint_of_another_model_is_refused(make_trainer, tmp_path):
    """The config of the run was tampered with: the arrays tell."""
    make_trainer(run_dir=tmp_path / "run").fit()
    state = RunFolder.open(tmp_path / "run").checkpoints.newest().group("network")
    trainer = make_trainer()
    with pytest.raises(CheckpointError, match=r'lacks "0\.conv2d\.bias"'):
        trainer.network.load_state({k: v for k, v in state.items() if k != "0.conv2d.bias"})
    with pytest.raises(CheckpointError, match='has no "extra"'):
        trainer.network.load_state({**state, "extra": np.zeros(1)})
    for wrong in (np.zeros(5, np.float32), np.zeros(4, np.float64)):
        with pytest.raises(CheckpointError, match=r'"0\.conv2d\.bias" is float'):
            trainer.network.load_state({**state, "0.conv2d.bias": wrong})


def test_a_run_in_use_is_refused(make_trainer, tmp_path):
    trainer = make_trainer(run_dir=tmp_path / "run")
    assert trainer.run is not None  # and holds the lock as long as it lives
    with pytest.raises(CheckpointError, match="another process is training there"):
        Trainer.resume(tmp_path / "run", "numpy")


def test_a_backend_object_is_taken_and_lines_are_shown(make_config, tiny_pair, capsys):
    Trainer(make_config(), get_backend("numpy"), data=tiny_pair, display=Display()).fit()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["epoch", "1/3", "2/3", "3/3"]


def test_more_padding_than_the_images_have_is_refused(make_trainer):
    with pytest.raises(ConfigError, match="crop_padding"):
        make_trainer("augment.crop_padding=8")


def test_the_display_reports_a_best_checkpoint_that_is_damaged(make_trainer, tmp_path, capsys):
    """Not on stdout, which may be for JSON."""
    trainer = make_trainer("training.epochs=1", run_dir=tmp_path / "run")
    trainer.fit()
    capsys.readouterr()
    newest = max((tmp_path / "run" / "checkpoints").glob("*.safetensors"))
    newest.write_bytes(b"")
    trainer.run.checkpoints.best()
    assert capsys.readouterr().out == ""
    assert f"skipped a checkpoint: {newest} is damaged" in (tmp_path / "run/log.txt").read_text()
