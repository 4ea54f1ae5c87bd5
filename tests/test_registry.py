"""Choosing by name, and the options that a signature declares."""

from typing import Literal

import pytest

from gpucnn.errors import ConfigError
from gpucnn.registry import Registry


def _registry():
    registry = Registry("pump")

    @registry.register("piston")
    class Piston:
        """Moves up and down.

        Then down and up.
        """

        def __init__(self, strokes: int, speed: float = 1.5, size: int | None = None):
            if strokes < 0:
                raise ConfigError(f"strokes is {strokes}")
            self.given = (strokes, speed, size)

    @registry.register("rotor")
    def rotor(sense: Literal["left", "right"] = "left", pair: tuple[int, int] = (1, 2)):
        return (sense, pair)

    @registry.register("gravity")
    def gravity():
        return "down"

    return registry


def test_create_fills_in_the_defaults():
    assert _registry().create({"name": "piston", "strokes": 4}, "pump").given == (4, 1.5, None)
    assert _registry().create({"name": "gravity"}, "pump") == "down"


def test_values_are_converted_to_the_declared_types():
    pump = _registry().create({"name": "piston", "strokes": 4, "speed": 2, "size": 3}, "pump")
    assert pump.given == (4, 2.0, 3)
    assert isinstance(pump.given[1], float)
    assert _registry().create({"name": "rotor", "pair": [5, 6]}, "pump") == ("left", (5, 6))


def test_check_lists_all_options_in_the_order_of_the_signature():
    checked = _registry().check({"name": "piston", "size": 2, "strokes": 4}, "pump")
    assert list(checked.items()) == [("strokes", 4), ("speed", 1.5), ("size", 2)]


def test_check_leaves_the_table_as_it_is():
    table = {"name": "piston", "strokes": 4}
    _registry().check(table, "pump")
    assert table == {"name": "piston", "strokes": 4}


REFUSED = {
    "no name": ({}, ["pump.name", "which pump"]),
    "name of a wrong type": ({"name": 3}, ["pump.name", "which pump"]),
    "misspelt name": ({"name": "pistun"}, ["pump.name", '"pistun"', 'did you mean "piston"?']),
    "unknown name": ({"name": "xyz"}, ["pump.name", "gravity, piston, rotor"]),
    "misspelt key": (
        {"name": "piston", "strokes": 1, "sped": 2},
        ["pump.sped", "piston", 'did you mean "speed"?'],
    ),
    "unknown key": (
        {"name": "piston", "strokes": 1, "xyz": 2},
        ["pump.xyz", "size, speed, strokes"],
    ),
    "key where there are none": ({"name": "gravity", "g": 9}, ["pump.g", "it has none"]),
    "missing key": ({"name": "piston"}, ["pump.strokes", "needs it", "int"]),
    "wrong type": ({"name": "piston", "strokes": "4"}, ["pump.strokes", "'4'", "int"]),
    "bool for int": ({"name": "piston", "strokes": True}, ["pump.strokes", "True", "int"]),
    "not of the choice": (
        {"name": "rotor", "sense": "up"},
        ["pump.sense = 'up'", 'may only be "left" or "right"'],
    ),
    "tuple of a wrong length": ({"name": "rotor", "pair": [1]}, ["pump.pair", "length 2"]),
    "refused by the constructor": ({"name": "piston", "strokes": -1}, ["pump", "strokes is -1"]),
}


@pytest.mark.parametrize(("table", "parts"), REFUSED.values(), ids=REFUSED.keys())
def test_an_impossible_table_is_refused_with_the_place_and_the_value(table, parts):
    with pytest.raises(ConfigError) as caught:
        _registry().create(table, "pump")
    for part in parts:
        assert part in str(caught.value)


def test_options_and_summary_come_from_the_constructor():
    registry = _registry()
    assert registry.names() == ["piston", "rotor", "gravity"]
    assert registry.summary("piston") == "Moves up and down."
    assert [
        (option.name, option.default, option.required) for option in registry.options("piston")
    ] == [
        ("strokes", None, True),
        ("speed", 1.5, False),
        ("size", None, False),
    ]


def test_another_key_may_hold_the_name():
    registry = Registry("layer", key="type")
    registry.register("pool")(lambda: "pooled")
    assert registry.create({"type": "pool"}, "layers[0]") == "pooled"
    with pytest.raises(ConfigError, match=r"layers\[0\]\.type"):
        registry.create({"name": "pool"}, "layers[0]")
