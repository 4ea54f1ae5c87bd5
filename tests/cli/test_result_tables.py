"""Tables of an evaluation."""

import numpy as np

from gpucnn.cli.result_tables import class_table, confusion_table
from gpucnn.training.classification import ClassificationResult

ANIMALS = ("cat", "dog", "rhinoceros")
RESULT = ClassificationResult(np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]]), loss=0.5)


def test_a_row_a_class():
    assert class_table(ANIMALS, RESULT).splitlines()[2:] == [
        "cat              4    75.00%               dog (1)",
        "dog              4   100.00%",
        "rhinoceros       0         -",
    ]


def test_a_matrix_with_names_or_else_with_numbers():
    named = confusion_table(ANIMALS, RESULT, 42)
    assert named.splitlines()[0] == "            cat  dog  rhinoceros  accuracy"
    assert named.splitlines()[2] == "cat           3    1           0    75.00%"
    numbered = confusion_table(ANIMALS, RESULT, 41)
    assert numbered.splitlines()[0] == "              0  1  2  accuracy"
    assert numbered.splitlines()[4] == "2 rhinoceros  0  0  0         -"


def test_no_matrix_where_it_is_too_wide_or_has_many_classes():
    assert confusion_table(ANIMALS, RESULT, 30) is None
    for count, fits in ((12, True), (13, False)):
        result = ClassificationResult(np.eye(count, dtype=np.int64), loss=0.5)
        assert bool(confusion_table([*map(str, range(count))], result, 200)) == fits


def test_names_are_escaped_and_keep_their_columns():
    names = ("two\nlines", "\x1b[31m", "caf\udce9")
    for text in (class_table(names, RESULT), confusion_table(names, RESULT, 100)):
        assert len(text.splitlines()) == 5
        assert all(line.isprintable() for line in text.splitlines())
        for name in (r"two\nlines", r"\x1b[31m", r"caf\xe9"):
            assert name in text
