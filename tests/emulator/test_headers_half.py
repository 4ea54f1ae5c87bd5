"""cuda_fp16.h and cuda_bf16.h: half and bfloat16 against integers, fractions and NumPy.

NumPy rounds float64 to float16 once, to nearest with ties to even. It has no bfloat16, so both
types are rounded here by comparing exact fractions with the neighbours among all finite numbers of
the type. Sums, products, quotients and fma are exact fractions, so the results must be exact.
Functions such as hexp must be within half a unit in the last place, and 2^-20 of a unit for the
rounding of NumPy's own result.
"""

from bisect import bisect_right
from fractions import Fraction

import numpy as np
import pytest
from kernel_expressions import evaluate, in_all_modes, kernel_text, result_of

from gpucnn.backends.devices.cuda.nvrtc import compile_to_cubin
from gpucnn.backends.devices.emulator_device import why_unavailable
from gpucnn.backends.devices.source import KernelSource
from gpucnn.emulator import RawKernel

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())


class Format:
    """One of the types: its names, and all of its finite numbers that are not negative.

    The numbers of a format grow with their bits, so a number's bits are its index among them.
    """

    def __init__(self, word, kind, pair, header, mantissa, infinite):
        self.word, self.kind, self.pair, self.header = word, kind, pair, header
        self.mantissa, self.infinite = mantissa, infinite
        self.numbers = [self._number(bits) for bits in range(infinite)]

    def _number(self, bits):
        exponent, rest = bits >> self.mantissa, bits % (1 << self.mantissa)
        bias = (self.infinite >> self.mantissa) // 2
        leading = (1 << self.mantissa) if exponent else 0
        return Fraction(leading + rest) * Fraction(2) ** (max(exponent, 1) - bias - self.mantissa)

    def value(self, bits):
        """A finite number's fraction."""
        return self.numbers[bits & 0x7FFF] * (-1 if bits & 0x8000 else 1)

    def rounded(self, x, how="rn"):
        """The bits that a fraction is rounded to."""
        sign, size = (0x8000, -x) if x < 0 else (0, x)
        below = bisect_right(self.numbers, size) - 1
        away = how == ("rd" if sign else "ru")
        if self.numbers[below] == size or (how != "rn" and not away):
            return sign | below
        step = self.numbers[below] - self.numbers[below - 1]
        above = self.numbers[below + 1] if below + 1 < self.infinite else self.numbers[below] + step
        middle = (self.numbers[below] + above) / 2
        up = away if how != "rn" else size > middle or (size == middle and below % 2 == 1)
        return sign | (below + up)

    def floats(self, bits):
        """The numbers as float64; infinities and NaN among them."""
        if self.word == "half":
            return np.asarray(bits, np.uint16).view(np.float16).astype(np.float64)
        with np.errstate(invalid="ignore"):  # of NaN
            return (np.asarray(bits, np.uint32) << 16).view(np.float32).astype(np.float64)


FORMATS = {
    "half": Format("half", "__half", "__half2", "cuda_fp16.h", 10, 0x7C00),
    "bfloat16": Format("bfloat16", "__nv_bfloat16", "__nv_bfloat162", "cuda_bf16.h", 7, 0x7F80),
}
SPECIAL = [0, 0x8000, 1, 0x8001, 0x3FF, 0x400, 0x80]
"""Zeros, subnormal numbers and the least normal ones."""


def drawn(rng, short, size):
    """Bits of finite numbers, half of them of magnitudes around 1, so that sums are rounded."""
    anything = rng.integers(0, short.infinite, size)
    one = short.infinite // 2 - (1 << short.mantissa) // 2
    near = one + rng.integers(-3 << short.mantissa, 3 << short.mantissa, size)
    bits = np.where(rng.random(size) < 0.5, anything, near) | rng.integers(0, 2, size) << 15
    bits[: len(SPECIAL)] = SPECIAL
    return rng.permutation(bits).astype(np.uint16)


def ties(rng, short, size):
    """Pairs of bits whose product is halfway between two numbers of the type."""
    one, pairs = 1 << short.mantissa, []
    while len(pairs) < size:
        x, y = (int(n) for n in rng.integers(one, 2 * one, 2))
        cut = (x * y).bit_length() - short.mantissa - 1
        if x * y % (1 << cut) == 1 << (cut - 1):
            pairs.append([short.rounded(Fraction(n, one)) for n in (x, y)])
    return np.array(pairs, np.uint16).T


# Of a, b and c, from their fractions.
EXACT = {
    "a + b": lambda a, b: a + b,
    "a - b": lambda a, b: a - b,
    "a * b": lambda a, b: a * b,
    "__hadd(a, b)": lambda a, b: a + b,
    "__hsub_rn(a, b)": lambda a, b: a - b,
    "__hmul(a, b)": lambda a, b: a * b,
    "__hfma(a, b, c)": lambda a, b, c: a * b + c,
    "__hadd_sat(a, b)": lambda a, b: min(max(a + b, 0), 1),
    "__hfma_sat(a, b, c)": lambda a, b, c: min(max(a * b + c, 0), 1),
    "__hfma_relu(a, b, c)": lambda a, b, c: max(a * b + c, 0),
    "__low2{word}(__hmul2({pair}(a, b), {pair}(b, a)))": lambda a, b: a * b,
    "__high2{word}(__hfma2({pair}(a, b), {pair}(b, a), {pair}(a, c)))": lambda a, b, c: a * b + c,
    "({pair}(a, b) - __high2{word}2({pair}(a, c))).x": lambda a, c: a - c,
    "__hcmadd({pair}(a, {kind}(0)), {pair}(b, a), {pair}(c, b)).x": lambda a, b, c: a * b + c,
}
QUOTIENTS = {
    "a / b": lambda a, b: a / b,
    "__hdiv(a, b)": lambda a, b: a / b,
    "__h2div({pair}(c, a), {pair}(c, b)).y": lambda a, b: a / b,
}


def named(expressions, short):
    return [
        text.replace("{word}", short.word)
        .replace("{kind}", short.kind)
        .replace("{pair}", short.pair)
        for text in expressions
    ]


def bits_of(expressions, short, inputs, mode):
    """The bits of each expression of the type."""
    kind = short.kind
    values = {name: (kind, bits) for name, bits in inputs.items()}
    texts = named(expressions, short)
    return evaluate(texts, values, (kind, np.uint16), mode, [short.header])


@pytest.mark.parametrize(("word", "mode"), in_all_modes(*FORMATS))
def test_arithmetic_is_rounded_once(rng, word, mode):
    short = FORMATS[word]
    a, b, c = (drawn(rng, short, 600) for _ in range(3))
    # Products close to the negative of what is added, where two roundings would show.
    close = [short.rounded(-short.value(x) * short.value(y)) for x, y in zip(a, b, strict=True)]
    c[::4] = np.where(np.array(close[::4]) & 0x7FFF < short.infinite, close[::4], c[::4])
    # The least number decides where a tie is rounded to.
    a[1:200:4], b[1:200:4] = ties(rng, short, 50)
    c[1:200:4] = rng.choice(np.array([1, 0x8001], np.uint16), 50)
    found = bits_of(EXACT | QUOTIENTS, short, {"a": a, "b": b, "c": c}, mode)
    for expression, got in zip(EXACT | QUOTIENTS, found.tolist(), strict=True):
        for x, y, z, bits in zip(a, b, c, got, strict=True):
            if expression in QUOTIENTS and y & 0x7FFF == 0:
                continue
            values = zip("abc", map(short.value, (x, y, z)), strict=True)
            exact = result_of((EXACT | QUOTIENTS)[expression], **dict(values))
            expected = short.rounded(exact)
            # A sum of zeros, in __hcmadd of a rounded one, may have either sign.
            zero = exact == 0 or (expected & 0x7FFF == 0 and "__hcmadd" in expression)
            same = expected == bits or (zero and bits & 0x7FFF == 0)
            assert same, f"{expression} of {x:#x}, {y:#x}, {z:#x} is {bits:#x}, not {expected:#x}"


FUNCTIONS = {
    "hexp": np.exp, "hexp2": np.exp2, "hexp10": lambda x: 10.0**x, "hlog": np.log,
    "hlog2": np.log2, "hlog10": np.log10, "hsin": np.sin, "hcos": np.cos, "htanh": np.tanh,
    "hsqrt": np.sqrt, "hrsqrt": lambda x: 1 / np.sqrt(x), "hrcp": lambda x: 1 / x,
    "hfloor": np.floor, "hceil": np.ceil, "htrunc": np.trunc, "hrint": np.rint,
}  # fmt: skip


@pytest.mark.parametrize(("word", "mode"), in_all_modes(*FORMATS))
def test_functions(word, mode):
    """Of every 23rd number, and the same of pairs."""
    short = FORMATS[word]
    a = np.arange(0, 0x10000, 23).astype(np.uint16)
    texts = [f"{name}(a)" for name in FUNCTIONS]
    texts += [f"__low2{word}({name.replace('h', 'h2', 1)}({{pair}}(a, a)))" for name in FUNCTIONS]
    found = bits_of(texts, short, {"a": a}, mode)
    np.testing.assert_array_equal(found[: len(FUNCTIONS)], found[len(FUNCTIONS) :])
    x = short.floats(a)
    with np.errstate(all="ignore"):
        for name, got in zip(FUNCTIONS, found, strict=False):
            expected = FUNCTIONS[name](x)
            finite = np.isfinite(expected) & (np.abs(expected) < float(short.numbers[-1]))
            value = short.floats(got)
            np.testing.assert_array_equal(np.isnan(value), np.isnan(expected), err_msg=name)
            unit = np.maximum(
                2.0 ** np.floor(np.log2(np.abs(expected[finite]))) / 2**short.mantissa,
                float(short.numbers[1]),
            )
            error = np.abs(value[finite] - expected[finite]) / unit
            assert error.max() <= 0.5 + 2.0**-20, name


# Of a and b, which may be NaN and infinite, as float64 has it; numbers of NumPy's rules.
COMPARED = {"eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal,
            "gt": np.greater, "ge": np.greater_equal}  # fmt: skip
OPERATORS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
ANYTHING = [0, 0x8000, 1, 0x3C00, 0xBC00, 0x7BFF, 0x7C00, 0xFC00, 0x7F80, 0xFF80, 0x7FFF, 0xFFFF]


@pytest.mark.parametrize(("word", "mode"), in_all_modes(*FORMATS))
def test_comparisons(word, mode):
    """Of numbers, and of pairs in which the other numbers are equal."""
    short = FORMATS[word]
    a, b = (np.array(grid, np.uint16).ravel() for grid in np.meshgrid(ANYTHING, ANYTHING))
    x, y = short.floats(a), short.floats(b)
    unordered = np.isnan(x) | np.isnan(y)
    one = f"__float2{word}(1.0f)"
    expected = {}
    for name, compare in COMPARED.items():
        holds = compare(x, y) & ~unordered
        same = name in ("eq", "le", "ge")
        pairs = f"({{pair}}({one}, a), {{pair}}({one}, b))"
        expected |= {
            f"__h{name}(a, b)": holds,
            f"__h{name}u(a, b)": holds | unordered,
            f"a {OPERATORS[name]} b": compare(x, y),
            f"__high2float(__h{name}2{pairs})": holds,
            f"__high2float(__h{name}u2{pairs})": holds | unordered,
            f"__low2float(__h{name}2{pairs})": np.full(a.shape, same),
            f"__h{name}2_mask{pairs}": holds * 0xFFFF0000 + same * 0xFFFF,
            f"__hb{name}2{pairs}": holds & same,
            f"__hb{name}u2{pairs}": (holds | unordered) & same,
        }
    expected |= {
        "__hisnan(a)": np.isnan(x),
        "__hisinf(a) + 1": np.isinf(x) * np.sign(np.nan_to_num(x)) + 1,
        "__high2float(__hisnan2({pair}(a, b)))": np.isnan(y),
        "a ? 1 : 2": np.where(x != 0, 1, 2),
    }
    inputs = {"a": (short.kind, a), "b": (short.kind, b)}
    texts = named(expected, short)
    found = evaluate(texts, inputs, ("unsigned", np.uint32), mode, [short.header])
    for expression, got in zip(expected, found, strict=True):
        np.testing.assert_array_equal(got, expected[expression], err_msg=expression)


@pytest.mark.parametrize(("word", "mode"), in_all_modes(*FORMATS))
def test_the_greater_the_lesser_and_signs(word, mode):
    short = FORMATS[word]
    a, b = (np.array(grid, np.uint16).ravel() for grid in np.meshgrid(ANYTHING, ANYTHING))
    texts = ["__hmax(a, b)", "__hmin(a, b)", "__hmax_nan(a, b)", "__hmin_nan(a, b)",
             "__hmax2({pair}(a, a), {pair}(a, b)).y", "__hneg(a)", "-a", "__habs(a)",
             "__habs2({pair}(b, a)).y", "+a"]  # fmt: skip
    found = bits_of(texts, short, {"a": a, "b": b}, mode)
    x, y = short.floats(a), short.floats(b)
    nan = np.isnan(x) | np.isnan(y)
    for got, choice, of_nan in zip(
        found[:5], (np.fmax, np.fmin) * 2 + (np.fmax,), (0, 0, 1, 1, 0), strict=True
    ):
        expected = np.where(nan, np.nan, choice(x, y)) if of_nan else choice(x, y)
        np.testing.assert_array_equal(short.floats(got), expected)
    zeros = (a & 0x7FFF == 0) & (b & 0x7FFF == 0)
    np.testing.assert_array_equal(found[0][zeros], (a & b)[zeros])
    np.testing.assert_array_equal(found[1][zeros], (a | b)[zeros])
    np.testing.assert_array_equal(found[5:7], [a ^ 0x8000] * 2)
    np.testing.assert_array_equal(found[7:9], [a & 0x7FFF] * 2)
    np.testing.assert_array_equal(found[9], a)


ROUNDINGS = ("rn", "rz", "rd", "ru")


@pytest.mark.parametrize(("word", "mode"), in_all_modes(*FORMATS))
def test_rounded_from_numbers(rng, word, mode):
    """Of floats and integers around ties, and beyond the largest number."""
    short = FORMATS[word]
    bits = rng.integers(0, short.infinite - 1, 300)
    bits[:4] = [0, 1, 2, short.infinite - 2]
    middles = [(short.numbers[i] + short.numbers[i + 1]) / 2 for i in bits]
    f = np.array([float(m) for m in middles], np.float32)  # Exact, and with its neighbours:
    f = np.concatenate([f, np.nextafter(f, np.float32(0)), np.nextafter(f, np.float32(np.inf))])
    f[-1] = np.float32(3.4e38)
    f *= rng.choice(np.array([-1, 1], np.float32), f.size)
    q = np.array([2**60 + 2**52 + 1, 2**63 - 1, -(2**63), 65519, 65520, 2049, -2051, 257, 0])
    q = np.resize(q, f.size)
    texts = [f"__float2{word}_{how}(f)" for how in ROUNDINGS]
    texts += [f"__ll2{word}_{how}(q)" for how in ROUNDINGS]
    texts += [f"__int2{word}_{how}((int)q)" for how in ROUNDINGS]
    texts += [f"__float2{word}(f)", f"__double2{word}(f)", "{kind}(f)", "{kind}(q)", "{kind}(1)"]
    inputs = {"f": ("float", f), "q": ("long long", q)}
    found = evaluate(
        named(texts, short), inputs, (short.kind, np.uint16), mode, [short.header]
    ).tolist()
    exact = [Fraction(float(x)) for x in f], [Fraction(int(x)) for x in q]
    exact += ([Fraction(int(x)) for x in q.astype(np.int32)],)
    nearest = []
    for values, rows in zip(exact, (found[:4], found[4:8], found[8:12]), strict=True):
        for how, got in zip(ROUNDINGS, rows, strict=True):
            expected = [overflowed(short, x, how) for x in values]
            assert got == expected, how
        nearest.append([overflowed(short, x, "rn") for x in values])
    assert found[12:15] == [nearest[0]] * 3
    assert found[15] == nearest[1]
    assert set(found[16]) == {short.rounded(Fraction(1))}


def overflowed(short, x, how):
    """As `rounded`, for numbers far beyond the largest, too."""
    largest = short.numbers[-1]
    if abs(x) <= largest:
        return short.rounded(x, how)
    half_step = (largest - short.numbers[-2]) / 2
    away = how == ("rd" if x < 0 else "ru") or (how == "rn" and abs(x) >= largest + half_step)
    return (0x8000 if x < 0 else 0) | (short.infinite if away else short.infinite - 1)


@pytest.mark.parametrize(("word", "mode"), in_all_modes(*FORMATS))
def test_rounded_to_integers(word, mode):
    """What does not fit becomes the nearest that does; NaN 0, or the highest bit of 64."""
    short = FORMATS[word]
    a = np.array([short.rounded(Fraction(x)) for x in (0, 0.5, 1.5, -2.5, -0.75, 130, -40000)])
    a = np.append(a, [short.infinite, 0x8000 | short.infinite, 0x7FFF]).astype(np.uint16)
    integers = {"short": (-(2**15), 2**15 - 1), "ushort": (0, 2**16 - 1), "uint": (0, 2**32 - 1)}
    integers |= {"int": (-(2**31), 2**31 - 1), "ll": (-(2**63), 2**63 - 1)}
    rounds = dict(zip(ROUNDINGS, (np.rint, np.trunc, np.floor, np.ceil), strict=True))
    expected = {}
    for name, (least, most) in integers.items():
        for how, round_it in rounds.items():
            whole = [
                0 if np.isnan(x) else int(round_it(max(min(x, 1e30), -1e30)))
                for x in short.floats(a)
            ]
            row = [min(max(x, least), most) for x in whole]
            row[-1] = -(2**63) if name == "ll" else 0
            expected[f"__{word}2{name}_{how}(a)"] = row
    finite = [int(x) for x in np.trunc(short.floats(a[:-3]))]
    expected["(int)a"] = [*finite, 2**31 - 1, -(2**31), 0]
    expected[f"__{word}2uchar_rz(a)"] = [min(max(x, 0), 255) for x in finite] + [255, 0, 0]
    inputs = {"a": (short.kind, a)}
    found = evaluate(expected, inputs, ("long long", np.int64), mode, [short.header])
    for expression, got in zip(expected, found.tolist(), strict=True):
        assert got == expected[expression], expression


# Each makes 16-bit patterns or pairs of them from the bits of a and b.
MOVES = {
    "__{word}_as_ushort(a)": lambda a: a,
    "(unsigned short)__{word}_as_short(a)": lambda a: a,
    "__{word}_as_ushort(__ushort_as_{word}(7))": lambda: 7,
    "bits(__halves2{word}2(a, b))": lambda a, b: a | b << 16,
    "bits(make_{word}2(a, b))": lambda a, b: a | b << 16,
    "bits(__{word}2{word}2(b))": lambda b: b | b << 16,
    "bits(__float2{word}2_rn((float)a))": lambda a: a | a << 16,
    "bits(__floats2{word}2_rn((float)a, (float)b))": lambda a, b: a | b << 16,
    "bits(__float22{word}2_rn(__{word}22float2({pair}(a, b))))": lambda a, b: a | b << 16,
    "bits(__lowhigh2highlow({pair}(a, b)))": lambda a, b: b | a << 16,
    "bits(__low2{word}2({pair}(a, b)))": lambda a: a | a << 16,
    "bits(__high2{word}2({pair}(a, b)))": lambda b: b | b << 16,
    "bits(__lows2{word}2({pair}(a, b), {pair}(b, a)))": lambda a, b: a | b << 16,
    "bits(__highs2{word}2({pair}(a, b), {pair}(b, a)))": lambda a, b: b | a << 16,
    "bits(__ldg(&pair))": lambda a, b: a | b << 16,
    "bits(__shfl_xor_sync(~0u, pair, 0))": lambda a, b: a | b << 16,
    "__{word}_as_ushort(__ldcg(&pair.y))": lambda b: b,
    "__{word}_as_ushort(__shfl_down_sync(~0u, a, 0))": lambda a: a,
    "__{word}_as_ushort(raw(a))": lambda a: a,
    "__{word}_as_ushort(pair.x++) + 0 * __{word}_as_ushort(--pair.y)": lambda a: a,
}
MOVING = """#include <{header}>
__device__ unsigned bits({pair} x) {{
    return __{word}_as_ushort(x.x) | __{word}_as_ushort(x.y) << 16;
}}
__device__ {kind} raw({kind} x) {{ {kind}_raw moved = x; return moved; }}
extern "C" __global__ void k(const {kind}* x, unsigned* y) {{
    const int i = threadIdx.x;
    {pair} pair(x[2 * i], x[2 * i + 1]);
    const {kind} a = pair.x, b = pair.y;
    {statements}
}}
"""


def moving(short):
    statements = "\n    ".join(f"y[{i} * 32 + i] = {text};" for i, text in enumerate(MOVES))
    statements = statements.replace("* 32 + i]", "* 32 + threadIdx.x]")
    text = MOVING.replace("{statements}", statements).replace("{{", "{").replace("}}", "}")
    return named([text.replace("{header}", short.header)], short)[0]


@pytest.mark.parametrize(("word", "mode"), in_all_modes(*FORMATS))
def test_moves_of_numbers_and_pairs(rng, word, mode):
    short = FORMATS[word]
    x = drawn(rng, short, 64)
    y = np.zeros((len(MOVES), 32), np.uint32)
    RawKernel(moving(short), "k", mode=mode)((1,), (32,), (x, y))
    a, b = x[::2].astype(np.int64), x[1::2].astype(np.int64)
    for expression, got in zip(MOVES, y.tolist(), strict=True):
        expected = np.broadcast_to(result_of(MOVES[expression], a=a, b=b), a.shape).tolist()
        assert got == expected, expression


@pytest.mark.nvrtc
@pytest.mark.parametrize("word", FORMATS)
def test_cudas_headers_have_the_same_interface(tmp_path, word):
    short = FORMATS[word]
    functions = [f"{name}(a)" for name in FUNCTIONS]
    functions += [f"{name.replace('h', 'h2', 1)}({short.pair}(a, b)).x" for name in FUNCTIONS]
    expressions = named(EXACT | QUOTIENTS, short) + functions
    kinds = dict.fromkeys("abc", short.kind)
    texts = kernel_text(expressions, kinds, short.kind, [short.header]), moving(short)
    for text in texts:
        (tmp_path / "short.cu").write_text(text)
        assert compile_to_cubin(KernelSource("short.cu", folder=tmp_path), "sm_80").cubin
