"""CUDA C++ by features, each with a kernel that uses it: what docs/cuda-features.md lists.

The kernels are in ``emulator/features/``, a file for each section of the page. A feature begins
with its name in a comment, and what is to be known of it::

    // feature: function templates
    // expected: 2 * i               (what y[i] is, in Python; in C++ `KERNEL` has int* y)
    // refused: no textures          (instead: words of the error)
    // missing: __vadd4              (instead: a name that is not declared)
    // modes: fast, sanitize         (if not all)
    // note: is slow                 (for the page)
    // kernel: scale<float>          (if it is not KERNEL)
    // arguments: np.float32(2)      (after y, in Python)
    // options: -DN=16

``python tests/cuda_features.py`` writes the tables of the page anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_FILES = ("language", "qualifiers", "kernels", "variables", "mathematics", "intrinsics", "atomics",
          "warps", "barriers", "groups", "headers", "refused")  # fmt: skip
_FOLDER = Path(__file__).parent / "emulator" / "features"
PAGE = Path(__file__).parents[1] / "docs" / "cuda-features.md"
MODES = ("fast", "race", "sanitize")
_TABLES = re.compile(r"(?<=<!-- begin -->\n)(.*?)(?=<!-- end -->)", re.DOTALL)
_PROPERTY = re.compile(
    r"^// (expected|refused|missing|modes|note|kernel|arguments|options): (.*)\n", re.M
)
_INCLUDE = re.compile(r"^#include.*\n", re.MULTILINE)


@dataclass(frozen=True)
class Feature:
    """Something that CUDA C++ has.

    Attributes:
        section: of the page.
        name: as the page has it.
        code: a kernel that uses it, and what that needs.
        expected: what ``y[i]`` is afterwards, in Python.
        refused: words of the error; empty if the feature is supported, or missing.
        missing: the name that the compiler does not know.
        modes: those in which this is so.
        note: for the page.
        kernel: an expression for the kernel; empty for ``KERNEL``.
        arguments: those after ``y``, in Python.
        options: of the compiler.
    """

    section: str
    name: str
    code: str
    expected: str = ""
    refused: str = ""
    missing: str = ""
    modes: tuple[str, ...] = MODES
    note: str = ""
    kernel: str = ""
    arguments: str = ""
    options: str = ""

    @property
    def error(self) -> str:
        """A regular expression for the error; empty if the feature is supported."""
        if self.missing:
            return f"{re.escape(self.missing)}\\W* was not declared"
        return re.escape(self.refused)

    def values(self, count: int) -> list[int]:
        """What ``y`` is afterwards."""
        return [int(eval(self.expected, {"i": i, "np": np})) for i in range(count)]

    def further_arguments(self) -> tuple[object, ...]:
        """What the kernel is given after ``y``."""
        return eval(f"({self.arguments},)", {"np": np}) if self.arguments else ()


def _parse(file: Path) -> list[Feature]:
    head, *parts = file.read_text("utf-8").split("// feature: ")
    section = head.removeprefix("// ").strip()
    features = []
    for part in parts:
        name, _, text = part.partition("\n")
        properties: dict[str, object] = dict(_PROPERTY.findall(text))
        if "modes" in properties:
            properties["modes"] = tuple(str(properties["modes"]).split(", "))
        features.append(Feature(section, name, _PROPERTY.sub("", text), **properties))
    return features


FEATURES = [feature for name in _FILES for feature in _parse(_FOLDER / f"{name}.cu")]


def source(features: Iterable[Feature]) -> str:
    """A file with the kernels of several features, each in a namespace of its own."""
    features = list(features)
    includes = dict.fromkeys(line for each in features for line in _INCLUDE.findall(each.code))
    parts = ["#define INDEX (blockIdx.x * blockDim.x + threadIdx.x)\n", *includes]
    for feature in features:
        namespace, _, name = kernel_name(feature).partition("::")
        code = _INCLUDE.sub("", feature.code)
        code = re.sub(r"^KERNEL\b", f'extern "C" __global__ void {name}(int* y)', code, flags=re.M)
        parts.append(f"namespace {namespace} {{\n{code}\n}}\n")
    return "".join(parts)


def kernel_name(feature: Feature) -> str:
    """The expression for the feature's kernel in ``source``."""
    number = FEATURES.index(feature)
    return f"of_feature_{number}::{feature.kernel or f'feature_{number}'}"


def tables() -> str:
    """The tables of the page, a section each."""
    sections = dict.fromkeys(feature.section for feature in FEATURES)
    return "".join(
        f"\n### {section}\n\n| | |\n|---|---|\n"
        + "".join(_row(feature) for feature in FEATURES if feature.section == section)
        for section in sections
    )


def _row(feature: Feature) -> str:
    answer = "no" if feature.missing else f"refused: “{feature.refused}”"
    if not feature.error:
        answer = "yes"
    if feature.modes != MODES:
        answer = f"{answer}, in {' and '.join(feature.modes)} mode"
    note = f"; {feature.note}" if feature.note else ""
    return f"| {feature.name} | {answer}{note} |\n"


def page(text: str) -> str:
    """The page with its tables as they should be."""
    return _TABLES.sub(lambda _: f"{tables()}\n", text)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
