"""The files of a run folder, opened as commands open them."""

import hashlib
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from fuzz.folders import CONFIG
from fuzz.harness import Fuzzer, attempt, remove_tree
from fuzz.mutators import JSON_RAW, json_of, mutated_bytes, mutated_text, mutated_tree

from gpucnn.config import Config
from gpucnn.inference import TrainedModel
from gpucnn.training.checkpoint import Checkpoint
from gpucnn.training.opened_checkpoint import open_checkpoint
from gpucnn.training.plots import draw_run, read_epochs, read_report
from gpucnn.training.run_folder import RunFolder
from gpucnn.training.trainer import Trainer

_SEALED = ("config.json", "model.json", "checkpoints/step-00000006.json")
_EPOCH = {"train_loss": 0.5, "train_r2": 0.5, "test_loss": 0.6, "test_r2": -0.1, "test_rmse": 9.0}
_FIGURES = {"r2": 0.5, "rmse": 3.0}
_REGRESSION = {
    "metrics.jsonl": "".join(f"{json.dumps({'epoch': n, **_EPOCH})}\n" for n in (1, 2)).encode(),
    "report.json": json.dumps({
        "r2": 0.5, "rmse": 3.0, "loss": 0.5, "n": 3, "targets": {"x": _FIGURES, "y": _FIGURES},
        "true": [[1.0, 2.0], [3.0, -4.0], [5.0, 6.0]],
        "predicted": [[1.5, 2.0], [3.5, -3.0], [4.0, 7.0]],
    }).encode(),
}  # fmt: skip
"""What a regression writes, and a picture is made of."""
_WORDS = (
    *("{", "}", "[", "]", ",", ":", '"', "null", "true", "NaN", "1e999", "-", "\\", "\n", "\x00"),
    *("step", "epoch", "sha256", "format", "run", "accuracy", "train_loss", "\ud800", "\U0001f600"),
)


class RunFolderFuzzer(Fuzzer):
    """Files that are damaged, or sealed by a right checksum although they make no sense."""

    name = "runs"
    may_print = True  # a sentence about each checkpoint that is skipped

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._run = folder / "run"
        tables = {**CONFIG, "data": {"name": "digits", "validation": 0.2}}
        training = {"epochs": 3, "batch_size": 600}
        trainer = Trainer(Config({**tables, "training": training}), "numpy", self._run)
        trainer.fit()
        (self._run / "lock").unlink(missing_ok=True)
        self._contents = {
            str(path.relative_to(self._run)): path.read_bytes()
            for path in sorted(self._run.rglob("*"))
            if path.is_file()
        }
        self._texts = [n for n in self._contents if n.endswith((".json", ".jsonl"))]
        self._arrays = next(n for n in reversed(self._contents) if n.endswith(".safetensors"))
        self._pristine = folder / "pristine"
        shutil.copytree(self._run, self._pristine)

    def run(self, rng: random.Random, number: int) -> None:
        """One file that is damaged, seldom two; all others are intact."""
        changed = {} if number % 100 == 0 else self._damage(rng)
        before = self._state()
        try:
            is_fine = self._read(rng, changed)
            assert changed or is_fine, "an intact run was refused"
            assert self._state() == before, "reading has changed the folder"
            if rng.random() < 0.02:
                self._resume()
                changed = None
        finally:
            self._restore(changed)

    def _state(self) -> list[tuple]:
        found = []
        for place, folders, files in os.walk(self._run):
            for name in (*folders, *files):
                status = os.lstat(f"{place}/{name}")
                found.append((place, name, status.st_size, status.st_mtime_ns, status.st_mode))
        return sorted(found)

    def _restore(self, changed: dict[str, None] | None) -> None:
        if changed is None:
            remove_tree(self._run)
            shutil.copytree(self._pristine, self._run)
            return
        for name in changed:
            path = self._run / name
            if path.is_dir() and not path.is_symlink():
                remove_tree(path)
            else:
                path.unlink(missing_ok=True)
            path.write_bytes(self._contents[name])

    def _read(self, rng: random.Random, changed: dict[str, None]) -> bool:
        """Does what a command does that reads the files; whether all could be read."""
        names = (self._run.name,)
        run = attempt(lambda: RunFolder.open(self._run, _ignore), names)
        if run is None:
            return False
        calls: list[Callable[[], object]] = []
        if rng.random() < 0.2 or "config.json" in changed:
            calls += [run.config, run.has_begun]
        if rng.random() < 0.2 or "model.json" in changed:
            calls.append(run.card)
        if rng.random() < 0.2 or any(name.startswith("checkpoints") for name in changed):
            calls += [run.checkpoints.best, lambda: run.checkpoints.at(6)]
        if rng.random() < 0.2 or {"metrics.jsonl", "report.json"} & changed.keys():
            calls += [
                lambda: list(run.metrics()),
                lambda: read_epochs(run),
                lambda: read_report(run),
            ]
        results = [attempt(call, names) for call in calls]
        for result in results:
            if isinstance(result, Checkpoint):
                assert all(np.isfinite(array).all() for array in result.arrays.values())
        if rng.random() < 0.1:
            results.append(self._classify(names))
        return all(result is not None for result in results)

    def _classify(self, names: tuple[str, ...]) -> object:
        """Scores of an image, as predict computes them."""
        opened = attempt(lambda: open_checkpoint(self._run), names)
        model = attempt(lambda: TrainedModel(opened, "numpy"), names) if opened else None
        if model is None:
            return None
        image = np.zeros((1, *opened.card.input_shape), np.uint8)
        scores = attempt(lambda: model.predict(image), names)
        assert scores is None or np.isfinite(scores).all()
        return scores

    def _resume(self) -> None:
        """Goes on with the run; if that fails, the folder is not left locked."""
        names = (self._run.name, "run began", "data")
        trainer = attempt(lambda: Trainer.resume(self._run, "numpy"), names)
        if trainer is not None:
            trainer.run.unlock()
        run = attempt(lambda: RunFolder.open(self._run, _ignore), names)
        if run is not None and not (self._run / "lock").is_dir():
            run.lock()
            run.unlock()

    def _damage(self, rng: random.Random) -> dict[str, None]:
        """The names of the files that it has damaged."""
        if rng.random() < 0.1:
            return self._damage_arrays(rng)
        names = rng.sample(self._texts, rng.choice((1, 1, 1, 2)))
        for name in names:
            path = self._run / name
            content = self._contents[name]
            kind = rng.randrange(9)
            if kind < 6:
                path.write_bytes(self._odd_json(rng, name, content))
            elif kind == 6:
                other = self._contents[rng.choice(self._texts)]
                path.write_bytes(mutated_bytes(rng, content, other))
            elif kind == 7:
                text = mutated_text(rng, content.decode(), content.decode(), _WORDS)
                path.write_bytes(text.encode("utf-8", "surrogatepass"))
            else:
                self._replace(rng, path)
        return dict.fromkeys(names)

    def _odd_json(self, rng: random.Random, name: str, content: bytes) -> bytes:
        if name.endswith(".jsonl"):
            lines = content.decode().splitlines(keepends=True)
            place = rng.randrange(len(lines))
            tree = mutated_tree(rng, json.loads(lines[place]), JSON_RAW)
            lines[place] = json_of(tree) + rng.choice(("\n", "\n", "\n", "", "\r\n", " x\n"))
            return "".join(lines).encode()
        tree = mutated_tree(rng, json.loads(content), JSON_RAW)
        is_sealed = "sha256" in json.loads(content) and rng.random() < 0.9
        return (sealed(tree) if is_sealed else json_of(tree)).encode()

    def _damage_arrays(self, rng: random.Random) -> dict[str, None]:
        """Arrays that are damaged, with a seal that fits."""
        arrays = mutated_bytes(rng, self._contents[self._arrays], b"")
        name = self._arrays.replace(".safetensors", ".json")
        tree = json.loads(self._contents[name])
        tree["arrays"] = {"sha256": hashlib.sha256(arrays).hexdigest(), "bytes": len(arrays)}
        (self._run / self._arrays).write_bytes(arrays)
        (self._run / name).write_text(sealed(tree))
        return dict.fromkeys((self._arrays, name))

    def _replace(self, rng: random.Random, path: Path) -> None:
        """By what is no file, or one of another kind or size."""
        path.unlink()
        kind = rng.randrange(7)
        if kind == 0:
            os.mkfifo(path)
        elif kind == 1:
            path.mkdir()
        elif kind == 2:
            path.symlink_to(rng.choice(("/dev/zero", "/etc/passwd", path.name, "nothing", "..")))
        elif kind == 3:
            path.write_bytes(b"")
            os.truncate(path, rng.choice((1 << 20, 1 << 40)))
        elif kind == 4:
            path.write_bytes(self._contents[rng.choice(self._texts)])
        elif kind == 5:
            os.mknod(path, 0o140600)


def sealed(tree: object) -> str:
    """A tree as JSON with the checksum of a sealed file, if it is what can be sealed."""
    if not isinstance(tree, dict):
        return json_of(tree)
    tree = {key: value for key, value in tree.items() if key != "sha256"}
    try:
        text = json.dumps(json.loads(json_of(tree)), sort_keys=True)
    except (ValueError, RecursionError):
        text = ""
    return json_of({**tree, "sha256": hashlib.sha256(text.encode()).hexdigest()})


def _ignore(text: str) -> None:
    """Does nothing with a sentence about a checkpoint."""


class PlotFuzzer(RunFolderFuzzer):
    """Pictures of runs whose metrics and reports are damaged."""

    name = "plots"
    may_keep_files_open = True  # fonts

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        # Matplotlib writes to the user's folders when it is first used.
        draw_run(RunFolder.open(self._run, _ignore), folder / "first.png")

    def run(self, rng: random.Random, number: int) -> None:
        """Either file, damaged; the picture is drawn if it can be."""
        name = rng.choice(("metrics.jsonl", "report.json"))
        if rng.random() < 0.5:
            for each, content in _REGRESSION.items():
                (self._run / each).write_bytes(content)
            content = _REGRESSION[name]
        else:
            content = self._contents[name]
        (self._run / name).write_bytes(self._odd_json(rng, name, content))
        picture = self.folder / "picture.png"
        try:
            run = RunFolder.open(self._run, _ignore)
            attempt(lambda: draw_run(run, picture), (self._run.name,))
        finally:
            picture.unlink(missing_ok=True)
            self._restore(dict.fromkeys(_REGRESSION))
