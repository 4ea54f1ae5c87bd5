"""Trees of folders, as training and as prediction find their images in them."""

import io
import os
import random
import sys
from contextlib import redirect_stdout, suppress
from pathlib import Path

import msgspec
import numpy as np
from fuzz.harness import Fuzzer, attempt, check_message, remove_tree, without_privileges
from fuzz.mutators import NAMES
from PIL import Image

from gpucnn import cli
from gpucnn.config import Config
from gpucnn.data import image_folder
from gpucnn.data.data_check import check_data
from gpucnn.data.folder_scan import scan, scan_test
from gpucnn.json_text import json_text
from gpucnn.training.trainer import Trainer

_FILES = (
    *(
        "a.png",
        "b.PNG",
        "c.jpg",
        "d.jpeg",
        "e.txt",
        "f",
        ".g.png",
        "Thumbs.db",
        "h.png.txt",
        "i.heic",
    ),
    *(
        "caf\u00e9.png",
        "cafe\u0301.png",
        "A.png",
        "x" * 240 + ".png",
        "new\nline.png",
        "\x1b[31m.png",
    ),
    *("not utf-8 \udce9.png", ".png", " .png", "-top.png", "1.tiff", "$x$.png", ".hidden", "~"),
)
_CLASSES = (
    *(
        "cat",
        "dog",
        "Cat",
        "caf\u00e9",
        "cafe\u0301",
        "\udce9",
        "a\nb",
        ".hidden",
        "a.png",
        " ",
        "-x",
    ),
    *("cat", "dog", "cat", "dog", "bird", "\x1b[2J", "y" * 255, "$c$", "train", "test"),
)
SPLIT = (0.3, 1)
"""The share to test on, if there is no such split, and the seed of the choice."""
_SPLITS = ("train", "test", "val", "Train", "training", "tests", ".train", "cat")
CONFIG = {
    "data": {"name": "digits"},
    "model": {
        "name": "sequential",
        "layers": [{"type": "flatten"}, {"type": "linear", "features": "classes"}],
    },
    "optimizer": {"name": "sgd", "learning_rate": 0.1},
    "training": {"epochs": 1, "batch_size": 500},
}


class FolderFuzzer(Fuzzer):
    """Trees of class folders with links, hidden files and what is no file at all."""

    name = "folders"
    may_print = True

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        file = io.BytesIO()
        Image.new("L", (4, 4)).save(file, "PNG")
        self._png = file.getvalue()
        self._run = folder / "run"
        Trainer(Config(CONFIG), "numpy", self._run).fit()
        (folder / "outside").mkdir()
        (folder / "outside" / "far.png").write_bytes(self._png)
        (folder / "outside" / "back").symlink_to("..")

    def run(self, rng: random.Random, number: int) -> None:
        """A tree that is scanned for training and for prediction."""
        root = self.folder / f"root-{number}"
        root.mkdir()
        try:
            self._plant(rng, root)
            with without_privileges():
                self._scan(rng, root)
        finally:
            remove_tree(root)

    def _check(self, root: Path, is_usable: bool) -> None:
        """What training refuses, the check lists; and what it takes, nothing but damaged files."""
        options = {"name": "image_folder", "root": str(root), "workers": 0}
        report = attempt(lambda: check_data(options), (root.name,))
        if report is None:
            assert not is_usable, "training takes what cannot be checked"
            return
        kinds = {one.kind for one in report.damaged}
        assert not is_usable or kinds <= {"damaged", "empty class"}, f"training takes {kinds}"
        assert is_usable or kinds, "training refuses what was found to be good"
        for one in (*report.damaged, *report.odd):
            check_message(one.text, ("",))
        json_text(report.as_json())

    def _scan(self, rng: random.Random, root: Path) -> None:
        found = attempt(lambda: scan(str(root), *SPLIT), (root.name,))
        if rng.random() < 0.2:
            again = attempt(lambda: scan(str(root), *SPLIT), (root.name,))
            assert str(found) == str(again), "a second scan found something else"
        self._check(root, is_usable=found is not None)
        if found:
            assert set(found[0].labels.tolist()) == set(range(len(found[0].classes)))
            assert not set(found[0].files) & set(found[1].files), "trained and tested on a file"
        listings = [*(found or ()), attempt(lambda: scan_test(str(root), *SPLIT), (root.name,))]
        for listing in filter(None, listings):
            assert len(listing.files) == len(listing.labels) > 0
            assert set(listing.labels.tolist()) <= set(range(len(listing.classes)))
            for path in listing.files:
                name = path.rpartition("/")[2]
                assert not name.startswith("."), f"a hidden file was taken: {path!r}"
                assert path.startswith(str(root)), f"taken from elsewhere: {path!r}"
        rng.choice((self._predict, self._read, lambda *_: None))(rng, root)

    def _read(self, rng: random.Random, root: Path) -> None:
        skip = rng.choice(("skip", "error"))
        pair = attempt(
            lambda: image_folder(str(root), 4, "grey", workers=0, on_damaged=skip), (root.name,)
        )
        for part in (pair.train, pair.test) if pair else ():
            assert part.images(np.arange(len(part))).shape == (len(part), 4, 4, 1)

    def _predict(self, rng: random.Random, root: Path) -> None:
        files = [f"{place}/{name}" for place, _, names in os.walk(root) for name in names]
        argument = rng.choice([str(root), str(root), *files[:1]])
        options = rng.choice(([], ["--json"]))
        out = io.StringIO()
        with redirect_stdout(out):
            arguments = ("predict", str(self._run), argument, "--backend", "numpy", *options)
            status = run_command(*arguments)
        assert status in (0, 1, 2), f"predict ended with status {status}"
        text = out.getvalue()
        assert text.replace("\n", "").isprintable(), f"printed {text!r}"
        if options and text:
            assert isinstance(msgspec.json.decode(text), list)

    def _plant(self, rng: random.Random, root: Path) -> None:
        splits = [*rng.sample(_SPLITS, rng.randrange(3)), "train", "test"]
        if rng.random() < 0.2:
            splits = rng.choice((["."], ["train"], ["train", "val"]))
        alike = rng.choices(_CLASSES, k=rng.randrange(1, 5))
        for split in splits[: rng.choice((1, 3, 4, 4, 4))]:
            classes = alike if rng.random() < 0.7 else rng.choices(_CLASSES, k=rng.randrange(4))
            for name in classes:
                with suppress(OSError):
                    (root / split / name).mkdir(parents=True)
                for file in rng.choices(_FILES, k=rng.choice((0, 1, 1, 2, 3))):
                    self._plant_file(rng, root / split / name / file)
        for _ in range(int(rng.expovariate(0.7))):
            folders = [Path(place) for place, *_ in os.walk(root)]
            self._plant_oddity(rng, root, rng.choice(folders))

    def _plant_file(self, rng: random.Random, path: Path) -> None:
        if rng.random() < 0.05:
            path = path.with_name(
                rng.choice(NAMES).replace("\0", "").replace("/", "")[:200] + ".png"
            )
        content = rng.choices((self._png, b"", b"no image", self._png[:40]), (20, 1, 1, 1))[0]
        with suppress(OSError):  # what has the name already may be anything
            path.write_bytes(content) if not os.path.lexists(path) else None

    def _plant_oddity(self, rng: random.Random, root: Path, folder: Path) -> None:
        path = folder / rng.choice((*_FILES, *_CLASSES, *_SPLITS))
        kind = rng.randrange(12)
        with suppress(OSError):
            if kind == 0:
                os.mkfifo(path)
            elif kind == 1:
                os.mknod(path, 0o140600)
            elif kind == 2:
                path.symlink_to(rng.choice((".", "..", root, folder, path.name, "nothing")))
            elif kind == 3:
                path.symlink_to(rng.choice(("/dev/zero", "/dev/null", "/dev/full")))
            elif kind == 4:
                path.symlink_to(self.folder / "outside")
            elif kind == 5:
                path.symlink_to(self.folder / "outside" / "far.png")
            elif kind == 6:
                path.mkdir()
            elif kind == 7:
                (path / rng.choice(_CLASSES) / rng.choice(_FILES)).mkdir(parents=True)
            elif kind == 8:
                self._plant_deep(folder, rng.choice((3, 20, 60)))
            elif kind == 9:
                folder.chmod(rng.choice((0, 0o100, 0o444)))
            elif kind == 10:
                for other in folder.iterdir():
                    if other.is_file() and not other.is_symlink():
                        other.chmod(0)
            elif kind == 11 and folder != root:
                remove_tree(folder)
                self._plant_file(rng, folder)

    def _plant_deep(self, folder: Path, depth: int) -> None:
        """Folders so deep that a path to the innermost one may be too long for the system."""
        here = os.open(folder, os.O_RDONLY)
        try:
            for _ in range(depth):
                os.mkdir("d" * 200, dir_fd=here)
                inner = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
                os.close(here)
                here = inner
            os.close(os.open("deep.png", os.O_WRONLY | os.O_CREAT, dir_fd=here))
        finally:
            os.close(here)


def run_command(*arguments: str) -> int:
    """Runs ``gpucnn ARGUMENTS`` in this process and returns its status."""
    before, sys.argv = sys.argv, ["gpucnn", *arguments]
    try:
        cli.main()
    except SystemExit as ended:
        return ended.code or 0
    finally:
        sys.argv = before
