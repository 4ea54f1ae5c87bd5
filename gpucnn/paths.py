"""Paths as users write them: ``~`` is the home folder, in every option and in every key.

Functions of the package take their paths as they are, as ``open`` does.
"""

from __future__ import annotations

import os
from pathlib import Path

from gpucnn.errors import ConfigError
from gpucnn.text import shown


def user_path(path: str | os.PathLike[str]) -> Path:
    """The path with ``~`` or ``~USER`` at its beginning replaced by that user's home folder.

    A file that is really called ``~`` can be written as ``./~``.

    Raises:
        ConfigError: there is no such user or no home folder; or no system could take the path.
    """
    text = os.fspath(path)
    if not text:
        raise ConfigError("the path is empty; for the current folder write .")
    try:
        encoded = os.fsencode(text)
    except UnicodeEncodeError:
        raise ConfigError(f'"{shown(text)}" is not a path: it has half of a character') from None
    if b"\0" in encoded:
        raise ConfigError(f'"{shown(text)}" is not a path: it has a NUL character')
    expanded = os.path.expanduser(text)  # noqa: PTH111 - Path("./~") would be "~"
    if expanded.startswith("~"):
        user = shown(text.partition("/")[0].removeprefix("~"))
        reason = f'there is no user "{user}"' if user else "there is no home folder"
        raise ConfigError(f'"{shown(text)}": {reason}; write the whole path')
    return Path(expanded)
