import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from gpucnn.data import Normalisation
from gpucnn.errors import CheckpointError
from gpucnn.training.model_card import ModelCard
from gpucnn.training.run_folder import RunFolder

CARD = ModelCard((8, 8, 1), ("a", "b"), Normalisation((0.1,), (1 / 3,)))


@pytest.fixture
def run(tmp_path, make_config):
    return RunFolder.create(tmp_path / "new" / "run", make_config(), {"python": "3"})


def test_create_writes_config_and_environment(run, make_config):
    assert run.config().tables == make_config().tables
    assert run.read_json("environment.json") == {"python": "3"}
    assert (run.path / "checkpoints").is_dir()


def test_an_empty_folder_is_taken(tmp_path, make_config):
    assert RunFolder.create(tmp_path, make_config(), {}).path == tmp_path


@pytest.mark.parametrize("name", ["notes.txt", ".hidden", "config.json"])
def test_create_refuses_a_folder_that_is_not_empty(name, tmp_path, make_config):
    (tmp_path / name).write_text("mine")
    with pytest.raises(CheckpointError, match="is not empty; choose another folder") as refused:
        RunFolder.create(tmp_path, make_config(), {})
    assert ("--resume" in str(refused.value)) == (name == "config.json")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_create_refuses_a_file_and_a_place_under_one(tmp_path, make_config):
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(CheckpointError, match="exists already"):
        RunFolder.create(file, make_config(), {})
    with pytest.raises(CheckpointError, match="cannot be written"):
        RunFolder.create(file / "run", make_config(), {})
    assert file.read_text() == "mine"


def test_open_refuses_what_no_run_made(tmp_path):
    (tmp_path / "photo.png").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"is not a run folder .*give a folder"):
        RunFolder.open(tmp_path)
    with pytest.raises(CheckpointError, match="is not there"):
        RunFolder.open(tmp_path / "none")
    with pytest.raises(CheckpointError, match="is not a run folder"):
        RunFolder.open(tmp_path / "photo.png")


def test_the_next_free_folder_is_made(tmp_path):
    assert RunFolder.make_next_free(tmp_path / "new" / "runs", "mnist").name == "mnist-1"
    for name in ("mnist-1", "mnist-4", "digits-3"):
        (tmp_path / name).mkdir()
    (tmp_path / "mnist-2").write_text("a file")
    assert RunFolder.make_next_free(tmp_path, "mnist") == tmp_path / "mnist-3"
    assert (tmp_path / "mnist-3").is_dir()
    with pytest.raises(CheckpointError, match="cannot be written"):
        RunFolder.make_next_free(tmp_path / "mnist-2", "mnist")


def test_runs_started_together_get_folders_of_their_own(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: RunFolder.make_next_free(tmp_path, "run"), range(40)))
    assert sorted(folders) == sorted(tmp_path / f"run-{number}" for number in range(1, 41))


def test_create_locks_before_it_writes(tmp_path, make_config, monkeypatch):
    """Two that found the same folder empty: the second writes nothing, whenever it comes."""
    first = RunFolder.create(tmp_path, make_config(), {"by": "the first"})
    monkeypatch.setattr(RunFolder, "_refuse_if_taken", lambda self: None)  # noqa: ARG005
    with pytest.raises(CheckpointError, match="another process is training there"):
        RunFolder.create(tmp_path, make_config("seed=8"), {"by": "the second"})
    monkeypatch.undo()
    assert first.read_json("environment.json") == {"by": "the first"}


def test_create_looks_again_when_it_has_the_lock(tmp_path, make_config, monkeypatch):
    lock = RunFolder.lock

    def after_another(self):
        monkeypatch.undo()
        RunFolder.create(tmp_path, make_config(), {"by": "the first"}).unlock()
        lock(self)

    monkeypatch.setattr(RunFolder, "lock", after_another)
    with pytest.raises(CheckpointError, match="is not empty"):
        RunFolder.create(tmp_path, make_config("seed=8"), {"by": "the second"})
    assert RunFolder.open(tmp_path).read_json("environment.json") == {"by": "the first"}


def test_a_second_process_is_refused_until_the_first_ends(run):
    script = (
        "import sys; from pathlib import Path; from gpucnn.training.run_folder import RunFolder\n"
        "run = RunFolder.open(Path(sys.argv[1])); run.lock(); print('locked', flush=True)\n"
        "sys.stdin.read()\n"
    )
    run.unlock()
    command = [sys.executable, "-c", script, str(run.path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(CheckpointError, match="another process is training there"):
            run.lock()
        other.kill()
    run.lock()
    run.unlock()


def test_card_comes_back(run):
    run.write_card(CARD)
    assert run.card() == CARD


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[1]", "not an object"),
        ("null", "not an object"),
        ("{}", "damaged"),
        ('{"input_shape": [8, 8], "classes": [], "normalisation": {}}', "damaged"),
        ('{"input_shape": 8, "classes": ["a"], "normalisation": {"mean": [0]}}', "damaged"),
        ('{"input_shape": ["8", 8, 1], "classes": ["a"], "normalisation": {"mean": [0.0], '
         '"std": [1.0]}}', "damaged"),
        ('{"input_shape": [8, 8, 1], "classes": ["a"], "normalisation": {"mean": ["x"], '
         '"std": [1.0]}}', "damaged"),
        ('{"input_shape": [8, 8, 1], "classes": [1], "normalisation": {"mean": [0.0], '
         '"std": [1.0]}}', "damaged"),
        ('{"input_shape": [8, 8, 1], "classes": ["a"], "normalisation": {"mean": [0.0, 0.0], '
         '"std": [1.0]}}', "damaged"),
    ],
)  # fmt: skip
def test_a_damaged_card_is_named(text, words, run):
    (run.path / "model.json").write_text(text)
    with pytest.raises(CheckpointError, match=rf"model\.json.*{words}"):
        run.card()


def test_a_missing_card_is_named(run):
    with pytest.raises(CheckpointError, match=r"model\.json is missing"):
        run.card()


def test_bytes_that_are_no_text_are_damage(run):
    (run.path / "config.json").write_bytes(b'{"seed": "\xff\xfe"}')
    with pytest.raises(CheckpointError, match=r"config\.json is damaged"):
        run.config()


def test_truncate_metrics_cuts_what_came_after_a_checkpoint(run):
    run.truncate_metrics(0)  # no file yet
    length = run.append_metrics({"step": 1, "loss": 0.1})
    run.append_metrics({"step": 2})
    run.truncate_metrics(length)
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"step": 1, "loss": 0.1}]
    run.truncate_metrics(length + 100)
    assert (run.path / "metrics.jsonl").stat().st_size == length


def test_append_returns_the_length(run):
    for number in range(3):
        length = run.append_metrics({"step": number, "name": "é×"})
        assert length == (run.path / "metrics.jsonl").stat().st_size


def test_the_log_grows(run):
    run.append_log("one\n")
    run.append_log("two\n")
    assert (run.path / "log.txt").read_text() == "one\ntwo\n"


def test_a_file_that_cannot_be_appended_is_named(run):
    (run.path / "metrics.jsonl").mkdir()
    with pytest.raises(CheckpointError, match=r"metrics\.jsonl: cannot be written"):
        run.append_metrics({"step": 1})
