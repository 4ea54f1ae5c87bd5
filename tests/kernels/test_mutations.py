"""Whether the checks would notice: kernels with one fault each must be caught.

The faults are made by rules (``mutants``), not picked. What nothing catches is listed in
survivors.toml with the reason; a new survivor needs one too, or a case that catches it.
"""

import tomllib
from pathlib import Path

import pytest
from mutants import mutants
from mutation import cases_of, survivors

from gpucnn.backends import why_unavailable
from gpucnn.backends.devices.source import KERNELS

if reason := why_unavailable("emulator"):
    pytest.skip(reason, allow_module_level=True)

WITHOUT_OPERATION = {"ceiling.cu"}
"""Files that no operation launches, but measurements alone."""

PART = 20
"""One in so many is tried where there is not the time for all."""

FEWEST, SHARE = 60, 0.95
"""Mutants that there are at least, and how many of them must be caught."""

SURVIVORS = tomllib.loads(Path(__file__).with_name("survivors.toml").read_text(encoding="utf-8"))
EXPLANATIONS = {
    (s["file"], s["before"], s["after"], s.get("place", 1)): s["why"] for s in SURVIVORS["survivor"]
}
"""Why nothing can tell survivors, by what tells these apart (``Mutant.key``)."""


def test_every_file_has_cases():
    files = {path.name for path in KERNELS.glob("*.cu")}
    assert {file for file in files if not cases_of(file)} == WITHOUT_OPERATION


@pytest.mark.slow
def test_a_part_of_the_mutants_is_caught(tmp_path, monkeypatch):
    monkeypatch.setenv("GPUCNN_CACHE_DIR", str(tmp_path / "cache"))
    check(all_mutants()[::PART], tmp_path / "kernels")


@pytest.mark.mutation
def test_mutants_are_caught(tmp_path, monkeypatch):
    monkeypatch.setenv("GPUCNN_CACHE_DIR", str(tmp_path / "cache"))
    alive = check(all_mutants(), tmp_path / "kernels")
    assert alive == EXPLANATIONS.keys(), "some that are explained are caught, or gone"


def all_mutants():
    """Those of files that an operation launches."""
    return [each for each in mutants() if any(cases_of(host) for host, _ in each.hosts)]


def check(made, folder):
    """The keys of the survivors, each of which must be explained, and of which there are few."""
    left, broken = survivors(made, folder)
    tried = len(made) - len(broken)
    print(f"{tried} mutants, {len(left)} survivors; {len(broken)} more do not compile")
    unexplained = [str(mutant) for mutant in left if mutant.key not in EXPLANATIONS]
    assert not unexplained, "\n".join(unexplained)
    assert tried >= FEWEST
    assert len(left) <= (1 - SHARE) * tried
    return {mutant.key for mutant in left}
