"""What the comment at the top of a kernel file says about its constants is so."""

import re

import pytest

from gpucnn.backends.devices.source import KERNELS
from gpucnn.backends.dry_run import dry_run
from gpucnn.inspect.representative import run_all

FILES = sorted(path.name for path in KERNELS.glob("*.cu"))
SOURCES = sorted(path for path in KERNELS.rglob("*") if path.suffix in (".cu", ".cuh"))
NAME = re.compile(r"\b[A-Z][A-Z0-9_]*\b")


def heading(text):
    """The comment that a file begins with, as one line."""
    lines = re.match(r"(?://.*\n)*", text)[0].splitlines()
    return " ".join(line.removeprefix("//").strip() for line in lines)


def listed(text):
    """The names in the sentence "Constants: …", without what is said of them in parentheses."""
    sentence = re.search(r"Constants: (.*?)\.(?:\s|$)", heading(text))
    return NAME.findall(re.sub(r"\([^)]*\)", "", sentence[1])) if sentence else []


@pytest.fixture(scope="module")
def passed():
    """The names of the constants that each file is compiled for; each time the same."""
    found = {}
    for source in dry_run(run_all).sources:
        found.setdefault(source.file, set()).add(tuple(name for name, _ in source.constants))
    return found


def test_a_list_is_read():
    text = (
        "// A kernel of N rows.\n//\n// Constants: C, WIDTH (of K, a.cuh);\n// LANES. N is not.\n"
    )
    assert listed(text) == ["C", "WIDTH", "LANES"]
    assert listed("// Nothing of Constants.\nint x;  // Constants: C.\n") == []


@pytest.mark.parametrize("file", FILES)
def test_the_constants_listed_are_those_that_are_passed(file, passed):
    (names,) = passed[file]
    assert sorted(listed((KERNELS / file).read_text("utf-8"))) == sorted(names)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(KERNELS).as_posix())
def test_files_that_comments_name_exist(path):
    places = (KERNELS, KERNELS / "include", path.parent)
    comments = re.findall(r"//(.*)", path.read_text("utf-8"))
    for name in re.findall(r"[\w/]+\.cuh?\b", " ".join(comments)):
        assert any((place / name).is_file() for place in places), name
