"""Safetensors files to start from."""

import json
import os
import random
from pathlib import Path

import numpy as np
from fuzz.harness import MIB, Fuzzer, attempt
from fuzz.mutators import INTEGERS, JSON_RAW, json_of, mutated_bytes, mutated_tree
from safetensors.numpy import save

from gpucnn.backends import get_backend
from gpucnn.config import Config
from gpucnn.layers import Network
from gpucnn.training.initial_weights import load_weights, pytorch_names
from gpucnn.training.weight_files import open_weights

_DTYPES = ("F32", "F16", "BF16", "F64", "F8_E4M3", "I8", "I32", "I64", "U8", "U16", "BOOL", "C64")
_CLASSES = ("a", "b", "c")


class WeightsFuzzer(Fuzzer):
    """Files with our names or PyTorch's that are damaged, or whose headers lie."""

    name = "weights"
    memory = 256 * MIB

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._config = Config(
            {
                "data": {"name": "digits"},
                "model": {"name": "resnet18", "width": 1},
                "optimizer": {"name": "sgd", "learning_rate": 0.1},
            }
        )
        self._network = Network(
            self._config.build_model(), (8, 8, 3), len(_CLASSES), get_backend("numpy")
        )
        ours = self._network.state()
        theirs = pytorch_names(self._network.body)
        in_pytorch = {
            theirs[name]: array.transpose(0, 3, 1, 2) if array.ndim == 4 else array
            for name, array in ours.items()
        }
        counts = {"bn1.num_batches_tracked": np.array(3)}
        self._contents = [
            save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
            for arrays in (
                ours,
                in_pytorch | counts,
                {f"network/{name}": array for name, array in ours.items()},
            )
        ]

    def run(self, rng: random.Random, number: int) -> None:
        """A file, which is opened and loaded if it can be."""
        path = self.folder / f"file-{number}.safetensors"
        is_intact = number % 100 == 0
        content = rng.choice(self._contents)
        path.write_bytes(content if is_intact else self._damaged(rng, content))
        if not is_intact and rng.random() < 0.02:
            os.truncate(path, rng.choice(INTEGERS) % 2**43)
        try:
            self._check(path, is_intact)
        finally:
            path.unlink()

    def _check(self, path: Path, is_intact: bool) -> None:
        names = (path.name,)
        weights = attempt(lambda: open_weights(str(path)), names)
        loaded = weights and attempt(
            lambda: load_weights(self._network, weights, self._config, _CLASSES), names
        )
        if is_intact:
            assert loaded, "an intact file was refused"
            assert (loaded.anew, loaded.unused) == ([], [])
        if loaded:
            assert loaded.loaded
            assert loaded.line.isprintable()
            assert len(loaded.line) < 2000
            assert all(np.isfinite(array).all() for array in self._network.state().values())

    def _damaged(self, rng: random.Random, content: bytes) -> bytes:
        if rng.random() < 0.3:
            return mutated_bytes(rng, content, rng.choice(self._contents))
        length = int.from_bytes(content[:8], "little")
        header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
        kind = rng.randrange(4)
        if kind == 0:
            header[rng.choice(list(header))]["dtype"] = rng.choice(_DTYPES)
        elif kind == 1:
            name = rng.choice(list(header))
            odd = (name[:-1], f"{name}\x1b", "\u2028", "", name * 9)
            header[rng.choice(odd)] = header.pop(name)
        elif kind == 2:
            data = mutated_bytes(rng, data, data)
        else:
            header = mutated_tree(rng, header, JSON_RAW)
        text = json_of(header).encode("utf-8", "surrogatepass")
        size = len(text) if rng.random() < 0.95 else rng.choice(INTEGERS) % 2**64
        return size.to_bytes(8, "little") + text + data
