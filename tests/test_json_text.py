"""JSON that strict parsers read."""

import json
import math

import msgspec
import pytest

from gpucnn.json_text import json_text, parse_json


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


def test_what_is_written_is_parsed():
    content = {"a": [1, 0.5, None, True, "\x1b😀"]}
    assert parse_json(json_text(content).encode()) == content
    assert parse_json(rb'["\ud83d\ude00"]') == ["😀"]
    assert math.isnan(parse_json(b"NaN", may_have_nan=True))


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"NaN", b"-Infinity", rb'"\ud800"', rb'{"\uDC00": 1}', b'"\xed\xa0\x80"', b'"\xff"',
     b"[" * 100_000, b"9" * 10_000],
)  # fmt: skip
def test_what_is_no_json_is_refused(text):
    with pytest.raises(ValueError):
        parse_json(text)
