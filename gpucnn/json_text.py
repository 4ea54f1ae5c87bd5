"""JSON that every parser can read: no NaN, no infinity, no half of a surrogate pair."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

from gpucnn.text import shown


def json_text(content: object, indent: int | None = None) -> str:
    """An object as strict JSON in ASCII, without a line break at its end.

    NaN and infinities become null, for JSON has no such numbers. Bytes that are not UTF-8, which
    Python keeps in file names as lone surrogates, are escaped as ``shown`` does (``caf\\xe9``).

    Args:
        content: of dictionaries with text as keys, lists, tuples, text, numbers, bools and None.
        indent: spaces for each level; None for one line.

    Raises:
        TypeError: it holds something else.
    """
    return json.dumps(_strict(content), indent=indent, allow_nan=False)


def parse_json(text: bytes, may_have_nan: bool = False) -> Any:
    """The content of JSON in UTF-8; all of its text can be encoded again.

    Args:
        text: the JSON.
        may_have_nan: whether NaN and infinities are allowed, which Python writes.

    Raises:
        ValueError: it is not JSON, is nested too deeply, or has half of a surrogate pair.
    """
    decoded = text.decode("utf-8")
    try:
        content = json.loads(decoded, parse_constant=None if may_have_nan else _refuse_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if "\\ud" in decoded or "\\uD" in decoded:
        json.dumps(content, ensure_ascii=False).encode("utf-8")
    return content


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")


def _strict(content: object) -> object:
    if isinstance(content, str):
        return _without_surrogates(content)
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, Mapping):
        return {_strict(key): _strict(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_strict(item) for item in content]
    return content


def _without_surrogates(text: str) -> str:
    if text.isascii():
        return text
    return "".join(shown(c) if "\ud800" <= c <= "\udfff" else c for c in text)
