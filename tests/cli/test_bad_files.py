"""Data, images and run folders that are missing, damaged or not what they should be."""

import gzip
import json
import os
import shutil
import struct

import numpy as np
import pytest

from gpucnn.training.seal import seal

CONFIG = """
seed = 1
[data]
name = "digits"
[model]
name = "sequential"
layers = [{type = "flatten"}, {type = "linear", features = "classes"}]
[optimizer]
name = "sgd"
learning_rate = 0.1
[training]
epochs = 1
batch_size = 500
"""


def train(name, *overrides):
    options = [part for override in overrides for part in ("--set", override)]
    return ("train", "good.toml", "--backend", "numpy", "--set", f"data.name={name}", *options)


@pytest.fixture
def place(tmp_path, monkeypatch):
    folder = tmp_path / "place"
    folder.mkdir()
    (folder / "good.toml").write_text(CONFIG)
    monkeypatch.chdir(folder)
    return folder


def refused(answer, *words, lines=1):
    shown = f"status {answer.status}\n{answer.out}\n{answer.err}"
    assert answer.status == 2, shown
    assert "Traceback" not in answer.out + answer.err, shown
    assert answer.out == "", shown
    assert len(answer.err.splitlines()) <= lines, shown
    assert answer.err.splitlines()[-1].startswith("error: "), shown
    for word in words:
        assert word in answer.err, shown


def idx(values):
    header = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
    return header + values.astype(np.uint8).tobytes()


@pytest.fixture
def mnist(place):
    """A good folder of idx files, a few images each."""
    folder = place / "mnist"
    folder.mkdir()
    rng = np.random.default_rng(1)
    for name, count in (("train", 30), ("t10k", 10)):
        images, labels = rng.integers(0, 256, (count, 28, 28)), np.arange(count) % 10
        (folder / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(idx(labels))
    return folder


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 0x55
    path.write_bytes(content)


IMAGES, LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte"
MNIST = {
    "no folder": (shutil.rmtree, "mnist", "data.root"),
    "a file": (lambda f: (shutil.rmtree(f), f.write_text("x")), "mnist", "data.root"),
    "an empty folder": (lambda f: [path.unlink() for path in f.iterdir()], "train-images"),
    "one file missing": (lambda f: (f / LABELS).unlink(), "train-labels"),
    "gzip cut": (
        lambda f: (f / IMAGES).write_bytes((f / IMAGES).read_bytes()[:-100]), IMAGES, "too early"),
    "gzip empty": (lambda f: (f / IMAGES).write_bytes(b""), IMAGES),
    "gzip flipped in the middle": (lambda f: flip(f / IMAGES, 9000), IMAGES),
    "gzip checksum flipped": (lambda f: flip(f / IMAGES, -5), IMAGES),
    "gzip header flipped": (lambda f: flip(f / IMAGES, 2), IMAGES),
    "wrong magic": (lambda f: flip(f / LABELS, 2), LABELS, "0x00000801"),
    "labels for images": (
        lambda f: (f / IMAGES).write_bytes((f / LABELS).read_bytes()), IMAGES, "0x00000803"),
    "header promises more": (lambda f: flip(f / LABELS, 7), LABELS, "header"),
    "header promises too much": (lambda f: flip(f / LABELS, 4), LABELS, "header"),
    "labels cut": (lambda f: (f / LABELS).write_bytes((f / LABELS).read_bytes()[:-3]), LABELS),
    "fewer labels": (lambda f: (f / LABELS).write_bytes(idx(np.zeros(29))), "30", "29"),
    "a label too high": (lambda f: (f / LABELS).write_bytes(idx(np.full(30, 11))), "label", "11"),
    "other sizes in test": (
        lambda f: (f / "t10k-images-idx3-ubyte.gz").write_bytes(idx(np.zeros((10, 27, 28)))),
        "27", "28"),
    "no images": (
        lambda f: ((f / IMAGES).write_bytes(idx(np.zeros((0, 28, 28)))),
                   (f / LABELS).write_bytes(idx(np.zeros(0)))), "(0, 28, 28)"),
    "a folder for a file": (lambda f: ((f / LABELS).unlink(), (f / LABELS).mkdir()), LABELS),
}  # fmt: skip


@pytest.mark.parametrize("name", MNIST)
def test_idx_files(name, cli, place, mnist, snapshot):
    damage, *words = MNIST[name]
    damage(mnist)
    before = snapshot(place)
    refused(cli(*train("mnist", "data.root=mnist")), *words)
    assert snapshot(place) == before


@pytest.mark.usefixtures("mnist")
def test_the_good_idx_files_are_good(cli):
    assert cli(*train("mnist", "data.root=mnist"), "--run-dir", "run").status == 0


def test_root_not_given_or_of_a_wrong_type(cli, place, snapshot, monkeypatch, tmp_path):
    before = snapshot(place)
    refused(cli(*train("image_folder")), "data.root", "needs it")
    monkeypatch.setenv("GPUCNN_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # where nobody answers
    answer = cli(*train("mnist"))
    assert answer.status == 2
    announced, error = answer.err.splitlines()
    assert "downloading MNIST, 11.1 MiB, from https://" in announced
    assert "cannot be reached" in error
    assert "data.root" in error
    refused(cli(*train("mnist", "data.root=3")), "3: there is no such folder", "data.root")
    refused(cli(*train("image_folder", "data.root=none")), "none", "data.root")
    refused(cli(*train("image_folder", f"data.root={'x' * 300}")), "too long")
    assert snapshot(place) == before


@pytest.fixture
def folder(place):
    """A good folder of images."""
    image = pytest.importorskip("PIL.Image")
    root = place / "images"
    rng = np.random.default_rng(1)
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            (root / split / name).mkdir(parents=True)
            for number in range(3):
                pixels = rng.integers(0, 256, (16, 12, 3), dtype=np.uint8)
                ending = "jpg" if number else "png"
                image.fromarray(pixels).save(root / split / name / f"{number}.{ending}")
    return root


def other_size(root):
    from PIL import Image

    Image.new("RGB", (13, 16)).save(root / "train" / "dog" / "2.jpg")


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def remove(root, *names):
    for name in names:
        shutil.rmtree(root / name)


FOLDER = {
    "a file": (lambda r: (shutil.rmtree(r), r.write_text("x")), "images", "not a folder"),
    "empty": (lambda r: remove(r, "train", "test"), "train"),
    "no train": (lambda r: remove(r, "train"), "train"),
    "no classes": (lambda r: remove(r, "train/cat", "train/dog"), "train"),
    "one class": (
        lambda r: remove(r, "train/dog", "test/dog"),
        "train: has one class folder, cat",
        "two",
    ),
    "an empty class": (lambda r: (remove(r, "train/cat"), (r / "train/cat").mkdir()), "train/cat"),
    "classes that differ": (
        lambda r: (r / "test/dog").rename(r / "test/cow"),
        "dog",
        "images/test",
    ),
    "a class too few": (lambda r: remove(r, "test/dog"), "dog"),
    "text named png": (
        lambda r: (r / "train/cat/0.png").write_text("not an image"),
        "cat/0.png",
        'data.on_damaged = "skip"',
    ),
    "text named jpg": (lambda r: (r / "test/dog/1.jpg").write_text("not an image"), "dog/1.jpg"),
    "an empty file": (lambda r: (r / "train/cat/1.jpg").write_bytes(b""), "cat/1.jpg"),
    "jpg cut": (lambda r: cut(r / "train/dog/1.jpg"), "train/dog/1.jpg", "on_damaged"),
    "png cut": (lambda r: cut(r / "test/dog/0.png"), "test/dog/0.png"),
    "sizes that differ": (other_size, "train/dog/2.jpg", "data.size"),
}


@pytest.mark.parametrize("name", FOLDER)
def test_image_folder(name, cli, place, folder, snapshot):
    damage, *words = FOLDER[name]
    damage(folder)
    before = snapshot(place)
    refused(cli(*train("image_folder", "data.root=images", "data.workers=0")), *words)
    assert snapshot(place) == before


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("override", ["data.size=0", "data.size=[8]", "data.colour=red",
                                      "data.fit=squash", "data.workers=-1",
                                      "data.on_damaged=ignore"])  # fmt: skip
def test_image_folder_options(override, cli, place, snapshot):
    before = snapshot(place)
    answer = cli(*train("image_folder", "data.root=images", override))
    refused(answer, override.partition("=")[0].removeprefix("data."))
    assert snapshot(place) == before


@pytest.mark.usefixtures("folder")
def test_the_good_image_folder_is_good(cli):
    answer = cli(*train("image_folder", "data.root=images", "data.workers=0"), "--run-dir", "run")
    assert answer.status == 0, answer.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
@pytest.mark.usefixtures("mnist", "folder")
@pytest.mark.parametrize(("kind", "root"), [("mnist", "mnist"), ("image_folder", "images")])
def test_no_permission(kind, root, cli, place):
    (place / root).chmod(0)
    try:
        refused(cli(*train(kind, f"data.root={root}")), root, "ermission")
    finally:
        (place / root).chmod(0o755)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A good run folder, to be copied and damaged."""
    from gpucnn.config import load_config
    from gpucnn.training.trainer import Trainer

    folder = tmp_path_factory.mktemp("trained")
    (folder / "good.toml").write_text(CONFIG)
    Trainer(load_config(folder / "good.toml"), "numpy", folder / "run").fit()
    return folder / "run"


@pytest.fixture
def run(place, trained):
    shutil.copytree(trained, place / "run")
    pytest.importorskip("PIL.Image").new("L", (8, 8)).save(place / "image.png")
    return place / "run"


def each(pattern, damage):
    return lambda run: [damage(path) for path in run.glob(pattern)]


def edited(name, **changes):
    def edit(run):
        content = json.loads((run / name).read_text())
        (run / name).write_text(json.dumps({**content, **changes}))

    return edit


def resealed(name, **changes):
    """As ``edited``, with a checksum that is right again."""

    def edit(run):
        content = json.loads((run / name).read_text()) | changes
        del content["format"], content["sha256"]
        (run / name).write_bytes(seal(content, content.pop("run")))

    return edit


def flipped(path):
    flip(path, path.stat().st_size // 2)


ALL = ("predict", "evaluate", "resume")
RUNS = {
    "no checkpoints": (ALL, lambda r: shutil.rmtree(r / "checkpoints"), "no checkpoint that can"),
    "empty checkpoints": (ALL, each("checkpoints/*", os.unlink), "can be used; restore one"),
    "all cut": (ALL, each("checkpoints/*.safetensors", cut), "no checkpoint that can be used"),
    "all seals flipped": (ALL, each("checkpoints/*.json", flipped), "no checkpoint that can"),
    "config missing": (ALL, lambda r: (r / "config.json").unlink(), "config.json"),
    "config cut": (ALL, lambda r: cut(r / "config.json"), "config.json", "damaged"),
    "config a list": (ALL, lambda r: (r / "config.json").write_text("[]"), "config.json"),
    "config empty": (ALL, lambda r: (r / "config.json").write_text("{}"), "config.json"),
    "config changed by hand": (ALL, edited("config.json", seed=3), "config.json", "checksum"),
    "config of another model": (
        ALL, resealed("config.json", model={"name": "lenet", "filters": [2, 2], "kernel": 2}),
        "step-00000003.json cannot be used", "another model"),
    "config with an unknown key": (ALL, resealed("config.json", sed=1), "config.json", "sed"),
    "card missing": (ALL, lambda r: (r / "model.json").unlink(), "model.json"),
    "card cut": (ALL, lambda r: cut(r / "model.json"), "model.json", "damaged"),
    "card changed by hand": (ALL, edited("model.json", classes=list("abc")), "model.json"),
    "card of wrong types": (ALL, resealed("model.json", classes=3), "model.json", "damaged"),
    "card without a side": (ALL, resealed("model.json", input_shape=[8, 8]), "model.json"),
    "card of another shape": (ALL, resealed("model.json", input_shape=[9, 9, 1]), "the model"),
}  # fmt: skip
COMMANDS = {
    "predict": ("predict", "run", "image.png", "--backend", "numpy"),
    "evaluate": ("evaluate", "run", "--backend", "numpy"),
    "resume": ("train", "--resume", "run", "--quiet", "--backend", "numpy"),
}


@pytest.mark.parametrize(
    ("name", "command"), [(name, command) for name, row in RUNS.items() for command in row[0]]
)
def test_damaged_run(name, command, cli, place, run, snapshot):
    _, damage, *words = RUNS[name]
    damage(run)
    before = snapshot(place)
    refused(cli(*COMMANDS[command]), *words, lines=4)
    after = snapshot(place)
    for files in (before, after):
        files.pop("run/log.txt")  # tells of an attempt to resume
    assert after == before


def test_json_stays_json_if_a_checkpoint_is_skipped(cli, run):
    flip(max(run.glob("checkpoints/*.safetensors")), 500)
    answer = cli("evaluate", "run", "--json", "--backend", "numpy")
    assert answer.status == 0
    assert json.loads(answer.out)["step"] == 0
    assert "skipped a checkpoint" in answer.err
    answer = cli("train", "--resume", "run", "--json", "--backend", "numpy")
    assert answer.status == 0
    assert json.loads(answer.out)["n"] == 355


def test_one_checkpoint_that_is_damaged_or_missing(cli, run):
    newest = max(run.glob("checkpoints/*.safetensors"))
    flip(newest, 500)
    refused(cli("evaluate", newest), newest.name, "damaged")
    refused(cli("evaluate", newest.with_name("step-00000099.safetensors")), "step-00000099")
    refused(cli("evaluate", run / "model.json"), "model.json is neither a checkpoint", "run folder")


def test_run_folder_in_use(cli, run):
    from gpucnn.training.run_folder import RunFolder

    other = RunFolder.open(run)
    other.lock()
    refused(cli(*COMMANDS["resume"]), "another process is training there")
    other.unlock()


def test_resume_with_another_config(cli, run, place, snapshot):
    before = snapshot(run)
    for override, key in (("training.epochs=2", "training.epochs"), ("seed=2", "seed")):
        refused(cli(*COMMANDS["resume"], "--set", override), f"error: {key} was", "start a new run")
    refused(cli("train", "good.toml", "--resume", "run", "--set", "seed=5"), "error: seed was")
    (place / "bad.toml").write_text("seed = ")
    refused(cli("train", "bad.toml", "--resume", "run"), "bad.toml: not valid TOML")
    assert snapshot(run) == before


PREDICT = {
    "a missing file": ("none.png", "none.png"),
    "a config": ("good.toml", "good.toml"),
    "a folder without images": ("run", "run: there are no images in this folder"),
    "too long a name": ("x" * 300 + ".png", "too long"),
}


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize("name", PREDICT)
def test_predict(name, cli, place, snapshot):
    path, *words = PREDICT[name]
    before = snapshot(place)
    refused(cli("predict", "run", path, "--backend", "numpy"), *words)
    assert snapshot(place) == before


@pytest.mark.usefixtures("place")
def test_full_disk(cli, mount_disk):
    small_disk = mount_disk(16)
    answer = cli(*train("digits"), "--run-dir", small_disk / "run", "--quiet",
                 "--set", "training.epochs=50")  # fmt: skip
    refused(answer, "cannot be written (No space left on device); free some space")
    assert not list(small_disk.rglob("*.unfinished"))
