"""Functions of words, SIMD functions on parts of words, and special functions of mathematics.

The oracles of words are loops over Python's integers. Those of special functions are bisection,
continued fractions, and integrals by the trapezoidal rule, which converges for periodic functions
faster than any power (Trefethen, Weideman, SIAM Review 56, 2014). They have a few roundings of
their own: results in double may differ by 64 roundings, where exp(x²) or a sum of up to a hundred
terms multiplies them; results in float by one rounding and a half.
"""

import math
from functools import partial

import numpy as np
import pytest
from kernel_expressions import MODES, evaluate, in_all_modes, kernel_text, result_of

from gpucnn.backends.devices.cuda.nvrtc import compile_to_cubin
from gpucnn.backends.devices.emulator_device import why_unavailable
from gpucnn.backends.devices.source import KernelSource

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())


def parts(word, bits, signed):
    """The numbers of so many bits that a word consists of, the lowest first."""
    numbers = [word >> shift & (1 << bits) - 1 for shift in range(0, 32, bits)]
    return [n - (1 << bits) if signed and n >> (bits - 1) else n for n in numbers]


def joined(numbers, bits):
    return sum((n & (1 << bits) - 1) << bits * i for i, n in enumerate(numbers))


def limited(x, bits, signed):
    most = (1 << bits - signed) - 1
    return min(max(x, -most - 1 if signed else 0), most)


# Whether lanes are signed, and what is made of two; `limit` is the nearest that a lane can hold.
SIMD = {
    "__vadd": (False, lambda x, y: x + y),
    "__vaddss": (True, lambda x, y, limit: limit(x + y)),
    "__vaddus": (False, lambda x, y, limit: limit(x + y)),
    "__vsub": (False, lambda x, y: x - y),
    "__vsubss": (True, lambda x, y, limit: limit(x - y)),
    "__vsubus": (False, lambda x, y, limit: limit(x - y)),
    "__vabsdiffs": (True, lambda x, y: abs(x - y)),
    "__vabsdiffu": (False, lambda x, y: abs(x - y)),
    "__vavgu": (False, lambda x, y: (x + y + 1) // 2),
    "__vhaddu": (False, lambda x, y: (x + y) // 2),
    "__vmaxs": (True, lambda x, y: max(x, y)),
    "__vmaxu": (False, lambda x, y: max(x, y)),
    "__vmins": (True, lambda x, y: min(x, y)),
    "__vminu": (False, lambda x, y: min(x, y)),
}
SIMD_OF_ONE = {
    "__vabs": lambda x: abs(x),
    "__vabsss": lambda x, limit: limit(abs(x)),
    "__vneg": lambda x: -x,
    "__vnegss": lambda x, limit: limit(-x),
}
COMPARED = {
    "eq": (False, lambda x, y: x == y), "ne": (False, lambda x, y: x != y),
    "ges": (True, lambda x, y: x >= y), "geu": (False, lambda x, y: x >= y),
    "gts": (True, lambda x, y: x > y), "gtu": (False, lambda x, y: x > y),
    "les": (True, lambda x, y: x <= y), "leu": (False, lambda x, y: x <= y),
    "lts": (True, lambda x, y: x < y), "ltu": (False, lambda x, y: x < y),
}  # fmt: skip


def simd_table():
    """For each expression of a and b a function of two integers."""
    table = {}
    for bits in (8, 16):
        lanes = 32 // bits

        def of_two(signed, of_lanes, bits=bits):
            def whole(a, b=0):
                pairs = zip(parts(a, bits, signed), parts(b, bits, signed), strict=True)
                limit = partial(limited, bits=bits, signed=signed)
                return joined([result_of(of_lanes, x=x, y=y, limit=limit) for x, y in pairs], bits)

            return whole

        for name, (signed, f) in SIMD.items():
            table[f"{name}{lanes}(a, b)"] = of_two(signed, f)
        for name, f in SIMD_OF_ONE.items():
            table[f"{name}{lanes}(a)"] = of_two(True, f)
        for name, (signed, f) in COMPARED.items():
            table[f"__vcmp{name}{lanes}(a, b)"] = of_two(signed, lambda x, y, f=f: -f(x, y))
            table[f"__vset{name}{lanes}(a, b)"] = of_two(signed, lambda x, y, f=f: int(f(x, y)))
        for name, signed in (("__vsads", True), ("__vsadu", False)):
            table[f"{name}{lanes}(a, b)"] = lambda a, b, s=signed, n=bits: sum(
                abs(x - y) for x, y in zip(parts(a, n, s), parts(b, n, s), strict=True)
            )
    return table


def signed(x):
    return x - (1 << 32) if x >> 31 else x


def dot(a, b, sign, first):
    """Halves of a times bytes of b."""
    numbers = parts(b, 8, sign)[first : first + 2]
    return sum(x * y for x, y in zip(parts(a, 16, sign), numbers, strict=True))


def nth_set(mask, base, offset):
    """As __fns is documented, by a list of all set bits."""
    if offset == 0:
        return base if mask >> base & 1 else 2**32 - 1
    bits = [i for i in range(32) if mask >> i & 1 and (i >= base if offset > 0 else i <= base)]
    ordered = bits if offset > 0 else bits[::-1]
    return ordered[abs(offset) - 1] if len(ordered) >= abs(offset) else 2**32 - 1


WORDS = {
    "__sad((int)a, (int)b, 5u)": lambda a, b: abs(signed(a) - signed(b)) + 5,
    "__usad(a, b, 5u)": lambda a, b: abs(a - b) + 5,
    "__hadd((int)a, (int)b)": lambda a, b: (signed(a) + signed(b)) // 2,
    "__rhadd((int)a, (int)b)": lambda a, b: (signed(a) + signed(b) + 1) // 2,
    "__uhadd(a, b)": lambda a, b: (a + b) // 2,
    "__urhadd(a, b)": lambda a, b: (a + b + 1) // 2,
    "__dp2a_lo((int)a, (int)b, 7)": lambda a, b: dot(a, b, True, 0) + 7,
    "__dp2a_hi((int)a, (int)b, 7)": lambda a, b: dot(a, b, True, 2) + 7,
    "__dp2a_lo(a, b, 7u)": lambda a, b: dot(a, b, False, 0) + 7,
    "__dp2a_hi(a, b, 7u)": lambda a, b: dot(a, b, False, 2) + 7,
    "__dp2a_lo(make_ushort2(a, a >> 16), make_uchar4(b, b >> 8, 0, 0), 0u)": lambda a, b: dot(
        a, b, False, 0
    ),
    "__dp4a(make_char4(a, a >> 8, a >> 16, a >> 24), make_char4(1, 2, 3, 4), 0)": lambda a: sum(
        x * y for x, y in zip(parts(a, 8, True), (1, 2, 3, 4), strict=True)
    ),
    "__fns(a, b % 32u, 0)": lambda a, b: nth_set(a, b % 32, 0),
    "__fns(a, b % 32u, 3)": lambda a, b: nth_set(a, b % 32, 3),
    "__fns(a, b % 32u, -2)": lambda a, b: nth_set(a, b % 32, -2),
}


@pytest.mark.parametrize("mode", MODES)
def test_words(rng, mode):
    table = WORDS | simd_table()
    corners = [0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x80008000, 0x7F80FF01, 0x80808080]
    drawn = rng.integers(0, 2**32, (2, 30), dtype=np.uint32)
    a = np.concatenate([np.repeat(corners, len(corners)), drawn[0], drawn[0]]).astype(np.uint32)
    b = np.concatenate([np.tile(corners, len(corners)), drawn[1], drawn[0]]).astype(np.uint32)
    inputs = {"a": ("unsigned", a), "b": ("unsigned", b)}
    found = evaluate(table, inputs, ("unsigned", np.uint32), mode)
    for expression, got in zip(table, found.tolist(), strict=True):
        pairs = zip(a.tolist(), b.tolist(), strict=True)
        assert got == [result_of(table[expression], a=x, b=y) % 2**32 for x, y in pairs], expression


@pytest.mark.nvrtc
def test_nvrtc_has_the_functions_of_words(tmp_path):
    text = kernel_text(WORDS | simd_table(), dict.fromkeys("ab", "unsigned"), "unsigned")
    (tmp_path / "words.cu").write_text(text)
    assert compile_to_cubin(KernelSource("words.cu", folder=tmp_path), "sm_80").cubin


def inverse(increasing, value, low, high):
    """Where a function has a value, by bisection."""
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if increasing(middle) < value else (low, middle)
    return middle


def erfinv(x):
    return inverse(math.erf, x, -6, 6) if abs(x) < 0.5 else math.copysign(
        erfcinv(1 - abs(x)), x)  # fmt: skip


def erfcinv(y):
    if y > 1:
        return -erfcinv(2 - y)
    return erfinv(1 - y) if y > 0.5 else -inverse(lambda t: math.erfc(-t), y, -28, 0)


def erfcx(x):
    """exp(x²) erfc(x): by its definition, or Laplace's continued fraction."""
    if x < 2:
        return math.exp(x * x) * math.erfc(x)
    fraction = x
    for k in range(200, 0, -1):
        fraction = x + k / 2 / fraction
    return 1 / (math.sqrt(math.pi) * fraction)


ANGLES = np.arange(400) * 2 * np.pi / 400


def over_a_turn(f):
    return math.fsum(f) / len(ANGLES)


def i0(x):
    return over_a_turn(np.exp(x * np.cos(ANGLES)))


def i1(x):
    return over_a_turn(np.exp(x * np.cos(ANGLES)) * np.cos(ANGLES))


# Of x, from 0 to 1, y, from 0 to 2, and z, of any size up to 40.
MATHEMATICS = {
    "erfinv(x)": lambda x: erfinv(x),
    "erfinv(-x)": lambda x: -erfinv(x),
    "erfcinv(y)": lambda y: erfcinv(y),
    "normcdfinv(x)": lambda x: -math.sqrt(2) * erfcinv(2 * x),
    "erfcx(z)": lambda z: erfcx(z),
    "erfcx(-y)": lambda y: erfcx(-y),
    "cyl_bessel_i0(z)": lambda z: i0(z),
    "cyl_bessel_i1(-z)": lambda z: -i1(z),
    "jn(2, z)": lambda z: over_a_turn(np.cos(2 * ANGLES - z * np.sin(ANGLES))),
}
FLOATS = {"normcdfinvf(x)": "normcdfinv(x)", "erfcxf(z)": "erfcx(z)"}
FLOATS |= {"cyl_bessel_i0f(z)": "cyl_bessel_i0(z)", "erfcinvf(y)": "erfcinv(y)"}


@pytest.mark.parametrize(("kind", "mode"), in_all_modes("float", "double"))
def test_special_functions(rng, kind, mode):
    dtype = np.float32 if kind == "float" else np.float64
    x = np.concatenate([rng.uniform(0, 1, 50), [1e-30, 1e-5, 0.49999, 0.5, 0.999999]])
    y = np.concatenate([rng.uniform(0, 2, 50), [1e-37, 1e-9, 1.0, 1.5, 1.999999]])
    z = np.concatenate([rng.uniform(0, 40, 50), [0.0, 1e-9, 24.9, 25.1, 30.0]])
    x, y, z = (values.astype(dtype) for values in (x, y, z))
    inputs = {"x": (kind, x), "y": (kind, y), "z": (kind, z)}
    own = FLOATS if kind == "float" else {}
    table = MATHEMATICS | {name: MATHEMATICS[of_double] for name, of_double in own.items()}
    found = evaluate(table, inputs, (kind, dtype), mode)
    wide = (values.astype(float).tolist() for values in (x, y, z))
    points = [dict(zip("xyz", point, strict=True)) for point in zip(*wide, strict=True)]
    double = 64 * np.finfo(np.float64).eps
    for expression, got in zip(table, found, strict=True):
        expected = np.array([result_of(table[expression], **point) for point in points])
        # Integrals of functions that change their sign are as exact as their greatest value.
        integral = expression.startswith(("jn", "cyl_bessel_i1"))
        size = np.maximum(np.abs(expected), 1) if integral else np.abs(expected)
        roundings = double if kind == "double" else double + 1.5 * np.finfo(np.float32).eps
        error = np.abs(got - expected)
        if kind == "float" and expression.startswith("jn"):
            roundings *= 8  # The C library's jnf is computed in float.
        np.testing.assert_array_less(error, roundings * size + 1e-300, err_msg=expression)


CORNERS = {
    "erfinv(x)": [0, np.inf, np.nan, np.nan],
    "erfcinv(x)": [np.inf, 0, np.nan, np.nan],
    "erfcinv(2.0 * x)": [np.inf, -np.inf, np.nan, np.nan],
    "normcdfinv(x)": [-np.inf, np.inf, np.nan, np.nan],
    "erfcx(x * 100.0)": [1, erfcx(100), erfcx(300), np.nan],
    "erfcx(-30.0 * x)": [1, np.inf, np.inf, np.nan],
    "cyl_bessel_i0(x * 800.0)": [1, np.inf, np.inf, np.nan],
    "norm3d(x, 3.0, 4.0) * rnorm3d(3.0, 4.0, x)": [1, 1, 1, np.nan],
    "rnorm4d(x, 2.0, 4.0, 2.0) * sqrt(24.0 + x * x)": [1, 1, 1, np.nan],
    "yn(2, x + 1.0) + y0(x + 1.0) - 2.0 / (x + 1.0) * y1(x + 1.0)": [0, 0, 0, np.nan],
    "__tanhf((float)x)": np.tanh([0, 1, 3, np.nan]),
    'nan("1") == x': [0, 0, 0, 0],
    "ldexp(x, 2)": [0, 4, 12, np.nan],
}


@pytest.mark.parametrize("mode", MODES)
def test_special_functions_at_their_ends(mode):
    x = np.array([0, 1, 3, np.nan])
    found = evaluate(CORNERS, {"x": ("double", x)}, ("double", np.float64), mode)
    for got, (expression, expected) in zip(found, CORNERS.items(), strict=True):
        np.testing.assert_allclose(got, expected, 1e-7, 1e-15, err_msg=expression)


NORMS = {
    "norm(3, &v.x)": 13e200, "rnorm(3, &v.x)": 1 / 13e200, "normf(2, &f.x)": 5e25,
    "rnormf(2, &f.x)": 2e-26, "norm(2, &zero.x)": 0, "norm(2, &not_number.x)": np.nan,
    "rnorm3df(3.0f, 4.0f, 12.0f)": 1 / 13, "rnorm4df(1.0f, 1.0f, 1.0f, 1.0f)": 0.5,
}  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
def test_lengths_of_vectors_do_not_overflow(mode):
    inputs = {"v": ("double3", np.array([[3e200, 4e200, 12e200]]).view("V24").ravel()),
              "f": ("float2", np.array([[3e25, 4e25]], np.float32).view("V8").ravel()),
              "not_number": ("double2", np.array([[np.nan, 0]]).view("V16").ravel()),
              "zero": ("double2", np.zeros((1, 2)).view("V16").ravel())}  # fmt: skip
    found = evaluate(NORMS, inputs, ("double", np.float64), mode)
    np.testing.assert_allclose(found[:, 0], list(NORMS.values()), 1e-6)


@pytest.mark.nvrtc
def test_nvrtc_has_the_functions_of_mathematics(tmp_path):
    for kind, names in (("float", [*MATHEMATICS, *FLOATS]), ("double", [*MATHEMATICS, *CORNERS])):
        text = kernel_text(names, dict.fromkeys("xyz", kind), kind)
        (tmp_path / "mathematics.cu").write_text(text)
        assert compile_to_cubin(KernelSource("mathematics.cu", folder=tmp_path), "sm_80").cubin
