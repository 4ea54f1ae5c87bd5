"""Text that is not quite PTX is refused in words: no other exception is raised, nothing crashes."""

import random
import re

import numpy as np
import pytest
from ptx_text import run, text, zeros

from gpucnn.emulator.engine import why_unavailable
from gpucnn.emulator.errors import CompilationError, EmulatorError
from gpucnn.emulator.ptx.program import Program, Settings

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())

KERNEL = text(
    """
ld.param.u64 %rd1, [a]; mov.u32 %r1, %tid.x; mov.u32 %r2, tile; and.b32 %r3, %r1, 1;
mad.lo.s32 %r4, %r1, 4, %r2; st.shared.u32 [%r4], %r3; bar.sync 0;
setp.lt.s32 %p1|%p2, %r1, 7; @!%p1 bra SECOND; brx.idx %r3, LIST;
LIST: .branchtargets FIRST, SECOND;
FIRST: ld.shared.v2.u32 {%r5, %r6}, [tile]; { .reg .b32 t; add.s32 t, %r5, -1; mov.b32 %r6, t; }
SECOND: shfl.sync.idx.b32 %r7|%p3, %r3, 0, 0x1f, -1; mul.rn.f32 %f1, 0f3F800000, 0f40000000;
mov.b64 %rd2, {%r5, %r6}; mov.b64 {%r5, _}, %rd2; cp.async.ca.shared.global [%r4+512], [table], 4;
cp.async.wait_all; atom.global.add.u32 %r8, [%rd1], 1;
{ .param .b32 given; .param .b32 got; st.param.b32 [given], 1; call (got), twice, (given);
ld.param.b32 %r9, [got]; }""",
    1,
    """.shared .align 16 .b8 tile[1024]; .global .align 8 .u64 where[2] = {generic(table)+4, 3};
.global .u32 table[4] = {1, 2, 3}; .visible .func (.param .b32 r) twice(.param .b32 x)
{ .reg .b32 %r<3>; ld.param.b32 %r1, [x]; add.s32 %r2, %r1, %r1; st.param.b32 [r], %r2; ret; }""",
)


def test_the_text_that_is_spoilt_below_runs():
    y = zeros(1)
    run(KERNEL, y, block=64)
    assert y.tolist() == [64]


STATEMENTS = (
    "add.s32 5, %r1, %r2;",
    "add.s32 %tid.x, %r1, %r2;",
    "add.s32 tile, %r1, %r2;",
    "add.s32 !%p1, %r1, %r2;",
    "add.s32 %r1, %r2;",
    "add.s32 %r1, %r2, %rd1;",
    "add.s32 %r1, %r2, %nothing;",
    "add.s32 %r1, %r2, %r99999999999999999999;",
    "add.s32 %r1, %r2, 99999999999999999999;",
    "add.s32 %r1, %r2, 089;",
    "add.f32 %f1, %f2, 1e39;",
    "add.f16 %h1, %h2, 1e9;",
    "@%r1 add.s32 %r1, %r1, %r1;",
    "@ add.s32 %r1, %r1, %r1;",
    "mov.b32 %r1;",
    "mov.b64 {}, %rd1;",
    "mov.b64 {%r1, 3}, %rd1;",
    "mov.b64 %rd1, {%r1, %r2, %r3};",
    "mov.u32 %r1, %nothing;",
    "cvt.f64.s32 %f1, %r1;",
    "cvt.f32.s32 %rd1, %r1;",
    "cvt.s32.f32 %r1, %rd1;",
    "cvt.u64.u32 %r1, %r2;",
    "ld;",
    "ld.global.u32;",
    "ld.global.u32 %r1;",
    "ld.global.u32 5, [%rd1];",
    "ld.global.u32 %p1, [%rd1];",
    "ld.global.u32 %r1, [%p1];",
    "ld.global.u32 %r1, [%h1];",
    "ld.global.u32 %r1, [%tid.x];",
    "ld.global.v2.u32 {%r1}, [%rd1];",
    "st.global.u32 %r1, %r2;",
    "bra;",
    "bra %r1;",
    "bra NOWHERE;",
    "brx.idx %r1;",
    "call;",
    "call ();",
    "call kernel;",
    "bar.red.popc.u32 %r1;",
    "bar.red.popc.u32 3, 0, %p1;",
    "barrier;",
    "vote.sync.any.pred 1, %p1, -1;",
    "cp.async.ca.shared.global [tile], [%rd1], 0;",
    "cp.async.ca.shared.global [tile], [%rd1], 32;",
    "cp.async.ca.shared.global [tile], [%rd1], %r1;",
    "cp.async.ca.shared.global [tile], [%rd1];",
    ".local .b8 much[600000];",
    ".local .align 3 .b8 odd[4];",
    ".reg .nothing %x;",
    "{" * 3000,
    "mov.b32 %r1, " + "{" * 3000,
    "mov.b32 %r1, " + "-" * 3000 + "1;",
)


@pytest.mark.parametrize("statement", STATEMENTS, ids=[each[:40] for each in STATEMENTS])
def test_statements_that_are_none(statement):
    with pytest.raises(EmulatorError):
        Program(text(statement, 1, ".shared .b8 tile[64];")).kernels["kernel"].prepare()


@pytest.mark.parametrize(
    "declaration",
    [
        ".global .u32 x[2] = {1, 2, 3};",
        ".global .u32 x = y;",
        ".global .u64 x = y;",
        ".global .f32 x = 1e99;",
        ".global .u64 x = generic(3);",
        ".global .b8 x[18446744073709551615];",
        ".global .align x .u32 y;",
        ".global .attribute(.managed",
        ".global .u32",
        ".global u32 x;",
        ".entry",
        ".func (",
        ".nothing",
        "\u00e9\u0663",
        "\0",
    ],
)
def test_declarations_that_are_none(declaration):
    with pytest.raises(CompilationError):
        Program(text("", 1, declaration))


@pytest.mark.parametrize("spoil", ["cut", "drop", "double", "swap", "replace"])
def test_spoilt_text_runs_or_is_refused(spoil):
    """Each runs in this process, which would not survive a wild access."""
    words = re.findall(r"\s+|[A-Za-z_$%.][\w$.:]*|\d+|.", KERNEL, re.DOTALL)
    random_numbers = random.Random(spoil)
    for _ in range(60):
        spoilt = words.copy()
        place, other = random_numbers.randrange(len(words)), random_numbers.randrange(len(words))
        match spoil:
            case "cut":
                del spoilt[place:]
            case "drop":
                del spoilt[place]
            case "double":
                spoilt[place:place] = spoilt[place - 3 : place]
            case "swap":
                spoilt[place], spoilt[other] = spoilt[other], spoilt[place]
            case "replace":
                spoilt[place] = spoilt[other]
        try:
            for kernel in Program("".join(spoilt)).kernels.values():
                arguments = [np.zeros(64, np.uint32)] * len(kernel.parameters)
                kernel.run(Settings((1, 1, 1), (64, 1, 1), time_limit=0.2), arguments)
        except EmulatorError:
            pass
