import copy
import json
from pathlib import Path

import pytest

from gpucnn.config import (
    Config,
    apply_overrides,
    check_resumable,
    fixed_tables,
    flatten,
    load_config,
    read_tables,
)
from gpucnn.errors import ConfigError

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.toml"))
SMALLEST = {
    "data": {"name": "digits"},
    "model": {"name": "lenet"},
    "optimizer": {"name": "sgd", "learning_rate": 0.1},
}


@pytest.fixture(autouse=True)
def no_data(monkeypatch):
    """A config is checked without reading the data."""

    def refuse(_self):
        raise AssertionError("the data was read")

    monkeypatch.setattr(Config, "load_data", refuse)


def test_there_are_configs():
    assert {path.stem for path in CONFIGS} >= {"digits", "mnist", "tutorial", "cifar10_resnet9"}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_it_loads_and_comes_back_from_json(path):
    config = load_config(path)
    again = Config(json.loads(json.dumps(config.tables)))
    assert again.tables == config.tables
    assert Config(copy.deepcopy(config.tables)).tables == config.tables
    assert [type(layer) for layer in again.build_model()] == [
        type(layer) for layer in config.build_model()
    ]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_what_it_says_is_kept(path):
    """Every key of the file is in the resolved config, with its value."""
    resolved = flatten(load_config(path).tables)
    for key, value in flatten(read_tables(path)).items():
        assert resolved[key] == value, key


def test_defaults_are_written_out():
    assert Config(SMALLEST).tables == {
        "seed": 0,
        "data": {
            "name": "digits", "validation": 0.0, "normalise": True,
            "normalise_targets": True, "mean": None, "std": None,
        },
        "augment": {
            "flip": False, "alternating_flip": False, "crop_padding": 0, "translate": 0.0,
            "random_resized_crop": 1.0, "crop_aspect": 4 / 3, "rotation": 0.0, "cutout": 0,
            "brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "mixup": 0.0, "cutmix": 0.0,
        },
        "model": {
            "name": "lenet", "filters": [32, 64], "kernel": 5, "hidden": 128, "dropout": 0.0,
        },
        "loss": {
            "name": "softmax_cross_entropy", "label_smoothing": 0.0, "class_weights": None,
        },
        "optimizer": {
            "name": "sgd", "learning_rate": 0.1, "momentum": 0.9, "nesterov": False,
            "weight_decay": 0.0, "decay_all": False,
        },
        "schedule": {"name": "constant", "warmup_epochs": 0.0},
        "training": {
            "epochs": 10, "batch_size": 128, "accumulate": 1, "ema_decay": None,
            "clip_norm": None, "clip_value": None, "patience": None, "min_delta": 0.0,
            "evaluation_batch_size": 500,
            "fuse": True, "watch": False,
        },
        "finetune": {
            "init_from": None, "keep_normalisation": True, "freeze": [], "rates": {},
        },
        "checkpoint": {"every_steps": None, "every_seconds": 300.0},
        "plugins": {"modules": [], "folder": None},
    }  # fmt: skip


def test_a_default_that_is_no_json_type_comes_back_from_json_as_the_same():
    """Tuples become lists in JSON: a resumed run must not see a difference in that."""
    config = Config(SMALLEST)
    again = Config(json.loads(json.dumps(config.tables)))
    assert json.dumps(again.tables) == json.dumps(config.tables)
    assert again.tables == config.tables


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("training.epochs=3", "training.epochs", 3),
        ("training.clip_norm=2.5", "training.clip_norm", 2.5),
        ("optimizer.nesterov=true", "optimizer.nesterov", True),
        ("model.filters=[8, 16]", "model.filters", [8, 16]),
        ("data.root=my folder/x", "data.root", "my folder/x"),
        ('data.root="3"', "data.root", "3"),
        ("data.root=/a=b", "data.root", "/a=b"),
        (" seed =4", "seed", 4),
        ("new.table.key=1", "new.table.key", 1),
        ("seed=1 # a comment", "seed", 1),
        ("data.root=2024-01-01", "data.root", "2024-01-01"),
        ("data.root=2024-01-01T10:00:00", "data.root", "2024-01-01T10:00:00"),
        ("data.root=10:30:00", "data.root", "10:30:00"),
    ],
)
def test_overrides_are_typed(override, key, value):
    changed = flatten(apply_overrides(SMALLEST, [override]))[key]
    assert changed == value
    assert type(changed) is type(value)


def test_overrides_leave_the_original():
    before = copy.deepcopy(SMALLEST)
    assert apply_overrides(SMALLEST, ["optimizer.learning_rate=9.0", "seed=2"]) != before
    assert before == SMALLEST


def test_the_last_override_wins():
    assert apply_overrides(SMALLEST, ["seed=1", "seed=2"])["seed"] == 2


@pytest.mark.parametrize("override", ["seed", "=1", ".=1", "a..b=1", "seed.x=1", ""])
def test_overrides_that_are_none(override):
    with pytest.raises(ConfigError, match="--set"):
        apply_overrides({"seed": 1}, [override])


def test_an_override_nested_too_deeply():
    with pytest.raises(ConfigError, match=r"--set model\.layers=.*nested") as caught:
        apply_overrides(SMALLEST, ["model.layers=" + "[" * 100_000])
    assert len(str(caught.value)) < 120


def test_whole_numbers_are_taken_for_fractions_but_not_the_other_way():
    config = Config(
        apply_overrides(SMALLEST, ["optimizer.learning_rate=1", "training.clip_norm=2"])
    )
    assert config.build_optimizer().learning_rate == 1
    with pytest.raises(ConfigError, match=r"training\.epochs = 2\.5"):
        Config(apply_overrides(SMALLEST, ["training.epochs=2.5"]))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize(
    "key", ["optimizer.learning_rate", "training.clip_norm", "data.validation"]
)
def test_numbers_that_are_not_finite_are_refused(key, value):
    with pytest.raises(ConfigError, match=rf"^{key} = .*finite"):
        Config(apply_overrides(SMALLEST, [f"{key}={value}"]))


EXPECTED = [
    ("seed", -1, "from 0 to 2**64 - 1"),
    ("training.epochs", 0, "1 or more"),
    ("training.epochs", 10**6 + 1, "1,000,000 or less"),
    ("training.batch_size", 2**63, "1,000,000 or less"),
    ("training.evaluation_batch_size", -3, "1 or more"),
    ("training.clip_norm", 0, "above 0"),
    ("training.clip_value", -0.5, "above 0"),
    ("checkpoint.every_steps", -1, "0 or more"),
    ("checkpoint.every_seconds", 2e9, "1,000,000,000 or less"),
    ("data.validation", -0.1, "at least 0 and below 1"),
    ("data.validation", 1, "at least 0 and below 1"),
    ("extensions[0].epochs", 0, "1 or more"),
]


@pytest.mark.parametrize(("key", "value", "allowed"), EXPECTED)
def test_numbers_out_of_range_are_refused_with_the_range(key, value, allowed):
    table, _, name = key.rpartition(".")
    if table == "extensions[0]":
        tables = {**SMALLEST, "extensions": [{name: value}]}
    else:
        tables = {**SMALLEST, **({table: {name: value}} if table else {name: value})}
    if table == "data":
        tables["data"]["name"] = "digits"
    with pytest.raises(ConfigError) as caught:
        Config(tables)
    message = str(caught.value)
    assert message.startswith(f"{key} = {value}: ")
    assert message.endswith(f"must be {allowed}")


def test_every_key_of_a_fixed_table_has_a_meaning():
    options = [option for table in fixed_tables().values() for option in table["options"]]
    assert len(options) > 12
    for option in options:
        assert option["meaning"].endswith("."), option
        assert set(option["type"].split(" | ")) <= {
            "int", "float", "bool", "str", "None", "dict[str, Any]", "list[float]", "list[str]",
            "dict[str, float]",
        }  # fmt: skip


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("finetune.freeze=0.*", r"finetune\.freeze = '0\.\*': Expected `array`"),
        ("finetune.freeze=[1]", "finetune.freeze.*Expected `str`"),
        ("finetune.rates={'*' = 0}", "finetune.rates.*above|finetune.rates.*> 0"),
        ("finetune.init_from=a\0b", "finetune.init_from"),
        ("data.mean=[0.5]", "data.mean and data.std: give both"),
        ("data.std=[0.5]", "data.mean and data.std: give both"),
        ("data.std=[0.0]", "data.std"),
    ],
)
def test_fine_tuning_that_cannot_be(override, message):
    with pytest.raises(ConfigError, match=message):
        Config(apply_overrides(SMALLEST, [override]))


def test_normalisation_that_is_given_and_switched_off():
    tables = {**SMALLEST, "data": {"name": "digits", "mean": [0], "std": [1], "normalise": False}}
    with pytest.raises(ConfigError, match="normalise = false"):
        Config(tables)


def test_what_is_frozen_comes_after_the_rates():
    finetune = {"freeze": ["0.*", "*.bias"], "rates": {"*.bias": 0.5, "0.*": 0.1, "*": 0.2}}
    config = Config({**SMALLEST, "finetune": finetune})
    assert list(config.finetune.rate_factors.items()) == [
        ("*", 0.2), ("0.*", 0.0), ("*.bias", 0.0)
    ]  # fmt: skip


def test_a_run_cannot_go_on_with_rates_in_another_order():
    """The last that matches counts."""
    rates = {"*": 0.1, "0.*": 0.5}
    one = Config({**SMALLEST, "finetune": {"rates": rates}})
    other = Config({**SMALLEST, "finetune": {"rates": dict(reversed(rates.items()))}})
    with pytest.raises(ConfigError, match=r"finetune\.rates was"):
        check_resumable(one, other)


@pytest.mark.parametrize("seed", [0, 2**63, 2**64 - 1])
def test_seeds_of_64_bits(seed):
    assert Config({**SMALLEST, "seed": seed}).seed == seed


def test_python_callers_get_the_same_errors():
    with pytest.raises(ConfigError, match='did you mean "optimizer"'):
        Config({**SMALLEST, "optimiser": {}})
    with pytest.raises(ValueError, match="below 1"):
        Config({**SMALLEST, "data": {"name": "digits", "validation": 1.5}})


def test_text_that_json_cannot_hold_is_refused_at_once():
    """The run could not be resumed: its config.json would name another folder."""
    tables = {**SMALLEST, "data": {"name": "mnist", "root": "caf\udce9"}}
    with pytest.raises(ConfigError, match=r"data\.root = .*not text in UTF-8.*symbolic link"):
        Config(tables)


def test_what_an_augmentation_refuses_names_its_table():
    tables = {**SMALLEST, "augment": {"crop_padding": 2**32}}
    with pytest.raises(ConfigError, match=r"^augment: crop_padding is 4294967296; it must be"):
        Config(tables)
