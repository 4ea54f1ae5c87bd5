"""Kernel files: what is read of them in Python, and what the emulator's compiler makes of them."""

import os
import random
from pathlib import Path

from fuzz.harness import MIB, Fuzzer, attempt, remove_tree
from fuzz.mutators import NAMES, mutated_bytes, mutated_text

from gpucnn.backends.devices.source import (
    KERNELS,
    KernelSource,
    as_backend_errors,
    check_own_kernels,
)
from gpucnn.emulator.builder import Builder
from gpucnn.emulator.cache import Cache
from gpucnn.emulator.modes import MODES
from gpucnn.emulator.scanner import Scanned, scan
from gpucnn.emulator.source import Source
from gpucnn.emulator.symbols import identifier_of

_SMALL = (
    """// y = a x + y
#include "guard.h"
#ifndef N
#define N 4
#endif
#define AT(i, j) ((i) * N + (j))
extern "C" __global__ void __launch_bounds__(2 * (N + 1))
axpy(float a, const float* x, float* y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] += a * x[i];
}
""",
    """#if __CUDA_ARCH__ >= 800 && defined(__CUDACC__) || (1 << 3) % 3 == 2
__device__ float twice(float x) { return 2.0f * x; }
#else
#error "no"
#endif
template <int K> __device__ int sum(const int* x) { return x[K] + sum<K - 1>(x); }
template <> __device__ int sum<0>(const int* x) { return x[0]; }
__global__ void first(const int* x, int* y) { __shared__ int s[8]; s[threadIdx.x % 8] = sum<3>(x);
    __syncthreads(); y[0] = s[0]; /* global */ }
static __global__ __launch_bounds__(128, 2) void second(float4 v, bool b, float* y) {
    extern __shared__ float tile[]; tile[0] = b ? v.x : twice(v.y); *y = tile[0]; }
""",
    'const char* text = R"x(__global__ void no())x"; // __global__ void no2()\n'
    "__global__ void yes() {}\n",
)
_WORDS = (
    *(
        "__global__",
        "__launch_bounds__(",
        "__shared__",
        "extern",
        "template <",
        ">",
        "void",
        "(",
        ")",
    ),
    *(
        "{",
        "}",
        "[",
        "]",
        ";",
        ",",
        '"',
        "'",
        "\\\n",
        "\\",
        "//",
        "/*",
        "*/",
        'R"(',
        ')"',
        "#",
        "##",
    ),
    *(
        "#if",
        "#ifdef",
        "#elif",
        "#else",
        "#endif\n",
        "#define",
        "#undef",
        "#include",
        "#pragma once\n",
    ),
    *(
        "#line 5",
        "asm(",
        "asm volatile ",
        "defined",
        "1 << 1000000",
        "9" * 5000,
        "1'000",
        "0xffffffffffffffff",
        "-1",
    ),
    *(
        "&&",
        "||",
        "?",
        ":",
        "<<",
        ">>",
        "%",
        "/ 0",
        "A",
        "A(",
        "N",
        "int",
        "float*",
        "double",
        "auto",
    ),
    *(
        "\n",
        "\r\n",
        "\t",
        "\f",
        "float4",
        "namespace",
        "class",
        "operator",
        "__VA_ARGS__",
        "@",
        "$",
    ),
)
_OPERATORS = (
    "+",
    "-",
    "*",
    "/",
    "%",
    "<<",
    ">>",
    "<",
    ">",
    "<=",
    "==",
    "!=",
    "&",
    "|",
    "^",
    "&&",
    "||",
)
_ATOMS = (
    *(
        "0",
        "1",
        "2",
        "64",
        "0x7fffffff",
        "010",
        "08",
        "0b11",
        "1'000",
        "1u",
        "2ull",
        "1.5",
        "'a'",
        "9" * 5000,
    ),
    *(
        "A",
        "B",
        "f(A)",
        "f(f(1))",
        "f(",
        "defined A",
        "defined(B)",
        "defined(",
        "__CUDA_ARCH__",
        "true",
    ),
    *("__has_include(<x>)", "1 << 100000000", "1 << -1", "-9223372036854775808", ""),
)


class KernelFuzzer(Fuzzer):
    """Ours and small ones, damaged as text, and files of directives that are drawn."""

    name = "kernels"
    may_start_processes = False

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._own = {
            path.name: path.read_text(encoding="utf-8") for path in sorted(KERNELS.glob("*.cu"))
        }
        headers = sorted((KERNELS / "include").rglob("*.cuh"))
        self._headers = {path.name: path.read_text(encoding="utf-8") for path in headers}

    def run(self, rng: random.Random, number: int) -> None:
        """A folder of its own, for files are kept by the time at which they were changed."""
        folder = self.folder / f"kernels-{number}"
        (folder / "include").mkdir(parents=True)
        try:
            file = rng.choice(list(self._own))
            path = folder / file
            self._write(rng, path, self._content(rng, self._own[file]))
            for name in rng.sample(["a.h", "guard.h", *self._headers], rng.choice((0, 1, 2))):
                place = rng.choice((folder, folder / "include")) / name
                self._write(rng, place, self._content(rng, self._headers.get(name, "")))
            if path.is_file() and rng.random() < 0.01:
                _write_chain(rng, path)
            self._check(rng, folder, file, number)
        finally:
            remove_tree(folder)

    def _check(self, rng: random.Random, folder: Path, file: str, number: int) -> None:
        constants = (("N", rng.choice((4, -1, 2**40))), ("FLAG", True))[: rng.randrange(3)]
        source = KernelSource(file, constants, folder)
        names = (file, folder.name, *self._headers, "a.h", "guard.h")
        attempt(lambda: check_own_kernels(folder), names)
        attempt(source.digest, names)
        text = attempt(source.text, names)
        found = None if text is None else attempt(lambda: _scanned(text), ("line", *names))
        for kernel in found.kernels if found else ():
            assert kernel.name.replace("::", "").isidentifier(), f"a kernel is {kernel.name!r}"
        mangled = mutated_text(
            rng, "_ZN6gpucnn3sumILi3EEiPKi", "_ZZL5axpyfPKfE4tile", ("N", "E", "9")
        )
        assert isinstance(identifier_of(mangled), str)

    def _write(self, rng: random.Random, path: Path, content: bytes) -> None:
        if rng.random() < 0.99:
            path.write_bytes(content)
        else:
            rng.choice((os.mkfifo, os.mkdir, lambda p: p.symlink_to(p.name)))(path)

    def _content(self, rng: random.Random, own: str) -> bytes:
        kind = rng.randrange(8)
        other = rng.choice((*_SMALL, *self._own.values()))
        if kind == 0:
            return mutated_bytes(rng, own.encode(), other.encode())
        if kind < 3:
            text = drawn_directives(rng)
        else:
            text = mutated_text(rng, own if kind < 5 else rng.choice(_SMALL), other, _WORDS)
        return text.encode("utf-8", "surrogatepass")


def _scanned(text: str) -> Scanned:
    with as_backend_errors():
        return scan(text, "p", "s")


def _built(builder: Builder, source: KernelSource) -> dict[Source, Path]:
    with as_backend_errors():
        return builder.libraries([source.as_text()])


def _write_chain(rng: random.Random, path: Path) -> None:
    """Headers each of which includes the next, some of them twice."""
    length, times = rng.choice(((10, 2), (40, 2), (300, 1), (1500, 1)))
    once = rng.choice(("", "#pragma once\n"))
    for number in range(length):
        text = f'{once}#include "h{number + 1}.h"\n' * times
        path.with_name(f"h{number}.h").write_text(text)
    path.with_name(f"h{length}.h").write_text("")
    path.write_text('#include "h0.h"\n__global__ void chained() {}\n')


def drawn_directives(rng: random.Random) -> str:
    """A file of conditions, macros and includes, some of which end."""
    kernel = "__global__ void k{}(int a) {{}}"
    lines = []
    for number in range(rng.randrange(1, 30)):
        kind = rng.randrange(9)
        if kind < 2:
            lines.append(f"#{rng.choice(('if', 'if', 'elif'))} {expression(rng, 4)}")
        elif kind == 2:
            lines.append(rng.choice(("#else", "#endif", "#endif", "#ifdef A", "#ifndef B // x")))
        elif kind < 5:
            body = rng.choice(
                (expression(rng, 2), "__global__", "A B", "B B B B", "f(A) f(A)", "A ## B")
            )
            name = rng.choice(("A", "B", "f(x)", "f(x, y)", "f(...)", "f(x", "1", "", "defined"))
            lines.append(f"#define {name} {body}")
        elif kind == 5:
            lines.append(
                f'#include "{rng.choice(("a.h", "guard.h", "../x", "/etc/passwd", "", NAMES[1]))}"'
            )
        elif kind == 6:
            lines.append(
                rng.choice(
                    ("A void g(int) {}", "f(A) void g() {}", "#undef A", "#pragma once", "\\")
                )
            )
        else:
            lines.append(kernel.format(number))
    if rng.random() < 0.005:  # each macro is two of the next
        lines[:0] = [f"#define M{n} M{n + 1} M{n + 1}" for n in range(40)] + [
            "#define M40 __global__",
            "M0",
        ]
    if rng.random() < 0.02:
        depth = rng.choice((100, 5000, 100_000))
        lines.append(f"#if {'(' * depth}1{')' * depth}\n#endif\n" + "{" * depth)
    if rng.random() < 0.02:
        lines.append(
            (rng.choice(_WORDS) + rng.choice(("", " ", "\n", " x"))) * rng.choice((1000, 30_000))
        )
    return "\n".join(lines)


def expression(rng: random.Random, depth: int) -> str:
    """A condition that is right, more or less."""
    if depth == 0 or rng.random() < 0.3:
        return rng.choice(_ATOMS)
    left, right = expression(rng, depth - 1), expression(rng, depth - 1)
    kind = rng.randrange(6)
    if kind == 0:
        return f"({left})"
    if kind == 1:
        return f"{rng.choice('!~-+')}{left}"
    if kind == 2:
        return f"{left} ? {right} : {left}"
    return f"{left} {rng.choice(_OPERATORS)} {right}"


class CompilerFuzzer(KernelFuzzer):
    """Kernel files that the compiler reads: it refuses them, or makes a library of them."""

    name = "compiler"
    seconds = 120.0
    memory = 1024 * MIB
    may_start_processes = True

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._builder = Builder(MODES["fast"], Cache(folder / "cache"))
        (folder / "first.cu").write_text("__global__ void first() {}\n")
        self._builder.libraries([KernelSource("first.cu", (), folder).as_text()])

    def _check(self, rng: random.Random, folder: Path, file: str, number: int) -> None:
        source = KernelSource(file, (("N", 4),), folder)
        names = (file, folder.name, *self._headers, "a.h", "guard.h")
        libraries = attempt(lambda: _built(self._builder, source), names, lines=500)
        if libraries is not None:
            assert libraries[source.as_text()].read_bytes().startswith(b"\x7fELF")

    def _content(self, rng: random.Random, own: str) -> bytes:
        text = rng.choice(_SMALL)
        return mutated_text(rng, text, rng.choice(_SMALL), _WORDS).encode("utf-8", "surrogatepass")
