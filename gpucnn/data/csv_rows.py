"""The rows of a csv file that lists images: where they have what."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gpucnn.data.class_names import listed
from gpucnn.errors import DataError, shortened
from gpucnn.text import shown

_COLUMNS = {
    "file": ("file", "filename", "file_name", "filepath", "path", "image", "image_path"),
    "class": ("class", "class_name", "label", "category"),
    "split": ("split", "subset", "set"),
}
"""What the columns may be called in a header, in lower case."""


@dataclass(frozen=True)
class Row:
    """A row: a file, its class or the numbers to predict, as text, and a split."""

    file: str
    values: tuple[str, ...]
    split: str


@dataclass(frozen=True)
class _Columns:
    """Where a row has its file, its class or its numbers, and its split, if it has one."""

    file: int
    values: tuple[int, ...]
    split: int | None

    @property
    def last(self) -> int:
        """The one that is furthest to the right."""
        return max(self.file, *self.values, self.split or 0)

    def of(self, row: Sequence[str]) -> Row:
        """What a row has there."""
        split = "train" if self.split is None else row[self.split]
        return Row(row[self.file], tuple(row[place] for place in self.values), split)


def read_rows(source: Path, content: bytes, targets: tuple[str, ...]) -> Iterator[tuple[int, Row]]:
    """The line number of each row, and what it has; without the header.

    Raises:
        DataError: it is not csv, or a row has too few columns.
    """
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise wrong_line(source, line, "is not in UTF-8; save the file in UTF-8") from None
    lines = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline="")
    reader = csv.reader(lines, skipinitialspace=True, strict=True)
    columns: _Columns | None = None
    try:
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if columns is None:
                columns, is_header = _columns(source, row, reader.line_num, targets)
                if is_header:
                    continue
            if len(row) <= columns.last:
                problem = f"has {len(row)} columns; expected {columns.last + 1} or more"
                raise wrong_line(source, reader.line_num, problem)
            yield reader.line_num, columns.of(row)
    except csv.Error as error:
        raise wrong_line(source, reader.line_num, f"is not csv ({error})") from None


def _columns(
    source: Path, row: Sequence[str], line: int, targets: tuple[str, ...]
) -> tuple[_Columns, bool]:
    """Where a row has what, and whether this one is a header."""
    cells = [cell.strip().lower() for cell in row]
    places = {
        column: next((cells.index(name) for name in names if name in cells), None)
        for column, names in _COLUMNS.items()
    }
    if targets:
        return _target_columns(source, row, line, targets, places), True
    if places["file"] is None:
        if len(row) not in (2, 3):
            raise wrong_line(
                source,
                line,
                f"has {len(row)} columns; expected file,class or file,class,split, or a first "
                f"line with these names, separated by commas",
            )
        return _Columns(0, (1,), 2 if len(row) == 3 else None), False
    if places["class"] is None:
        raise wrong_line(
            source,
            line,
            f"has no column class; it has {listed(map(shortened, row))}. To predict numbers, name "
            f"their columns in data.targets",
        )
    return _Columns(places["file"], (places["class"],), places["split"]), True


def _target_columns(
    source: Path,
    row: Sequence[str],
    line: int,
    targets: tuple[str, ...],
    places: Mapping[str, int | None],
) -> _Columns:
    """Where a header has the file, the targets and the split."""
    cells = [cell.strip() for cell in row]
    lacking = [name for name in targets if name.strip() not in cells]
    file = places["file"]
    if lacking or file is None:
        what = ["file"] if file is None else lacking
        raise wrong_line(
            source,
            line,
            f"has no column {listed(what)}; with data.targets the first line names the columns, "
            f"and it has {listed(map(shortened, row))}",
        )
    return _Columns(file, tuple(cells.index(name.strip()) for name in targets), places["split"])


def wrong_line(source: Path, line: int, problem: str) -> DataError:
    """The error for what is wrong with a line."""
    return DataError(f"{shown(source)}: line {line:,} {problem}")
