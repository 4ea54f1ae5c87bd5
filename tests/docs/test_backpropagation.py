"""docs/backpropagation.md shows the code as it is."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "backpropagation.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def lines_of(text):
    return [line.strip() for line in text.splitlines() if line.strip()]


CODE = {path: lines_of(path.read_text("utf-8")) for path in (ROOT / "gpucnn").rglob("*.py")}


def test_the_page_shows_code():
    assert len(BLOCKS) > 10


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: lines_of(block)[0][:40])
def test_what_is_shown_stands_in_the_code(block):
    """Line by line and in this order, in one file."""
    shown = lines_of(block)
    assert any(in_order(shown, code) for code in CODE.values()), f"nowhere in gpucnn:\n{block}"


def in_order(shown, code):
    rest = iter(code)
    return all(line in rest for line in shown)


def test_files_that_are_named_are_there():
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE.read_text("utf-8")):
        assert (PAGE.parent / target).exists(), target
