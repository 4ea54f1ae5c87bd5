"""Config files, and ``--set``."""

import json
import random
import tomllib
from pathlib import Path

from fuzz.harness import Fuzzer, attempt
from fuzz.mutators import (
    LEAVES,
    NAMES,
    TOML_RAW,
    mutated_bytes,
    mutated_text,
    mutated_tree,
    toml_key,
    toml_of,
)

from gpucnn.config import Config, flatten, load_config
from gpucnn.data import datasets
from gpucnn.json_text import json_text
from gpucnn.layers.base import layers
from gpucnn.losses import losses
from gpucnn.models import models
from gpucnn.optim import optimizers, schedules

CONFIGS = Path(__file__).parents[2] / "configs"
_TABLES = (
    "seed",
    "plugins",
    "data",
    "augment",
    "model",
    "loss",
    "optimizer",
    "schedule",
    "training",
    "finetune",
    "checkpoint",
)
_REGISTRIES = {
    "data": datasets,
    "model": models,
    "loss": losses,
    "optimizer": optimizers,
    "schedule": schedules,
}
_WORDS = (
    *_TABLES,
    *("[", "]", "[[", "]]", "{", "}", "=", ",", ".", "#", '"', '"""', "'''", "\n", "\r\n", "\\"),
    *("true", "false", "inf", "nan", "name", "type", "layers", "[data]", "[[model.layers]]"),
    *(name for registry in (*_REGISTRIES.values(), layers) for name in registry.names()),
)


def check(config: Config | None) -> None:
    """A config that was accepted must be the same after it went through a run folder's JSON."""
    if config is None:
        return
    text = json_text(config.tables)
    again = Config(json.loads(text))
    assert json_text(again.tables) == text, "the config differs after it went through JSON"


def drawn_tables(rng: random.Random) -> dict:
    """A config that names things at random, with any of their options."""
    tables = {key: _drawn(rng, registry, "name") for key, registry in _REGISTRIES.items()}
    tables["seed"] = rng.randrange(2**64)
    tables["data"] |= {"validation": 0.1, "normalise": False}
    tables["training"] = {"epochs": 2, "batch_size": 32, "clip_norm": 1.0, "fuse": False}
    tables["augment"] = {"flip": True, "crop_padding": 2, **_augmented(rng)}
    tables["checkpoint"] = {"every_steps": 10, "every_seconds": 5.5}
    return tables


def _augmented(rng: random.Random) -> dict:
    """Some of the other changes of images, within their ranges."""
    amounts = ("rotation", "brightness", "contrast", "saturation", "mixup", "cutmix")
    return {name: rng.random() for name in amounts if rng.random() < 0.3}


def _drawn(rng: random.Random, registry, key: str, depth: int = 0) -> dict:
    name = rng.choice(registry.names())
    table = {key: name}
    for option in registry.options(name):
        if option.required or rng.random() < 0.5:
            table[option.name] = _value(rng, option, depth)
    return table


def _value(rng: random.Random, option, depth: int):
    kind = option.type
    if "Layer" in kind:
        few = range(rng.randrange(1, 4) if depth < 3 else 0)
        return [_drawn(rng, layers, "type", depth + 1) for _ in few]
    if isinstance(option.default, (bool, int, float, str)):
        return option.default
    return 0.5 if "float" in kind else 2 if "int" in kind else False if "bool" in kind else "same"


class TomlFuzzer(Fuzzer):
    """Config files: ours damaged as text and as bytes, and drawn ones with odd keys and values."""

    name = "toml"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._texts = [path.read_text(encoding="utf-8") for path in sorted(CONFIGS.glob("*.toml"))]
        self._trees = [tomllib.loads(text) for text in self._texts]

    def run(self, rng: random.Random, number: int) -> None:
        """A file that is new each time."""
        path = self.folder / "config.toml"
        content = self._content(rng)
        path.write_bytes(content)
        config = attempt(lambda: load_config(path), (*self._names(content), str(path)))
        check(config)

    def _content(self, rng: random.Random) -> bytes:
        kind = rng.randrange(10)
        one, other = rng.choices(self._texts, k=2)
        if kind == 0:
            return mutated_bytes(rng, one.encode(), other.encode())
        if kind < 4:
            return mutated_text(rng, one, other, _WORDS).encode("utf-8", "surrogatepass")
        tree = rng.choice(self._trees) if kind < 6 else drawn_tables(rng)
        tree = mutated_tree(rng, tree, TOML_RAW)
        if not isinstance(tree, dict):
            return toml_of(tree).encode()
        lines = [f"{toml_key(key)} = {toml_of(value)}\n" for key, value in tree.items()]
        return "".join(lines).encode("utf-8", "surrogatepass")

    @staticmethod
    def _names(content: bytes) -> tuple[str, ...]:
        """What a message may name besides the file: a table or key, if the file is TOML at all."""
        try:
            tables = tomllib.loads(content.decode("utf-8-sig"))
        except (ValueError, RecursionError):
            return ()
        return (*_TABLES, *(key for key in tables if key.isprintable()))


class SetFuzzer(Fuzzer):
    """``--set``: keys that are there or not, with values of all kinds, several at a time."""

    name = "set"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._paths = sorted(CONFIGS.glob("*.toml"))
        given = {key: {"x": 1} for key in _TABLES}
        fixed = {"augment": {}, "training": {}, "checkpoint": {}}
        tables = Config({**tomllib.loads(self._paths[0].read_text()), **fixed}).tables
        options = {
            f"{table}.{option.name}"
            for table, registry in _REGISTRIES.items()
            for name in registry.names()
            for option in registry.options(name)
        }
        self._keys = sorted({*flatten(tables), *options, *given, "model.layers.0.filters"})

    def run(self, rng: random.Random, number: int) -> None:
        """One to three overrides of one of our configs."""
        overrides = [self._override(rng) for _ in times_few(rng)]
        names = (*_TABLES, "--set")
        check(attempt(lambda: load_config(rng.choice(self._paths), overrides), names))

    def _override(self, rng: random.Random) -> str:
        key = rng.choice(self._keys)
        if rng.random() < 0.2:
            key = rng.choice(
                (mutated_text(rng, key, key, NAMES), rng.choice(NAMES), "", f"{key}.x")
            )
        kind = rng.randrange(6)
        if kind < 2:
            value = toml_of(rng.choice((*LEAVES, *TOML_RAW)))
        elif kind == 2:
            value = rng.choice(NAMES)
        elif kind == 3:
            value = toml_of(mutated_tree(rng, drawn_tables(rng)["model"], TOML_RAW))
        else:
            value = mutated_text(
                rng, rng.choice(("0.1", "10", "true", "[3, 4]", '"x"')), "1", _WORDS
            )
        # An argument of the command line has no NUL, and a byte that is not UTF-8 is a surrogate.
        text = f"{key}={value}" if rng.random() < 0.97 else f"{key}{value}"
        return text.replace("\0", "\udce9")


def times_few(rng: random.Random) -> range:
    """Once, or two or three times."""
    return range(rng.choice((1, 1, 1, 2, 3)))
