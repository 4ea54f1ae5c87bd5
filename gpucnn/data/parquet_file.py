"""One parquet file of images, as Hugging Face stores data sets: its columns, labels and images.

The image column has the bytes of image files, or structs of bytes and path. Labels are whole
numbers or text. Metadata of the schema, in JSON under the key huggingface, may name the classes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gpucnn.data.class_names import listed
from gpucnn.data.data_files import check_fits_memory, parser_errors_explained
from gpucnn.data.image_within import Container, ImageWithin
from gpucnn.errors import DataError, install_advice, shortened
from gpucnn.files import open_regular
from gpucnn.text import shown
from gpucnn.units import byte_text

_KIND = "a parquet file"
_IMAGES, _LABELS = ("image", "img"), ("label", "labels", "fine_label")
"""What the columns may be called."""
_ROWS = 64
"""That are read at once."""
_LONGEST_CLASS = 255

Values: TypeAlias = NDArray[np.int64] | list[str]
"""A label for each row: numbers, or names."""


def require_pyarrow() -> None:
    """Raises DataError if pyarrow is not installed, with the command that installs it."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise DataError(
            f"parquet files need pyarrow, which is not installed; {install_advice('parquet')}"
        ) from None


@dataclass(frozen=True)
class ParquetFile:
    """What a file has besides its images.

    Attributes:
        path: of the file.
        images: the column with the images, or with their bytes.
        values: the label of each row.
        names: of the classes, if the file has them.
    """

    path: Path
    images: str
    values: Values
    names: tuple[str, ...] | None

    def unpack(
        self, container: Container, is_wanted: NDArray[np.bool_], advance: Callable[[int], object]
    ) -> list[ImageWithin]:
        """Appends the images of the rows that are wanted to a container.

        Args:
            container: where to.
            is_wanted: bool (rows,).
            advance: is called with the number of rows done.

        Raises:
            DataError: the file is damaged, a row has no image, or the disk is full.
        """
        unpacked: list[ImageWithin] = []
        row = 0
        with Path(container.path).open("ab") as out:
            for contents in self._contents(is_wanted):
                for content in contents:
                    if is_wanted[row]:
                        unpacked.append(self._append(out, container, row, content))
                    row += 1
                advance(len(contents))
        return unpacked

    def _append(
        self, out: BinaryIO, container: Container, row: int, content: bytes | None
    ) -> ImageWithin:
        if content is None:
            raise DataError(
                f"{shown(self.path)}: row {row} has no bytes of an image; write the file with the "
                f"images in it"
            )
        place = out.tell()
        free = shutil.disk_usage(container.path).free
        if len(content) > free:
            raise DataError(
                f"{shown(self.path)}: its images are unpacked to {shown(container.path)}, where "
                f"only {byte_text(free)} are free; set TMPDIR to a folder with more room"
            )
        out.write(content)
        return ImageWithin.of(f"{self.path}, row {row}", container, place, len(content))

    def _contents(self, is_wanted: NDArray[np.bool_]) -> Iterator[list[bytes | None]]:
        """The images of all rows, some rows at a time; None for rows that are not wanted.

        A row group is read only if one of its rows is wanted.
        """
        import pyarrow.parquet

        with open_regular(self.path) as file, parser_errors_explained(self.path, _KIND):
            table = pyarrow.parquet.ParquetFile(file)
            done = 0
            for group in range(table.num_row_groups):
                count = table.metadata.row_group(group).num_rows
                if not is_wanted[done : done + count].any():
                    yield [None] * min(count, len(is_wanted) - done)
                    done += count
                    continue
                for batch in table.iter_batches(
                    _ROWS, row_groups=[group], columns=[self.images], use_threads=False
                ):
                    yield _bytes_of(batch.column(0), is_wanted[done : done + len(batch)])
                    done += len(batch)
        if done != len(is_wanted):
            raise DataError(
                f"{shown(self.path)}: has {done:,} images and {len(is_wanted):,} labels; get the "
                f"file again"
            )


def _bytes_of(column: Any, is_wanted: NDArray[np.bool_]) -> list[bytes | None]:
    """The bytes in a column of bytes or of structs; None for what is not wanted or not there."""
    values = column.field("bytes") if hasattr(column, "field") else column
    return [
        values[row].as_py() if wanted and column[row].is_valid else None
        for row, wanted in enumerate(is_wanted.tolist())
    ]


def open_parquet(path: Path) -> ParquetFile:
    """Reads everything but the images of a file.

    Raises:
        DataError: it is damaged, or has no such columns.
    """
    import pyarrow.parquet

    with open_regular(path) as file, parser_errors_explained(path, _KIND):
        table = pyarrow.parquet.ParquetFile(file)
        schema = table.schema_arrow
        images = _column(path, schema, _IMAGES, "images", _holds_bytes)
        label = _column(path, schema, _LABELS, "labels", _holds_labels)
        _check_sizes(path, table.metadata)
        column = table.read(columns=[label], use_threads=False).column(label)
        if column.null_count:
            row = next(row for row, value in enumerate(column) if not value.is_valid)
            raise DataError(f"{shown(path)}: row {row} has no label")
        if pyarrow.types.is_integer(column.type):
            values: Values = column.to_numpy().astype(np.int64)
        else:
            values = column.cast(pyarrow.string()).to_pylist()
        names = _class_names(path, schema.metadata or {}, label)
    if not len(values):
        raise DataError(f"{shown(path)}: has no rows")
    return ParquetFile(path, images, values, names)


def _column(
    path: Path, schema: Any, names: tuple[str, ...], what: str, fits: Callable[[Any], bool]
) -> str:
    """The name of the first column of some that is there."""
    name = next((name for name in names if name in schema.names), None)
    if name is None:
        raise DataError(
            f"{shown(path)}: has no column {' or '.join(names)} for the {what}; it has "
            f"{listed(map(shortened, schema.names))}"
        )
    kind = schema.field(name).type
    if not fits(kind):
        raise DataError(
            f"{shown(path)}: its column {name} has {shortened(str(kind))}, which are no {what}"
        )
    return name


def _holds_bytes(kind: Any) -> bool:
    from pyarrow import types

    if types.is_struct(kind):
        index = kind.get_field_index("bytes")
        return index >= 0 and _holds_bytes(kind.field(index).type)
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _holds_labels(kind: Any) -> bool:
    from pyarrow import types

    if types.is_dictionary(kind):
        kind = kind.value_type
    return bool(types.is_integer(kind) or types.is_string(kind) or types.is_large_string(kind))


def _check_sizes(path: Path, metadata: Any) -> None:
    """Whether each group of rows, which is read as a whole, fits into memory."""
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        columns = [group.column(column) for column in range(group.num_columns)]
        check_fits_memory(path, sum(max(0, one.total_uncompressed_size) for one in columns))


def _class_names(path: Path, metadata: dict[bytes, bytes], label: str) -> tuple[str, ...] | None:
    """The names of the classes in the metadata; None if there are none."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        names = features[label]["names"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    is_usable = (
        isinstance(names, list)
        and all(isinstance(name, str) and 0 < len(name) <= _LONGEST_CLASS for name in names)
        and len({shown(name) for name in names}) == len(names)
    )
    if not is_usable:
        raise DataError(
            f"{shown(path)}: its metadata have names of classes that are no text, or come twice; "
            f"write the file again"
        )
    return tuple(names)
