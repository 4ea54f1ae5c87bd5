"""Things a config chooses by name: models, layers, losses, optimizers, schedules, data sets.

A registered constructor's own signature says which options it has, of which types and with
which defaults; the config's tables are checked against it. So an option is written once, where
it is used. Ranges are the constructor's to check, for Python callers have no config.
"""

from __future__ import annotations

import inspect
import math
import operator
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar

import msgspec

from gpucnn import docstrings
from gpucnn.errors import ConfigError, brief, did_you_mean, shortened

T = TypeVar("T")

ALLOWED = "allowed"
"""In ``extra`` of a ``msgspec.Meta``: what a message says of a value out of its range."""


@dataclass(frozen=True)
class Option:
    """One option of a registered constructor, as ``gpucnn list`` shows it.

    Attributes:
        name, type: as in the constructor's signature.
        default: None if there is none.
        required: whether it has no default.
        meaning: what the constructor's docstring says of it under "Args:".
    """

    name: str
    type: str
    default: Any
    required: bool
    meaning: str


class Registry(Generic[T]):
    """Constructors of one kind, each under a name.

    Args:
        kind: what they make, for messages ("optimizer").
        key: the key of a config table that holds the name ("name", or "type" for layers).
        decode: turns a nested table into an object, for options that are such objects.
    """

    def __init__(
        self,
        kind: str,
        key: str = "name",
        decode: Callable[[type, Any], Any] | None = None,
    ) -> None:
        self.kind = kind
        self.key = key
        self._decode = decode
        self._constructors: dict[str, Callable[..., T]] = {}

    def register(self, name: str) -> Callable[[Callable[..., T]], Callable[..., T]]:
        """A decorator that enters a class or function under ``name``.

        Raises:
            ConfigError: when it is applied, if another module has entered that name.
        """

        def enter(constructor: Any) -> Any:
            other = self._constructors.get(name)
            if other is not None and other.__module__ != constructor.__module__:
                raise ConfigError(
                    f'there is a {self.kind} "{name}" already, in {other.__module__}; give yours '
                    f"another name"
                )
            self._constructors[name] = constructor
            return constructor

        return enter

    def names(self) -> list[str]:
        """The registered names, in the order of registration."""
        return list(self._constructors)

    def constructor(self, name: str) -> Callable[..., T]:
        """The constructor under ``name``; raises ConfigError where there is none."""
        if name not in self._constructors:
            known = did_you_mean(name, self._constructors)
            if not known.startswith("known"):
                known += f" known: {', '.join(self._constructors)}"
            raise ConfigError(f'there is no {self.kind} "{shortened(name)}"; {known}')
        return self._constructors[name]

    def summary(self, name: str) -> str:
        """The first line of the docstring."""
        return docstrings.summary(self.constructor(name))

    def options(self, name: str) -> list[Option]:
        """The options of ``name``, in order."""
        return list(_options(self.constructor(name)))

    def annotations(self, name: str) -> Mapping[str, Any]:
        """The types of the options of ``name``."""
        return _annotations(self.constructor(name))

    def check(
        self, table: Mapping[str, Any], where: str, besides: Iterable[str] = ()
    ) -> dict[str, Any]:
        """The options in a config table, typed and with the defaults filled in.

        Args:
            table: the key that holds the name, and any options.
            where: the table's place in the config, for messages.
            besides: keys that the place has for whatever is named, and are not in ``table``; for
                messages.

        Raises:
            ConfigError: no name or an unknown one; a key unknown, missing or of a wrong type.
        """
        if not isinstance(table, Mapping):
            raise ConfigError(f"a {self.kind} is a table with a {self.key}, not {brief(table)}")
        given = dict(table)
        name = given.pop(self.key, None)
        if not isinstance(name, str):
            raise ConfigError(f'{where}.{self.key}: say which {self.kind}, for example '
                              f'{self.key} = "{self.names()[0]}"')  # fmt: skip
        try:
            self.constructor(name)
        except ConfigError as error:
            raise ConfigError(f"{where}.{self.key}: {error}") from None
        options = {option.name: option for option in self.options(name)}
        for key in given:
            if key not in options:
                raise ConfigError(
                    f'{where}.{shortened(key)}: the {self.kind} "{name}" has no such option; '
                    f"{self._instead(key, (*options, *besides))}"
                )
        for option in options.values():
            if option.required and option.name not in given:
                raise ConfigError(
                    f'{where}.{option.name}: the {self.kind} "{name}" needs it ({option.type})'
                )
        hints = self.annotations(name)
        return {
            key: convert(given[key], hints[key], f"{where}.{key}", self._decode)
            if key in given
            else option.default
            for key, option in options.items()
        }

    def _instead(self, key: str, possible: Sequence[str]) -> str:
        """What to do about an option that does not exist, given those that do."""
        owners = [other for other in self.names() if key in self.annotations(other)]
        hint = did_you_mean(key, possible) if possible else "it has none"
        return f"it is one of {', '.join(owners)}: remove it; {hint}" if owners else hint

    def resolve(
        self, table: Mapping[str, Any], where: str, besides: Iterable[str] = ()
    ) -> dict[str, Any]:
        """The table as it was given, with every default, as JSON has it. It is checked first."""
        self.check(table, where, besides)
        defaults = {option.name: option.default for option in self.options(table[self.key])}
        filled = {self.key: table[self.key], **defaults, **table}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in filled.items()}

    def create(self, table: Mapping[str, Any], where: str) -> T:
        """Constructs what a config table describes.

        Raises:
            ConfigError: as ``check``, and what the constructor itself refuses.
        """
        options = self.check(table, where)
        try:
            return self.constructor(table[self.key])(**options)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None


def convert(
    value: Any,
    annotation: Any,
    where: str,
    decode: Callable[[type, Any], Any] | None = None,
) -> Any:
    """A value of a config as the type that an annotation asks for.

    Raises:
        ConfigError: it is of another type, outside the range that the annotation gives (by
            ``msgspec.Meta``), infinite or NaN, or cannot be stored in JSON; names ``where``, the
            value, and what is allowed.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where} = {value!r}: it must be a finite number")
    _refuse_what_json_lacks(value, where)
    try:
        return msgspec.convert(value, annotation, dec_hook=decode)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$")
        given = "" if path or isinstance(value, (dict, list)) else f" = {brief(value)}"
        if reason.startswith("Invalid enum value"):
            reason = f"as text it may only be {' or '.join(_choices(annotation))}"
        elif not path:
            reason = _out_of_range(value, annotation) or reason
        raise ConfigError(f"{where}{path.rstrip('`')}{given}: {reason}") from None


def _out_of_range(value: Any, annotation: Any) -> str:
    """What is allowed, for a number out of its range; empty for any other value."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return ""
    for meta in _metas(annotation):
        for bound, is_beyond, words in (
            (meta.ge, operator.lt, "or more"),
            (meta.gt, operator.le, "above"),
            (meta.le, operator.gt, "or less"),
            (meta.lt, operator.ge, "below"),
        ):
            if bound is not None and is_beyond(value, bound):
                text = f"{bound:,} {words}" if words.startswith("or") else f"{words} {bound:,}"
                return str((meta.extra or {}).get(ALLOWED, f"it must be {text}"))
    return ""


def _metas(annotation: Any) -> Iterator[msgspec.Meta]:
    """What an annotation says of ranges, in all its parts."""
    for part in (*getattr(annotation, "__metadata__", ()), *typing.get_args(annotation)):
        if isinstance(part, msgspec.Meta):
            yield part
        else:
            yield from _metas(part)


def _refuse_what_json_lacks(value: Any, where: str) -> None:
    """Refuses integers that fit into no machine word, and text that UTF-8 cannot represent.

    A run could not keep them in its config.json for every reader.
    """
    if isinstance(value, list):
        for item in value:
            _refuse_what_json_lacks(item, where)
    elif isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
        raise ConfigError(
            f"{where} = {brief(value)}: it is not text in UTF-8; for a folder with such a name, "
            f"give a symbolic link to it"
        )
    elif isinstance(value, int) and not -(2**63) <= value < 2**64:
        raise ConfigError(f"{where} = {brief(value)}: it must fit into 64 bits (2**64 - 1 at most)")


def _choices(annotation: Any) -> list[str]:
    """The texts that a type allows, where it allows no others, as a config would write them."""
    if typing.get_origin(annotation) is typing.Literal:
        return [f'"{choice}"' for choice in typing.get_args(annotation)]
    return [text for part in typing.get_args(annotation) for text in _choices(part)]


@cache
def _options(constructor: Callable[..., Any]) -> tuple[Option, ...]:
    meanings = docstrings.meanings(constructor)
    return tuple(
        Option(
            name=parameter.name,
            type=str(parameter.annotation),
            default=None if parameter.default is parameter.empty else parameter.default,
            required=parameter.default is parameter.empty,
            meaning=meanings.get(parameter.name, ""),
        )
        for parameter in inspect.signature(constructor).parameters.values()
    )


@cache
def _annotations(constructor: Callable[..., Any]) -> Mapping[str, Any]:
    """The types in the signature of a function, or of the ``__init__`` of a class."""
    owner: Any = constructor.__init__ if inspect.isclass(constructor) else constructor
    return typing.get_type_hints(owner, include_extras=True)
