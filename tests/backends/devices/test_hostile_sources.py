"""Kernel files of any content: each is read or refused, soon, without a traceback."""

import random
import time

import pytest

from gpucnn.backends import why_unavailable
from gpucnn.backends.devices.emulator.device import EmulatorDevice
from gpucnn.backends.devices.emulator.translation import translation_unit
from gpucnn.backends.devices.source import KERNELS, KernelSource
from gpucnn.errors import GpucnnError

SPECIAL = {
    "a large shift": "#if 1 << 99999999999\n#endif\n",
    "a negative shift": "#if 1 << -1\n#endif\n",
    "a large number": f"#if {'9' * 6000}\n#endif\n",
    "many parentheses": f"#if {'(' * 20000}1\n#endif\n",
    "many operators": f"#if {'!' * 20000}1\n#endif\n",
    "a long sum": f"#if {'1+' * 20000}1\n#endif\n",
    "macros that double": "".join(f"#define B{i} B{i + 1}+B{i + 1}\n" for i in range(40))
    + "#if B0\n#endif\nB0\n",
    "a macro of itself": "#define A A\n#if A\n#endif\nA\n",
    "a macro that grows": "#define G(x) G(x) G(x) __global__\nG(1) void f(){}\n",
    "ends without beginnings": "#elif\n#else\n#endif\n#endif\n",
    "brackets": "[[" * 20000,
    "attributes": "__global__ " + "__attribute__((" * 3000,
    "comments": "/*" * 20000,
    "a raw string without end": 'R"(' + "x" * 100000,
    "a long name": f'#include "{"a" * 5000}"\n',
    "many includes": "#include <x.cuh>\n" * 2000,
    "zeros": "\0\0",
}
PIECES = [
    "#if ", "#endif\n", "#define ", "(", ")", "\\\n", '"', "/*", "*/", "//", 'R"(', "__global__ ",
    "template<", "<<", "%0", "/0", "{", "}", '#include "', "\n", "defined(", "?", ":", "'",
]  # fmt: skip


def read(folder, text):
    """Everything that is read of a file before it is compiled."""
    (folder / "x.cu").write_text(text, encoding="utf-8")
    source = KernelSource("x.cu", (), folder)
    try:
        source.declarations()
        source.digest()
        translation_unit([source])
    except GpucnnError:
        pass


def damaged(text, rng):
    characters = list(text)
    for _ in range(rng.randint(1, 12)):
        place, what = rng.randrange(len(characters)), rng.random()
        if what < 0.3:
            del characters[place : place + rng.randint(1, 200)]
        elif what < 0.7:
            characters[place:place] = rng.choice(PIECES) * rng.choice([1, 1, 2, 30])
        elif what < 0.9:
            characters[place] = chr(rng.randrange(300))
        else:
            characters[place:place] = text[rng.randrange(len(text)) :][: rng.randint(1, 300)]
    return "".join(characters)


@pytest.mark.parametrize("text", SPECIAL.values(), ids=SPECIAL)
def test_extreme_files(text, tmp_path):
    begin = time.monotonic()
    read(tmp_path, text)
    read(tmp_path, f"__global__ void k(float* x) {{}}\n{text}\n__global__ void l(float* x) {{}}\n")
    assert time.monotonic() - begin < 10


def texts(largest):
    paths = sorted(KERNELS.glob("*.cu"))
    found = [path.read_text(encoding="utf-8") for path in paths if path.stat().st_size < largest]
    assert len(found) > 1
    return found


def test_some_damaged_files(tmp_path):
    rng = random.Random(1)
    for _ in range(20):
        read(tmp_path, damaged(rng.choice(texts(4000)), rng))


@pytest.mark.slow
def test_many_damaged_files(tmp_path):
    """10,000, or as many as a minute allows."""
    rng, end, originals = random.Random(2), time.monotonic() + 60, texts(4000)
    for number in range(10_000):
        if time.monotonic() > end:
            assert number > 500
            break
        begin = time.monotonic()
        read(tmp_path, damaged(rng.choice(originals), rng))
        assert time.monotonic() - begin < 10


@pytest.mark.slow
@pytest.mark.skipif(bool(why_unavailable("emulator")), reason=why_unavailable("emulator"))
def test_damaged_files_that_reach_the_compiler(tmp_path):
    """100, or as many as a minute allows."""
    rng, end, originals = random.Random(3), time.monotonic() + 60, texts(2500)
    device, compiled = EmulatorDevice(), 0
    for number in range(100):
        if time.monotonic() > end:
            assert number > 5
            break
        (tmp_path / f"x{number}.cu").write_text(damaged(rng.choice(originals), rng), "utf-8")
        try:
            device.compile(KernelSource(f"x{number}.cu", (), tmp_path))
            compiled += 1
        except GpucnnError as error:
            assert "Traceback" not in str(error)
