import errno
import fcntl
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from gpucnn.data import Normalisation
from gpucnn.errors import CheckpointError
from gpucnn.training import run_files, run_folder
from gpucnn.training.model_card import ModelCard
from gpucnn.training.run_folder import RunFolder
from gpucnn.training.seal import seal

CARD = ModelCard((8, 8, 1), ("a", "b"), Normalisation((0.1,), (1 / 3,)))


@pytest.fixture
def run(tmp_path, make_config):
    return RunFolder.create(tmp_path / "new" / "run", make_config(), {"python": "3"}, CARD)


@pytest.fixture
def create(make_config):
    """Begins a run in a folder."""
    return lambda path, **environment: RunFolder.create(path, make_config(), environment, CARD)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_create_writes_config_card_and_environment(run, make_config):
    assert run.config().tables == make_config().tables
    assert run.read_json("environment.json") == {"python": "3"}
    assert run.card() == CARD
    assert (run.path / "checkpoints").is_dir()
    assert not run.has_begun()


def test_an_empty_folder_is_taken(tmp_path, create):
    assert create(tmp_path).path == tmp_path


def unstarted(folder):
    """What a process that was killed before config.json was complete leaves at most."""
    (folder / "checkpoints").mkdir()
    (folder / "lock").touch()
    (folder / "config.json.0a1b.unfinished").write_text("{")


def test_a_folder_in_which_nothing_was_started_is_taken(tmp_path, create):
    unstarted(tmp_path)
    run = create(tmp_path)
    expected = ["checkpoints", "config.json", "environment.json", "lock", "model.json"]
    assert names(run.path) == expected


def test_open_reports_that_nothing_was_started(tmp_path):
    unstarted(tmp_path)
    with pytest.raises(CheckpointError, match=r"nothing was started .*train CONFIG --run-dir"):
        RunFolder.open(tmp_path)


@pytest.mark.parametrize("name", ["environment.json", "model.json", "config.json", "lock"])
@pytest.mark.parametrize("existed", [False, True])
def test_a_run_that_cannot_begin_leaves_nothing(existed, name, tmp_path, create, monkeypatch):
    """Neither its own files nor the folders that it made, whichever write fails."""

    def full_disk(original):
        def write(path, *content):
            if path.name == name:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return original(path, *content)

        return write

    for module, function in (
        (run_files.files, "write_atomically"),
        (run_folder, "open_for_writing"),
    ):
        monkeypatch.setattr(module, function, full_disk(getattr(module, function)))
    folder = tmp_path / "above" / "runs" / "run"
    if existed:
        folder.mkdir(parents=True)
    with pytest.raises(CheckpointError, match="free some space"):
        create(folder)
    assert list(tmp_path.rglob("*")) == (
        [tmp_path / "above", folder.parent, folder] if existed else []
    )


def test_a_signal_after_config_json_leaves_a_run_that_resumes(tmp_path, create, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(RunFolder, "complete_beginning", stop)
    with pytest.raises(KeyboardInterrupt):
        create(tmp_path / "run")
    assert not RunFolder.open(tmp_path / "run").has_begun()


@pytest.mark.parametrize(
    "name",
    [
        "notes.txt",
        ".hidden",
        "config.json",
        "model.json",
        "environment.json",
        "lock",
        "checkpoints",
    ],
)
def test_create_refuses_a_folder_that_is_not_empty(name, tmp_path, create):
    (tmp_path / name).write_text("mine")
    with pytest.raises(CheckpointError, match="is not empty; choose another folder") as refused:
        create(tmp_path)
    assert ("--resume" in str(refused.value)) == (name == "config.json")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_create_refuses_a_file_and_a_place_under_one(tmp_path, create):
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(CheckpointError, match="exists already"):
        create(file)
    with pytest.raises(CheckpointError, match="cannot be written"):
        create(file / "run")
    assert file.read_text() == "mine"


def test_create_refuses_a_link_to_nowhere_and_checkpoints_elsewhere(tmp_path, create):
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(CheckpointError, match="exists already"):
        create(tmp_path / "link")
    (tmp_path / "run").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run" / "checkpoints").symlink_to("../elsewhere")
    with pytest.raises(CheckpointError, match="is a symbolic link"):
        create(tmp_path / "run")


def test_open_refuses_what_no_run_made(tmp_path):
    (tmp_path / "photo.png").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"is not a run folder .*give a folder"):
        RunFolder.open(tmp_path)
    with pytest.raises(CheckpointError, match="is not there"):
        RunFolder.open(tmp_path / "none")
    with pytest.raises(CheckpointError, match="is not a run folder"):
        RunFolder.open(tmp_path / "photo.png")


@pytest.fixture
def create_numbered(make_config):
    """Begins a run in the next numbered folder, by default of "run", and returns it."""

    def create(parent, name="run"):
        return RunFolder.create_numbered(parent, name, make_config(), {}, CARD)

    return create


def test_the_next_free_folder_is_made(tmp_path, create_numbered):
    assert create_numbered(tmp_path / "new" / "runs", "mnist").path.name == "mnist-1"
    for name in ("mnist-1", "mnist-4", "digits-3"):
        (tmp_path / name).mkdir()
    (tmp_path / "mnist-2").write_text("a file")
    assert create_numbered(tmp_path, "mnist").path == tmp_path / "mnist-3"
    with pytest.raises(CheckpointError, match="cannot be written"):
        create_numbered(tmp_path / "mnist-2", "mnist")


def test_runs_started_together_get_folders_of_their_own(tmp_path, create_numbered):
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda _: create_numbered(tmp_path), range(40)))
    folders = sorted(run.path for run in runs)
    assert len(set(folders)) == 40
    assert all((folder / "model.json").is_file() for folder in folders)
    assert names(tmp_path) == sorted(folder.name for folder in folders)


def test_create_locks_before_it_writes(tmp_path, create, monkeypatch):
    """Two that found the same folder empty: the second writes nothing, whenever it comes."""
    first = create(tmp_path, by="the first")
    before = names(tmp_path)
    monkeypatch.setattr(RunFolder, "refuse_if_taken", lambda self: None)  # noqa: ARG005
    with pytest.raises(CheckpointError, match="another process is training there"):
        create(tmp_path, by="the second")
    monkeypatch.undo()
    assert first.read_json("environment.json") == {"by": "the first"}
    assert names(tmp_path) == before


def test_create_looks_again_when_it_has_the_lock(tmp_path, create, monkeypatch):
    lock = RunFolder.lock

    def after_another(self):
        monkeypatch.undo()
        create(tmp_path, by="the first").unlock()
        lock(self)

    monkeypatch.setattr(RunFolder, "lock", after_another)
    with pytest.raises(CheckpointError, match="is not empty"):
        create(tmp_path, by="the second")
    assert RunFolder.open(tmp_path).read_json("environment.json") == {"by": "the first"}


@pytest.mark.parametrize("number", [errno.ENOTSUP, errno.ENOSYS, errno.ENOLCK])
def test_a_file_system_without_locks_is_warned_of(number, run, monkeypatch, capsys):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    run.unlock()
    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr("gpucnn.text._has_warned", set())
    run.lock()
    run.lock()
    warned = capsys.readouterr().err
    assert "cannot be locked" in warned
    assert warned.count("\n") == 1


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


def test_a_card_that_is_missing_is_written_when_a_run_is_continued(run):
    (run.path / "model.json").unlink()
    (run.path / "environment.json").unlink()
    run.complete_beginning({"python": "4"}, CARD)
    assert run.card() == CARD
    assert run.read_json("environment.json") == {"python": "4"}
    run.complete_beginning({"python": "5"}, CARD)
    assert run.read_json("environment.json") == {"python": "4"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"a": NaN}', "not JSON"),
        (r'{"a": "\ud800"}', "not JSON"),
        (r'{"\uDFFF": 1}', "not JSON"),
        ("[1]", "not an object"),
        ("null", "not an object"),
        ("{}", "its seal was removed"),
        ('{"sha256": "0"}', "checksum"),
        ('{"sha256": 0, "format": 2, "run": null}', "checksum"),
    ],
)
@pytest.mark.parametrize("name", ["model.json", "config.json"])
def test_a_damaged_file_is_named(name, text, words, run):
    (run.path / name).write_text(text)
    with pytest.raises(CheckpointError, match=rf"{name}.*"):
        RunFolder.open(run.path).config()
        RunFolder.open(run.path).card()
    if name == "model.json":
        with pytest.raises(CheckpointError, match=rf"model\.json.*{words}"):
            run.card()


GOOD_CARD = {
    "input_shape": [8, 8, 1],
    "classes": ["a", "b"],
    "normalisation": {"mean": [0.5], "std": [0.25]},
    "training_images": 3,
    "data": None,
}


@pytest.mark.parametrize(
    "change",
    [
        {"input_shape": [8, 8]},
        {"input_shape": 8},
        {"input_shape": ["8", 8, 1]},
        {"input_shape": [8, 8, 0]},
        {"input_shape": [8, -8, 1]},
        {"input_shape": [8, 8, 3]},
        {"classes": []},
        {"classes": [1, 2]},
        {"classes": ["a", "a"]},
        {"normalisation": {}},
        {"normalisation": {"mean": ["x"], "std": [1.0]}},
        {"normalisation": {"mean": [0.0, 0.0], "std": [1.0]}},
        {"normalisation": {"mean": [0.0], "std": [0.0]}},
        {"normalisation": {"mean": [1e999], "std": [1.0]}},
        {"training_images": "3"},
        {"data": 7},
    ],
)
def test_a_sealed_card_that_makes_no_sense_is_named(change, run):
    (run.path / "model.json").write_bytes(seal(GOOD_CARD, run._run))
    assert run.card().training_images == 3
    (run.path / "model.json").write_bytes(seal(GOOD_CARD | change, run._run))
    with pytest.raises(CheckpointError, match=r"model\.json is damaged"):
        run.card()


def test_a_missing_card_is_named(run):
    (run.path / "model.json").unlink()
    with pytest.raises(CheckpointError, match=r"model\.json is missing"):
        run.card()


def test_a_card_of_another_run_is_refused(run, tmp_path, create):
    other = create(tmp_path / "other")
    (run.path / "model.json").write_bytes((other.path / "model.json").read_bytes())
    with pytest.raises(CheckpointError, match=r"model\.json belongs to another run"):
        run.card()


def test_no_flipped_bit_changes_what_is_read(run):
    """Every bit of both files: each flip is refused, or changes nothing (as in white space)."""
    for name, read in (
        ("config.json", lambda r: r.config().tables),
        ("model.json", RunFolder.card),
    ):
        path, expected = run.path / name, read(run)
        whole = path.read_bytes()
        for place in range(len(whole)):
            for bit in range(8):
                flipped = bytearray(whole)
                flipped[place] ^= 1 << bit
                path.write_bytes(flipped)
                try:
                    assert read(RunFolder.open(run.path)) == expected
                except CheckpointError as error:
                    assert name in str(error)
        path.write_bytes(whole)


def test_files_of_version_0_1_are_read(run, make_config):
    """They have no seal."""
    tables, card = make_config().tables, dict(GOOD_CARD)
    del card["data"]
    (run.path / "config.json").write_text(json.dumps(tables, indent=1))
    (run.path / "model.json").write_text(json.dumps(card, indent=1))
    old = RunFolder.open(run.path)
    assert old.config().tables == tables
    assert old.card() == ModelCard((8, 8, 1), ("a", "b"), Normalisation((0.5,), (0.25,)), 3)


def test_bytes_that_are_no_text_are_damage(run):
    (run.path / "config.json").write_bytes(b'{"seed": "\xff\xfe"}')
    with pytest.raises(CheckpointError, match=r"config\.json is damaged"):
        run.config()


@pytest.mark.parametrize("name", ["config.json", "model.json"])
def test_nothing_larger_than_such_a_file_can_be_is_read(name, run):
    with (run.path / name).open("wb") as file:
        file.truncate(10**11)
    with pytest.raises(CheckpointError, match=rf"{name} is damaged: it has 100,000,000,000"):
        RunFolder.open(run.path).card()


def test_truncate_metrics_cuts_what_came_after_a_checkpoint(run):
    run.truncate_metrics(0)  # no file yet
    length = run.append_metrics({"step": 1, "loss": 0.1})
    run.append_metrics({"step": 2})
    run.truncate_metrics(length)
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"step": 1, "loss": 0.1}]
    run.truncate_metrics(length + 100)
    assert (run.path / "metrics.jsonl").stat().st_size == length


@pytest.mark.parametrize(
    ("change", "rows"),
    [
        (lambda text: text[:20], [1]),  # within the second line
        (lambda text: text[:5], []),
        (lambda text: text.replace(b"\n", b"\r\n"), [1, 2]),
        (lambda text: text[:26] + bytes(200), [1, 2]),
        (lambda _: b"", []),
    ],
)
def test_rows_after_a_file_that_was_cut_or_changed_are_lines_of_their_own(change, rows, run):
    for step in (1, 2, 3):
        length = run.append_metrics({"step": step})
    path = run.path / "metrics.jsonl"
    path.write_bytes(change(path.read_bytes()))
    run.truncate_metrics(length)
    run.append_metrics({"step": 4})
    assert [row["step"] for row in run.metrics()] == [*rows, 4]


def test_append_returns_the_length(run):
    for number in range(3):
        length = run.append_metrics({"step": number, "name": "é×"})
        assert length == (run.path / "metrics.jsonl").stat().st_size


def test_metrics_that_are_not_finite_are_null(run):
    run.append_metrics({"loss": float("nan"), "other": float("inf")})
    assert list(run.metrics()) == [{"loss": None, "other": None}]


def test_a_damaged_line_of_metrics_is_named_by_its_number(run):
    assert list(run.metrics()) == []
    run.append_metrics({"step": 1})
    for damaged in (b"[1]\n", b"{\n", b"\xff\n", b"\0" * 100_000, b"\n", b'{"a": "\\ud800"}\n'):
        with (run.path / "metrics.jsonl").open("ab") as file:
            file.write(damaged)
        with pytest.raises(CheckpointError, match=r"metrics\.jsonl, line 2 is damaged"):
            list(run.metrics())
        run.truncate_metrics(12)
    with (run.path / "metrics.jsonl").open("ab") as file:
        file.write(b'{"step": 2')  # being written
    assert list(run.metrics()) == [{"step": 1}]


PLACES = {
    "config.json": lambda run: RunFolder.open(run.path),
    "model.json": RunFolder.card,
    "report.json": lambda run: run.read_json("report.json"),
    "metrics.jsonl": lambda run: list(run.metrics()),
    "log.txt": lambda run: run.append_log("x"),
    "lock": RunFolder.lock,
}


@pytest.mark.parametrize("kind", ["link", "link to nowhere", "FIFO", "folder"])
@pytest.mark.parametrize("name", PLACES)
def test_only_regular_files_are_opened_in_a_run_folder(name, kind, run, tmp_path):
    run.unlock()
    (tmp_path / "precious").write_text("mine")
    path = run.path / name
    path.unlink(missing_ok=True)
    if kind == "FIFO":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / ("precious" if kind == "link" else "none"))
    what = {"FIFO": "a FIFO", "folder": "a folder"}.get(kind, "a symbolic link")
    with pytest.raises(CheckpointError, match=rf"{name} is {what}, not a file"):
        PLACES[name](run)
    if name == "metrics.jsonl":
        with pytest.raises(CheckpointError, match=rf"{name} is {what}, not a file"):
            run.append_metrics({"step": 1})
        with pytest.raises(CheckpointError, match=rf"{name} is {what}, not a file"):
            run.truncate_metrics(0)
    assert (tmp_path / "precious").read_text() == "mine"
    assert not (tmp_path / "none").exists()


def test_a_name_that_is_not_utf8_can_be_logged(run):
    run.append_log("caf\udce9\n")
    assert (run.path / "log.txt").read_text(encoding="utf-8") == "caf\\udce9\n"


def test_the_log_grows(run):
    run.append_log("one\n")
    run.append_log("two\n")
    assert (run.path / "log.txt").read_text() == "one\ntwo\n"


def test_a_file_that_cannot_be_appended_is_named(run):
    (run.path / "metrics.jsonl").mkdir()
    with pytest.raises(CheckpointError, match=r"metrics\.jsonl is a folder, not a file"):
        run.append_metrics({"step": 1})
