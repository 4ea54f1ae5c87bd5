"""Code that handles its input badly, in every way that the harness has to notice."""

import logging
import os
import random
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

from fuzz.harness import MIB, Fuzzer, attempt

from gpucnn.errors import DataError

kept = []
"""What is not let go."""


def refuse(message: str) -> None:
    raise DataError(message)


class PanicError(BaseException):
    """As extension modules written in Rust raise them."""


def panic() -> None:
    raise PanicError("panic")


def leave_a_process() -> None:
    subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL)


def orphan() -> None:
    subprocess.run(["sh", "-c", "sleep 60 >/dev/null 2>&1 &"], check=True)


WAYS = {
    "KeyError": lambda: {}["a.png"],
    "PanicError": panic,
    "RecursionError": lambda: attempt_forever(),
    "MemoryError": lambda: kept.append(b"x" * (4096 * MIB)),
    "is empty": lambda: refuse(""),
    "several lines": lambda: refuse("a.png: one\ntwo"),
    "not printable": lambda: refuse("a.png: \x1b[31m"),
    "not printable: 'a.png: \\udce9'": lambda: refuse("a.png: \udce9"),
    "characters": lambda: refuse("a.png: " + "x" * 5000),
    "names none of": lambda: refuse("b.png: is damaged"),
    "has 'Traceback'": lambda: refuse("a.png: Traceback (most recent call last)"),
    "has 'object at 0x'": lambda: refuse(f"a.png: {object()}"),
    "a warning: UserWarning: old": lambda: warnings.warn("old", stacklevel=1),
    "ResourceWarning": lambda: bool(Path(os.devnull).open()),  # noqa: SIM115
    "printed: 'hello": lambda: print("hello"),
    "printed: 'logged": lambda: logging.getLogger("x").warning("logged"),
    "printed: 'below": lambda: os.write(2, b"below"),
    "a process was started": lambda: subprocess.run(["true"], check=True),
    "processes were left behind": leave_a_process,
    "processes were left behind: ": orphan,
    "files were left behind: ['left": lambda: tempfile.mkstemp(prefix="left", dir=None) and None,
    "files were left behind: ['curves": lambda: Path("curves.png").touch(),
    "descriptors were left open": lambda: kept.append(os.open(os.devnull, os.O_RDONLY)),
    "MiB of memory": lambda: kept.append(b"x" * (100 * MIB)) or (kept.pop() and None),
}
"""What the harness says, and what it says it of."""


def attempt_forever() -> None:
    attempt_forever()


class MisbehavingFuzzer(Fuzzer):
    """Each number is a way to misbehave; then come a hang, a crash, and good manners."""

    name = "misbehaving"
    seconds = 2.0
    memory = 64 * MIB

    def run(self, rng: random.Random, number: int) -> None:
        """Does what the number stands for."""
        ways = [*WAYS.values(), lambda: time.sleep(60), os.abort, lambda: refuse("a.png: damaged")]
        attempt(ways[number], ("a.png",))
