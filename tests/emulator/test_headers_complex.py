"""cuComplex.h, thrust/complex.h and CuPy's headers of complex numbers, against NumPy.

NumPy computes in complex128 what kernels compute in either precision. A sum, product or quotient
of complex numbers in the textbook's way, with one rounding an operation, is within four roundings
of its operands' size (Higham, Accuracy and Stability of Numerical Algorithms, section 3.6); eight
allow for the scaling of quotients and for functions, of which glibc promises a few units in the
last place.
"""

import numpy as np
import pytest
from kernel_expressions import MODES, aligned, evaluate, in_all_modes, kernel_text, result_of

from gpucnn.backends.devices.cuda.nvrtc import compile_to_cubin
from gpucnn.backends.devices.emulator_device import why_unavailable
from gpucnn.backends.devices.source import KernelSource
from gpucnn.emulator import RawKernel
from gpucnn.emulator.cupy_headers import cupy_include_folder

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())
ROUNDINGS = 8
PRECISIONS = {"float": np.complex64, "double": np.complex128}

# Of a and b, complex, and r, a positive number; T is their type.
ARITHMETIC = {
    "a + b": lambda a, b: a + b,
    "a - b": lambda a, b: a - b,
    "a * b": lambda a, b: a * b,
    "a / b": lambda a, b: a / b,
    "a + r": lambda a, r: a + r,
    "r - a": lambda a, r: r - a,
    "r * a * r": lambda a, r: r * r * a,
    "a / r": lambda a, r: a / r,
    "r / a": lambda a, r: r / a,
    "+a - (-b)": lambda a, b: a + b,
    "conj(a)": lambda a: np.conj(a),
    "complex<T>(real(a), a.imag())": lambda a: a,
    "complex<T>(abs(a), arg(a))": lambda a: np.abs(a) + 1j * np.angle(a),
    "complex<T>(norm(a))": lambda a: np.abs(a) ** 2,
    "thrust::polar(r, real(a))": lambda a, r: r * np.exp(1j * a.real),
    "complex<T>(T(a == a), T(a != b))": lambda a, b: 1 + 1j * (a != b),
    "complex<T>(T(a == real(a)), T(real(a) != a))": lambda a: np.full(a.shape, 1j),
    "complex<T>(T(a < b), T(a >= b))": lambda a, b: np.where(a < b, 1, 1j),
    "min(a, b) + max(a, b)": lambda a, b: a + b,
    "complex<T>(T(isnan(a)), T(isfinite(a)))": lambda a: np.full(a.shape, 1j),
}
NUMPYS = ["exp", "log", "log10", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh"]
NUMPYS += ["log1p", "log2", "expm1"]
INVERSE = ["asin", "acos", "atan", "asinh", "acosh", "atanh"]
FUNCTIONS = {
    **{f"{name}(a)": lambda a, name=name: getattr(np, name)(a) for name in NUMPYS},
    **{
        f"{name}(a)": lambda a, name=name: getattr(np, name.replace("a", "arc", 1))(a)
        for name in INVERSE
    },
    "thrust::proj(a)": lambda a: a,
    "rint(a * T(4))": lambda a: np.rint(a * 4),
}
POWERS = {
    "pow(a, b)": lambda a, b: a**b,
    "pow(a, r)": lambda a, r: a**r,
    "pow(r, a)": lambda a, r: r**a,
}
# Of T and a wider type, or an integer, which CuPy's copy of Thrust does not have.
MIXED = {
    "a * 2": lambda a: 2 * a,
    "1 - a": lambda a: 1 - a,
    "a + complex<double>(b)": lambda a, b: a + b,
    "a * 0.5": lambda a: a / 2,
    "a == 1 ? a : a / 4": lambda a: a / 4,
}


def typed(expressions, precision):
    return [text.replace("<T>", f"<{precision}>").replace("T(", f"{precision}(") for text in
            expressions]  # fmt: skip


def operands(rng, dtype, size=64):
    """Complex numbers of every direction, of magnitudes around 1."""
    magnitude, angle = np.exp(rng.uniform(-1, 1, (2, size))), rng.uniform(-3, 3, (2, size))
    a, b = (magnitude * np.exp(1j * angle)).astype(dtype)
    b.real[:8], b[8] = a.real[:8], a[8]  # for comparisons
    return a, b, rng.uniform(0.5, 2, size).astype(a.real.dtype)


def check(table, precision, rng, mode):
    """Each is within the bound, which grows with what is exponentiated by powers."""
    dtype = PRECISIONS[precision]
    a, b, r = operands(rng, dtype)
    kind = f"complex<{precision}>"
    inputs = {"a": (kind, a), "b": (kind, b), "r": (precision, r)}
    found = evaluate(typed(table, precision), inputs, (kind, dtype), mode, ["cupy/complex.cuh"])
    wide = a.astype(complex), b.astype(complex), r.astype(float)
    eps = np.finfo(dtype).eps
    for expression, got in zip(table, found, strict=True):
        expected = result_of(table[expression], a=wide[0], b=wide[1], r=wide[2])
        size = np.maximum(np.abs(a) + np.abs(b) + 1, np.abs(expected))
        # A relative error e of y · log x is an absolute one of |y · log x| · e, and so a relative
        # one of the power; here |y| < e and |log x| < 1 + 3.
        growth = 1 + 4 * np.e if expression in POWERS else 1
        np.testing.assert_array_less(
            np.abs(got - expected), ROUNDINGS * eps * growth * size, err_msg=expression
        )


@pytest.mark.parametrize(("precision", "mode"), in_all_modes(*PRECISIONS))
def test_complex_numbers(rng, precision, mode):
    check(ARITHMETIC | FUNCTIONS | POWERS | MIXED, precision, rng, mode)


# All that CuPy's headers need of Thrust's.
CONFIG = """
#define THRUST_NAMESPACE_BEGIN namespace thrust {
#define THRUST_NAMESPACE_END }
"""


@pytest.mark.slow
@pytest.mark.nvrtc
@pytest.mark.skipif(cupy_include_folder() is None, reason="CuPy is not installed")
def test_cupys_header_has_the_same_interface(tmp_path):
    """What the emulator accepts of complex numbers, CuPy accepts on a GPU."""
    include = tmp_path / "include"
    config = include / "thrust" / "detail" / "config" / "namespace.h"
    config.parent.mkdir(parents=True)
    config.write_text(CONFIG)
    (include / "cupy").symlink_to(cupy_include_folder() / "cupy")
    for precision in PRECISIONS:
        expressions = typed(ARITHMETIC | FUNCTIONS | POWERS, precision)
        kind = f"complex<{precision}>"
        types = {"a": kind, "b": kind, "r": precision}
        text = kernel_text(expressions, types, kind, ["cupy/complex.cuh"])
        (tmp_path / "complex.cu").write_text(text)
        assert compile_to_cubin(KernelSource("complex.cu", folder=tmp_path), "sm_80").cubin


# A type alias, atomic updates of members, shared memory and a structure of complex numbers.
USES = """
#include <thrust/complex.h>
using namespace thrust;
using number = complex<double>;
struct Pair { complex<float> first, second; };
__device__ __constant__ complex<float> turn[2] = {{0.0f, 1.0f}, {1.0f, 0.0f}};
extern "C" __global__ void uses(const thrust::complex<float>* x, number* y) {
    __shared__ complex<float> tile[32];
    __shared__ Pair pairs[32];
    const int i = threadIdx.x;
    tile[i] = x[i];
    pairs[i] = {x[i], complex<float>(1.0f)};
    __syncthreads();
    number sum = 0.0;
    for (int j = 0; j < 32; ++j) {
        sum += tile[j] * turn[0];
        sum -= pairs[j].second;
    }
    sum *= 2.0;
    sum.imag(sum.imag() + 1.0);
    y[i] = number(sum) /= number(0.0, 2.0);
}
"""


@pytest.mark.parametrize("mode", MODES)
def test_uses_of_thrusts_numbers(rng, mode):
    """Small whole numbers, whose sums are exact."""
    x = (rng.integers(-9, 9, 32) + 1j * rng.integers(-9, 9, 32)).astype(np.complex64)
    y = aligned(np.zeros(32, np.complex128))
    RawKernel(USES, "uses", mode=mode)((1,), (32,), (aligned(x), y))
    np.testing.assert_array_equal(y, np.full(32, (2 * (x.sum() * 1j - 32) + 1j) / 2j))


# Each name with and without the f of floats, by what it computes; T is the type of its parts.
CUCOMPLEX = {
    "cuCadd{f}(a, b)": lambda a, b: a + b,
    "cuCsub{f}(a, b)": lambda a, b: a - b,
    "cuCmul{f}(a, b)": lambda a, b: a * b,
    "cuCdiv{f}(a, b)": lambda a, b: a / b,
    "cuConj{f}(a)": lambda a: np.conj(a),
    "cuCfma{f}(a, b, b)": lambda a, b: a * b + b,
    "{make}(cuCreal{f}(a), cuCimag{f}(b))": lambda a, b: a.real + 1j * b.imag,
    "{make}(cuCabs{f}(a), 0)": lambda a: np.abs(a),
}
BOTH = {
    "float": (
        "cuFloatComplex",
        {
            "make_cuComplex(1.0f, cuComplex(a).x)": lambda a: 1 + 1j * a.real,
            "cuComplexDoubleToFloat(cuComplexFloatToDouble(a))": lambda a: a,
        },
    ),
    "double": ("cuDoubleComplex", {}),
}


def cucomplex(precision):
    kind, own = BOTH[precision]
    names = {"f": "f" if precision == "float" else "", "make": f"make_{kind}"}
    return {text.format(**names): value for text, value in CUCOMPLEX.items()} | own


@pytest.mark.parametrize(("precision", "mode"), in_all_modes(*BOTH))
def test_cucomplex(rng, precision, mode):
    dtype = PRECISIONS[precision]
    a, b, _ = operands(rng, dtype)
    kind, table = BOTH[precision][0], cucomplex(precision)
    inputs = {"a": (kind, a), "b": (kind, b)}
    found = evaluate(table, inputs, (kind, dtype), mode, ["cuComplex.h"])
    for expression, got in zip(table, found, strict=True):
        expected = result_of(table[expression], a=a.astype(complex), b=b.astype(complex))
        size = np.maximum(np.abs(a) + np.abs(b) + 1, np.abs(expected))
        bound = ROUNDINGS * np.finfo(dtype).eps * size
        np.testing.assert_array_less(np.abs(got - expected), bound, err_msg=expression)


def test_cucomplex_in_terms_of_thrust(rng):
    """What CuPy's translate_cucomplex makes of a kernel, which may use operators then."""
    a, b, _ = operands(rng, np.complex64)
    table = {text: value for text, value in cucomplex("float").items() if ".x" not in text}
    table["a * b + cuCmulf(a, a)"] = lambda a, b: a * b + a * a
    inputs = {"a": ("cuFloatComplex", a), "b": ("cuComplex", b)}
    headers = ["cupy/cuComplex_bridge.h"]
    found = evaluate(table, inputs, ("cuComplex", np.complex64), "fast", headers)
    wide = {"a": a.astype(complex), "b": b.astype(complex)}
    expected = [result_of(value, **wide) for value in table.values()]
    size = np.maximum(np.abs(a) + np.abs(b) + 1, np.abs(expected))
    np.testing.assert_array_less(
        np.abs(found - expected), ROUNDINGS * np.finfo(np.float32).eps * size
    )


@pytest.mark.nvrtc
@pytest.mark.parametrize("precision", BOTH)
def test_cudas_cucomplex_has_the_same_interface(tmp_path, precision):
    kind = BOTH[precision][0]
    text = kernel_text(cucomplex(precision), {"a": kind, "b": kind}, kind, ["cuComplex.h"])
    (tmp_path / "complex.cu").write_text(text)
    assert compile_to_cubin(KernelSource("complex.cu", folder=tmp_path), "sm_80").cubin


def test_quotients_and_magnitudes_do_not_overflow():
    """Where the squares of the parts do, in float; the least quotient is a subnormal number."""
    a = np.array([3e30 + 4e30j, 3e-30 + 4e-30j], np.complex64)
    inputs = {"a": ("cuComplex", a), "z": ("thrust::complex<float>", a)}
    texts = ["cuCdivf(a, a)", "make_cuComplex(cuCabsf(a), 0)"]
    texts += ["make_cuComplex((z / z).real(), (z / z).imag())", "make_cuComplex(abs(z), 0)"]
    found = evaluate(
        texts, inputs, ("cuComplex", np.complex64), "fast", ["cuComplex.h", "thrust/complex.h"]
    )
    np.testing.assert_allclose(found[::2], np.ones((2, 2)), 4 * np.finfo(np.float32).eps)
    np.testing.assert_allclose(found[1::2].real, [[5e30, 5e-30]] * 2, 1e-6)
