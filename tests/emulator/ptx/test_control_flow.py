"""Branches, calls and barriers: random programs, and threads that wait for each other."""

import numpy as np
import pytest
from emulator.ptx.oracle.control import drawn_program, results, text_of
from emulator.ptx.oracle.kernel import HEADER

from gpucnn.backends.devices.emulator_device import why_unavailable
from gpucnn.emulator.errors import AssertionFailedError
from gpucnn.emulator.ptx.program import Program, Settings

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())

SEEDS = pytest.mark.parametrize(
    "seeds", [range(60), pytest.param(range(60, 500), marks=pytest.mark.slow)], ids=["few", "many"]
)


@SEEDS
def test_random_programs(seeds):
    for seed in seeds:
        program = drawn_program(seed)
        random = np.random.default_rng(seed)
        start = random.integers(0, 1 << 32, (100, 4), dtype=np.uint32)
        start[::3] &= 7
        end = np.zeros_like(start)
        kernel = Program(text_of(program)).kernels["control"]
        kernel.run(Settings((1, 1, 1), (100, 1, 1), seed=seed, time_limit=60), (start, end))
        expected = np.array([results(program, row) for row in start.tolist()], np.uint32)
        np.testing.assert_array_equal(end, expected, f"program {seed}")


def run(body, threads, seed=0):
    """A word a thread that a kernel writes; it finds its place in %q1, its number in %r1."""
    text = f"""{HEADER}.visible .entry test(.param .u64 results)
{{
.reg .pred %p<9>;
.reg .b32 %r<19>;
.reg .b64 %q<9>;
.shared .align 4 .b32 word[{threads}];
ld.param.u64 %q1, [results];
mov.u32 %r1, %tid.x;
mul.wide.u32 %q2, %r1, 4;
add.u64 %q1, %q1, %q2;
mov.u32 %r2, word;
mad.lo.u32 %r3, %r1, 4, %r2;
{body}
}}
"""
    words = np.zeros(threads, np.uint32)
    settings = Settings((1, 1, 1), (threads, 1, 1), seed=seed, time_limit=60)
    Program(text).kernels["test"].run(settings, (words,))
    return words


# Each thread writes its number, and reads that of the last but so many, which %r4 says.
EXCHANGE = """
st.shared.u32 [%r3], %r1;
{barrier}
sub.u32 %r5, {last}, %r1;
mad.lo.u32 %r6, %r5, 4, %r2;
ld.shared.u32 %r7, [%r6];
st.global.u32 [%q1], %r7;
ret;
"""


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "barrier",
    ["bar.sync 0;", "barrier.sync 3;", "barrier.sync.aligned 2, 96;", "bar.sync 1, 96;"],
)
def test_barriers(barrier, seed):
    words = run(EXCHANGE.format(barrier=barrier, last=95), 96, seed)
    np.testing.assert_array_equal(words, np.arange(96)[::-1])


@pytest.mark.parametrize("seed", range(4))
def test_a_barrier_does_not_wait_for_threads_that_have_left(seed):
    leave = "setp.ge.u32 %p1, %r1, 64; @%p1 exit;"
    words = run(leave + EXCHANGE.format(barrier="bar.sync 0;", last=63), 96, seed)
    np.testing.assert_array_equal(words, [*range(63, -1, -1), *[0] * 32])


@pytest.mark.parametrize("seed", range(4))
def test_one_warp_arrives_and_another_waits(seed):
    """The second warp hands its words on to the first."""
    words = run(
        """
setp.ge.u32 %p1, %r1, 32;
@%p1 st.shared.u32 [%r3], %r1;
@%p1 bar.arrive 1, 64;
@%p1 exit;
bar.sync 1, 64;
ld.shared.u32 %r7, [%r3+128];
st.global.u32 [%q1], %r7;
ret;
""",
        64,
        seed,
    )
    np.testing.assert_array_equal(words, [*range(32, 64), *[0] * 32])


def test_clocks_do_not_go_back():
    words = run(
        """
.pragma "nounroll";
mov.u32 %r4, %clock;
mov.u64 %q3, %clock64;
add.u32 %r5, %r4, %r4;
mov.u64 %q4, %clock64;
mov.u32 %r6, %clock;
sub.u32 %r7, %r6, %r4;
setp.gt.s32 %p1, %r7, 0;
setp.gt.and.s64 %p2, %q4, %q3, %p1;
selp.u32 %r8, 1, 0, %p2;
st.global.u32 [%q1], %r8;
ret;
""",
        32,
    )
    np.testing.assert_array_equal(words, 1)


@pytest.mark.parametrize("instruction", ["trap", "brkpt"])
def test_a_trap_is_an_error_of_the_thread_that_runs_into_it(instruction):
    with pytest.raises(AssertionFailedError, match=r"thread \(5, ?0, ?0\)"):
        run(f"setp.eq.u32 %p1, %r1, 5; @%p1 {instruction}; ret;", 32)


def test_a_branch_by_index_with_many_targets():
    """A switch of 300 cases."""
    labels = [f"CASE_{number}" for number in range(300)]
    cases = "\n".join(f"{label}: add.u32 %r4, %r4, 3; bra END;" for label in labels[:-1])
    words = run(
        f"""
mul.lo.u32 %r4, %r1, 4;
brx.idx %r4, LIST;
LIST: .branchtargets {", ".join(labels)};
{cases}
{labels[-1]}: trap;
END:
st.global.u32 [%q1], %r4;
ret;
""",
        64,
    )
    np.testing.assert_array_equal(words, np.arange(64) * 4 + 3)
