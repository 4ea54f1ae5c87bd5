"""Values of ``--set`` are read as their key's own type asks."""

from typing import Literal

import pytest

from gpucnn.config import Config, apply_overrides
from gpucnn.errors import ConfigError
from gpucnn.overrides import read_value

TABLES = {
    "data": {"name": "image_folder", "root": "x"},
    "model": {"name": "lenet"},
    "optimizer": {"name": "sgd", "learning_rate": 0.1},
}


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("2024", str, "2024"),
        ("2024", int, 2024),
        ("2024", float, 2024),
        (".1", float, 0.1),
        ("5.", float, 5.0),
        ("1e-3", float, 1e-3),
        ("+5", int, 5),
        ("007", int, 7),
        ("1_000", int, 1000),
        ("0x10", int, 16),
        (" 3 # three", int, 3),
        ("true", bool, True),
        ("False", bool, False),
        ("true", str, "true"),
        ("none", int | None, None),
        ("null", float | None, None),
        ("none", str, "none"),
        ("1979-05-27", str, "1979-05-27"),
        ('"2024"', str, "2024"),
        ("'a b'", str, "a b"),
        ('"a" "b"', str, '"a" "b"'),
        (" with spaces ", str, " with spaces "),
        ("two\nlines", str, "two\nlines"),
        ("", str, ""),
        ("global", int | Literal["global"], "global"),
        ('"global"', int | Literal["global"], "global"),
        ("3", int | Literal["global"], 3),
        ("[8, 16]", tuple[int, int], [8, 16]),
        ("[\n8,\n16]", int | tuple[int, int] | None, [8, 16]),
        ("[{type = 'relu'}]", list[dict], [{"type": "relu"}]),
        ("few", int, "few"),  # for the config to refuse
        ("2.5", int, 2.5),
        ("07:32:00", int, "07:32:00"),
        ("x", None, "x"),
        ("1", None, 1),
    ],
)
def test_a_value_by_its_type(text, kind, expected):
    value = read_value(text, kind)
    assert value == expected
    assert type(value) is type(expected) or {type(value), type(expected)} == {int, float}


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("seed=1\nmodel.width=2", ("seed", "more than one value")),
        ("model.kernel=5\n[optimizer]\nlearning_rate=1", ("model.kernel", "more than one value")),
        ("seed=" + "9" * 5000, ("seed=999", "digits")),
        ("seed=0x" + "f" * 5000, ("seed = 0xfff", "64 bits")),
        ("model.filters=[1, " + "9" * 4000 + "]", ("model.filters", "64 bits")),
        ("model.filters=" + "[" * 600 + "]" * 600, ("model.filters=[[[", "nested")),
        ("model.filters=[1", ("model.filters=[1", "array")),
        ("data.size=[1, 2", ("data.size", "array")),
        ("seed=1x", ("seed = '1x'", "int")),
        ("\x1b[31m=1", (r"\x1b[31m", "no such key")),
        ("seed=\x1b[31m", (r"seed = '\x1b[31m'", "int")),
        ("training.epochs=\udce9", ("training.epochs", "UTF-8")),
        (".".join("a" * 100) + "=1", ("a.a.a", "KEY=VALUE")),
        ('"seed"=1', ("write it as KEY=VALUE",)),
        ("data.root=\0", ("data.root", "NUL")),
        ("data.root=", ("data.root", "empty")),
        ("data.root=~no-such-user/x", ("data.root", 'no user "no-such-user"')),
        ("training.epochs=1e3", ("training.epochs = 1000.0", "int")),
    ],
)
def test_each_mistake_is_one_message(override, words):
    with pytest.raises(ConfigError) as caught:
        Config(apply_overrides(TABLES, [override]))
    message = str(caught.value)
    assert len(message) < 250
    assert message.isprintable()
    for word in words:
        assert word in message


def test_a_second_line_sets_no_second_key():
    tables = apply_overrides(TABLES, ["data.root=a\nmodel.width=2"])
    assert tables["data"]["root"] == "a\nmodel.width=2"
    assert tables["model"] == {"name": "lenet"}


def test_types_are_those_of_what_is_chosen_in_any_order():
    overrides = ["optimizer.momentum=.5", "data.root=2024", "optimizer.name='sgd'"]
    for order in (overrides, overrides[::-1]):
        tables = apply_overrides({"data": {"name": "mnist"}}, order)
        assert tables["optimizer"] == {"momentum": 0.5, "name": "sgd"}
        assert tables["data"]["root"] == "2024"


def test_a_whole_table_and_then_a_key_of_it():
    overrides = ["model={name = 'vgg', width = 4}", "model.width=8"]
    assert apply_overrides(TABLES, overrides)["model"] == {"name": "vgg", "width": 8}
    assert apply_overrides(TABLES, overrides[::-1])["model"] == {"name": "vgg", "width": 4}
