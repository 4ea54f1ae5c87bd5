"""Mutants of the kernels: each file with one small fault, made by rules and not by choice.

A mutant is a .cu file whose headers are written into it, so that many of them, with different
headers, go into one translation unit.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from gpucnn.backends.devices.source import KERNELS, KernelSource

RULES = {
    "barrier deleted": (r"__sync(threads|warp)\([^;]*\);", ";"),
    "wait deleted": (r"\b\w*wait\w*(<\w+>)?\([^;{]*\);", ";"),
    "guard deleted": (r"\b(continue|return);", ";"),
    "condition is true": (r"(?<=\bif )\((?!true)(?=.*\{$).*\)(?= \{$)", "(true)"),
    "condition is false": (r"(?<=\bif )\((?!false)(?=.*\{$).*\)(?= \{$)", "(false)"),
    "mask of half a warp": (r"\b0xffffffffu?\b", "0xffffu"),
    "one lane or thread more": (r"\bthreadIdx\.(\w) == 0\b", r"threadIdx.\1 <= 1"),
    "two threads as one": (r"(?<=[(+ ])threadIdx\.x(?= [%/+*;)]|;)", "(threadIdx.x / 2)"),
    "+ 1 dropped": (r" \+ 1(?![\d.])", ""),
    "- 1 dropped": (r" - 1(?![\d.])", ""),
    "< for <=": (r" <= ", " < "),
    "<= for <": (r" < ", " <= "),
    "> for >=": (r" >= ", " > "),
    ">= for >": (r" > ", " >= "),
    "|| for &&": (r" && ", " || "),
    "&& for ||": (r" \|\| ", " && "),
    "index off by one": (r"(?<=\w)\[([^\[\]]+)\](?! ?[({])", r"[\1 + 1]"),
    "address off by one": (r"(?<=\w)\((\w+) \+ (\w+)(?=[,)])", r"(\1 + 1 + \2"),
    "set for added": (r" \+= (?!.*\{$)", " = "),
    "- for +": (r"(?<=[\w)\]]) \+ (?=[\w(])", " - "),
    "/ for %": (r" % ", " / "),
}
"""By name: what is sought in a line of code, and what takes its place."""

INSTRUCTIONS = "ptx/instruction.cuh"
"""The header of which the emulator has its own."""

_NO_CODE = re.compile(r"\s*(//|#|\*|template|static_assert|namespace|using|$)")
_DECLARATION = re.compile(
    r"\s*(__shared__ |const |alignas\(\d+\) )*[\w:<>*, ]+ (\w+(\[[^\]]*\])+(, )?)+( = \{\})?;$"
)
_COMPARISONS = ("< for <=", "<= for <", "> for >=", ">= for >")
_SMALLER_OR_LARGER = re.compile(r"(\S.*) [<>]=? (\S.*) \? (?:\1 : \2|\2 : \1)(?!\w)")
"""No bound: where both are equal, either is right."""
_COMMENT = re.compile(r"//.*$")
_INCLUDE = re.compile(r'^#include "(.*)"$', re.MULTILINE)


@dataclass(frozen=True)
class Mutant:
    """One fault in one file.

    Attributes:
        file: a file of kernels, or one of their headers.
        rule: what made it.
        line: its place, counted from 1.
        before, after: the line, stripped.
        place: which of the file's lines with this text it is, counted from 1.
        hosts: the .cu files that have the fault, by name, with their texts.
    """

    file: str
    rule: str
    line: int
    before: str
    after: str
    place: int
    hosts: tuple[tuple[str, str], ...]

    def __str__(self):
        return f"{self.file}:{self.line}: {self.rule}: {self.before}  ->  {self.after}"

    @property
    def key(self):
        """What tells mutants apart, however the lines around them move."""
        return self.file, self.before, self.after, self.place


def mutants():
    """All mutants of all files of kernels."""
    headers = sorted((KERNELS / "include").glob("*.cuh"))
    return [mutant for path in (*sorted(KERNELS.glob("*.cu")), *headers) for mutant in _of(path)]


def _of(path) -> Iterator[Mutant]:
    text = path.read_text(encoding="utf-8")
    lines, places = text.split("\n"), Counter()
    for number, line in enumerate(lines):
        before = line.strip()
        places[before] += 1
        for changed, rule in {changed: rule for rule, changed in _changes(line)}.items():
            mutant = "\n".join([*lines[:number], changed, *lines[number + 1 :]])
            hosts = tuple((host, _inlined(host, path.name, mutant)) for host in _hosts(path))
            yield Mutant(
                path.name, rule, number + 1, before, changed.strip(), places[before], hosts
            )


def _changes(line):
    """Each single change of a line of code that a rule makes."""
    end = len(_COMMENT.sub("", line).rstrip())
    if _NO_CODE.match(line) or _DECLARATION.match(line[:end]):
        return
    for rule, (pattern, replacement) in RULES.items():
        if rule in _COMPARISONS and _SMALLER_OR_LARGER.search(line):
            continue
        for match in re.finditer(pattern, line[:end]):
            yield rule, line[: match.start()] + match.expand(replacement) + line[match.end() :]


def _hosts(path):
    """The .cu file itself, or those that include the header."""
    if path.suffix == ".cu":
        return [path.name]
    sources = (KernelSource(host.name) for host in sorted(KERNELS.glob("*.cu")))
    return [source.file for source in sources if path in source.headers()]


def _inlined(host, changed_file, changed_text):
    """A .cu file with its headers, one of which or which itself is changed."""
    written = set()

    def text_of(name):
        if name == changed_file:
            return changed_text
        folder = KERNELS if name.endswith(".cu") else KERNELS / "include"
        return (folder / name).read_text(encoding="utf-8")

    def expand(match):
        name = match[1]
        if name in written:
            return ""
        if name == INSTRUCTIONS:
            return match[0]
        written.add(name)
        return _INCLUDE.sub(expand, text_of(name).replace("#pragma once", ""))

    return _INCLUDE.sub(expand, text_of(host))
