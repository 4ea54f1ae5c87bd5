"""Arithmetic in the four roundings, such as __fadd_rz, against exact fractions."""

from fractions import Fraction

import numpy as np
import pytest
from kernel_expressions import evaluate, in_all_modes, kernel_text, result_of

from gpucnn.backends.devices.cuda.nvrtc import compile_to_cubin
from gpucnn.backends.devices.emulator_device import why_unavailable
from gpucnn.backends.devices.source import KernelSource

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())

ROUNDINGS = ("rn", "rz", "rd", "ru")
TYPES = {"float": np.float32, "double": np.float64}
NAMES = {
    "float": {"+": "__fadd", "-": "__fsub", "*": "__fmul", "/": "__fdiv", "fma": "__fmaf",
              "1/": "__frcp", "root": "__fsqrt"},
    "double": {"+": "__dadd", "-": "__dsub", "*": "__dmul", "/": "__ddiv", "fma": "__fma",
               "1/": "__drcp", "root": "__dsqrt"},
}  # fmt: skip
# From fractions; no operand is zero.
EXACT = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "fma": lambda a, b, c: a * b + c,
    "1/": lambda a: 1 / a,
}
ARGUMENTS = {"fma": "(a, b, c)", "1/": "(a)", "root": "(fabs(a))"}


def expressions(kind):
    return {
        f"{name}_{how}{ARGUMENTS.get(operation, '(a, b)')}": (operation, how)
        for operation, name in NAMES[kind].items()
        for how in ROUNDINGS
    }


def below(dtype, is_at_most, start):
    """The greatest number of the type that is at most an exact result, −infinity if none is."""
    number = start if np.isfinite(start) else np.copysign(np.finfo(dtype).max, start)
    while np.isfinite(number) and not is_at_most(number):
        number = np.nextafter(number, dtype(-np.inf))
    while (above := np.nextafter(number, dtype(np.inf))) < np.inf and is_at_most(above):
        number = above
    return number


def rounded(exact, dtype, how):
    """A fraction, rounded; nearest ties go to the even one, beyond the largest to infinity."""
    most = Fraction(float(np.finfo(dtype).max))
    try:
        with np.errstate(over="ignore"):
            start = dtype(float(exact))
    except OverflowError:
        start = dtype(np.copysign(np.inf, 1 if exact > 0 else -1))
    if abs(exact) > most:
        step = most - Fraction(float(np.nextafter(np.finfo(dtype).max, dtype(0))))
        near = how == "rn" and abs(exact) >= most + step / 2
        away = near or how == ("ru" if exact > 0 else "rd")
        return np.copysign(dtype(np.inf if away else np.finfo(dtype).max), start)
    low = below(dtype, lambda x: Fraction(float(x)) <= exact, start)
    if Fraction(float(low)) == exact:
        return low
    high = np.nextafter(low, dtype(np.inf))
    if how in ("rd", "ru"):
        return low if how == "rd" else high
    if how == "rz":
        return low if exact > 0 else high
    middle = (Fraction(float(low)) + Fraction(float(high))) / 2
    bits = low.view(np.uint32 if dtype == np.float32 else np.uint64)
    return low if exact < middle or (exact == middle and bits % 2 == 0) else high


def rounded_root(exact, dtype, how):
    """The square root of a fraction, which is never halfway between two numbers."""
    low = below(dtype, lambda x: Fraction(float(x)) ** 2 <= exact, dtype(np.sqrt(float(exact))))
    high = np.nextafter(low, dtype(np.inf))
    if Fraction(float(low)) ** 2 == exact or how in ("rd", "rz"):
        return low
    middle = (Fraction(float(low)) + Fraction(float(high))) / 2
    return high if how == "ru" or middle**2 < exact else low


def operands(rng, dtype):
    """Of every size, of similar sizes, of the smallest and of the largest."""
    size = 150
    exponents = np.finfo(dtype).minexp, np.finfo(dtype).maxexp
    a, b, c = (rng.uniform(1, 2, (3, size)) * rng.choice([-1, 1], (3, size))).astype(dtype)
    spread = rng.integers(exponents[0] // 2, exponents[1] // 2, (3, 30))
    a[:30], b[:30], c[:30] = (np.ldexp(x[:30], e) for x, e in zip((a, b, c), spread, strict=True))
    c[30:60] = -(a * b)[30:60]  # The exact product's rest is left.
    b[60:75] = -a[60:75]
    with np.errstate(under="ignore"):
        a[75:100] = np.ldexp(a[75:100], exponents[0] - 10)  # subnormal
        c[75:85] = np.ldexp(c[75:85], exponents[0] - 3)
        b[80:90] = np.ldexp(b[80:90], exponents[0] + 30)
    a[100:110] = np.copysign(np.finfo(dtype).max, a[100:110])
    b[105:115] = np.ldexp(b[105:115], exponents[1] - 1)
    return a, b, c


@pytest.mark.parametrize(("kind", "mode"), in_all_modes(*TYPES))
def test_results_are_rounded_as_their_names_say(rng, kind, mode):
    dtype, table = TYPES[kind], expressions(kind)
    a, b, c = operands(rng, dtype)
    inputs = {"a": (kind, a), "b": (kind, b), "c": (kind, c)}
    found = evaluate(table, inputs, (kind, dtype), mode)
    triples = [
        {name: Fraction(float(x)) for name, x in zip("abc", row, strict=True)}
        for row in zip(a, b, c, strict=True)
    ]
    for (expression, (operation, how)), row in zip(table.items(), found, strict=True):
        for i, (values, got) in enumerate(zip(triples, row, strict=True)):
            if operation == "root":
                expected = rounded_root(abs(values["a"]), dtype, how)
            else:
                expected = rounded(result_of(EXACT[operation], **values), dtype, how)
            assert got == expected, f"{expression} of {a[i]}, {b[i]}, {c[i]}"


SPECIAL = {
    "a + b": [0.0, -0.0, np.inf, np.nan],
    "__fadd_rd(a, b)": [-0.0, -0.0, np.inf, np.nan],
    "__fadd_ru(a, b)": [0.0, -0.0, np.inf, np.nan],
    "__fsub_rd(a, -b)": [-0.0, -0.0, np.inf, np.nan],
    "__fmaf_rd(a, 1.0f, b)": [-0.0, -0.0, np.inf, np.nan],
    "__fmul_rz(a, a)": [1.0, 0.0, np.inf, np.inf],
    "__frcp_rd(a)": [1.0, -np.inf, 0.0, 0.0],
    "__fsqrt_ru(a)": [1.0, -0.0, np.inf, np.inf],
    "__frsqrt_rn(a * 4.0f)": [0.5, -np.inf, 0.0, 0.0],
}


def test_zeros_infinities_and_nan():
    """Zero is negative if it is what cancels, rounded down."""
    a = np.array([1, -0.0, np.inf, np.inf], np.float32)
    b = np.array([-1, -0.0, 1, -np.inf], np.float32)
    inputs = {"a": ("float", a), "b": ("float", b)}
    found = evaluate(SPECIAL, inputs, ("float", np.float32), "fast")
    for got, (expression, expected) in zip(found, SPECIAL.items(), strict=True):
        np.testing.assert_array_equal(got, expected, err_msg=expression)
        signs = np.signbit(expected) | np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(got) | np.isnan(got), signs, err_msg=expression)


@pytest.mark.nvrtc
@pytest.mark.parametrize("kind", TYPES)
def test_nvrtc_has_them(tmp_path, kind):
    text = kernel_text(expressions(kind), dict.fromkeys("abc", kind), kind)
    (tmp_path / "rounding.cu").write_text(text)
    assert compile_to_cubin(KernelSource("rounding.cu", folder=tmp_path), "sm_80").cubin
