"""``training.patience``: a run that ends when its validation accuracy no longer improves."""

import json
import signal

import pytest

from gpucnn.errors import ConfigError
from gpucnn.training.display import Display
from gpucnn.training.run_folder import RunFolder
from gpucnn.training.signals import Interrupted
from gpucnn.training.trainer import Trainer

EPOCHS, PER_EPOCH = 15, 2
QUICK = (f"training.epochs={EPOCHS}", "training.batch_size=50", "optimizer.learning_rate=0.03")
STOPPING = (*QUICK, "training.patience=2")

pytestmark = pytest.mark.usefixtures("tiny_data")


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda _: None)


@pytest.fixture(scope="module")
def fit(tmp_path_factory, tiny_pair, make_config):
    """Trains to the end and returns the folder; the same run only once."""
    done = {}

    def run(*overrides):
        if overrides not in done:
            done[overrides] = tmp_path_factory.mktemp("run") / "run"
            Trainer(make_config(*overrides), "numpy", done[overrides], data=tiny_pair).fit()
        return done[overrides]

    return run


def accuracies(path):
    return [row["validation_accuracy"] for row in RunFolder.open(path).metrics() if "epoch" in row]


def epochs_until(accuracies, patience, min_delta):
    """Keras' rule: what is waited for is more than the last accuracy that was an improvement."""
    reference, waited = float("-inf"), 0
    for epoch, accuracy in enumerate(accuracies, 1):
        if accuracy > reference + min_delta:
            reference, waited = accuracy, 0
        else:
            waited += 1
        if waited == patience:
            return epoch
    return len(accuracies)


@pytest.mark.parametrize(
    ("patience", "min_delta"), [(1, 0.0), (2, 0.0), (2, 0.1), (EPOCHS, 0.0)], ids=str
)
def test_it_stops_where_a_longer_run_did_not_improve(patience, min_delta, fit):
    all_epochs = accuracies(fit(*QUICK))
    assert len(all_epochs) == EPOCHS
    expected = epochs_until(all_epochs, patience, min_delta)
    assert (expected < EPOCHS) == (patience < EPOCHS)
    watched = f"training.patience={patience}", f"training.min_delta={min_delta}"
    path = fit(*QUICK, *watched)
    assert accuracies(path) == all_epochs[:expected]
    report = json.loads((path / "report.json").read_text())
    assert report["n"] == 40


def test_small_improvements_add_up(make_trainer):
    """They are compared with the last accuracy that counted, not with the one before."""
    progress = make_trainer().progress
    for accuracy, stale in ((0.5, 0), (0.55, 1), (0.59, 2), (0.61, 0), (0.6, 1), (0.7, 2)):
        progress.take_validation(accuracy, 0.1)
        assert progress.stale_epochs == stale
    assert progress.best_accuracy == 0.7


class Lines(Display):
    """Keeps what is shown."""

    def __init__(self):
        super().__init__(quiet=True)
        self.lines = []

    def line(self, text=""):
        self.lines.append(text)


def test_it_says_why(make_trainer):
    display = Lines()
    trainer = make_trainer(*STOPPING, display=display)
    trainer.fit()
    epoch, best = trainer.progress.epoch, trainer.progress
    assert display.lines[-1] == (
        f"stopped early after epoch {epoch} of {EPOCHS}: the validation accuracy has not improved "
        f"for 2 epochs (training.patience); the best was {best.best_accuracy:.2%}, at step "
        f"{best.best_step}"
    )
    assert best.best_step == (epoch - 2) * PER_EPOCH


@pytest.mark.parametrize("place", [1, 2, 3])
def test_stopped_by_a_signal_and_resumed(place, fit, make_trainer, tmp_path, outcome):
    """In the last epochs: after so many steps of the last three."""
    whole = fit(*STOPPING)
    step = (len(accuracies(whole)) - 3) * PER_EPOCH + place
    trainer = make_trainer(*STOPPING, run_dir=tmp_path / "run")
    take = trainer.train_step

    def stopping(batch):
        if trainer.progress.step == step:
            signal.raise_signal(signal.SIGTERM)
        take(batch)

    trainer.train_step = stopping
    with pytest.raises(Interrupted):
        trainer.fit()
    Trainer.resume(tmp_path / "run", "numpy").fit()
    assert outcome(tmp_path / "run") == outcome(whole)


def test_a_run_that_has_stopped_is_complete(make_trainer, tmp_path, outcome):
    path = tmp_path / "run"
    make_trainer(*STOPPING, run_dir=path).fit()
    before = outcome(path)
    resumed = Trainer.resume(path, "numpy")
    resumed.train_step = None
    resumed.fit()
    assert outcome(path) == before


def test_more_patience_later_is_as_good_as_from_the_beginning(
    fit, make_trainer, make_config, tmp_path, outcome
):
    path = tmp_path / "run"
    make_trainer(*QUICK, "training.patience=1", run_dir=path).fit()
    assert len(accuracies(path)) < len(accuracies(fit(*STOPPING)))
    resumed = Trainer.resume(path, "numpy", make_config(*STOPPING))
    take = resumed.train_step

    def stopping(batch):
        signal.raise_signal(signal.SIGTERM)
        take(batch)

    resumed.train_step = stopping
    with pytest.raises(Interrupted):
        resumed.fit()
    Trainer.resume(path, "numpy").fit()  # the folder knows of the change
    assert outcome(path) == outcome(fit(*STOPPING))


def test_what_stopped_early_is_not_extended(fit):
    trainer = Trainer.resume(fit(*STOPPING), "numpy")
    with pytest.raises(ConfigError, match=r"stopped early, after .* training\.patience above 2"):
        trainer.extend(3)
    trainer.run.unlock()


def test_an_extension_begins_to_wait_anew(make_trainer, tmp_path):
    """It has two epochs, and stops after one only if none of those before count."""
    path = tmp_path / "run"
    trainer = make_trainer(*QUICK[1:], "training.epochs=1", "training.patience=1", run_dir=path)
    trainer.fit()
    trainer = Trainer.resume(path, "numpy")
    trainer.progress.reference = 1.0  # nothing improves
    trainer.run.unlock()
    trainer.extend(3)
    trainer.progress.reference, trainer.progress.stale_epochs = 1.0, 4
    trainer.fit()
    assert len(accuracies(path)) == 2


def test_it_needs_a_validation_split(make_config):
    with pytest.raises(ConfigError, match=r"training\.patience = 2: .* set data\.validation"):
        make_config("training.patience=2", "data.validation=0")
