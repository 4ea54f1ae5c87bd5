"""Mutations: of bytes, of text, and of the trees that JSON and TOML hold."""

import copy
import json
import random
import re
from collections.abc import Iterator, Sequence

INTEGERS = (
    *(0, 1, 2, 3, 7, 8, 9, 15, 16, 31, 32, 63, 64, 100, 127, 128, 255, 256, 1000, 4095, 4096),
    *(2**15 - 1, 2**15, 2**16 - 1, 2**16, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1),
)
NAMES = (
    *("", " ", ".", "..", "-", "~", "a b", "a\tb", "a\nb", "a\r\nb", "\x00", "\x1b[31mred", "\x7f"),
    *("é", "e\u0301", "ß", "İ", "\u202egnp", "\u2028", "\ufeff", "\U0001f600", "\ufffe", "$x^2$"),
    *("{}", "%s", "{0!r}", "\\", "'", '"', "`", "<a>", "a" * 300, "x" * 5000),
)
"""Text that programs are known to stumble over."""


class Raw(str):
    """Text that is written as it is, in place of a value or of a key."""


LEAVES = (
    *(None, True, False, 0, 1, -1, 2, 3, 7, 10, 255, 256, 2**31 - 1, 2**31, 2**32, 2**53 + 1),
    *(2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), 10**30, -(10**100), 0.0, -0.0, 0.5, 1.0, -0.1),
    *(1.5, 1e-320, 1e300, 1.7e308, 3.4028236e38, [], {}, [[]], [0], [1, 2], [1, 2, 3], [-1, 1]),
    *([None], {"": 0}, {"name": "x"}, "1", "0x10", "true", "classes", "global", "same"),
    *NAMES,
)
_HUGE = ("9" * 400, "9" * 5000, "-" + "1" * 5000, "1e400", "1e999999999", "0." + "1" * 3000)
JSON_RAW = (
    *map(Raw, _HUGE),
    *map(
        Raw, ("NaN", "Infinity", "-Infinity", "nan", "01", "+1", ".5", "1.", "'a'", "", "//", "1,")
    ),
    *map(
        Raw, (r'"\ud800"', r'"\udfff\ud800"', r'"\u0000"', r'"\x"', '"\t"', '"', "\x00", "\ufeff")
    ),
    *(Raw("[" * depth + "]" * depth) for depth in (30, 600, 20_000)),
    *(Raw('{"a":' * depth + "1" + "}" * depth) for depth in (30, 600, 20_000)),
)
TOML_RAW = (
    Raw("0x" + "f" * 5000),
    Raw("{name = 'vgg', stages = 1000000000}"),
    Raw("{name = 'lenet', filters = [1000000000000, 1]}"),
    Raw("[{type = 'sequential', layers = [{type = 'relu'}]}]"),
    *map(Raw, _HUGE),
    *map(Raw, ("nan", "inf", "-inf", "+nan", "0x7f", "0o17", "0b1", "1_000", "01", ".5", "1.", "")),
    *map(Raw, ("1979-05-27", "07:32:00", "1979-05-27T07:32:00Z", "9999-99-99", "0000-00-00")),
    *map(
        Raw, ("'''\na\n'''", '"""\na"""', r'"\ud800"', r'"\U00110000"', '"\x7f"', "1\nx = 2", "#")
    ),
    *(Raw("[" * depth + "]" * depth) for depth in (30, 600, 20_000)),
    *(Raw("{a=" * depth + "1" + "}" * depth) for depth in (30, 600, 20_000)),
    *(Raw("{" + ".".join("a" * depth) + "=1}") for depth in (30, 600, 20_000)),
)


def times(rng: random.Random) -> range:
    """How often to mutate: mostly once or twice, seldom often."""
    return range(1 + int(rng.expovariate(0.8)))


def mutated_bytes(rng: random.Random, data: bytes, other: bytes = b"") -> bytes:
    """Bytes with bits flipped, cut, repeated, moved, or spliced with others'."""
    content = bytearray(data)
    for _ in times(rng):
        rng.choice(_BYTE_MUTATIONS)(rng, content, other)
    return bytes(content)


def _place(rng: random.Random, content: Sequence[object]) -> int:
    """A place, more often near the beginning, where headers are."""
    return int(len(content) * rng.random() ** rng.choice((1, 1, 2, 6)))


def _block(rng: random.Random, content: Sequence[object]) -> slice:
    begin = _place(rng, content)
    return slice(begin, begin + 1 + int(rng.expovariate(1 / rng.choice((2, 8, 100)))))


def _flip(rng: random.Random, content: bytearray, _: bytes) -> None:
    if content:
        content[_place(rng, content)] ^= 1 << rng.randrange(8)


def _set(rng: random.Random, content: bytearray, _: bytes) -> None:
    if content:
        content[_place(rng, content)] = rng.choice(
            (0, 1, 0x7F, 0x80, 0xFE, 0xFF, rng.randrange(256))
        )


def _number(rng: random.Random, content: bytearray, _: bytes) -> None:
    size = rng.choice((1, 2, 2, 4, 4, 8))
    order = rng.choice(("big", "little"))
    place = _place(rng, content)
    value = rng.choice(INTEGERS) % (1 << 8 * size)
    content[place : place + size] = value.to_bytes(size, order)


def _cut(rng: random.Random, content: bytearray, _: bytes) -> None:
    del content[_place(rng, content) :]


def _delete(rng: random.Random, content: bytearray, _: bytes) -> None:
    del content[_block(rng, content)]


def _insert(rng: random.Random, content: bytearray, _: bytes) -> None:
    place = _place(rng, content)
    content[place:place] = rng.choice(
        (rng.randbytes(4), b"\0" * 9, b"\xff" * 5, b"\n", b"\r\n", b'"')
    )


def _repeat(rng: random.Random, content: bytearray, _: bytes) -> None:
    block = content[_block(rng, content)]
    place = _place(rng, content)
    content[place:place] = block * rng.choice((1, 2, 3, 50))


def _swap(rng: random.Random, content: bytearray, _: bytes) -> None:
    one, other = sorted((_place(rng, content), _place(rng, content)))
    size = 1 + rng.randrange(16)
    if one + size <= other:
        first, second = content[one : one + size], content[other : other + size]
        content[one : one + size], content[other : other + size] = second, first


def _splice(rng: random.Random, content: bytearray, other: bytes) -> None:
    content[_place(rng, content) :] = other[_place(rng, other) :]


_BYTE_MUTATIONS = (
    *(_flip, _flip, _flip, _set, _set, _number, _number, _number, _cut, _delete, _insert),
    *(_repeat, _swap, _splice),
)

_TOKEN = re.compile(r"\w+|\s+|.", re.DOTALL)


def mutated_text(rng: random.Random, text: str, other: str, words: Sequence[str]) -> str:
    """Text with words exchanged, lines repeated, moved or left out, and parts of another's.

    Args:
        rng: what chooses.
        text: to be mutated.
        other: of the same kind.
        words: that mean something there.
    """
    for _ in times(rng):
        if rng.random() < 0.3:
            text = _lines_mutated(rng, text, other)
        else:
            text = _word_mutated(rng, text, words)
    return text


def _lines_mutated(rng: random.Random, text: str, other: str) -> str:
    lines, others = text.split("\n"), other.split("\n")
    block = _block(rng, lines)
    kind = rng.randrange(5)
    if kind == 0:
        del lines[block]
    elif kind == 1:
        lines[block.stop : block.stop] = lines[block] * rng.choice((1, 1, 1, 30))
    elif kind == 2:
        moved = lines[block]
        del lines[block]
        place = _place(rng, lines)
        lines[place:place] = moved
    elif kind == 3:
        lines[block] = others[_block(rng, others)]
    elif lines:
        place = rng.randrange(len(lines))
        lines[place] = lines[place][: rng.randrange(len(lines[place]) + 1)]
    return "\n".join(lines)


def _word_mutated(rng: random.Random, text: str, words: Sequence[str]) -> str:
    tokens = list(_TOKEN.finditer(text))
    if not tokens:
        return rng.choice(words)
    token = rng.choice(tokens)
    replacement = rng.choice(
        (rng.choice(words), rng.choice(words), rng.choice(words) + " " + token[0], "", token[0] * 2,
         rng.choice(tokens)[0], str(rng.choice(INTEGERS)), rng.choice(NAMES))
    )  # fmt: skip
    return text[: token.start()] + replacement + text[token.end() :]


def mutated_tree(rng: random.Random, tree: object, raw: Sequence[Raw]) -> object:
    """A tree of dictionaries, lists and values with some of these exchanged."""
    tree = copy.deepcopy(tree)
    for _ in times(rng):
        places = list(_places(tree))
        if not places:
            return rng.choice(LEAVES)
        _mutate_at(rng, *rng.choice(places), places, raw)
    return tree


def _places(tree: object) -> Iterator[tuple[dict | list, object]]:
    """Every value in a tree, by its container and its key there."""
    entries = (
        tree.items()
        if isinstance(tree, dict)
        else enumerate(tree)
        if isinstance(tree, list)
        else ()
    )
    for key, value in list(entries):
        yield tree, key
        yield from _places(value)


def _mutate_at(rng, container, key, places, raw) -> None:
    value = container[key]
    kind = rng.randrange(12)
    if kind < 3:
        container[key] = copy.deepcopy(rng.choice(LEAVES))
    elif kind == 3:
        container[key] = rng.choice(raw)
    elif kind == 4:
        del container[key]
    elif kind == 5:
        other, other_key = rng.choice(places)
        container[key] = copy.deepcopy(other[other_key])
    elif kind == 6:
        container[key] = rng.choice(
            ([value], [value] * 3, {"name": value}, [[value]], [value] * 200)
        )
    elif kind in (7, 8) and isinstance(container, dict):
        names = [name for _, name in places if isinstance(name, str)]
        name = rng.choice((rng.choice(NAMES), rng.choice(names), Raw(key), key + "x", Raw("")))
        container[name] = container.pop(key) if kind == 7 else value
    elif isinstance(value, bool) or value is None:
        container[key] = not value
    elif isinstance(value, (int, float)):
        container[key] = _odd_number(rng, value)
    elif isinstance(value, str):
        container[key] = rng.choice(
            (value + "x", value.upper(), value[:1], value * 3, value + "\n")
        )
    elif isinstance(value, list) and value:
        container[key] = rng.choice((value[:-1], value[::-1], value + value[:1], value * 2))


def _odd_number(rng: random.Random, value: float) -> float:
    try:
        return rng.choice(
            (-value, value + 1, value - 1, value * 2, value / 2, value * 1e10, value * 2**40,
             rng.choice(INTEGERS), float(value))
        )  # fmt: skip
    except OverflowError:
        return 0


def json_of(value: object) -> str:
    """A tree as JSON, with what is raw in it as it is."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_json_key(k)}: {json_of(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(json_of, value)) + "]"
    return json.dumps(value)


def _json_key(key: str) -> str:
    # A raw key is one that is there twice, or that is no key at all.
    return (
        f'"{key}": 0, "{key}"'
        if isinstance(key, Raw) and key
        else ""
        if not key
        else json.dumps(key)
    )


def toml_of(value: object) -> str:
    """A value as TOML in one line, with what is raw in it as it is."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml_key(k)} = {toml_of(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml_of, value)) + "]"
    if value is None:
        return '"None"'
    return str(value).lower() if isinstance(value, bool) else json.dumps(value)


def toml_key(key: str) -> str:
    """A key as TOML; a raw one as it is."""
    return key if isinstance(key, Raw) or re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key)
