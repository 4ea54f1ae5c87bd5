"""Sources compiled to PTX by NVRTC: names, options, messages, and what is kept."""

import re

import pytest

from gpucnn.emulator.cache import Cache
from gpucnn.emulator.errors import CompilationError, EmulatorError
from gpucnn.emulator.options import parse_options
from gpucnn.emulator.ptx.compilation import PtxStore, compile_to_ptx
from gpucnn.emulator.source import Source

pytestmark = pytest.mark.nvrtc

ARITHMETIC = """
extern "C" __global__ void f(float* x) {
    x[0] = x[1] / x[2];
    x[3] = sqrtf(x[4]);
    x[5] = x[6] * x[7] + x[8];
}
"""
EXACT = {"div.rn.f32", "sqrt.rn.f32", "fma.rn.f32"}


def arithmetic(ptx):
    """The opcodes of a text that compute with floats."""
    return {*re.findall(r"\b(?:div|sqrt|rsqrt|fma|mul|add|rcp|ex2)\.[\w.]*f32", ptx)}


def compiled(text, *options, architecture="sm_90a", **given):
    return compile_to_ptx(
        Source("k.cu", text, options=parse_options(options), **given), architecture
    )


def test_kernels_have_the_names_that_they_have_in_the_source():
    text = """
        extern "C" __global__ void plain(int* x) { x[0] = 1; }
        __global__ void mangled(int* x) { x[0] = 2; }
        namespace outer { namespace inner { __global__ void named(int* x) { x[0] = 3; } } }
        template <typename T, int N> __global__ void scale(T* x) { x[0] *= N; }
        __global__ void twice(int* x) { x[0] = 4; }
        __global__ void twice(float* x) { x[0] = 4; }
    """
    program = compiled(text, expressions=("scale<float, 3>", "mangled"))
    assert program.names == {
        "plain": "plain",
        "mangled": "_Z7mangledPi",
        "outer::inner::named": "_ZN5outer5inner5namedEPi",
        "scale<float, 3>": "_Z5scaleIfLi3EEvPT_",
        "twice": program.names["twice"],
        "_Z5twicePf" if program.names["twice"].endswith("i") else "_Z5twicePi": next(
            lowered for lowered in program.names.values()
            if "twice" in lowered and lowered != program.names["twice"]
        ),
    }  # fmt: skip
    assert {program.names["twice"], "_Z5twicePf", "_Z5twicePi"} == {"_Z5twicePf", "_Z5twicePi"}
    assert set(program.plain) == {"plain", "scale<float, 3>", "mangled"}
    for lowered in program.names.values():
        assert f".entry {lowered}(" in program.text


def test_the_architecture_is_that_of_the_text():
    assert ".target sm_90a" in compiled(ARITHMETIC).text
    assert "\0" not in compiled(ARITHMETIC).text
    text = compiled(ARITHMETIC, architecture="sm_80").text
    assert re.search(r"^\.target sm_80$", text, re.MULTILINE)


@pytest.mark.parametrize("architecture", ["sm_990", "sm_20", "90"])
def test_an_architecture_that_nvrtc_does_not_know(architecture):
    with pytest.raises(
        EmulatorError, match=rf"makes no code for {architecture}; it does for .*sm_"
    ):
        compiled(ARITHMETIC, architecture=architecture)


@pytest.mark.parametrize(
    ("options", "opcodes"),
    [
        ((), EXACT),
        (("--use_fast_math",), {"div.approx.ftz.f32", "sqrt.approx.ftz.f32", "fma.rn.ftz.f32"}),
        (("--use_fast_math", "--ftz=false"), {"div.approx.f32", "sqrt.approx.f32", "fma.rn.f32"}),
        (("-ftz=true",), {opcode.replace(".f32", ".ftz.f32") for opcode in EXACT}),
        (("--prec-div=false",), {"div.full.f32", "sqrt.rn.f32", "fma.rn.f32"}),
        (("--fmad=false",), {"div.rn.f32", "sqrt.rn.f32", "mul.rn.f32", "add.rn.f32"}),
    ],
)
def test_options_of_floating_point(options, opcodes):
    assert arithmetic(compiled(ARITHMETIC, *options).text) == opcodes


def test_macros_standards_and_headers_reach_the_compiler(tmp_path):
    (tmp_path / "own.cuh").write_text("constexpr int OWN = 7;\n")
    (tmp_path / "first.cuh").write_text("constexpr int FIRST = 5;\n")
    text = """
        #include "own.cuh"
        static_assert(N == 16 && OWN == 7 && FIRST == 5 && BEFORE == 2, "");
        #ifdef GONE
        #error GONE is defined
        #endif
        static_assert(__cplusplus == 202002L && __CUDA_ARCH__ == 800, "");
        extern "C" __global__ void f(int* x) { x[0] = 1; }
    """
    options = ("-DN=16", "-DGONE", "-U", "GONE", "-I", str(tmp_path), "--std=c++20",
               "--pre-include=first.cuh", "-G", "--maxrregcount=32", "-Xptxas", "-v")  # fmt: skip
    prologue = "constexpr int BEFORE = 2;\n"
    assert compiled(text, *options, architecture="sm_80", prologue=prologue).names


def test_an_error_has_file_line_and_the_compilers_words():
    text = '// a comment\nextern "C" __global__ void f(float* x) {\n    x[0] = y;\n}\n'
    with pytest.raises(CompilationError) as caught:
        compiled(text, prologue="constexpr int A = 1;\nconstexpr int B = 2;\n", label="k.cu (A=1)")
    assert str(caught.value).startswith("k.cu (A=1) does not compile for sm_90a:\nk.cu(3): error:")
    assert '"y" is undefined' in str(caught.value)


def test_a_name_that_is_none_is_the_authors_error():
    with pytest.raises(CompilationError, match="does not compile"):
        compiled(ARITHMETIC, expressions=("no_such<int>",))


@pytest.mark.parametrize(
    ("header", "words"),
    [("cmath", "NVRTC needs none"), ("cuda_nothing.h", "CUDA's own headers: pip install .*-cccl")],
)
def test_a_missing_header(header, words):
    with pytest.raises(CompilationError, match=words):
        compiled(f"#include <{header}>\n{ARITHMETIC}")


@pytest.mark.cuda_headers
def test_cudas_own_headers():
    text = """
        #include <cuda_fp16.h>
        #include <cooperative_groups.h>
        #include <cuda/std/limits>
        extern "C" __global__ void f(half* x) { x[0] = __hadd(x[1], x[2]); }
    """
    assert "f16" in compiled(text).text


def test_lines_lead_to_the_source_whatever_the_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = compiled(ARITHMETIC, prologue="constexpr int A = 1;\n").text
    files = dict(re.findall(r'\.file\s+(\d+)\s+"([^"]*)"', text))
    assert set(files.values()) == {"k.cu"}
    locations = re.findall(r"\.loc\s+(\d+)\s+(\d+)", text[: text.index("div.rn.f32")])
    assert locations[-1] == (min(files), "3")


def test_warnings_are_kept_but_not_those_of_unused_constants():
    unused = 'extern "C" __global__ void f(int* x) { int never = 3; x[0] = 1; }'
    assert compiled(unused).warnings == ()
    text = 'extern "C" __global__ void f(int* x) { unsigned u = x[1]; x[0] = u < 0; }'
    (warning,) = compiled(text).warnings
    assert warning.startswith("k.cu(1): warning #186-D: pointless comparison")
    assert compiled(text, "-diag-suppress", "186").warnings == ()
    assert compiled(text, "-w").warnings == ()


@pytest.mark.parametrize(
    "statement",
    ["atomicAdd(x, 1.0f);", "x[0] = atomicAdd(x + 1, 2.0f);", "atomicAdd((double*)x, 1.0);"],
)
def test_sums_of_floats_in_any_order_are_refused_unless_allowed(statement):
    text = f'extern "C" __global__ void f(float* x) {{\n    {statement}\n}}\n'
    with pytest.raises(CompilationError, match=r"k\.cu, line 2: atomicAdd of floats \(.*\.add"):
        compiled(text)
    assert compiled(text, float_atomics=True).names


def test_atomic_operations_on_integers_are_allowed():
    text = """extern "C" __global__ void f(int* x) {
        atomicAdd(x, 1); atomicMax(x + 1, 2); atomicAdd((unsigned long long*)x + 2, 5ull);
    }"""
    assert compiled(text).names


def test_what_was_compiled_is_found_again(tmp_path):
    text = 'extern "C" __global__ void f(int* x) { unsigned u = x[1]; x[0] = u < 0; }'
    source = Source("k.cu", text, expressions=("f",))
    store = PtxStore(Cache(tmp_path / "cache"))
    key = store.key(source, "sm_80")
    assert store.find(key) is None
    store.compile(key, source, "sm_80")
    assert PtxStore(Cache(tmp_path / "cache")).find(key) == compile_to_ptx(source, "sm_80")


def test_the_key_has_all_that_the_text_depends_on(tmp_path):
    store = PtxStore(Cache(tmp_path / "cache"))
    (tmp_path / "own.cuh").write_text("// one\n")
    text = '#include "own.cuh"\n' + ARITHMETIC
    folders = (tmp_path,)

    def key(text=text, architecture="sm_80", options=(), **given):
        source = Source("k.cu", text, folders=folders, options=parse_options(options), **given)
        return store.key(source, architecture)

    keys = [
        key(),
        key(text + " "),
        key(architecture="sm_90a"),
        key(options=["--use_fast_math"]),
        key(options=["-DN=1"]),
        key(options=["--std=c++20"]),
        key(prologue="constexpr int A = 1;\n"),
        key(expressions=("f",)),
        key(float_atomics=True),
    ]
    (tmp_path / "own.cuh").write_text("// another one\n")
    keys.append(key())
    assert len(set(keys)) == len(keys)
