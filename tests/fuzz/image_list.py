"""Lists of image files in csv."""

import os
import random
from contextlib import suppress
from pathlib import Path

import numpy as np
from fuzz.harness import MIB, Fuzzer, attempt
from fuzz.mutators import INTEGERS, NAMES, mutated_bytes, mutated_text
from PIL import Image

from gpucnn.data import image_list

_PLAIN = "".join(f"{number}.png,{'cat' if number % 2 else 'dog'}\n" for number in range(8))
_HEADED = "file,class,split\n" + "".join(
    f"{number}.png,{'cat' if number % 3 else 'dog'},{('train', 'test')[number % 2]}\n"
    for number in range(8)
)
_NUMBERED = "file,age,split\n" + "".join(
    f"{number}.png,{number / 4},{('train', 'test')[number % 2]}\n" for number in range(8)
)
_WORDS = (
    *(",", ",,", '"', '""', '","', "\n", "\r", "\r\n", ";", "\t", " ", "\\", "'", "#", "\ufeff"),
    *("file", "class", "split", "label", "train", "test", "val", "0.png", "fifo", "device", "link"),
    *("/", ".", "..", "/dev/zero", "~", "damaged.png", "cat", "Cat", "caf\u00e9", "cafe\u0301"),
)


class ImageListFuzzer(Fuzzer):
    """Lists that are damaged, or that list what is no image."""

    name = "csv"
    memory = 256 * MIB
    may_print = True

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        for number in range(8):
            Image.new("L", (4, 4), number).save(folder / f"{number}.png")
        (folder / "damaged.png").write_bytes(b"\x89PNG")
        os.mkfifo(folder / "fifo")
        (folder / "device").symlink_to("/dev/zero")
        (folder / "link").symlink_to("nothing")

    def run(self, rng: random.Random, number: int) -> None:
        """A list, whose images are read."""
        path = self.folder / f"list-{number}.csv"
        is_intact = number % 100 == 0
        text, other = rng.sample((_PLAIN, _HEADED, _NUMBERED), 2)
        targets = ("age",) if text is _NUMBERED else None
        if not is_intact:
            text = mutated_text(rng, text, other, (*_WORDS, *NAMES))
        content = text.encode("utf-8", "surrogatepass")
        if not is_intact and rng.random() < 0.2:
            content = mutated_bytes(rng, content, other.encode("utf-16"))
        path.write_bytes(content)
        if not is_intact and rng.random() < 0.02:
            os.truncate(path, rng.choice(INTEGERS) % 2**27)
        try:
            self._check(rng, path, is_intact, targets)
        finally:
            with suppress(OSError):
                path.unlink()

    def _check(
        self, rng: random.Random, path: Path, is_intact: bool, targets: tuple[str, ...] | None
    ) -> None:
        options = {"size": 4, "colour": "grey", "workers": 0, "targets": targets}
        skip = rng.choice(("skip", "error"))
        pair = attempt(
            lambda: image_list(str(path), on_damaged=skip, **options),
            (path.name, ".png", *_WORDS[-14:]),
        )
        assert pair is not None or not is_intact, "an intact list was refused"
        for part in (pair.train, pair.test) if pair else ():
            assert part.images(np.arange(len(part))).shape == (len(part), 4, 4, 1)
            assert set(part.labels.tolist()) <= set(range(len(part.classes or ("age",))))
            assert targets is None or np.isfinite(part.targets).all()
