"""JSON files that carry a checksum of their own content, their format, and the run they belong to.

A flipped bit in such a file is noticed, and so is a file of another run that was copied into the
folder: each run draws an identifier when it begins, and all of its sealed files have it.

Formats: 2 has the keys ``format``, ``run`` and ``sha256`` besides the content's own. Runs of
version 0.1 have the first two in no file, and the third in checkpoints alone (format 1).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpucnn.errors import CheckpointError
from gpucnn.json_text import json_text, parse_json
from gpucnn.text import shown
from gpucnn.training import run_files

FORMAT = 2
_FIRST_FORMAT = 1
_KEYS = frozenset(("format", "run", "sha256"))


@dataclass(frozen=True)
class Unsealed:
    """What a sealed file holds.

    Attributes:
        content: the keys other than those of the seal.
        run: the identifier of its run; None in files of version 0.1.
    """

    content: dict[str, Any]
    run: str | None


def seal(content: Mapping[str, object], run: str | None) -> bytes:
    """The bytes of a sealed JSON file.

    Args:
        content: what it holds; none of its keys is "format", "run" or "sha256".
        run: the identifier of the run.
    """
    # Through JSON and back, for the checksum is of what a reader will see.
    whole = json.loads(json_text({**content, "format": FORMAT, "run": run}))
    return (json_text({**whole, "sha256": _checksum(whole)}, indent=1) + "\n").encode("ascii")


def unseal(path: Path, most: int, may_lack_seal: bool = False) -> Unsealed:
    """Reads and verifies a sealed file.

    Args:
        path: of the file.
        most: bytes that it may have.
        may_lack_seal: whether version 0.1 wrote such files without a seal.

    Raises:
        CheckpointError: it is missing, damaged, or of a format that this version does not know.
    """
    content = read_json(path, most)
    if may_lack_seal and not _KEYS & content.keys():
        return Unsealed(content, None)
    if content.pop("sha256", None) != _checksum(content):
        raise CheckpointError(
            f"{shown(path)} is damaged, or was changed by hand: its checksum does not match; "
            f"restore it from a copy"
        )
    number, run = content.pop("format", None), content.pop("run", None)
    if type(number) is not int or not _FIRST_FORMAT <= number <= FORMAT:
        raise CheckpointError(
            f"{shown(path)} has format {number!r:.50}, and this version reads formats "
            f"{_FIRST_FORMAT} to {FORMAT}; use the version of gpucnn that wrote it"
        )
    if run is not None and not isinstance(run, str):
        raise CheckpointError(f"{shown(path)} is damaged: its run is {run!r:.50}, not a text")
    return Unsealed(content, run)


def read_json(path: Path, most: int) -> dict[str, Any]:
    """An object from a JSON file of at most ``most`` bytes.

    Raises:
        CheckpointError: it is missing or damaged.
    """
    try:
        content = parse_json(run_files.read(path, most))
    except ValueError:
        raise CheckpointError(f"{shown(path)} is damaged: it is not JSON") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{shown(path)} is damaged: it is not an object")
    return content


def _checksum(content: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode("ascii")).hexdigest()
