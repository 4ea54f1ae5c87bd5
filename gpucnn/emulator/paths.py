"""Paths in messages of compilers and sanitizers."""

from __future__ import annotations

import re

_FOLDERS = re.compile(r"""(?<![\w./<])/(?:[^\s/:;,'"‘’()<>]+/)+(?=[^\s/:;,'"‘’()<>])""")
"""The folders of an absolute path, up to the file's name."""


def without_folders(message: str) -> str:
    """A message in which files have their names only.

    What is read from a cache may have been compiled in another checkout, and much is compiled in
    temporary folders: those paths help nobody.
    """
    return _FOLDERS.sub("", message)
