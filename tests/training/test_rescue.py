"""Whatever ends the training loop early, the last complete step is saved, and a resumed run ends
with the bits of one that was never stopped."""

import errno
import signal

import numpy as np
import pytest

from gpucnn.errors import CheckpointError, DataError, GpucnnError, NonFiniteError
from gpucnn.training.signals import Interrupted
from gpucnn.training.trainer import Trainer

STEPS = 12
"""Three epochs of four steps: see ``conftest``."""

pytestmark = pytest.mark.usefixtures("tiny_data")


@pytest.fixture(autouse=True)
def frequent_rows(monkeypatch):
    """A row of metrics every other step, so that there are some to lose or to write twice.

    And no waiting for the disk: nothing here pulls the plug.
    """
    monkeypatch.setattr("gpucnn.training.recorder._ROW_STEPS", 2)
    monkeypatch.setattr("os.fsync", lambda _: None)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, tiny_pair, make_config, outcome):
    path = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gpucnn.training.recorder._ROW_STEPS", 2)
        Trainer(make_config(), "numpy", path, data=tiny_pair).fit()
    rows = outcome(path)["metrics"]
    assert [row["step"] for row in rows] == [2, 4, 4, 6, 8, 8, 10, 12, 12]
    return outcome(path)


def failing(function, is_due, error, late=False):
    """The function, which raises once, when it is due; before or after what it does."""

    def run(*arguments, **options):
        due = not run.has_failed and is_due()
        if not due:
            return function(*arguments, **options)
        if late:
            function(*arguments, **options)
        run.has_failed = True
        raise error

    run.has_failed = False
    return run


def patch(place, trainer, is_due, error, monkeypatch):
    """Has the error raised at a place of the loop."""
    late = place.endswith("afterwards")
    owner, name = {
        "loader": (trainer.loader, "_load"),
        "input": (trainer.pipeline, "inputs"),
        "forward": (trainer.network.body.steps[-1], "forward"),
        "forward, afterwards": (trainer.network.body.steps[0], "forward"),
        "backward": (trainer.network.body.steps[0], "backward"),
        "clipping": (trainer.backend, "clip_by_global_norm"),
        "metrics": (trainer.backend, "accumulate_metrics"),
        "metrics, afterwards": (trainer.backend, "accumulate_metrics"),
        "optimizer": (trainer.optimizer, "step"),
        "row": (trainer.run, "append_metrics"),
        "row, afterwards": (trainer.run, "append_metrics"),
        "log": (trainer.run, "append_log"),
        "evaluation": (trainer._data, "evaluation_batches"),
        "display": (trainer.display, "advance"),
        "line": (trainer.display, "line"),
        "line, afterwards": (trainer.display, "line"),
        "save": (trainer.run.checkpoints, "save"),
        "save, afterwards": (trainer.run.checkpoints, "save"),
        "sync": (trainer.run, "sync_metrics"),
    }[place]
    monkeypatch.setattr(owner, name, failing(getattr(owner, name), is_due, error, late))


def often(*steps):
    """These, and all the others where there is time."""
    others = [step for step in range(STEPS + 1) if step not in steps]
    return [*steps, *(pytest.param(step, marks=pytest.mark.slow) for step in others)]


IN_STEPS = (
    "loader", "input", "forward", "forward, afterwards", "backward", "clipping", "metrics",
    "metrics, afterwards", "optimizer", "display",
)  # fmt: skip
AT_ENDS = ("row", "row, afterwards", "log", "evaluation", "line", "line, afterwards")
AT_SAVES = ("save", "save, afterwards", "sync")
ERRORS = (
    DataError("a picture is damaged"),
    OSError(errno.EIO, "Input/output error"),
    MemoryError(),
    RuntimeError("anything"),
    KeyboardInterrupt(),
)


def check(place, steps, trainer, run_dir, error, monkeypatch, outcome, uninterrupted):
    """Fails when the number of steps taken is one of these; then resumes."""
    patch(place, trainer, lambda: trainer.progress.step in steps, error, monkeypatch)
    with pytest.raises(type(error)) as raised:
        trainer.fit()
    assert raised.value is error
    (note,) = error.__notes__
    assert note == f"a checkpoint was saved. Go on with: gpucnn train --resume {run_dir}"
    del error.__notes__
    resumed = Trainer.resume(run_dir, "numpy")
    assert resumed.progress.step == trainer.progress.step
    assert resumed.progress.step in steps
    resumed.fit()
    assert outcome(run_dir) == uninterrupted


@pytest.mark.parametrize("place", IN_STEPS)
@pytest.mark.parametrize("step", often(0, 3, 6)[:STEPS])
def test_an_error_in_a_step(place, step, make_trainer, tmp_path, monkeypatch, outcome,
                            uninterrupted):  # fmt: skip
    error = ERRORS[(IN_STEPS.index(place) + step) % len(ERRORS)]
    trainer = make_trainer(run_dir=tmp_path / "run")
    taken = step + 1 if place == "display" else step  # it shows a step that was taken
    check(place, [taken], trainer, tmp_path / "run", error, monkeypatch, outcome, uninterrupted)


@pytest.mark.parametrize("place", AT_ENDS)
@pytest.mark.parametrize("step", [4, pytest.param(8, marks=pytest.mark.slow), 12])
def test_an_error_at_the_end_of_an_epoch(place, step, make_trainer, tmp_path, monkeypatch, outcome,
                                         uninterrupted):  # fmt: skip
    error = ERRORS[(AT_ENDS.index(place) + step) % len(ERRORS)]
    trainer = make_trainer(run_dir=tmp_path / "run")
    check(place, [step], trainer, tmp_path / "run", error, monkeypatch, outcome, uninterrupted)


@pytest.mark.parametrize("place", AT_SAVES)
@pytest.mark.parametrize("step", [0, 3, 4, 12])
def test_an_error_while_saving(place, step, make_trainer, tmp_path, monkeypatch, outcome,
                               uninterrupted):  # fmt: skip
    error = ERRORS[(AT_SAVES.index(place) + step) % len(ERRORS)]
    trainer = make_trainer(run_dir=tmp_path / "run")
    check(place, [step], trainer, tmp_path / "run", error, monkeypatch, outcome, uninterrupted)


def test_an_error_in_every_step_in_turn(make_trainer, tmp_path, monkeypatch, outcome,
                                        uninterrupted):  # fmt: skip
    """Each at another place, after which the run is resumed: nothing adds up."""
    trainer = make_trainer(run_dir=tmp_path / "run")
    for step in range(STEPS):
        place = IN_STEPS[:-1][step % (len(IN_STEPS) - 1)]
        with monkeypatch.context() as one:
            patch(place, trainer, lambda: trainer.progress.step == step, MemoryError(), one)  # noqa: B023
            with pytest.raises(MemoryError):
                trainer.fit()
        trainer = Trainer.resume(tmp_path / "run", "numpy")
        assert trainer.progress.step == step
    trainer.fit()
    assert outcome(tmp_path / "run") == uninterrupted


def test_the_step_of_an_error_changes_nothing(make_trainer, monkeypatch):
    """Neither running statistics nor totals nor weights, also without a run folder."""
    trainer = make_trainer()
    batches = trainer.loader.batches(0)
    trainer.train_step(next(batches))
    before = [*trainer.network.state().values(), trainer._totals.copy()]
    monkeypatch.setattr(
        trainer.backend,
        "accumulate_metrics",
        failing(trainer.backend.accumulate_metrics, lambda: True, MemoryError(), late=True),
    )
    with pytest.raises(MemoryError):
        trainer.train_step(next(batches))
    for old, new in zip(before, [*trainer.network.state().values(), trainer._totals], strict=True):
        np.testing.assert_array_equal(old, new)


def test_weights_that_changed_in_part_are_not_saved(make_trainer, tmp_path, monkeypatch, outcome,
                                                    uninterrupted):  # fmt: skip
    """The second of the optimizer's two launches fails: there is no copy to undo the first."""
    trainer = make_trainer(run_dir=tmp_path / "run")
    launches, adamw = [], trainer.backend.adamw_step

    def step(*arguments):
        launches.append(None)
        if len(launches) == 10:  # in the fifth step
            raise MemoryError
        adamw(*arguments)

    monkeypatch.setattr(trainer.backend, "adamw_step", step)
    with pytest.raises(MemoryError) as raised:
        trainer.fit()
    (note,) = raised.value.__notes__
    assert note.startswith(
        "the last step could not be saved: the step that failed cannot be undone"
    )
    resumed = Trainer.resume(tmp_path / "run", "numpy")
    assert resumed.progress.step == 4
    resumed.fit()
    assert outcome(tmp_path / "run") == uninterrupted


@pytest.mark.parametrize("place", ["loader", "forward", "evaluation", "save", "row"])
def test_a_stop_goes_before_the_errors_that_it_causes(place, make_trainer, tmp_path, monkeypatch,
                                                      outcome, uninterrupted):  # fmt: skip
    trainer = make_trainer(run_dir=tmp_path / "run")

    def is_due():
        due = trainer.progress.step == 4
        if due:
            signal.raise_signal(signal.SIGTERM)
        return due

    patch(place, trainer, is_due, DataError("the workers are gone"), monkeypatch)
    with pytest.raises(Interrupted, match="stopped by SIGTERM") as raised:
        trainer.fit()
    assert raised.value.status == 143
    assert raised.value.__notes__[0].startswith("a checkpoint was saved. ")
    resumed = Trainer.resume(tmp_path / "run", "numpy")
    assert resumed.progress.step == 4
    resumed.fit()
    assert outcome(tmp_path / "run") == uninterrupted


def test_a_save_that_fails_too_does_not_hide_the_error(make_trainer, tmp_path, monkeypatch):
    trainer = make_trainer(run_dir=tmp_path / "run")
    patch("loader", trainer, lambda: trainer.progress.step == 5, DataError("no image"), monkeypatch)

    save = trainer.run.checkpoints.save

    def full(checkpoint):
        if trainer.progress.step == 5:
            raise CheckpointError("the disk is full")
        save(checkpoint)

    monkeypatch.setattr(trainer.run.checkpoints, "save", full)
    with pytest.raises(DataError, match="no image") as raised:
        trainer.fit()
    assert raised.value.__notes__ == [
        "the last step could not be saved: the disk is full. "
        f"Go on with: gpucnn train --resume {tmp_path / 'run'}"
    ]
    assert Trainer.resume(tmp_path / "run", "numpy").progress.step == 4


def test_a_full_disk_is_reported_once(make_trainer, tmp_path, monkeypatch):
    trainer = make_trainer(run_dir=tmp_path / "run")

    def full(_):
        raise CheckpointError("the disk is full")

    monkeypatch.setattr(trainer.run.checkpoints, "save", full)
    with pytest.raises(CheckpointError, match="the disk is full") as raised:
        trainer.fit()
    assert raised.value.__notes__[0].startswith("the last step could not be saved. Go on with: ")


def test_a_step_that_is_not_finite_is_undone_and_the_one_before_saved(
    make_trainer, tmp_path, outcome, uninterrupted
):
    trainer = make_trainer(run_dir=tmp_path / "run")
    layer = trainer.network.body.steps[1]
    backward = layer.backward

    def broken(dy):
        dx = backward(dy)
        if trainer.progress.step == 5:
            layer.parameters["scale"].gradient[0] = np.inf
        return dx

    layer.backward = broken
    with pytest.raises(NonFiniteError, match="step 5: the gradient") as raised:
        trainer.fit()
    assert raised.value.__notes__[0].startswith("a checkpoint was saved. A resumed run would end")
    resumed = Trainer.resume(tmp_path / "run", "numpy")
    assert resumed.progress.step == 5
    resumed.fit()  # its network is not broken
    assert outcome(tmp_path / "run") == uninterrupted


@pytest.mark.parametrize("step", [0, 4, 12])
def test_an_error_before_or_after_the_loop_says_how_to_go_on(step, make_trainer, tmp_path,
                                                             monkeypatch):  # fmt: skip
    trainer = make_trainer(run_dir=tmp_path / "run")
    name = "_finish" if step == STEPS else "prepare"
    if step == 4:
        patch("loader", trainer, lambda: trainer.progress.step == 4, GpucnnError(), monkeypatch)
        with pytest.raises(GpucnnError):
            trainer.fit()
        trainer = Trainer.resume(tmp_path / "run", "numpy")
    monkeypatch.setattr(trainer, name, failing(trainer.prepare, lambda: True, OSError(5, "broken")))
    with pytest.raises(OSError, match="broken") as raised:
        trainer.fit()
    outcome = "a checkpoint was saved" if step else "no step was taken"
    assert raised.value.__notes__[0].startswith(f"{outcome}. Go on with: gpucnn train --resume ")
    resumed = Trainer.resume(tmp_path / "run", "numpy")
    assert resumed.progress.step == step


def test_a_folder_that_cannot_be_written_is_known_before_the_first_step(make_trainer, tmp_path,
                                                                        monkeypatch):  # fmt: skip
    trainer = make_trainer(run_dir=tmp_path / "run")
    patch("loader", trainer, lambda: trainer.progress.step == 5, MemoryError(), monkeypatch)
    with pytest.raises(MemoryError):
        trainer.fit()
    resumed = Trainer.resume(tmp_path / "run", "numpy")

    def read_only(_):
        raise CheckpointError("read-only")

    monkeypatch.setattr(resumed.run.checkpoints, "save", read_only)
    monkeypatch.setattr(resumed, "train_step", None)
    with pytest.raises(CheckpointError, match="read-only"):
        resumed.fit()


def test_without_a_run_folder_nothing_is_added(make_trainer, monkeypatch):
    trainer = make_trainer()
    patch_error = DataError("no image")
    monkeypatch.setattr(
        trainer.loader, "_load", failing(trainer.loader._load, lambda: True, patch_error)
    )
    with pytest.raises(DataError) as raised:
        trainer.fit()
    assert not hasattr(raised.value, "__notes__")
