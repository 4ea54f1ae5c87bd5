"""Which instructions a cubin is made of, as nvdisasm tells; needs no GPU."""

from __future__ import annotations

import importlib.util
import re
import shutil
from collections import Counter
from functools import lru_cache
from pathlib import Path

from gpucnn.backends.devices.cuda.nvrtc import compute_capability
from gpucnn.emulator.programs import run_program
from gpucnn.emulator.scratch import scratch_folder
from gpucnn.errors import install_advice

OLDEST = 75
"""The packages of nvdisasm (CUDA 13) no longer read what is older."""

_FUNCTION = re.compile(r"^\.text\.(\S+):$", re.MULTILINE)
_INSTRUCTION = re.compile(
    r"^\s+(?:\{\s*)?/\*[0-9a-f]{4,}\*/\s+(?:\{\s*)?(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.a-z]*)",
    re.MULTILINE,
)


@lru_cache(maxsize=1)
def disassembler() -> Path | None:
    """nvdisasm of the pip package, or on the PATH; None where there is none."""
    spec = importlib.util.find_spec("nvidia")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for path in sorted(Path(folder).glob("*/bin/nvdisasm*"), reverse=True):
            return path
    found = shutil.which("nvdisasm")
    return Path(found) if found else None


def why_not(architecture: str) -> str:
    """Why no instructions can be counted for this architecture; empty where they can."""
    if disassembler() is None:
        return f"nvdisasm is not installed: {install_advice('disassembly')}"
    if compute_capability(architecture) < OLDEST:
        return f"nvdisasm of CUDA 13 reads sm_{OLDEST} and newer"
    return ""


def instructions(cubin: bytes) -> dict[str, Counter[str]]:
    """How often each instruction occurs, with its modifiers ("LDG.E.128"), by lowered name.

    Empty if nvdisasm cannot read the cubin, or is not there.
    """
    return parse(listing(cubin))


def listing(cubin: bytes) -> str:
    """What nvdisasm prints of a cubin; empty if it cannot read it, or is not there."""
    program = disassembler()
    if program is None:
        return ""
    with scratch_folder() as folder:
        file = folder / "kernels.cubin"
        file.write_bytes(cubin)
        result = run_program([str(program), "--print-code", "--no-dataflow", str(file)])
    return result.out


def parse(listed: str) -> dict[str, Counter[str]]:
    """The same from nvdisasm's listing."""
    parts = _FUNCTION.split(listed)[1:]
    return {
        name: Counter(_INSTRUCTION.findall(text))
        for name, text in zip(parts[::2], parts[1::2], strict=True)
    }


def by_kind(counts: Counter[str]) -> Counter[str]:
    """The same without modifiers: "LDG" for "LDG.E.128"."""
    kinds: Counter[str] = Counter()
    for name, count in counts.items():
        kinds[name.partition(".")[0]] += count
    return kinds
