"""Kernel files with extreme content: each is read or refused, soon, without a traceback."""

import time

import pytest

from gpucnn.backends.devices.source import KernelSource
from gpucnn.emulator.translation import translation_unit
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


@pytest.mark.parametrize("text", SPECIAL.values(), ids=SPECIAL)
def test_extreme_files(text, tmp_path):
    begin = time.monotonic()
    read(tmp_path, text)
    read(tmp_path, f"__global__ void k(float* x) {{}}\n{text}\n__global__ void l(float* x) {{}}\n")
    assert time.monotonic() - begin < 10
