"""What the preprocessor leaves of a file, and in which order it reads headers."""

import os
import shutil
import subprocess
import time

import pytest

from gpucnn.backends.devices.conditions import Conditions
from gpucnn.backends.devices.inclusion import Inclusion, Piece
from gpucnn.backends.devices.source import KernelSource
from gpucnn.emulator.translation import translation_unit
from gpucnn.errors import BackendError

MACROS = {"ARCH": "900", "YES": "1"}

# Each condition that holds.
HOLD = [
    "ARCH >= 800",
    "defined(YES) && !defined(NO)",
    "defined YES",
    "NO == 0 && !NO",
    "!NO == 1",
    "(ARCH / 100 % 8) == 1 || 1 / 0",
    "ARCH > 800 ? 1 : 0",
    "1 ? 2 : 0 ? 0 : 0",
    "0x10 == 16 && 1000UL == 1'000",
    "-1 < 0 && ~0 == -1 && (6 & 3) == 2 && (6 | 1) == 7 && (6 ^ 3) == 5",
    "1 + 2 * 3 == 7 && 1 << 4 >> 2 == 4 && 7 - 2 - 1 == 4",
    "1 || 0 && 0",
    "YES",
    "true && !false",
]
FAIL = ["ARCH < 900", "defined(NO)", "NO", "!YES", "0", "ARCH != 900", "1 && 0 || 0", "ARCH - 900"]


def read(tmp_path, text, shown=("__global__",), macros=MACROS):
    """The words of the lines that are left in."""
    path = tmp_path / "a.cu"
    lines = Conditions(dict(macros), shown).lines([Piece(path, 1, text)])
    return [(line.line, line.text.strip()) for line in lines if line.text.strip()]


@pytest.mark.parametrize(
    ("condition", "holds"), [*((c, True) for c in HOLD), *((c, False) for c in FAIL)]
)
def test_conditions(tmp_path, condition, holds):
    text = f"#if {condition}\nyes\n#else\nno\n#endif\nbehind"
    assert read(tmp_path, text) == [(2, "yes") if holds else (4, "no"), (6, "behind")]


@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
def test_conditions_hold_for_a_compiler_too():
    definitions = [f"-D{name}={value}" for name, value in MACROS.items()]
    conditions = [c for c in HOLD if "1 / 0" not in c]
    for number, condition in enumerate([*conditions, *FAIL]):
        text = f"#if {condition}\nyes\n#else\nno\n#endif\n"
        command = ["g++", "-std=c++17", "-E", "-P", *definitions, "-x", "c++", "-"]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == ("yes" if number < len(conditions) else "no"), condition


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#ifdef YES\na\n#elif 1\nb\n#else\nc\n#endif", ["a"]),
        ("#ifndef YES\na\n#elif ARCH\nb\n#elif 1\nc\n#else\nd\n#endif", ["b"]),
        ("#if 0\n#if 1\na\n#else\nb\n#endif\n#else\nc\n#endif", ["c"]),
        ("#if 0\n#define YES2 1\n#endif\n#if YES2\na\n#endif\nb", ["b"]),
        ("#undef YES\n#ifdef YES\na\n#endif\nb", ["b"]),
        ("#define SUM (1 + \\\n 2)\n#if SUM == 3\na\n#endif", ["a"]),
        ("#if 0 // why\na\n#endif /* 0 */\nb", ["b"]),
        ("#if f(1)\na\n#endif", ["a"]),
        ("#if __has_include(<b>)\na\n#endif", ["a"]),
    ],
)
def test_branches(tmp_path, text, expected):
    assert [words for _, words in read(tmp_path, text)] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#define KERNEL __global__ void\nKERNEL k();", "__global__ void k();"),
        ("#define A __global__\n#define B A void\nB k();", "__global__ void k();"),
        (
            "#define K(name, n) __global__ void name##_##n()\nK(sum, 4);",
            "__global__ void sum_4();",
        ),
        ("#define K __global__\n#undef K\nK k();", "K k();"),
        ("#define OTHER 3\nOTHER __global__;", "OTHER __global__;"),
        ("#define K __global__\nint aK, Kb; K k();", "int aK, Kb; __global__ k();"),
    ],
)
def test_macros_that_hide_a_kernel(tmp_path, text, expected):
    assert [words for _, words in read(tmp_path, text)] == [expected]


DOUBLED = "".join(f"#define M{n} M{n + 1} M{n + 1}\n" for n in range(40))
"""Each macro stands for two of the next."""


@pytest.mark.parametrize(
    "text",
    [
        f"{DOUBLED}#if M0\na\n#endif",
        f"{DOUBLED}#define M40 1\n#if M0\na\n#endif",
        f"{DOUBLED}M0",
        f"{DOUBLED}#define M40 __global__\nM0",
        "#define f(x) __global__ x x x x\nf(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(f(a))))))))))))))))))",
        "#define f(x) x x __global__ f(x x)\nf(a)",
        "#if 1 << 100000000000 << 100000000000\na\n#endif",
        "#if 1 << -1\na\n#endif",
        "#if " + "9" * 10_000 + "\na\n#endif",
        "#if " + "*".join(["9" * 4000] * 100) + "\na\n#endif",
        "#if " + "(" * 100_000 + "1" + ")" * 100_000 + "\na\n#endif",
        "#if " + "!" * 100_000 + "1\na\n#endif",
        "#if " + "1+" * 1_000_000 + "1\na\n#endif",
    ],
    ids=range(13),
)
def test_what_grows_without_bound_is_not_followed(tmp_path, text):
    begin = time.perf_counter()
    assert len("".join(words for _, words in read(tmp_path, text))) < 1_000_000
    assert time.perf_counter() - begin < 5.0


def files(folder, **texts):
    for name, text in texts.items():
        (folder / f"{name}.cuh").write_text(text)
    return folder / "a.cuh"


def order(folder, main):
    """File and line of each piece that has words, with them."""
    pieces = Inclusion((folder,), "p").pieces(main)
    return [(p.path.stem, p.line, p.text.strip()) for p in pieces if p.text.strip()]


def test_headers_are_where_they_are_included(tmp_path):
    main = files(
        tmp_path,
        a='one\n#include "b.cuh"\n// #include "c.cuh"\nthree\n#include <b.cuh>\n#include <far.h>',
        b='#include "c.cuh"\nb',
        c="#pragma once\nc",
    )
    assert order(tmp_path, main) == [
        ("a", 1, "one"),
        ("c", 1, "c"),
        ("b", 2, "b"),
        ("a", 3, '// #include "c.cuh"\nthree'),
        ("b", 2, "b"),
        ("a", 6, "#include <far.h>"),
    ]


def test_a_header_that_a_condition_may_leave_out_is_guarded(tmp_path):
    """Whoever includes it next gets it if it was."""
    main = files(
        tmp_path,
        a='#if X\n#include "b.cuh"\n#endif\n#include "b.cuh"\n#include "b.cuh"\n',
        b="#pragma once\nb",
    )
    guarded = [("b", 1, "#ifndef p_once_0\n#define p_once_0"), ("b", 1, "b"), ("b", 1, "#endif")]
    assert order(tmp_path, main) == [("a", 1, "#if X"), *guarded, ("a", 3, "#endif"), *guarded]


def test_headers_that_include_each_other(tmp_path):
    main = files(
        tmp_path,
        a='#include "b.cuh"\na',
        b='#ifndef B\n#define B\n#include "c.cuh"\nb\n#endif',
        c='#include "b.cuh"\nc',
    )
    assert [words for _, _, words in order(tmp_path, main)] == [
        "#ifndef B\n#define B",
        "c",
        "b\n#endif",
        "a",
    ]


@pytest.mark.parametrize(
    ("count", "times", "words"),
    [(300, 1, r"h200\.cuh.* 200 levels deep"), (40, 2, r"h\d+\.cuh.* included 2,000 times")],
)
def test_headers_without_end_are_refused(tmp_path, count, times, words):
    for number in range(count):
        include = f'#include "h{number + 1}.cuh"\n'
        (tmp_path / f"h{number}.cuh").write_text(include * times)
    (tmp_path / f"h{count}.cuh").write_text("")
    (tmp_path / "k.cu").write_text('#include "h0.cuh"\n')
    with pytest.raises(BackendError, match=words):
        KernelSource("k.cu", folder=tmp_path).functions()
    with pytest.raises(BackendError, match=words):
        Inclusion((tmp_path,)).pieces(tmp_path / "k.cu")


REPEATED = (
    *("/*", "/* ", 'R"(', '"', '"\\', '" ', "' ", "void ", "extern ", "__global__ ", "__global__"),
    *(
        "__shared__ extern ",
        "extern __shared__ a",
        "template <",
        "template <> ",
        "[[",
        "__a__(",
        "(",
    ),
    *(
        "asm ",
        "asm a",
        "__launch_bounds__(",
        "#if 1\n",
        "#define A\n",
        "A(",
        "\\\n",
        "#\n",
        "\n",
        "a",
    ),
)


@pytest.mark.parametrize("text", REPEATED)
def test_reading_takes_a_time_in_proportion_to_the_length(tmp_path, text):
    (tmp_path / "k.cu").write_text(text * (40_000 // len(text)))
    source = KernelSource("k.cu", folder=tmp_path)
    begin = time.perf_counter()
    try:
        source.functions()
        translation_unit([source])
    except BackendError as error:
        assert "inline assembly" in str(error)
    assert time.perf_counter() - begin < 5.0


@pytest.mark.parametrize(
    ("text", "is_assembly"),
    [
        ('asm("nop;");', True),
        ('asm volatile ("nop;" : : );', True),
        ('__asm__ __volatile__("nop;");', True),
        ('asm("" : "+r"(x));', False),
        ("asm_helper(1);", False),
        ("int asms(int); asms (1);", False),
        ("asm " + "a" * 50 + ";", False),
    ],
)
def test_inline_assembly_is_told_from_other_words(tmp_path, text, is_assembly):
    (tmp_path / "k.cu").write_text(f"__global__ void k(int x) {{ {text} }}\n")
    source = KernelSource("k.cu", folder=tmp_path)
    if is_assembly:
        with pytest.raises(BackendError, match=r"k\.cu:1: inline assembly"):
            translation_unit([source])
    else:
        assert text in translation_unit([source])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("__global__ void k() {}\n/* __global__ void old() {}", ("k",)),
        ('__global__ void k() {}\nR"(__global__ void old() {}', ("k",)),
        ('const char* s = "__global__ void a();\n__global__ void k() {}', ("k",)),
    ],
)
def test_what_is_not_ended_hides_what_follows(tmp_path, text, expected):
    (tmp_path / "k.cu").write_text(text)
    assert KernelSource("k.cu", folder=tmp_path).functions() == expected


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (os.mkfifo, "it is a FIFO, not a file"),
        (os.mkdir, "it is a folder, not a file"),
        (lambda path: path.symlink_to("/dev/zero"), "it is a device, not a file"),
        (lambda path: path.symlink_to(path.name), "symbolic links"),
        (lambda path: (path.touch(), os.truncate(path, 10**12)), "it has 1,000,000,000,000 bytes"),
    ],
)
def test_what_is_no_kernel_file_is_named(tmp_path, make, words):
    make(tmp_path / "k.cu")
    with pytest.raises(BackendError, match=rf"k\.cu cannot be read: .*{words}"):
        KernelSource("k.cu", folder=tmp_path).functions()


def test_line_ends_of_other_systems_are_line_ends(tmp_path):
    (tmp_path / "k.cu").write_bytes(b"#if 1\r\n__global__ void a() {}\r\n#endif\r\n")
    source = KernelSource("k.cu", folder=tmp_path)
    assert source.functions() == ("a",)
    assert "\r" not in source.text()


DECLARATIONS = {
    "__global__ void k(int n) {}": [("k", "")],
    "__global__ void __launch_bounds__(32 * (1 + (2 - (1)))) k(int n) {}": [
        ("k", "32 * (1 + (2 - (1)))")
    ],
    "__launch_bounds__(16) __global__ void k(int n) {}": [("k", "16")],
    'extern "C" __launch_bounds__(16, 2) __global__ void k(int n) {}': [("k", "16, 2")],
    "__global__ void __launch_bounds__(8) k(int n);\n__global__ void k(int n) {}": [("k", "8")],
    "__global__ void k(int n);\n__global__ void __launch_bounds__(8) k(int n) {}": [("k", "8")],
    "#define BOUNDS __launch_bounds__(64)\n__global__ void BOUNDS k(int n) {}": [("k", "64")],
    "void __global__ k(int n) {} inline __global__ void l() {}": [("k", ""), ("l", "")],
    "__global__ __attribute__((noinline)) void k(int n) {}": [("k", "")],
    "__global__ [[maybe_unused]] void k(int n) {}": [("k", "")],
    "#if 0\n__global__ void old() {}\n#endif\n__global__ void k() {}": [("k", "")],
    "#if __CUDA_ARCH__ >= 800\n__global__ void a() {}\n#else\n__global__ void b() {}\n#endif": [
        ("a", "")
    ],
    'const char* s = R"(__global__ void z(int))", *t = "__global__ void y(";': [],
    "template <int n> __global__ void t() {}\n__global__ void k() {}": [("k", "")],
    "/* __global__ void old(); */ // __global__ void older();": [],
    "__global__ void 9k() {} __global__ void 12() {} __global__ void k() {}": [("k", "")],
    '#include "macros.cuh"\nKERNEL(8) k() {}\n#ifdef FAST\n__global__ void fast() {}\n#endif': [
        ("k", "8"),
        ("fast", ""),
    ],
}


@pytest.mark.parametrize("text", DECLARATIONS)
def test_declarations(tmp_path, text):
    (tmp_path / "macros.cuh").write_text(
        "#define KERNEL(n) __global__ void __launch_bounds__(n)\n#define FAST\n"
        "__global__ void of_a_header() {}\n"
    )
    (tmp_path / "k.cu").write_text(text)
    found = KernelSource("k.cu", folder=tmp_path).declarations()
    assert [(declared.name, declared.bounds) for declared in found] == DECLARATIONS[text]


def test_kernels_of_a_compute_capability(tmp_path):
    text = "#if __CUDA_ARCH__ >= 900\n__global__ void a() {}\n#else\n__global__ void b() {}\n#endif"
    (tmp_path / "k.cu").write_text(text)
    source = KernelSource("k.cu", folder=tmp_path)
    assert source.functions(80) == ("b",)
    assert source.functions(120) == source.functions() == ("a",)


def test_a_header_that_has_changed_changes_the_kernels(tmp_path):
    (tmp_path / "k.cu").write_text("#include <h.cuh>\n#if H\n__global__ void k() {}\n#endif")
    source = KernelSource("k.cu", folder=tmp_path)
    digests = set()
    for value in (0, 1):
        (tmp_path / "h.cuh").write_text(f"#define H {value}   ")
        assert source.functions() == ("k",) * value
        digests.add(source.digest())
    assert len(digests) == 2


def test_a_header_that_is_not_utf8(tmp_path):
    (tmp_path / "h.cuh").write_bytes(b"\xe9")
    (tmp_path / "k.cu").write_text('#include "h.cuh"\n')
    with pytest.raises(BackendError, match=r"h\.cuh is not UTF-8"):
        KernelSource("k.cu", folder=tmp_path).functions()
