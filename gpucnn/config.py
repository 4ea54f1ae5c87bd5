"""The config of a run: TOML tables to typed, validated values. The one place that knows every key.

A config has the tables ``[data]``, ``[augment]``, ``[model]``, ``[loss]``, ``[optimizer]``,
``[schedule]``, ``[training]``, ``[finetune]``, ``[checkpoint]``, any number of
``[[extensions]]``, and the key ``seed``. Those that choose something by name have the options of
what they name (``gpucnn list`` shows them).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from gpucnn import plugins
from gpucnn.config_file import is_too_deep, read_config_file
from gpucnn.config_tables import (
    MOST_EPOCHS,
    Augment,
    Cadence,
    CommonData,
    Finetune,
    Plugins,
    Table,
    Top,
    Training,
    describe_table,
    key_types,
    read_table,
)
from gpucnn.data import (
    Augmentation,
    Dataset,
    DatasetPair,
    datasets,
    load_test_split,
    validation_split,
)
from gpucnn.errors import ConfigError, brief, did_you_mean, other_name, shortened
from gpucnn.extensions import EXTENSIONS, Extension, join_schedules, read_extensions
from gpucnn.fp32 import require_fp32
from gpucnn.layers import Layer
from gpucnn.losses import Loss, losses
from gpucnn.models import models
from gpucnn.optim import Optimizer, Schedule, optimizers, schedules
from gpucnn.overrides import with_overrides
from gpucnn.paths import user_path
from gpucnn.registry import Registry, convert

_DEFAULT_NAMES = {"loss": "softmax_cross_entropy", "schedule": "constant"}
_CHOSEN: dict[str, Registry[Any]] = {
    "model": models,
    "loss": losses,
    "optimizer": optimizers,
    "schedule": schedules,
}
_FIXED: dict[str, type[Table]] = {
    "augment": Augment,
    "training": Training,
    "finetune": Finetune,
    "checkpoint": Cadence,
    "plugins": Plugins,
}
_KEYS = ("seed", "data", *_CHOSEN, *_FIXED, EXTENSIONS)

_HARMLESS_KEYS = (
    *("data.root", "data.path", "data.workers", "data.memory_limit_mb", "checkpoint."),
    *("training.patience", "plugins.folder"),
    "finetune.init_from",  # what was loaded is in the checkpoints
)
"""Keys (or beginnings of keys) that do not change the numbers of a run's steps, so may differ on a
resume."""


class Config:
    """A checked config.

    Args:
        tables: the config as nested dictionaries; defaults are filled in.

    Attributes:
        tables: the resolved config, every default written out (those of layers in a list of
            layers aside).
        seed: the seed of all randomness, from 0 to 2**64 - 1.
        data: the keys of ``[data]`` that every data set has.
        data_options: the rest of ``[data]``: the name of the data set, and its own options.
        augment, training, finetune, checkpoint, plugins: the tables of these names.
        extensions: the tables of this name.

    Raises:
        ConfigError: a key that does not exist, is missing, or has a value that cannot be; with
            the key and what is possible.
        PluginError: a plugin that cannot be imported.
    """

    def __init__(self, tables: Mapping[str, Any]) -> None:
        for key, value in tables.items():
            if key not in _KEYS:
                raise ConfigError(f"{shortened(key)}: there is no such key; {_nearest(key)}")
            if is_too_deep(value):
                raise ConfigError(f"{key}: its tables and lists are nested too deeply")
            if key not in ("seed", EXTENSIONS) and not isinstance(value, Mapping):
                raise ConfigError(f"{key} = {brief(value)}: this is a table, [{key}]")
        self.plugins = read_table(tables.get("plugins", {}), "plugins", Plugins)
        plugins.load(self.plugins.modules, _as_path(self.plugins.folder))
        self.seed: int = convert(tables.get("seed", Top().seed), key_types(Top)["seed"], "seed")
        given = dict(tables.get("data", {}))
        common = {key: given.pop(key) for key in CommonData.__struct_fields__ if key in given}
        self.data = read_table(common, "data", CommonData)
        self.augment = read_table(tables.get("augment", {}), "augment", Augment)
        self.training = read_table(tables.get("training", {}), "training", Training)
        self.finetune = read_table(tables.get("finetune", {}), "finetune", Finetune)
        self.checkpoint = read_table(tables.get("checkpoint", {}), "checkpoint", Cadence)
        self.extensions = read_extensions(tables.get(EXTENSIONS, []))
        self._check_numbers()
        self.data_options: dict[str, Any] = datasets.resolve(
            given, "data", CommonData.__struct_fields__
        )
        for key in ("root", "path"):
            if self.data_options.get(key) is not None:
                self._check_path(f"data.{key}", self.data_options[key])
        if self.finetune.init_from is not None:
            self._check_path("finetune.init_from", self.finetune.init_from)
        self.tables: dict[str, Any] = {
            "seed": self.seed,
            "data": {**self.data_options, **msgspec.to_builtins(self.data)},
            **{key: msgspec.to_builtins(getattr(self, key)) for key in _FIXED},
        }
        for key, registry in _CHOSEN.items():
            default = {"name": _DEFAULT_NAMES[key]} if key in _DEFAULT_NAMES else {}
            self.tables[key] = registry.resolve({**default, **tables.get(key, {})}, key)
        if self.extensions:
            self.tables[EXTENSIONS] = msgspec.to_builtins(self.extensions)
        self._build_all()

    @property
    def epochs(self) -> int:
        """The passes over the training split of the whole run, extensions included."""
        return self.training.epochs + sum(extension.epochs for extension in self.extensions)

    def with_patience(self, patience: int | None) -> Config:
        """This config with another ``training.patience``."""
        return Config(
            {**self.tables, "training": {**self.tables["training"], "patience": patience}}
        )

    def extended(self, epochs: int, schedule: Mapping[str, Any] | None = None) -> Config:
        """This config with an extension more.

        Args:
            epochs: how many are added.
            schedule: the table of their own schedule; None for the one before to continue.

        Raises:
            ConfigError: fewer than one, or a schedule that cannot be.
        """
        extension = {"epochs": epochs, "schedule": schedule}
        before = self.tables.get(EXTENSIONS, [])
        return Config({**self.tables, EXTENSIONS: [*before, extension]})

    def with_python_data(self) -> Config:
        """This config for data that a Python program has, whatever data set it names."""
        data = {"name": "python", **msgspec.to_builtins(self.data)}
        return Config({**self.tables, "data": data})

    def with_extensions_of(self, other: Config) -> Config:
        """This config with the extensions of another one, unless it has its own."""
        if self.extensions or not other.extensions:
            return self
        return Config({**self.tables, EXTENSIONS: other.tables[EXTENSIONS]})

    def starting_from(self, weights: str | Path) -> Config:
        """This config with ``finetune.init_from`` set."""
        finetune = {**self.tables["finetune"], "init_from": str(weights)}
        return Config({**self.tables, "finetune": finetune})

    def starting_as(self, other: Config) -> Config:
        """This config, with the weights that another one starts from unless it names its own."""
        weights = other.finetune.init_from
        if self.finetune.init_from is not None or weights is None:
            return self
        return self.starting_from(weights)

    def next_schedule(self, overrides: Iterable[str]) -> dict[str, Any]:
        """The table of a schedule for an extension: the last one of this config, changed.

        Args:
            overrides: of keys of the schedule, ``schedule.key=value``. If they have its name, all
                other options are at their defaults.

        Raises:
            ConfigError: an override cannot be.
        """
        own = (one.schedule for one in reversed(self.extensions) if one.schedule is not None)
        last = next(own, self.tables["schedule"])
        changed = apply_overrides({"schedule": last}, overrides)["schedule"]
        fresh = apply_overrides({"schedule": {}}, overrides)["schedule"]
        table = fresh if isinstance(fresh, Mapping) and "name" in fresh else changed
        Config({**self.tables, "schedule": table})  # names its keys as the overrides do
        return dict(table)

    def _build_all(self) -> None:
        """Constructs everything once, so that what constructors refuse is refused now."""
        self.build_model()
        self.build_loss()
        self.build_optimizer()
        self.build_schedule()
        self.build_augmentation()

    @staticmethod
    def _check_path(key: str, path: str) -> None:
        """Refuses what is no path; whether anything is there is seen when the data are read."""
        try:
            user_path(path)
        except ConfigError as error:
            raise ConfigError(f"{key}: {error}") from None

    def _check_numbers(self) -> None:
        """Refuses what the ranges of single keys allow."""
        for key in ("clip_norm", "clip_value"):
            require_fp32(**{f"training.{key}": getattr(self.training, key)})
        if (self.data.mean is None) != (self.data.std is None):
            raise ConfigError("data.mean and data.std: give both, or neither")
        if self.data.mean is not None and not self.data.normalise:
            raise ConfigError("data.normalise = false: then data.mean and data.std mean nothing")
        if self.training.patience is not None and not self.data.validation:
            raise ConfigError(
                f"training.patience = {self.training.patience}: it watches the validation split, "
                f"and there is none; set data.validation, for example to 0.1"
            )
        if self.epochs > MOST_EPOCHS:
            raise ConfigError(
                f"{EXTENSIONS}: with them the run has {self.epochs:,} epochs; a run can have "
                f"{MOST_EPOCHS:,} or fewer"
            )

    def build_model(self) -> list[Layer]:
        """The layers of a new network."""
        return models.create(self.tables["model"], "model")

    def build_loss(self) -> Loss:
        """A new loss."""
        return losses.create(self.tables["loss"], "loss")

    def build_optimizer(self) -> Optimizer:
        """A new optimizer, without state."""
        return optimizers.create(self.tables["optimizer"], "optimizer")

    def build_schedule(self) -> Schedule:
        """A new schedule, of the extensions too."""
        first = schedules.create(self.tables["schedule"], "schedule")
        return join_schedules(first, self.training.epochs, self.extensions)

    def build_augmentation(self) -> Augmentation:
        """What is drawn for each training sample."""
        try:
            return Augmentation(**msgspec.to_builtins(self.augment))
        except ConfigError as error:
            raise ConfigError(f"augment: {error}") from None

    def load_data(self) -> DatasetPair:
        """Reads the data set.

        Raises:
            DataError: files that are missing or damaged.
        """
        return datasets.create(self.data_options, "data")

    def load_split(self, split: str) -> Dataset:
        """Reads one part of the data set: "test", "validation" or "train".

        Raises:
            ConfigError: there is no such part.
            DataError: files that are missing or damaged.
        """
        if split == "test":
            return load_test_split(self.data_options)
        known = ("test", "validation", "train") if self.data.validation else ("test", "train")
        if split not in known:
            raise ConfigError(f'there is no split "{split}"; this run has {", ".join(known)}')
        whole = self.load_data().train
        train, validation = validation_split(whole, self.data.validation, self.seed)
        return train if split == "train" else validation


def _nearest(key: str) -> str:
    """The key of this name in a table, or else the key at the top that is most like it."""
    found = find_key(other_name(key.lower()))
    return f'did you mean "{found}"?' if found else did_you_mean(key, _KEYS)


def find_key(name: str) -> str | None:
    """The dotted key that ends in a name, such as "training.epochs"; None if there is none."""
    if name in Top.__struct_fields__:
        return name
    tables: dict[str, type[Table]] = {"data": CommonData, **_FIXED}
    for table, kind in tables.items():
        if name in kind.__struct_fields__:
            return f"{table}.{name}"
    for table, registry in {"data": datasets, **_CHOSEN}.items():
        options = (option.name for known in registry.names() for option in registry.options(known))
        if name in options:
            return f"{table}.{name}"
    return None


def fixed_tables() -> dict[str, dict[str, Any]]:
    """What a config has besides names and their options, as ``gpucnn list`` shows it.

    Returns:
        By table ("[data]", "top" for the keys before the first): its ``summary``, and its
        ``options`` with their ``name``, ``type``, ``default`` and ``meaning``.
    """
    kinds: dict[str, type[Table]] = {"data": CommonData, **_FIXED}
    tables = {f"[{name}]": describe_table(kind) for name, kind in kinds.items()}
    return {"top": describe_table(Top), **tables, f"[[{EXTENSIONS}]]": describe_table(Extension)}


def load_config(path: str | Path, overrides: Iterable[str] = ()) -> Config:
    """Reads a TOML file, with ``key=value`` overrides ("optimizer.learning_rate=0.1").

    Raises:
        ConfigError: the file cannot be read, is not TOML, or says what cannot be.
        PluginError: one of its plugins cannot be imported.
    """
    path = Path(path)
    tables = _import_plugins(read_config_file(path), path.parent.absolute())
    return Config(apply_overrides(tables, overrides))


def _import_plugins(tables: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The tables with the folder of their plugins, which are loaded, and known from now on.

    Args:
        tables: of a file that the user has named.
        folder: of that file.
    """
    given = tables.get("plugins")
    if not isinstance(given, Mapping) or not given.get("modules"):
        return tables
    table = read_table(given, "plugins", Plugins)
    if table.folder is not None:
        folder = folder / user_path(table.folder)
    plugins.load(table.modules, folder)
    plugins.remember()
    return {**tables, "plugins": {"modules": table.modules, "folder": str(folder)}}


def with_plugins_allowed(tables: dict[str, Any]) -> dict[str, Any]:
    """The tables of a run, whose plugins may be imported from the folder that they have then.

    Raises:
        ConfigError: [plugins] is not such a table.
        PluginError: a plugin is not there, or must be allowed first.
    """
    given = tables.get("plugins")
    if not isinstance(given, Mapping) or not given:
        return tables  # ``Config`` says if it is no table
    table = read_table(given, "plugins", Plugins)
    folder = plugins.folder_for_run(table.modules, _as_path(table.folder))
    return {
        **tables,
        "plugins": {"modules": table.modules, "folder": None if folder is None else str(folder)},
    }


def _as_path(folder: str | None) -> Path | None:
    return None if folder is None else Path(folder)


def read_tables(path: str | Path, overrides: Iterable[str] = ()) -> dict[str, Any]:
    """The tables of a TOML file after overrides, unchecked; ConfigError as ``load_config``."""
    return apply_overrides(read_config_file(Path(path)), overrides)


def apply_overrides(tables: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """The tables with dotted keys set: "training.epochs=3"; ConfigError if one cannot be set."""
    return with_overrides(tables, overrides, _annotation)


def _annotation(tables: Mapping[str, Any], path: Sequence[str]) -> Any:
    """The type of a key, by what the tables choose by name; None if there is no such key."""
    if len(path) != 2:
        return int if tuple(path) == ("seed",) else None
    table, key = path
    fixed = _FIXED.get(table, CommonData if table == "data" else None)
    if fixed is not None and key in fixed.__struct_fields__:
        return key_types(fixed)[key]
    registry = {"data": datasets, **_CHOSEN}.get(table)
    if registry is None:
        return None
    if key == registry.key:
        return str
    chosen = tables[table].get(registry.key, _DEFAULT_NAMES.get(table))
    return registry.annotations(chosen).get(key) if chosen in registry.names() else None


def flatten(tables: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as one, with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in tables.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def check_resumable(original: Config, changed: Config) -> None:
    """Whether a run may go on with a changed config.

    Raises:
        ConfigError: a key differs that changes the run's numbers.
    """
    before, after = flatten(original.tables), flatten(changed.tables)
    rates = "finetune.rates"
    before[rates], after[rates] = list(original.finetune.rates), list(changed.finetune.rates)
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key) and not key.startswith(_HARMLESS_KEYS):
            raise ConfigError(
                f"{key} was {brief(before.get(key))} when the run began and cannot become "
                f"{brief(after.get(key))} now; start a new run for that"
            )
