"""What commands print fits a terminal of 80 columns."""

from pathlib import Path

import pytest

from gpucnn.backends import why_unavailable
from gpucnn.cli.output import sections, table, wrapped

CONFIGS = Path(__file__).parents[2] / "configs"


def test_a_table_with_titles_between_its_rows():
    rows = sections([("one", ["a", 1]), ("one", ["bb", 22]), ("a longer title", ["c", 3])])
    assert table(["name", "n"], rows).splitlines() == [
        "name   n",
        "────  ──",
        "one",
        "  a    1",
        "  bb  22",
        "a longer title",
        "  c    3",
    ]


def test_wrapped_lines_are_indented_and_leave_words_whole():
    text = wrapped("subject  " + " ".join(["some-words"] * 10), 9)
    assert text.splitlines() == [
        "subject  " + " ".join(["some-words"] * 6),
        "         " + " ".join(["some-words"] * 4),
    ]


RESNET = ("--set", "model.width=1", "--input", "8x8x1", "--classes", "2")


@pytest.mark.parametrize(
    "command",
    [
        ("bench", "kernels", "--list"),
        ("gradcheck", CONFIGS / "cifar10_resnet9.toml", *RESNET),
        ("kernels", "check", "--quick", "--operation", "softmax_cross_entropy_input_grad"),
        ("bench", "kernels", "--problem", "quick-loss", "--no-torch", "--backend", "numpy",
         "--repetitions", "3"),
    ],
    ids=lambda command: " ".join(map(str, command[:2])),
)  # fmt: skip
def test_lines_fit(command, cli):
    if command[:2] == ("kernels", "check") and (reason := why_unavailable("emulator")):
        pytest.skip(reason)
    answer = cli(*command)
    assert answer.status == 0, answer.err
    assert max(map(len, answer.out.splitlines())) <= 80
