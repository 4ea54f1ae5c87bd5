"""Epochs added to a finished run: what they learn is what one longer run would have learned."""

import json
import signal

import pytest

from gpucnn.config import Config
from gpucnn.errors import CheckpointError, ConfigError
from gpucnn.training.signals import Interrupted
from gpucnn.training.trainer import Trainer

PER_EPOCH = 4

pytestmark = pytest.mark.usefixtures("tiny_data")

CONSTANT = ("schedule={name='constant', warmup_epochs=1.0}",)
STEP = ("schedule={name='step', every_epochs=1.5, decay=0.5}",)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda _: None)
    monkeypatch.setattr("gpucnn.training.recorder._ROW_STEPS", 2)


@pytest.fixture
def finished(make_trainer, tmp_path):
    """A run of two epochs that has come to its end, and its folder."""

    def run(*overrides):
        path = tmp_path / "extended"
        make_trainer("training.epochs=2", *overrides, run_dir=path).fit()
        return path

    return run


@pytest.fixture
def whole(make_config, tiny_pair, tmp_path, outcome):
    """What a run that begins with such a config ends with."""

    def run(*overrides, **tables):
        path = tmp_path / "whole"
        config = Config({**make_config(*overrides).tables, **tables})
        Trainer(config, "numpy", path, data=tiny_pair).fit()
        return outcome(path)

    return run


def extend(path, epochs, schedule=None):
    trainer = Trainer.resume(path, "numpy")
    trainer.extend(epochs, schedule)
    trainer.fit()
    return trainer


@pytest.mark.parametrize("schedule", [CONSTANT, STEP], ids=["constant", "step"])
def test_two_epochs_and_two_more_are_four(schedule, finished, whole, outcome):
    """Where the schedule goes on by its own rule: the same bits as those of one run."""
    path = finished(*schedule)
    trainer = extend(path, 2)
    assert trainer.progress.step == trainer.total_steps == 4 * PER_EPOCH
    assert outcome(path) == whole("training.epochs=4", *schedule)


@pytest.mark.parametrize("name", ["cosine", "one_cycle"])
@pytest.mark.parametrize("own", [None, {"name": "one_cycle", "peak": 0.5}])
def test_a_config_with_extensions_gives_the_same_from_the_beginning(name, own, finished, whole,
                                                                    outcome):  # fmt: skip
    schedule = f"schedule={{name='{name}'}}"
    path = finished(schedule)
    extend(path, 1, own)
    extend(path, 1)
    extensions = [{"epochs": 1, "schedule": own}, {"epochs": 1}]
    assert outcome(path) == whole("training.epochs=2", schedule, extensions=extensions)


@pytest.mark.parametrize("step", range(2 * PER_EPOCH, 4 * PER_EPOCH))
def test_stopped_within_the_extension_and_resumed(step, finished, whole, outcome):
    path = finished(*CONSTANT)
    trainer = Trainer.resume(path, "numpy")
    trainer.extend(2)
    take = trainer.train_step

    def stopping(batch):
        if trainer.progress.step == step:
            signal.raise_signal(signal.SIGTERM)
        take(batch)

    trainer.train_step = stopping
    with pytest.raises(Interrupted):
        trainer.fit()
    resumed = Trainer.resume(path, "numpy")
    assert resumed.progress.step == step + 1
    resumed.fit()
    assert outcome(path) == whole("training.epochs=4", *CONSTANT)


def test_killed_before_its_first_step(finished, whole, outcome):
    """The run knows of the extension from then on; a plain resume is enough."""
    path = finished(*CONSTANT)
    trainer = Trainer.resume(path, "numpy")
    trainer.extend(2)
    trainer.run.unlock()  # as the end of the process does
    resumed = Trainer.resume(path, "numpy")
    assert (resumed.progress.epoch, resumed.config.epochs) == (2, 4)
    resumed.fit()
    assert outcome(path) == whole("training.epochs=4", *CONSTANT)


def test_the_report_of_the_earlier_end_is_removed(finished):
    """It would be taken for the report of the run as it is."""
    path = finished()
    trainer = Trainer.resume(path, "numpy")
    trainer.extend(1)
    assert (path / "report.json").exists()  # until there is a step to take
    trainer.train_step = lambda _: signal.raise_signal(signal.SIGINT)
    with pytest.raises(Interrupted):
        trainer.fit()
    assert not (path / "report.json").exists()


def test_the_trainer_that_finished_a_run_may_extend_it(make_trainer, tmp_path, whole, outcome):
    """It goes on from its last state, not from the best one, which it has evaluated."""
    options = (*CONSTANT, "optimizer.learning_rate=0.3", "seed=3")
    trainer = make_trainer("training.epochs=2", *options, run_dir=tmp_path / "run")
    seen = []
    for _ in range(2):
        trainer.fit()
        seen.append(trainer.progress.best_step < trainer.progress.step)
        trainer.extend(1)
        with pytest.raises(CheckpointError, match="another process"):
            Trainer.resume(tmp_path / "run", "numpy")
    trainer.fit()
    assert any(seen)
    assert outcome(tmp_path / "run") == whole("training.epochs=4", *options)


def test_without_a_run_folder(make_trainer, whole):
    options = ("data.validation=0", *CONSTANT)
    trainer = make_trainer("training.epochs=2", *options)
    trainer.fit()
    trainer.extend(2)
    report = json.loads(whole("training.epochs=4", *options)["report"])
    assert trainer.fit().as_json(trainer.classes) == report


def test_a_run_that_is_not_finished_is_not_extended(make_trainer, tmp_path):
    trainer = make_trainer(run_dir=tmp_path / "run")
    config = trainer.run.config().tables
    with pytest.raises(ConfigError, match=r"0 of its 3 epochs \(step 0\).*resume it first"):
        trainer.extend(1)
    assert trainer.run.config().tables == config


def test_nor_is_one_that_was_stopped_in_its_last_evaluation(make_trainer, tmp_path):
    trainer = make_trainer("training.epochs=1", run_dir=tmp_path / "run")
    trainer._data.evaluation_batches = lambda _: signal.raise_signal(signal.SIGINT) or iter([None])
    with pytest.raises(Interrupted):
        trainer.fit()
    resumed = Trainer.resume(tmp_path / "run", "numpy")
    assert resumed.progress.step == resumed.total_steps
    with pytest.raises(ConfigError, match="0 of its 1 epochs"):
        resumed.extend(1)


@pytest.mark.parametrize(
    ("epochs", "schedule", "said"),
    [
        (0, None, r"extensions\[0\]\.epochs = 0: it must be 1 or more"),
        (2**40, None, r"the run has 1,099,511,627,778 epochs; a run can have 1,000,000 or fewer"),
        (1, {"name": "cosin"}, 'did you mean "cosine"'),
        (1, {"name": "cosine", "final": 2.0}, "final is 2.0"),
    ],
)
def test_extensions_that_cannot_be(epochs, schedule, said, finished):
    path = finished()
    trainer = Trainer.resume(path, "numpy")
    before = (path / "config.json").read_bytes()
    with pytest.raises(ConfigError, match=said):
        trainer.extend(epochs, schedule)
    assert (path / "config.json").read_bytes() == before


def test_the_rates_before_an_extension_are_those_that_the_run_saw(make_config):
    for name in ("constant", "step", "cosine", "one_cycle"):
        options = ", every_epochs=1" if name == "step" else ""
        for warmup in (0, 1, 3):
            text = f"schedule={{name='{name}', warmup_epochs={warmup}{options}}}"
            plain = make_config("training.epochs=2", text)
            both = plain.extended(2).extended(3, {"name": "cosine", "warmup_epochs": 0.5})
            assert (plain.epochs, both.epochs) == (2, 7)
            before, after = (c.build_schedule() for c in (plain, both))
            rates = [before.factor(step, 20, 10) for step in range(20)]
            assert [after.factor(step, 70, 10) for step in range(20)] == rates
            assert after.factor(40, 70, 10) == pytest.approx(1 / 5)  # a warm-up of its own
            assert after.factor(45, 70, 10) == pytest.approx(1.0)
            if name in ("cosine", "one_cycle"):
                assert {after.factor(step, 70, 10) for step in range(20, 40)} == {rates[-1]}
