"""``--set KEY=VALUE``: changes of a config, each value read as its key's own type asks."""

from __future__ import annotations

import copy
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, time
from typing import Any, TypeAlias

from gpucnn.config_file import parse_toml
from gpucnn.errors import ConfigError, shortened

AnnotationOf: TypeAlias = Callable[[Mapping[str, Any], Sequence[str]], Any]
"""The type of a key, given all tables and the key's path; None if there is no such key."""

_MOST_PARTS = 8
_LONGEST_NUMBER = 60
_PLACE = re.compile(r" \(at [^()]*\)$")
"""Of an error in a document, which an override is not."""


class _Unread(str):
    """The text of an override, until the tables say which type its key has."""

    __slots__ = ()


def with_overrides(
    tables: Mapping[str, Any], overrides: Iterable[str], annotation_of: AnnotationOf
) -> dict[str, Any]:
    """The tables with dotted keys set, in order: "training.epochs=3". The last one wins.

    Which type a key has may depend on what another override chose by name, so values are read at
    the end.

    Raises:
        ConfigError: an override that is not KEY=VALUE, or whose value cannot be read.
    """
    changed = copy.deepcopy(dict(tables))
    paths = [_place(changed, override) for override in overrides]
    for path in sorted(dict.fromkeys(paths), key=lambda path: path[-1] != "name"):
        *above, last = path
        table: Any = changed
        for name in above:
            table = table.get(name) if isinstance(table, dict) else None
        if isinstance(table, dict) and isinstance(table.get(last), _Unread):
            table[last] = _read(path, table[last], annotation_of(changed, path))
    return changed


def _place(tables: dict[str, Any], override: str) -> tuple[str, ...]:
    """Puts the text of an override where its key is, and returns the key's parts."""
    key, equals, text = override.partition("=")
    path = tuple(part.strip() for part in key.split("."))
    is_quoted = any(part[0] in "\"'" for part in path if part)
    if not equals or not all(path) or len(path) > _MOST_PARTS or is_quoted:
        raise ConfigError(
            f"--set {shortened(override)}: write it as KEY=VALUE, for example training.epochs=3"
        )
    table = tables
    for place, name in enumerate(path[:-1], 1):
        inner = table.setdefault(name, {})
        if isinstance(inner, _Unread):  # such as a whole table, "model={...}"
            inner = table[name] = _read(path[:place], inner, None)
        if isinstance(inner, list):
            above = shortened(".".join(path[:place]))
            raise ConfigError(
                f"--set {shortened(override)}: {above} is a list; --set can only replace all of it"
            )
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {shortened(override)}: {shortened(name)} is not a table")
        table = inner
    table[path[-1]] = _Unread(text)
    return path


def _read(path: Sequence[str], text: str, annotation: Any) -> Any:
    try:
        return read_value(str(text), annotation)
    except ValueError as error:
        key = shortened(".".join(path))
        raise ConfigError(f"--set {key}={shortened(text)}: {error}") from None


def read_value(text: str, annotation: Any) -> Any:
    """A value as text, read as a type asks: 2024 is a folder's name or a number.

    Args:
        text: as in a TOML file, where numbers may also be ".1", "+5" or "1e-3", true and false
            may be capitalised, text needs no quotes, and "none" stands for a value left out, if
            the type allows it.
        annotation: the type; None if it is not known, for what TOML makes of the text.

    Returns:
        The value, or the text itself if it is none of the type, for the config to refuse.

    Raises:
        ValueError: not one value in TOML, where it must be one.
    """
    word = text.strip()
    kinds = set(_kinds(annotation))
    if str in kinds:
        return _unquoted(word) if word[:1] in ('"', "'") else text
    if word in kinds:  # a choice
        return word
    if type(None) in kinds and word.lower() in ("none", "null"):
        return None
    if bool in kinds and word.lower() in ("true", "false"):
        return word.lower() == "true"
    if len(word) <= _LONGEST_NUMBER and word.isascii():
        for kind in (int, float):
            if kind in kinds or (kind is int and float in kinds):
                try:
                    return kind(word)
                except ValueError:
                    pass
    return _toml_value(text, needs_toml=word[:1] in ("[", "{") or word.isdecimal())


def _kinds(annotation: Any) -> Iterator[Any]:
    """The types that a type stands for, and the texts of its choices."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        yield from _kinds(typing.get_args(annotation)[0])
    elif origin in (typing.Union, types.UnionType):
        for part in typing.get_args(annotation):
            yield from _kinds(part)
    elif origin is typing.Literal:
        yield from typing.get_args(annotation)
    elif annotation is not None:
        yield origin or annotation


def _unquoted(word: str) -> str:
    """Text in TOML's quotes without them; any other as it is."""
    try:
        value = parse_toml(f"value = {word}")
    except ValueError:
        return word
    return value["value"] if len(value) == 1 and isinstance(value["value"], str) else word


def _toml_value(text: str, needs_toml: bool) -> Any:
    """One value in TOML. What is not TOML is text, unless it looks like a number or a list.

    So is what TOML takes for a date or a time: no key has one.
    """
    try:
        tables = parse_toml(f"value = {text}")
    except ValueError as error:
        if not needs_toml:
            return text
        raise ValueError(_PLACE.sub("", str(error))) from None
    if len(tables) != 1:
        raise ValueError("it is more than one value")
    value = tables["value"]
    return text if isinstance(value, (date, time)) else value
