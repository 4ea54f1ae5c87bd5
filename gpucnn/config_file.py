"""Config files: TOML in UTF-8, read and parsed within bounds.

A file that is huge, endless or nested without end must be refused in a moment, with one message.
"""

from __future__ import annotations

import os
import re
import select
import tomllib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from gpucnn.errors import ConfigError, nearest
from gpucnn.text import shown

_MOST_BYTES = 2**20
_MOST_LEVELS = 64
"""Of tables and lists within each other; a layer within a layer takes two."""
_PATIENCE = 60
"""Seconds until a FIFO must have something to read."""
_LONG_KEY = re.compile(
    rf"""(?<![\w.-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){{{_MOST_LEVELS}}}"""
)
"""A dotted key with more parts than ``tomllib`` reads in a moment: its time is quadratic."""


def read_config_file(path: Path) -> dict[str, Any]:
    """The tables of a TOML file. A FIFO will do, so ``gpucnn train <(COMMAND)`` works in a shell.

    Raises:
        ConfigError: it is missing, unreadable, too large, or not TOML in UTF-8.
    """
    name = shown(path)
    try:
        return parse_toml(_read(path).decode("utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(f"{name}: there is no such config file; {_advice(path)}") from None
    except IsADirectoryError:
        raise ConfigError(f"{name} is a folder; give a config file (.toml)") from None
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read ({error.strerror})") from None
    except ConfigError:
        raise
    except UnicodeDecodeError:
        raise ConfigError(f"{name}: not a text file; a config is TOML in UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}: not valid TOML: {error}") from None
    except ValueError as error:
        raise ConfigError(f"{name}: {error}") from None


def parse_toml(text: str) -> dict[str, Any]:
    """The tables of a TOML document.

    Raises:
        ValueError: it is not TOML, or has a number or nesting without any bounds.
    """
    if _LONG_KEY.search(text):
        raise ValueError(f"a key has more than {_MOST_LEVELS} parts")
    try:
        tables = tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except tomllib.TOMLDecodeError:
        raise
    except ValueError:  # from int()
        raise ValueError("it has a number of thousands of digits") from None
    if is_too_deep(tables):
        raise ValueError(f"it is nested too deeply, over {_MOST_LEVELS} levels")
    return tables


def is_too_deep(value: Any) -> bool:
    """Whether tables and lists are nested so deeply that recursion over them might fail."""
    level: list[Any] = [value]
    for _ in range(_MOST_LEVELS):
        level = [inner for outer in level for inner in _items(outer)]
        if not level:
            return False
    return True


def _items(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, (list, tuple)) else ()


def _read(path: Path) -> bytes:
    """The content of a file; waits for a FIFO, but neither without end nor for more than fits."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        ready = select.poll()
        ready.register(descriptor, select.POLLIN)
        content = b""
        while len(content) <= _MOST_BYTES:
            if not ready.poll(1000 * _PATIENCE):
                reason = f"nothing could be read from it for {_PATIENCE} seconds"
                raise ConfigError(f"{shown(path)}: {reason}; give a config file")
            with suppress(BlockingIOError):
                part = os.read(descriptor, 2**16)
                if not part:
                    return content
                content += part
    finally:
        os.close(descriptor)
    raise ConfigError(
        f"{shown(path)}: has more than {_MOST_BYTES:,} bytes, which no config has; give a config "
        f"file (.toml)"
    )


def _advice(path: Path) -> str:
    """What may have been meant by the name of a file that is not there."""
    from gpucnn.models import models

    folders = dict.fromkeys((path.parent, Path("configs")))
    files = {file.stem: file for folder in folders for file in sorted(folder.glob("*.toml"))}
    advice = []
    if near := nearest(path.name.removesuffix(".toml"), files):
        advice.append(f'did you mean "{shown(files[near])}"?')
    if nearest(path.name, models.names()):
        known = ", ".join(models.names())
        advice.append(f"models are chosen in a config file, by model.name (known: {known})")
    examples = "give a config file (.toml), such as those in the folder configs of a checkout"
    return " ".join(advice) or examples
