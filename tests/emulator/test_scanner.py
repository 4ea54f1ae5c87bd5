"""What a scan finds in a preprocessed text, and how it rewrites it."""

import time
from contextlib import suppress

import pytest

from gpucnn.emulator.errors import CompilationError
from gpucnn.emulator.scanner import scan

KERNELS = {
    "__global__ void k(int n) {}": [("k", ("n",), "", False)],
    "__global__ void __launch_bounds__(32 * (1 + (2 - (1)))) k(int n) {}": [
        ("k", ("n",), "32 * (1 + (2 - (1)))", False)
    ],
    "__launch_bounds__(16) __global__ void k() {}": [("k", (), "16", False)],
    'extern "C" __launch_bounds__(16, 2) __global__ void k(void) {}': [("k", (), "16, 2", True)],
    "__global__ void __launch_bounds__(8) k(int);\n__global__ void k(int n) {}": [
        ("k", ("n",), "8", False)
    ],
    'extern "C" __global__ void k(int n);\n__global__ void __launch_bounds__(8) k(int n) {}': [
        ("k", ("n",), "8", True)
    ],
    'extern "C" { __global__ void k() {} }\n__global__ void l() {}': [
        ("k", (), "", True),
        ("l", (), "", False),
    ],
    "__global__ void __launch_bounds__(Tile<(1 >= 2)>::THREADS << 1, MOST) k() {}": [
        ("k", (), "Tile<(1 >= 2)>::THREADS << 1, MOST", False)
    ],
    "void __global__ k(int n) {} inline __global__ void l() {}": [
        ("k", ("n",), "", False),
        ("l", (), "", False),
    ],
    "__global__ __attribute__((noinline)) void k() {}": [("k", (), "", False)],
    "__global__ [[maybe_unused]] void k() {}": [("k", (), "", False)],
    'const char* s = R"(__global__ void z(int))", *t = "__global__ void y(";': [],
    "template <int n> __global__ void t() {}\n__global__ void k() {}": [("k", (), "", False)],
    "template __global__ void t<3>();\ntemplate <> __global__ void t<4>() {}": [],
    "__global__ void k() { struct S { int x; }; auto f = [](int i) { return i; }; }": [
        ("k", (), "", False)
    ],
    "namespace a { namespace b::c { __global__ void k() {} } __global__ void l() {} }": [
        ("a::b::c::k", (), "", False),
        ("a::l", (), "", False),
    ],
    "namespace { __global__ void k() {} }\ninline namespace v1 { __global__ void l() {} }": [
        ("k", (), "", False),
        ("v1::l", (), "", False),
    ],
    'namespace a { extern "C" __global__ void k() {} }': [("k", (), "", True)],
    "using namespace a;\n__global__ void k() {}": [("k", (), "", False)],
    "__global__ void k(const float* __restrict__ x, float (&y)[2], int, unsigned n = f(1, 2))": [],
    "__global__ void k(const float* __restrict__ x, int, unsigned n = f(1, 2), A<1, 2> a[3]) {}": [
        ("k", ("x", "", "n", "a"), "", False)
    ],
}


@pytest.mark.parametrize("text", KERNELS)
def test_kernels(text):
    found = scan(text, "p", "array").kernels
    assert [(each.name, each.parameters, each.bounds, each.is_c) for each in found] == KERNELS[text]


def test_templates_are_known_by_name():
    text = "namespace a { template <typename T, int N = (2 > 1)> __global__ void t(T* x) {} }"
    (template,) = scan(text, "p", "array").templates.items()
    assert template[0] == "a::t"
    assert template[1].parameters == ("x",)


@pytest.mark.parametrize(
    ("text", "rewritten", "mangled"),
    [
        (
            "extern __shared__ float a[];",
            'extern __dynamic_shared__ float a[] __asm__("s");',
            "_ZN1p1aE",
        ),
        (
            "void f() { __shared__ extern int rows[][2]; }",
            'void f() { __dynamic_shared__ extern int rows[][2] __asm__("s"); }',
            "_ZN1p4rowsE",
        ),
        (
            "extern float __shared__ b[];",
            'extern float __dynamic_shared__ b[] __asm__("s");',
            "_ZN1p1bE",
        ),
        (
            "namespace n { extern __shared__ __align__(16) A<char> c[]; }",
            'namespace n { extern __dynamic_shared__ __align__(16) A<char> c[] __asm__("s"); }',
            "_ZN1p1n1cE",
        ),
        (
            "extern __shared__ Storage one;",
            'extern __dynamic_shared__ Storage one __asm__("s");',
            "_ZN1p3oneE",
        ),
    ],
)
def test_dynamic_shared_memory_has_one_name(text, rewritten, mangled):
    found = scan(text, "p", "s")
    assert (found.text, found.dynamic_arrays) == (rewritten, (mangled,))


def test_static_shared_memory_and_other_externs_stay():
    text = 'extern int n; __shared__ float tile[8]; const char* s = "extern __shared__ int a[];";'
    found = scan(text, "p", "s")
    assert (found.text, found.dynamic_arrays) == (text, ())


def test_c_becomes_cpp():
    text = 'extern "C" int f(); extern "C" { int g(); } const char* s = "\\"C\\"";'
    assert scan(text, "p", "s").text == text.replace('extern "C"', 'extern "C++"')


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('asm("nop;");', "inline assembly"),
        ('asm volatile ("nop;" : : );', "inline assembly"),
        ('__asm__ __volatile__("nop;");', "inline assembly"),
        ('asm("" : "+r"(x));', ""),
        ("asm_helper(1);", ""),
        ("int asms(int); asms (1);", ""),
        ('f("asm"); g("nop");', ""),
        ("k<<<1, 2>>>(x);", "a kernel is launched from a kernel"),
        ("x = a << b >> c;", ""),
    ],
)
def test_what_no_host_can_do_is_refused_by_line(text, words):
    text = f'# 7 "k.cu"\n\n__global__ void k(int x) {{ {text} }}\n'
    if words:
        with pytest.raises(CompilationError, match=rf"^k\.cu:8: {words}"):
            scan(text, "p", "s")
    else:
        assert scan(text, "p", "s").text == text


def test_what_nvrtc_does_not_know_is_a_warning():
    text = '# 3 "k.cu"\nfloat x = INFINITY;\nint INT_MAX_2; int y = INT_MAX; float z = INFINITY;\n'
    warnings = scan(text, "p", "s").warnings
    assert [line.partition(" is ")[0] for line in warnings] == [
        "k.cu:3: INFINITY",
        "k.cu:4: INT_MAX",
        "k.cu:4: INFINITY",
    ]


REPEATED = (
    "/*", 'R"(', '"', '"\\', "' ", "void ", "extern ", "__global__ ", "__shared__ extern ",
    "extern __shared__ a", "template <", "template <> ", "[[", "__a__(", "(", "{", "}", "asm ",
    "asm a", "__launch_bounds__(", "\\\n", "#\n", "\n", "a", "<<", "namespace ", "1'", "\0",
)  # fmt: skip


@pytest.mark.parametrize("text", REPEATED)
def test_a_scan_takes_a_time_in_proportion_to_the_length(text):
    begin = time.process_time()
    with suppress(CompilationError):  # of "<<<"
        scan("__global__ " + text * (40_000 // len(text)) + ";", "p", "s")
    assert time.process_time() - begin < 10.0
