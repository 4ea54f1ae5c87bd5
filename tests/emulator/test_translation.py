"""Sources in front of the compiler: the preprocessor, headers, what is extreme, what is cached."""

import os
import re
import time
from pathlib import Path

import numpy as np
import pytest

from gpucnn.emulator import RawKernel, source
from gpucnn.emulator.engine import why_unavailable
from gpucnn.emulator.errors import CompilationError
from gpucnn.emulator.options import parse_options
from gpucnn.emulator.programs import Programs
from gpucnn.emulator.source import Source
from gpucnn.emulator.translation import translate

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())


@pytest.fixture
def translated(tmp_path):
    """Translates a text, with headers in a folder of their own."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    def make(text, headers=None, options=(), prologue=""):
        if isinstance(text, Source):
            return translate(text, scratch, Programs())
        for name, content in (headers or {}).items():
            (tmp_path / name).write_text(content)
        source = Source("k.cu", text, prologue, (tmp_path,), parse_options(options))
        return translate(source, scratch, Programs())

    return make


def kernels(translated):
    """The names in a module's table."""
    lines = translated.text.split("_kernels[] = {\n")[1].split("    {}}")[0].splitlines()
    return [line.split('"')[1] for line in lines]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#if 0\n__global__ void old() {}\n#endif\n__global__ void k() {}", ["k"]),
        ("/* __global__ void old(); */ // __global__ void older();", []),
        ("#if __CUDA_ARCH__ >= 800\n__global__ void a() {}\n#else\nnothing\n#endif", ["a"]),
        ("#define KERNEL __global__ void\nKERNEL k() {}", ["k"]),
        ("#define K(name, n) __global__ void name##_##n() {}\nK(sum, 4)", ["sum_4"]),
        ('#include "h.cuh"\nOF_HEADER(8) k() {}\n', ["in_header", "k"]),
        ("#if __CUDACC_RTC__ && __cplusplus == 201703\n__global__ void k() {}\n#endif", ["k"]),
    ],
)  # fmt: skip
def test_the_hosts_preprocessor_decides(translated, text, expected):
    header = "#define OF_HEADER(n) __global__ void __launch_bounds__(n)\n"
    header += "__global__ void in_header() {}\n"
    assert kernels(translated(text, {"h.cuh": header})) == expected


def test_what_a_name_expression_stands_for_is_known(translated):
    text = (
        "template <int N> __global__ void __launch_bounds__(2 * 32) f(float* x, int n) {}\n"
        "template <int N> __global__ void __launch_bounds__(N) g(float* x) {}\n"
        "namespace s { constexpr int MOST = 8;"
        " __global__ void __launch_bounds__(MOST) h(int m) {} }"
    )
    source = Source("k.cu", text, expressions=("f<3>", "g<4>", "s::h", "unknown<int>"))
    table = translated(source).text.split("_kernels[] = {")[1]
    found = [line.split(", ", 3)[:3] for line in table.splitlines() if line.startswith('    {"')]
    assert found[1:] == [
        ['    {"f<3>"', '"x,n"', "1"],
        ['    {"g<4>"', '"x"', "1"],
        ['    {"s::h"', '"m"', "1"],
        ['    {"unknown<int>"', '""', "1"],
    ]
    bounds = re.findall(r"launch_bound\((.*?)\)", table)
    assert bounds == ["MOST", "2 * 32", "", "MOST", ""]


def test_options_reach_the_preprocessor(translated, tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "far.h").write_text("#define FAR far\n")
    text = (
        "#include <far.h>\n#ifndef N\n#error no N\n#endif\n#ifdef GONE\n#error there\n#endif\n"
        "__global__ void FAR() { int x[N]; }\n"
        "#if __cplusplus > 202000\n__global__ void modern() {}\n#endif\n"
        "#if __CUDA_ARCH__ == 860\n__global__ void ampere() {}\n#endif\n"
    )
    options = ["-DN=16", "-D", "GONE", "-UGONE", f"-I{tmp_path / 'more'}", "--std=c++20"]
    options += ["--use_fast_math", "-lineinfo", "-arch=sm_86", "--maxrregcount", "32"]
    found = translated(text, options=options)
    assert kernels(found) == ["far", "modern", "ampere"]
    assert "int x[16];" in found.text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--nonsense"], '"--nonsense" is not an option of NVRTC; leave it out'),
        (["-std=c++nine"], r'"c\+\+nine" is not a value of the option --std'),
        (["-D"], 'the option "-D" needs a value'),
        (["-arch=ampere"], '"ampere" is not a value of the option --gpu-architecture'),
    ],
)
def test_options_that_are_none(options, words):
    with pytest.raises(CompilationError, match=words):
        parse_options(options)


def test_errors_and_warnings_of_the_preprocessor(translated):
    with pytest.raises(CompilationError, match=r"k\.cu:2:\d+: error: #error no such luck"):
        translated("\n#error no such luck")
    with pytest.raises(CompilationError, match=r"k\.cu:1:\d+: .*nowhere\.cuh: No such file"):
        translated('#include "nowhere.cuh"\n')
    (warning,) = translated("#warning mind the gap\n").warnings
    assert "k.cu:1:2: warning: #warning mind the gap" in warning
    assert "/" not in warning


def test_headers_of_the_system_are_included_outside(translated):
    header = '#include <vector>\n#include "own.cuh"\n__device__ int in_header;\n'
    text = '#include "h.cuh"\n#include <cuda_fp16.h>\n#include <vector>\nint in_text;\n'
    found = translated(text, {"h.cuh": header, "own.cuh": "int in_own;\n"})
    assert [Path(path).name for path in found.headers] == ["vector", "cuda_fp16.h"]
    own = [line for line in found.text.splitlines() if line.startswith(("int ", "__device__"))]
    assert own == ["int in_own;", "__device__ int in_header;", "int in_text;"]
    assert "/" not in found.text.partition('# 1 "exports"')[0].replace("//", "")


DOUBLED = "".join(f"#define M{n} M{n + 1} M{n + 1}\n" for n in range(40))
"""Each macro stands for two of the next."""
EXTREME = {
    "a large shift": "#if 1 << 99999999999\n#endif\n",
    "a large number": f"#if {'9' * 6000}\n#endif\n",
    "many parentheses": f"#if {'(' * 3000}1\n#endif\n",
    "macros that double": f"{DOUBLED}#define M40 x\nM0\n",
    "a macro of itself": "#define A A\n#if A\n#endif\nA\n",
    "a macro that grows": "#define G(x) G(x) G(x) __global__\nG(1) void f(){}\n",
    "ends without beginnings": "#elif\n#else\n#endif\n#endif\n",
    "brackets": "[[" * 20000,
    "attributes": "__global__ " + "__attribute__((" * 3000,
    "comments": "/*" * 20000,
    "a raw string without end": 'R"(' + "x" * 100000,
    "a long name": f'#include "{"a" * 5000}"\n',
    "a header of itself": '#include "self.cuh"\n',
    "zeros": "\0\0",
    "half a character": "\udc80",
}


@pytest.mark.parametrize("text", EXTREME.values(), ids=EXTREME)
def test_extreme_texts_are_translated_or_refused_soon(translated, text):
    begin = time.process_time()
    for whole in (text, f"__global__ void k(float* x) {{}}\n{text}\n__global__ void l() {{}}\n"):
        try:
            translated(whole, {"self.cuh": '#include "self.cuh"\n'})
        except CompilationError as error:
            assert "does not compile" in str(error)
    assert time.process_time() - begin < 10  # of ours; the preprocessor has a limit of its own


def test_a_digest_is_of_all_headers_that_could_count(tmp_path):
    header = tmp_path / "h.cuh"
    source = Source("k.cu", '#if 0\n#include "h.cuh"\n#endif\n', folders=(tmp_path,))
    digests = {source.digest()}
    for content in ("1", "2"):
        header.write_text(content)
        os.utime(header, ns=(int(content), int(content)))
        digests.add(source.digest())
    assert len(digests) == 3
    assert source.digest() == source.digest()
    assert Source("k.cu", source.text, "int n;", (tmp_path,)).digest() not in digests


def test_a_header_whose_name_is_computed_is_read_anew_in_each_process(tmp_path, monkeypatch):
    text = '#define H "h.cuh"\n#include H\nextern "C" __global__ void k(int* x) { *x = VALUE; }\n'
    (tmp_path / "h.cuh").write_text("#define VALUE 4\n")
    x = np.zeros(1, np.int32)
    RawKernel(text, "k", ("-I", str(tmp_path)), mode="fast")((1,), (1,), (x,))
    assert x[0] == 4
    computed = Source("k.cu", text)
    digest = computed.digest()
    assert digest == computed.digest()
    monkeypatch.setattr(source, "_THIS_PROCESS", b"another")
    assert digest != computed.digest()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (os.mkfifo, "is not a file"),
        (lambda path: path.symlink_to("/dev/zero"), "is not a file"),
        (lambda path: (path.touch(), os.truncate(path, 10**12)), "has more than 4,194,304 bytes"),
    ],
)
def test_what_is_no_header_is_named(tmp_path, make, words):
    make(tmp_path / "h.cuh")
    source = Source("k.cu", '#include "h.cuh"\n', folders=(tmp_path,))
    with pytest.raises(CompilationError, match=rf"the header .*h\.cuh {words}"):
        source.digest()
