"""Odd input of every kind that is read from outside, by the thousand.

Each input is numbered: ``python tests/fuzz NAME NUMBER`` tries one again.
"""

import random

import pytest
from fuzz.harness import run_apart
from fuzz.registry import FUZZERS

from gpucnn.backends.devices.emulator_device import why_unavailable

READ_IN_PYTHON = 10_000
READ_BY_OTHERS = 1000
"""By scipy or pyarrow, which take longer."""
COMPILED = 100
PARTS = 5
SECONDS = 300.0
"""That a part may take; together they take minutes."""
COUNTS = dict.fromkeys(FUZZERS, READ_IN_PYTHON) | {"compiler": COMPILED, "plots": COMPILED}
COUNTS |= dict.fromkeys(("svhn", "parquet"), READ_BY_OTHERS)
NEEDS = {
    "plots": "matplotlib",
    "images": "PIL",
    "folders": "PIL",
    "csv": "PIL",
    "svhn": "scipy",
    "parquet": "pyarrow",
}


def ready(name):
    """Skips the test if what a fuzzer needs is not installed."""
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    if name == "compiler" and why_unavailable():
        pytest.skip(why_unavailable())


@pytest.mark.parametrize("name", [name for name in FUZZERS if name not in ("compiler", "plots")])
def test_some_inputs(name):
    ready(name)
    failures = run_apart(name, range(50), SECONDS)
    assert not failures, failures


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", sorted(FUZZERS, key=COUNTS.get))
def test_many_inputs(name, part):
    ready(name)
    count = COUNTS[name] // PARTS
    failures = run_apart(name, range(part * count, (part + 1) * count), SECONDS)
    assert not failures, failures


def test_every_misbehaviour_is_noticed():
    from fuzz.misbehaving import WAYS

    found = run_apart("misbehaving", range(len(WAYS)), SECONDS, most=len(WAYS) + 1)
    for number, words in enumerate(WAYS):
        _, _, problem = found.partition(f"misbehaving {number}: ")
        problem, _, _ = problem.partition(f"(again: python tests/fuzz misbehaving {number})")
        assert words in problem, f"{words}: {problem}"


@pytest.mark.parametrize(("number", "words"), [(-3, "Timeout"), (-2, "Aborted")])
def test_a_hang_and_a_crash_are_noticed_and_numbered(number, words):
    from fuzz.misbehaving import WAYS

    number += len(WAYS) + 3
    found = run_apart("misbehaving", range(number, number + 2), SECONDS)
    assert words in found
    assert f"(again: python tests/fuzz misbehaving {number})" in found


def test_good_manners_are_no_failure():
    from fuzz.misbehaving import WAYS

    number = len(WAYS) + 2
    assert run_apart("misbehaving", range(number, number + 1), SECONDS) == ""


def test_a_number_gives_the_same_input_again(tmp_path):
    from fuzz.configs import SetFuzzer

    fuzzer = SetFuzzer(tmp_path)
    one, again = ([fuzzer._override(random.Random(f"set {n}")) for n in range(100)] for _ in "ab")
    assert one == again
    assert len(set(one)) > 90
