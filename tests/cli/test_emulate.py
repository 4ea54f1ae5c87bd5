"""``gpucnn emulate``: a kernel of a file, run from the command line."""

import json
import re

import numpy as np
import pytest

from gpucnn.backends import why_unavailable
from gpucnn.cli.emulate_arguments import parse_argument
from gpucnn.cli.emulate_report import array_facts
from gpucnn.errors import BackendError

needs_emulator = pytest.mark.skipif(
    bool(why_unavailable("emulator")), reason=why_unavailable("emulator")
)

REVERSE = """// Each block reverses its share of x.
extern "C" __global__ void reverse(const float* x, float* y, int n) {
    __shared__ float own[64];
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    own[threadIdx.x] = i < n ? x[i] : 0.0f;
    __syncthreads();
    if (i < n) {
        y[i] = own[blockDim.x - 1 - threadIdx.x];
    }
}
"""
ARGUMENTS = ("--arg", "float32:128:range", "--arg", "float32:128", "--arg", "int32=128")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def reverse(tmp_path):
    path = tmp_path / "reverse.cu"
    path.write_text(REVERSE, "utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("float32:4", np.zeros(4, np.float32)),
        ("float64:2x3:ones", np.ones((2, 3))),
        ("int16:2,3:range", np.arange(6, dtype=np.int16).reshape(2, 3)),
        ("uint8:3:255", np.full(3, 255, np.uint8)),
        ("uint32:2:0xff", np.full(2, 255, np.uint32)),
        ("float16:2:-0.5", np.full(2, -0.5, np.float16)),
        ("float32:2:nan", np.full(2, np.nan, np.float32)),
        ("complex64:2:1-2j", np.full(2, 1 - 2j, np.complex64)),
        ("bool:2:true", np.ones(2, bool)),
        ("float32:0", np.zeros(0, np.float32)),
        ("int32=-5", np.int32(-5)),
        ("int64=9223372036854775807", np.int64(2**63 - 1)),
        ("float32=0.1", np.float32(0.1)),
        ("float32=inf", np.float32(np.inf)),
        ("bool=false", np.bool_(False)),
        ("complex128=1+2j", np.complex128(1 + 2j)),
    ],
)
def test_arguments(text, expected, rng):
    value = parse_argument(text, rng).value
    assert type(value) is type(expected)
    assert value.dtype == expected.dtype and value.shape == expected.shape
    np.testing.assert_array_equal(value, expected)


def test_null(rng):
    assert parse_argument("null", rng).value is None


def test_random_numbers(rng):
    normal = parse_argument("float32:10000:random", rng).value
    assert abs(normal.mean()) < 0.05 and abs(normal.std() - 1) < 0.05
    whole = parse_argument("int8:10000:random", rng).value
    assert set(whole.tolist()) == set(range(100))
    bounded = parse_argument("uint8:10000:200..255", rng).value
    assert set(bounded.tolist()) == set(range(200, 255))
    floats = parse_argument("float64:10000:-1..3", rng).value
    assert floats.min() >= -1 and floats.max() < 3 and abs(floats.mean() - 1) < 0.1
    pairs = parse_argument("complex64:10000:random", rng).value
    assert abs(pairs.real.std() - 1) < 0.05 and abs(pairs.imag.std() - 1) < 0.05
    again = parse_argument("float32:10000:random", np.random.default_rng(0)).value
    assert again.tolist() == normal.tolist()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("float:4", 'there is no dtype "float"; did you mean "float32"?'),
        ("flaot32:4", 'did you mean "float32"?'),
        ("1024", "write an array as DTYPE:SHAPE"),
        ("float32:4*4", '"4*4" is not a shape, such as 1024 or 16x32'),
        ("float32:", '"" is not a shape'),
        ("float32:100000x100000", "has 10,000,000,000 elements"),
        ("float32:4:rand", 'did you mean "random"?'),
        ("float32:4:3..1", "3 must be less than 1"),
        ("bool:4:0..1", "LOW..HIGH is for integers and floats"),
        ("uint8:4:256", 'the value is "256"; it must be 255 or less'),
        ("uint8=-1", "it must be 0 or more"),
        ("int32=1.5", "it is not a number of int32"),
        ("float16=1e6", "it must be 65,504.0 or less"),
        ("bool=maybe", "it is not a number of bool"),
    ],
)
def test_arguments_that_are_refused(text, words, rng):
    with pytest.raises(BackendError) as caught:
        parse_argument(text, rng)
    assert words in str(caught.value)


def test_an_array_from_a_file(rng, tmp_path):
    np.save(tmp_path / "x.npy", np.asfortranarray(np.arange(6.0).reshape(2, 3)))
    value = parse_argument(f"@{tmp_path}/x.npy", rng).value
    assert value.flags.c_contiguous and value.tolist() == [[0, 1, 2], [3, 4, 5]]
    (tmp_path / "bad.npy").write_bytes(b"bad")
    np.save(tmp_path / "text.npy", np.array(["a"]))
    for name, words in (("bad", "is not an array of NumPy's"), ("text", "has an array of <U1")):
        with pytest.raises(BackendError, match=words):
            parse_argument(f"@{tmp_path}/{name}.npy", rng)


def test_facts_of_an_array():
    before = np.array([1, 2, np.nan, 4, np.inf], np.float32)
    after = np.array([1, -3, np.nan, 4, np.inf], np.float32)
    facts = array_facts(before, after)
    assert (facts["changed"], facts["nan"]) == (1, 1)
    assert (facts["min"], facts["max"]) == (-3, 4)
    assert facts["mean"] == pytest.approx(2 / 3)
    assert facts["first"][:2] == [1, -3]
    none = array_facts(np.zeros(0, np.int32), np.zeros(0, np.int32))
    assert (none["min"], none["changed"]) == (None, 0)


@needs_emulator
@pytest.mark.parametrize(
    "mode", ["fast", "race", "sanitize", pytest.param("ptx", marks=pytest.mark.nvrtc)]
)
def test_a_kernel_that_is_right(cli, reverse, tmp_path, mode):
    options = ("--block", "64", "--mode", mode, *ARGUMENTS)
    result = cli("emulate", reverse, *options, "--seeds", "2", "--save", tmp_path / "out")
    result.succeeded()
    assert "reverse, grid (2) and block (64): 2 blocks of 64 threads" in result.out
    assert "the same bits each time" in result.out
    first, second = (line for line in result.out.splitlines() if " float32:128 " in line)
    assert first.split()[2:5] == ["no", "0", "127"]
    assert second.split()[2:7] == ["127", "of", "128", "0", "127"]
    y = np.load(tmp_path / "out" / "argument2.npy")
    assert y.tolist() == [*range(63, -1, -1), *range(127, 63, -1)]


@needs_emulator
@pytest.mark.nvrtc
def test_what_nvrtc_makes_of_a_kernel(cli, reverse):
    options = ("--block", "64", "--mode", "ptx", *ARGUMENTS)
    result = cli("emulate", reverse, *options).succeeded()
    assert re.search(r"^[\d,]+ instructions of warps: [\w.]+ \d+, ", result.out, re.MULTILINE)
    answer = json.loads(cli("emulate", reverse, *options, "--json").succeeded().out)
    assert answer["instructions"]["bar.sync"] == 4
    answer = json.loads(cli("emulate", reverse, "--block", "64", *ARGUMENTS, "--json").out)
    assert answer["instructions"] is None


@needs_emulator
@pytest.mark.nvrtc
def test_mode_ptx_reports_faults_and_wrong_arguments(cli, reverse):
    reverse.write_text(REVERSE.replace("    __syncthreads();\n", "\n"), "utf-8")
    result = cli("emulate", reverse, "--block", "64", "--mode", "ptx", *ARGUMENTS)
    assert result.status == 1
    assert "fault: reverse of reverse.cu: " in result.out and "reverse.cu:8 | " in result.out
    result = cli("emulate", reverse, "--block", "64", "--mode", "ptx", *ARGUMENTS[:2])
    assert result.status == 2
    assert "there are 1 arguments; for example: --arg DTYPE:1024 --arg DTYPE:1024" in result.err
    result = cli("emulate", reverse, "--kernel", "other", "--mode", "ptx", *ARGUMENTS)
    assert result.status == 2
    assert "reverse.cu" in result.err


@needs_emulator
def test_only_mode_ptx_jitters(cli, reverse):
    result = cli("emulate", reverse, "--block", "64", "--jitter", *ARGUMENTS)
    assert result.status == 2
    assert "jitter is for mode ptx" in result.err


@needs_emulator
def test_json(cli, reverse):
    result = cli("emulate", reverse, "--block", "64", *ARGUMENTS, "--json").succeeded()
    answer = json.loads(result.out)
    assert answer["kernel"] == "reverse" and answer["grid"] == [2] and answer["fault"] is None
    assert [array["argument"] for array in answer["arrays"]] == [1, 2]
    assert answer["arrays"][1]["max"] == 127


@needs_emulator
def test_a_fault_ends_with_status_1_and_the_line(cli, reverse):
    reverse.write_text(REVERSE.replace("    __syncthreads();\n", "\n"), "utf-8")
    result = cli("emulate", reverse, "--block", "64", *ARGUMENTS)
    assert result.status == 1
    assert "fault: " in result.out and "reverse.cu:8" in result.out
    assert "reverse.cu:8 |         y[i] = own[blockDim.x - 1 - threadIdx.x];" in result.out
    answer = json.loads(cli("emulate", reverse, "--block", "64", *ARGUMENTS, "--json").out)
    assert "reverse.cu:8" in answer["fault"]


@needs_emulator
def test_results_that_depend_on_the_order_of_threads(cli, reverse):
    reverse.write_text(REVERSE.replace("    __syncthreads();\n", ""), "utf-8")
    options = ("--block", "64", "--mode", "fast", "--seeds", "8")
    result = cli("emulate", reverse, *options, *ARGUMENTS)
    assert result.status == 1
    assert "the result depends on the order of threads: element [" in result.out


@needs_emulator
def test_a_template_with_a_header_and_an_option(cli, tmp_path):
    (tmp_path / "offset.cuh").write_text(
        "template <typename T> __device__ T offset() { return 3; }"
    )
    path = tmp_path / "fill.cu"
    path.write_text(
        '#include "offset.cuh"\ntemplate <typename T> __global__ void fill(T* x) {\n'
        "    x[threadIdx.x] = FACTOR * offset<T>();\n}\n"
    )
    options = ("--block", "4", "--option=-DFACTOR=2", "--arg", "float64:4", "--json")
    answer = json.loads(cli("emulate", path, "--kernel", "fill<double>", *options).succeeded().out)
    assert answer["arrays"][0]["first"] == [6, 6, 6, 6]


@needs_emulator
def test_mistakes(cli, reverse, tmp_path):
    for arguments, words in {
        ("--kernel", "revers"): 'has no kernel "revers"; did you mean "reverse"?',
        ("--arg", "float:4"): 'did you mean "float32"?',
        ("--arg", "float32:4"): "reverse has 3 parameters, and there are 1 arguments; for example: "
        "--arg float32:1024 --arg float32:1024 --arg int32=1",
        ("--block", "0"): '"0" is not one to three numbers, such as 32,8',
        ("--save", tmp_path, *ARGUMENTS): "exists already; give --save a new folder",
    }.items():
        result = cli("emulate", reverse, *arguments)
        assert result.status == 2 and words in " ".join(result.err.split()), result
    reverse.write_text(REVERSE + REVERSE.replace("void reverse", "void other"), "utf-8")
    assert "has 2 kernels; choose one by --kernel: reverse, other" in cli("emulate", reverse).err
    reverse.write_text("int n;", "utf-8")
    assert "no function is declared __global__" in cli("emulate", reverse).err
    reverse.write_bytes(b"\xff\xfe")
    assert "is not text in UTF-8" in cli("emulate", reverse).err
    reverse.write_text("__global__ void broken(float* x) { x[0] = missing; }", "utf-8")
    result = cli("emulate", reverse, "--arg", "float32:4")
    assert result.status == 2 and "missing" in result.err
