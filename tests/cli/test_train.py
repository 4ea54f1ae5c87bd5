"""``gpucnn train``: continuing, extending, and how it ends when something goes wrong."""

import gc
import shutil

from gpucnn.errors import DataError
from gpucnn.training.run_folder import RunFolder
from gpucnn.training.trainer import Trainer


def lines(answer):
    return answer.succeeded().out.splitlines()


def test_a_finished_run_is_extended(cli, run, config, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    extend = ("train", "--resume", tmp_path / "run", "--backend", "numpy", "--extend")
    shown = lines(cli(*extend, 1))
    assert shown[0].startswith(f"resumed {tmp_path / 'run'} at step 30 of 45 (epoch 3, batch 0 of")
    assert [line.split()[0] for line in shown[2:3]] == ["3/3"]
    schedule = ("--set", "schedule.name=cosine", "--set", "schedule.final=0.5")
    assert "resumed" in lines(cli(*extend, 2, *schedule))[0]
    cosine = {"name": "cosine", "final": 0.5, "warmup_epochs": 0.0}
    assert RunFolder.open(tmp_path / "run").config().tables["extensions"] == [
        {"epochs": 1},
        {"epochs": 2, "schedule": cosine},
    ]
    again = cli("train", "--resume", tmp_path / "run", "--backend", "numpy").succeeded()
    assert "was complete" in again.out
    named = cli("train", config, "--resume", tmp_path / "run", "--backend", "numpy")
    assert "was complete" in named.succeeded().out


def test_extensions_that_cannot_be(cli, run, config, tmp_path, snapshot):
    shutil.copytree(run, tmp_path / "run")
    before = snapshot(tmp_path)
    resume = ("train", "--resume", tmp_path / "run", "--backend", "numpy")
    for arguments, said in (
        ((*resume, "--extend", 0), "0 is not in the range x>=1"),
        ((*resume, "--extend", 1, "--step", 15), "leave out --step"),
        ((*resume, config, "--extend", 1), "leave out CONFIG"),
        ((*resume, "--extend", 1, "--set", "schedule.name=cosin"), 'did you mean "cosine"?'),
        ((*resume, "--extend", 1, "--set", "schedule=5"), "schedule = 5: this is a table"),
        ((*resume, "--extend", 1, "--set", "schedule=[]"), "schedule = []: this is a table"),
        ((*resume, "--extend", 1, "--set", "schedule.fin=0"), "error: schedule.fin: the schedule"),
        ((*resume, "--extend", 1, "--set", "training.epochs=9"), "training.epochs was 2"),
        ((*resume, "--extend", 2**40), "a run can have 1,000,000 or fewer"),
        (("train", config, "--extend", 1), "--step and --extend are for a run that exists"),
        (("train", config, "--step", 1), "--step and --extend are for a run that exists"),
        ((*resume, "--step", 7), "there is no checkpoint of step 7; there are: 15, 30"),
    ):
        answer = cli(*arguments)
        gc.collect()  # what the process' end does: the folder is unlocked
        assert (answer.status, answer.out) == (2, ""), answer
        assert said in answer.err
    after = {path: digest for path, digest in snapshot(tmp_path).items() if "log.txt" not in path}
    assert after == {path: digest for path, digest in before.items() if "log.txt" not in path}


def test_resumed_from_a_chosen_step(cli, run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    newest = tmp_path / "run" / "checkpoints" / "step-00000030.safetensors"
    bits = newest.read_bytes()
    resume = ("train", "--resume", tmp_path / "run", "--backend", "numpy")
    shown = lines(cli(*resume, "--step", 15))
    assert shown[0].startswith(f"resumed {tmp_path / 'run'} at step 15 of 30 (epoch 2, batch 0 of")
    assert newest.read_bytes() == bits


def test_an_error_ends_with_how_to_go_on(cli, run, tmp_path, monkeypatch):
    shutil.copytree(run, tmp_path / "a run")
    resume = ("train", "--resume", tmp_path / "a run", "--backend", "numpy")

    def failing(*_):
        raise DataError("an image is damaged")

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_show", failing)
        answer = cli(*resume, "--extend", 1)
    assert answer.status == 2
    assert answer.err == (
        f"error: an image is damaged; a checkpoint was saved. Go on with: gpucnn train --resume "
        f"'{tmp_path / 'a run'}'\n"
    )
    unfinished = cli(*resume, "--extend", 1)
    gc.collect()  # what the process' end does: the folder is unlocked
    assert unfinished.status == 2
    assert "has finished 2 of its 3 epochs (step 31), so none can be added yet" in unfinished.err
    assert "resumed" in cli(*resume).succeeded().out


def test_a_training_that_diverges_ends_with_status_1(cli, config, tmp_path):
    """In its last step: neither the loss nor the gradient before it says so."""
    options = ("--set", "training.epochs=1", "--set", "training.batch_size=2000")
    rate = ("--set", "optimizer.name=sgd", "--set", "optimizer.learning_rate=1e30")
    answer = cli("train", config, *options, *rate, "--run-dir", tmp_path / "run", "--backend",
                 "numpy")  # fmt: skip
    assert answer.status == 1
    assert answer.err.startswith("error: the loss on the test split is not finite (nan): the")
    assert answer.err.count("\n") == 1
    assert "class" not in answer.out
    assert not (tmp_path / "run" / "report.json").exists()
    again = cli("train", "--resume", tmp_path / "run", "--backend", "numpy")
    assert again.status == 1


def test_weights_that_are_not_finite_are_never_saved(cli, config, tmp_path):
    options = ("--set", "training.epochs=1", "--set", "training.batch_size=2000")
    rate = ("--set", "optimizer.name=sgd", "--set", "optimizer.learning_rate=3e38", "--set",
            "optimizer.momentum=0", "--set", "optimizer.weight_decay=3e38")  # fmt: skip
    answer = cli("train", config, *options, *rate, "--run-dir", tmp_path / "run", "--backend",
                 "numpy")  # fmt: skip
    assert answer.status == 1
    assert 'error: "network/0.conv2d.weight" is not finite after step 1' in answer.err
    assert "nan" not in answer.out
    saved = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert saved == ["step-00000000.json", "step-00000000.safetensors"]


def test_a_run_folder_that_is_taken_is_named_before_the_data_is_read(cli, tmp_path, config):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    data = ("--set", "data.name=mnist", "--set", "data.root=nowhere")
    answer = cli("train", config, *data, "--run-dir", tmp_path / "run", "--backend", "numpy")
    assert answer.status == 2
    assert "is not empty" in answer.err
    assert "nowhere" not in answer.err


def test_a_run_that_stops_early_ends_well_and_is_complete(cli, config, tmp_path):
    run = tmp_path / "early"
    keys = ("data.validation=0.1", "training.epochs=9", "training.patience=1")
    keys += ("training.min_delta=1",)  # which only the first epoch exceeds
    changes = [part for key in keys for part in ("--set", key)]
    answer = cli("train", config, "--run-dir", run, *changes).succeeded()
    assert "stopped early after epoch 2 of 9" in answer.out
    again = cli("train", "--resume", run).succeeded()
    assert "was complete (stopped early after epoch 2 of 9" in again.out


def test_a_run_that_starts_from_weights(cli, run, config, tmp_path):
    new = ("train", config, "--backend", "numpy", "--set", "training.epochs=1", "--init-from")
    frozen = ("--set", "finetune.freeze=['0.conv2d']", "--run-dir", tmp_path / "tuned")
    shown = cli(*new, run, *frozen).succeeded().out
    assert f"started from {run}: 2 of 2 layers loaded\n" in shown
    assert f"started from {run}" in (tmp_path / "tuned" / "log.txt").read_text()
    tuned = RunFolder.open(tmp_path / "tuned")
    weights = [one.checkpoints.best().weights() for one in (RunFolder.open(run), tuned)]
    assert (weights[0]["0.conv2d.weight"] == weights[1]["0.conv2d.weight"]).all()
    assert not (weights[0]["4.linear.weight"] == weights[1]["4.linear.weight"]).all()
    # Resumed with the config that it began with, which does not name the weights.
    again = cli("train", config, "--set", "training.epochs=1", *frozen[:2], "--resume",
                tmp_path / "tuned", "--backend", "numpy")  # fmt: skip
    assert "was complete" in again.succeeded().out


def test_weights_that_cannot_be_started_from(cli, run, config, tmp_path):
    for arguments, said in (
        (("train", "--resume", run, "--init-from", run), "--init-from is for a new run"),
        (("train", config, "--init-from", tmp_path / "no"), "no is not there; to start from w"),
        (("train", config, "--init-from", config), "is not a safetensors file, or is damaged"),
    ):
        answer = cli(*arguments, "--backend", "numpy")
        assert answer.status == 2
        assert said in answer.err
    assert not (tmp_path / "runs").exists()
