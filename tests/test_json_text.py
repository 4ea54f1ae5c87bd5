"""JSON that strict parsers read."""

import json
import math

import msgspec
import pytest

from gpucnn.json_text import json_text


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"loss": math.nan, "worst": [math.inf, -math.inf, 1.5]},
         {"loss": None, "worst": [None, None, 1.5]}),
        ({"a\udce9": ("b\udcff", 1)}, {r"a\xe9": [r"b\xff", 1]}),
        ({"pair": "\ud83d\ude00"}, {"pair": r"\ud83d\ude00"}),
        ({"text": "Straße\n\x1b😀"}, {"text": "Straße\n\x1b😀"}),
        ([True, None, 2**63, "", {}], [True, None, 2**63, "", {}]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("indent", [None, 1])
def test_strict_parsers_read_it(content, expected, indent):
    text = json_text(content, indent)
    assert text.isascii()
    assert msgspec.json.decode(text) == expected
    assert json.loads(text, parse_constant=pytest.fail) == expected


def test_one_line_unless_it_is_indented():
    assert json_text({"a": [1]}) == '{"a": [1]}'
    assert json_text({"a": [1]}, indent=1) == '{\n "a": [\n  1\n ]\n}'


def test_what_json_cannot_hold_is_an_error():
    with pytest.raises(TypeError):
        json_text({"a": object()})
