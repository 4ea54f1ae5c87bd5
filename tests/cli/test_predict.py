"""``predict`` answers for every image that can be read, and names the others."""

import csv
import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image")

BACKEND = ("--backend", "numpy")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Six images with a damaged one among them."""
    rng = np.random.default_rng(1)
    (tmp_path / "photos").mkdir()
    for number in range(6):
        pixels = rng.integers(0, 256, (8, 8), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number}.png")
    (tmp_path / "photos" / "2b.png").write_bytes(b"\x89PNG\r\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


GOOD = [f"photos/{number}.png" for number in range(6)]


def _answered(out):
    return [line.partition(": ")[0] for line in out.splitlines()]


@pytest.mark.usefixtures("place")
def test_one_damaged_file_does_not_cost_the_other_answers(cli, run):
    answer = cli("predict", run, "photos", *BACKEND)
    assert answer.status == 1
    assert _answered(answer.out) == GOOD
    error, summary = answer.err.splitlines()
    assert error.startswith("error: photos/2b.png: ")
    assert summary == "1 of 7 images could not be read"


@pytest.mark.parametrize("missing", ["none.png", "none", "good.toml", "x" * 300 + ".png"])
def test_nor_does_a_missing_one_or_one_that_is_none(missing, cli, run, place):
    (place / "good.toml").write_text("")
    answer = cli("predict", run, GOOD[0], missing, GOOD[1], *BACKEND)
    assert answer.status == 1
    assert _answered(answer.out) == GOOD[:2]
    assert answer.err.startswith(f"error: {missing}: ")


def test_nor_does_what_cannot_be_read_in_a_folder(cli, run, place):
    os.mkfifo(place / "photos" / "0b.png")
    (place / "photos" / "3b").symlink_to("gone")
    (place / "photos" / "3c").symlink_to(".")
    (place / "empty").mkdir()
    answer = cli("predict", run, "photos", "empty", *BACKEND)
    assert answer.status == 1
    assert _answered(answer.out) == GOOD
    lines = answer.err.splitlines()
    assert "error: photos/0b.png: is a FIFO, not a file; remove or replace it" in lines
    assert (
        "error: photos/3b: is a link to gone, which does not exist; remove or replace it" in lines
    )
    assert "error: empty: there are no images in this folder" in lines
    assert "photos/3c: left out, for it leads to photos, which was scanned already" in lines


@pytest.mark.usefixtures("place")
def test_skip_ends_with_status_0(cli, run):
    answer = cli("predict", run, "photos", "--on-damaged", "skip", *BACKEND)
    assert answer.status == 0
    assert _answered(answer.out) == GOOD
    assert answer.err.startswith("skipped: photos/2b.png: ")
    listed = json.loads(
        cli("predict", run, "photos", "--on-damaged", "skip", "--json", *BACKEND).out
    )
    assert [entry["image"] for entry in listed] == GOOD
    assert all("predictions" in entry for entry in listed)


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.usefixtures("place")
def test_error_ends_there_with_status_2(as_json, cli, run):
    options = ("--on-damaged", "error", *BACKEND, *(["--json"] if as_json else []))
    answer = cli("predict", run, "photos", *options)
    assert answer.status == 2
    assert answer.err.startswith("error: photos/2b.png: ")
    assert answer.err.count("\n") == 1
    shown = (
        [entry["image"] for entry in json.loads(answer.out)] if as_json else _answered(answer.out)
    )
    assert shown == GOOD[:3]


@pytest.mark.parametrize("choice", ["report", "skip", "error"])
@pytest.mark.parametrize("path", ["photos/2b.png", "none.png", "empty"])
@pytest.mark.usefixtures("place")
def test_without_any_answer_the_status_is_2(choice, path, cli, run, place):
    (place / "empty").mkdir()
    answer = cli("predict", run, path, "--on-damaged", choice, *BACKEND)
    assert (answer.status, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert f": {path}: " in answer.err


@pytest.mark.usefixtures("place")
def test_json_names_the_damaged_file_in_its_place(cli, run):
    answer = cli("predict", run, "photos", "--json", *BACKEND)
    assert answer.status == 1
    entries = json.loads(answer.out)
    assert [entry["image"] for entry in entries] == sorted([*GOOD, "photos/2b.png"])
    assert [sorted(entry) for entry in entries] == [
        ["error", "image"] if entry["image"] == "photos/2b.png" else ["image", "predictions"]
        for entry in entries
    ]
    assert entries[3]["error"].startswith("photos/2b.png: ")


@pytest.mark.usefixtures("place")
def test_csv_is_a_table_of_the_best_classes(cli, run):
    answer = cli("predict", run, "photos", "--csv", *BACKEND)
    assert answer.status == 1
    header, *rows = csv.reader(io.StringIO(answer.out))
    assert header == ["file", "prediction", "probability"]
    expected = json.loads(cli("predict", run, "photos", "--json", *BACKEND).out)
    for row, entry in zip(rows, expected, strict=True):
        assert row[0] == entry["image"]
        if "error" in entry:
            assert row[1:] == ["", ""]
        else:
            best = entry["predictions"][0]
            assert row[1] == best["class"]
            assert np.float32(row[2]) == np.float32(best["probability"])
    assert "1 of 7 images could not be read" in answer.err


def test_csv_in_a_file_with_more_classes_and_without_damaged_files(cli, run, place):
    (place / 'a "b", c.png').write_bytes((place / GOOD[0]).read_bytes())
    options = ("--top", 99, "--csv", "table.csv", "--on-damaged", "skip", *BACKEND)
    answer = cli("predict", run, "photos", 'a "b", c.png', *options)
    assert (answer.status, answer.out) == (0, "")
    with (place / "table.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header[:5] == ["file", "prediction", "probability", "prediction_2", "probability_2"]
    assert [row[0] for row in rows] == [*GOOD, 'a "b", c.png']
    for row in rows:
        assert len(row) == len(header)
        shares = [float(cell) for cell in row[2::2]]
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--csv", GOOD[0]), "must end in .csv"),
        (("--csv", "table.csv", "--json"), "--json and --csv exclude each other"),
        (("--csv", "gone/table.csv"), "there is no folder gone"),
    ],
)
def test_csv_is_refused_before_anything_is_written(options, words, cli, run, place):
    answer = cli("predict", run, *GOOD, *BACKEND, *options)
    assert (answer.status, answer.out) == (2, "")
    assert words in answer.err
    assert not (place / "table.csv").exists()


@pytest.mark.parametrize("damaged", [[], ["photos/2b.png"]])
@pytest.mark.usefixtures("place")
def test_json_is_laid_out_as_a_list(damaged, cli, run):
    answer = cli("predict", run, *damaged, *GOOD[:2], "--json", *BACKEND)
    assert answer.out == json.dumps(json.loads(answer.out), indent=1) + "\n"


@pytest.mark.usefixtures("place")
def test_answers_come_in_chunks_and_in_order(cli, run, monkeypatch):
    """Also those of a last, smaller chunk, and of one without an intact image."""
    from gpucnn.cli import predict_command

    whole = cli("predict", run, "photos", *BACKEND).out
    for size in (1, 2, 3, 7):
        monkeypatch.setattr(predict_command, "_MOST_IMAGES", size)
        assert cli("predict", run, "photos", *BACKEND).out == whole
    monkeypatch.setattr(predict_command, "_MOST_BYTES", 1)
    assert cli("predict", run, "photos", *BACKEND).out == whole


def test_answers_are_printed_before_the_last_image_is_read(run, place):
    """The first hundred are there while the command waits for the 101st."""
    for number in range(100):
        (place / f"{number:03}.png").symlink_to(GOOD[0])
    files = sorted(path.name for path in place.glob("???.png"))
    script = (
        "import sys, threading\n"
        "import gpucnn.data, gpucnn.cli\n"
        "load = gpucnn.data.load_image\n"
        "def waiting(path, *options, **more):\n"
        "    if path == 'last.png':\n"
        "        sys.stdin.read()\n"
        "    return load(path, *options, **more)\n"
        "gpucnn.data.load_image = waiting\n"
        "gpucnn.cli.main()\n"
    )
    (place / "last.png").symlink_to(GOOD[0])
    with subprocess.Popen(
        [sys.executable, "-c", script, "predict", run, *files, "last.png", *BACKEND],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert _answered("".join(process.stdout.readline() for _ in files)) == files
        process.stdin.close()
        assert _answered(process.stdout.read()) == ["last.png"]
    assert process.returncode == 0


def test_hidden_folders_and_files_are_left_out_and_others_counted(cli, run, place):
    (place / "photos" / "2b.png").rename(place / "photos" / "notes.txt")
    (place / "photos" / ".cache").mkdir()
    for name in (".cache/x.png", ".x.png"):
        (place / "photos" / name).write_bytes((place / GOOD[0]).read_bytes())
    answer = cli("predict", run, "photos", *BACKEND).succeeded()
    assert _answered(answer.out) == GOOD
    assert answer.err == "photos: left out 1 file that is not an image (.txt 1)\n"


NAMES = {
    b"caf\xe9.png": r"caf\xe9.png",
    b"two\nlines.png": r"two\nlines.png",
    b"\x1b[31mred.png": r"\x1b[31mred.png",
}


@pytest.mark.parametrize("encoding", ["utf-8:strict", "latin-1:strict"])
def test_names_are_shown_on_one_line(encoding, run, place):
    folder = place / "names"
    folder.mkdir()
    for name in NAMES:
        (folder / os.fsdecode(name)).symlink_to(place / GOOD[0])
    (folder / os.fsdecode(b"damaged\xff.png")).symlink_to("gone")
    arguments = [sys.executable, "-m", "gpucnn", "predict", run, "names", *BACKEND]
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(arguments, capture_output=True, env=environment, check=False)
    assert done.returncode == 1, done.stderr
    shown = _answered(done.stdout.decode("ascii"))
    assert sorted(shown) == sorted(f"names/{name}" for name in NAMES.values())
    assert rb"error: names/damaged\xff.png: " in done.stderr
    done = subprocess.run([*arguments, "--json"], capture_output=True, env=environment, check=False)
    entries = json.loads(done.stdout)
    text = json.dumps(entries, ensure_ascii=False)
    assert text.encode()  # no lone surrogates, which strict parsers refuse
    names = {entry["image"] for entry in entries}
    assert names >= {r"names/caf\xe9.png", "names/two\nlines.png", "names/\x1b[31mred.png"}


@pytest.mark.usefixtures("place")
def test_another_step_than_the_best(cli, run):
    steps = sorted(int(path.stem[5:]) for path in run.glob("checkpoints/*.safetensors"))
    answers = {
        step: json.loads(cli("predict", run, GOOD[0], "--json", "--step", step, *BACKEND).out)
        for step in steps
    }
    best = json.loads(cli("predict", run, GOOD[0], "--json", *BACKEND).out)
    assert best in answers.values()
    assert len({json.dumps(answer) for answer in answers.values()}) == len(steps) > 1
    for step in steps:
        shown = json.loads(cli("evaluate", run, "--json", "--step", step, *BACKEND).out)
        assert shown["step"] == step


@pytest.mark.parametrize("command", [("predict", "RUN", GOOD[0]), ("evaluate", "RUN")])
@pytest.mark.usefixtures("place")
def test_a_step_that_cannot_be(command, cli, run):
    arguments = [run if part == "RUN" else part for part in command]
    answer = cli(*arguments, "--step", 12345, *BACKEND)
    assert (answer.status, answer.out) == (2, "")
    assert "12345" in answer.err
    checkpoint = next(run.glob("checkpoints/*.safetensors"))
    answer = cli(command[0], checkpoint, *command[2:], "--step", 15, *BACKEND)
    assert (answer.status, answer.out) == (2, "")
    assert "step" in answer.err
    assert cli(*arguments, "--step", "-1").status == 2


FOLDER = """
data = {name = "image_folder", root = "images", size = 6, fit = "stretch", workers = 0}
model = {name = "sequential", layers = [
    {type = "flatten"}, {type = "linear", features = "classes"}]}
optimizer = {name = "sgd", learning_rate = 0.1}
training = {epochs = 1, batch_size = 2}
"""


def test_images_are_made_to_fit_as_in_training(cli, place):
    """The long image has its class at its ends, which crop cuts off."""
    from gpucnn.config import load_config
    from gpucnn.training.trainer import Trainer

    for split in ("train", "test"):
        for name, value in (("cat", 0), ("dog", 255)):
            (place / "images" / split / name).mkdir(parents=True)
            pixels = np.full((6, 60, 3), 255 - value, np.uint8)
            pixels[:, :25] = pixels[:, -25:] = value
            for number in range(2):
                Image.fromarray(pixels).save(place / "images" / split / name / f"{number}.png")
    (place / "folder.toml").write_text(FOLDER)
    Trainer(load_config("folder.toml"), "numpy", place / "folder").fit()
    image = "images/test/dog/0.png"
    default, stretched, cropped = (
        cli("predict", "folder", image, *BACKEND, *fit).succeeded().out
        for fit in ((), ("--fit", "stretch"), ("--fit", "crop"))
    )
    assert default == stretched != cropped


def test_evaluate_names_damaged_files_by_their_whole_path(cli, place, monkeypatch):
    """Also where data.root is given as a path from the current folder."""
    from gpucnn.config import load_config
    from gpucnn.training.trainer import Trainer

    for split in ("train", "test"):
        for name in ("cat", "dog"):
            (place / "images" / split / name).mkdir(parents=True)
            for number in range(2):
                target = place / "images" / split / name / f"{number}.png"
                target.write_bytes((place / GOOD[number]).read_bytes())
    (place / "folder.toml").write_text(FOLDER)
    Trainer(load_config("folder.toml"), "numpy", place / "folder").fit()
    damaged = place / "images" / "test" / "dog" / "1.png"
    damaged.write_bytes(b"")
    answer = cli("evaluate", "folder", *BACKEND)
    assert (answer.status, answer.out) == (2, "")
    assert answer.err.startswith(f"error: {damaged}: ")
    answer = cli("evaluate", "folder", "--set", "data.on_damaged=skip", *BACKEND).succeeded()
    assert answer.err.startswith(f"{damaged.parent.parent}: skipped 1 of 4 images")
    assert str(damaged) in answer.err
    monkeypatch.chdir(place / "photos")
    answer = cli("evaluate", "../folder", *BACKEND)
    assert answer.err.startswith(f"error: {place}/photos/images: there is no such folder")
