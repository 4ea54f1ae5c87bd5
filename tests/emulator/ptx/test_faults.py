"""What a kernel does wrong is reported with instruction, source line, thread and class."""

import numpy as np
import pytest
from ptx_text import run, text, zeros

from gpucnn.emulator.engine import why_unavailable
from gpucnn.emulator.errors import (
    AssertionFailedError,
    DivergenceError,
    LaunchError,
    MisalignedError,
    OutOfBoundsError,
    RaceError,
    TimeLimitError,
    UninitialisedError,
    UnsupportedError,
)

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())

SHARED = ".shared .align 16 .b8 tile[1024];"
EXCHANGE = """
ld.param.u64 %rd1, [a]; mov.u32 %r1, %tid.x; mul.wide.u32 %rd2, %r1, 4; add.s64 %rd3, %rd1, %rd2;
mov.u32 %r2, tile; shl.b32 %r3, %r1, 2; add.s32 %r4, %r2, %r3; st.shared.u32 [%r4], 0; bar.sync 0;
st.shared.u32 [%r4], %r1;
SYNC
xor.b32 %r5, %r1, DISTANCE; shl.b32 %r5, %r5, 2; add.s32 %r5, %r5, %r2;
ld.shared.u32 %r6, [%r5];
st.global.u32 [%rd3], %r6;"""


def exchange(sync, distance):
    """Each thread writes its number and reads that of another."""
    return text(EXCHANGE.replace("SYNC", sync).replace("DISTANCE", str(distance)), 1, SHARED)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("sync", "distance"), [("bar.sync 0;", 32), ("bar.warp.sync -1;", 1)])
def test_a_removed_barrier_is_a_race(sync, distance, seed):
    y = zeros(64)
    run(exchange(sync, distance), y, block=64, seed=seed)
    assert np.array_equal(y, np.arange(64) ^ distance)
    with pytest.raises(RaceError) as caught:
        run(exchange("", distance), y, block=64, seed=seed)
    words = str(caught.value)
    assert "kernel.cu:6 [ld.shared.u32 %r6, [%r5]]" in words
    assert "kernel.cu:3 [st.shared.u32 [%r4], %r1]" in words
    assert "races with" in words


def test_a_barrier_of_a_warp_does_not_order_other_warps():
    with pytest.raises(RaceError, match="thread"):
        run(exchange("bar.warp.sync -1;", 32), zeros(64), block=64)


def test_a_write_after_a_read_races():
    """The second barrier of a loop that uses a tile again."""
    again = EXCHANGE.replace("SYNC", "bar.sync 0;").replace("DISTANCE", "32")
    with pytest.raises(RaceError) as caught:
        run(text(again + "\nst.shared.u32 [%r4], %r6;", 1, SHARED), zeros(64), block=64)
    assert "kernel.cu:8 [st.shared" in str(caught.value)
    assert "kernel.cu:6 [ld.shared" in str(caught.value)
    with_barrier = again + "\nbar.sync 0;\nst.shared.u32 [%r4], %r6;"
    run(text(with_barrier, 1, SHARED), zeros(64), block=64)


def test_bytes_of_a_word_are_apart():
    body = """mov.u32 %r1, %tid.x; cvt.u16.u32 %h1, %r1;
mov.u32 %r2, tile; add.s32 %r2, %r2, %r1; st.shared.u8 [%r2], %h1;"""
    run(text(body, 0, SHARED), block=64)


SAME = "mov.u32 %r1, VALUE; mov.u32 %r2, tile; st.shared.u32 [%r2], %r1;"


def test_writes_of_the_same_value_can_be_allowed():
    same = text(SAME.replace("VALUE", "7"), 0, SHARED)
    with pytest.raises(RaceError, match=r"write .* races with write"):
        run(same, block=64)
    run(same, block=64, allow_same_value_writes=True)
    with pytest.raises(RaceError):
        run(text(SAME.replace("VALUE", "%tid.x"), 0, SHARED), allow_same_value_writes=True)


def test_atomic_operations_do_not_race_with_each_other():
    body = """mov.u32 %r2, tile; mov.u32 %r1, %tid.x; setp.eq.u32 %p1, %r1, 0;
@%p1 st.shared.u32 [%r2], 0;
SYNC
atom.shared.add.u32 %r3, [%r2], 1;
bar.sync 0;
ld.param.u64 %rd1, [a]; ld.shared.u32 %r4, [%r2]; st.global.u32 [%rd1], %r4;"""
    y = zeros(1)
    run(text(body.replace("SYNC", "bar.sync 0;"), 1, SHARED), y, block=96)
    assert y[0] == 96
    with pytest.raises(RaceError, match=r"kernel\.cu:3 \[atom.* kernel\.cu:1 \[st"):
        run(text(body.replace("SYNC", ""), 1, SHARED), y)


def test_a_barrier_that_a_part_of_a_warp_reaches():
    body = """mov.u32 %r1, %tid.x; setp.lt.u32 %p1, %r1, 16;
@%p1 bra SECOND;
bar.sync 0;
bra END;
SECOND:
bar.sync 0;
END:"""
    with pytest.raises(DivergenceError) as caught:
        run(text(body, 0))
    words = str(caught.value)
    assert "kernel.cu:5 [bar.sync 0]" in words and "kernel.cu:2 [bar.sync 0]" in words
    assert "lanes 0-15" in words or "lanes 16-31" in words


def test_threads_that_have_exited_are_not_waited_for():
    body = """mov.u32 %r1, %tid.x; setp.ge.u32 %p1, %r1, LIMIT;
@%p1 ret;
bar.sync 0;"""
    for limit in (5, 32, 40, 64):
        run(text(body.replace("LIMIT", str(limit)), 0), block=96)


def test_different_barriers_wait_for_ever():
    body = """mov.u32 %r1, %tid.x; shr.u32 %r2, %r1, 5;
bar.sync %r2;"""
    with pytest.raises(DivergenceError, match=r"barrier \d waits .*kernel\.cu:1 \[bar"):
        run(text(body, 0), block=64)


def test_named_barriers_of_some_threads():
    """A producer arrives without waiting, a consumer waits for it."""
    body = """ld.param.u64 %rd1, [a]; mov.u32 %r1, %tid.x; mov.u32 %r2, tile; and.b32 %r3, %r1, 31;
shl.b32 %r3, %r3, 2; add.s32 %r3, %r3, %r2; cvt.u64.u32 %rd2, %r1; shl.b64 %rd2, %rd2, 2;
setp.lt.u32 %p1, %r1, 32;
@!%p1 bra CONSUMER;
st.shared.u32 [%r3], %r1;
bar.arrive 1, 64;
ret;
CONSUMER:
bar.sync 1, 64;
ld.shared.u32 %r4, [%r3]; add.s64 %rd1, %rd1, %rd2; st.global.u32 [%rd1+-128], %r4;"""
    for seed in range(4):
        y = zeros(32)
        run(text(body, 1, SHARED), y, block=64, seed=seed)
        assert np.array_equal(y, np.arange(32))


SHUFFLE = """ld.param.u64 %rd1, [a]; mov.u32 %r1, %tid.x; setp.lt.u32 %p1, %r1, 16;
@!%p1 ret;
shfl.sync.idx.b32 %r2, %r1, FROM, 31, MASK;
mul.wide.u32 %rd2, %r1, 4; add.s64 %rd1, %rd1, %rd2; st.global.u32 [%rd1], %r2;"""


def shuffle(lane, mask):
    return text(SHUFFLE.replace("FROM", str(lane)).replace("MASK", mask))


def test_a_shuffle_from_a_lane_that_does_not_take_part():
    y = zeros(32)
    run(shuffle(3, "0xffff"), y)
    assert np.array_equal(y[:16], np.full(16, 3))
    with pytest.raises(DivergenceError, match=r"shuffle from lane 20.*kernel\.cu:2 \[shfl\.sync"):
        run(shuffle(20, "0xffff"), y)
    with pytest.raises(DivergenceError, match="lacks its own lane"):
        run(shuffle(1, "0xff"), y)


def test_a_mask_that_names_lanes_which_do_not_come():
    body = """mov.u32 %r1, %tid.x; setp.lt.u32 %p1, %r1, 16;
@!%p1 bra END;
shfl.sync.idx.b32 %r2, %r1, 3, 31, -1;
END:
bar.sync 0;"""
    with pytest.raises(DivergenceError, match=r"lanes 16-31.*kernel\.cu:2 .*kernel\.cu:4"):
        run(text(body, 0))


ACCESS = """ld.param.u64 %rd1, [a]; mov.u32 %r1, %tid.x; mul.wide.u32 %rd2, %r1, 16;
add.s64 %rd3, %rd1, %rd2;
ld.global.v4.u32 {%r2, %r3, %r4, %r5}, [%rd3+OFFSET];"""


@pytest.mark.parametrize(
    ("offset", "error", "words"),
    [
        (4, MisalignedError, "4 bytes past a multiple of 16"),
        (16, OutOfBoundsError, "0 bytes after the end of argument 1"),
        (-32, OutOfBoundsError, "32 bytes before argument 1"),
        (1 << 20, OutOfBoundsError, "1048064 bytes after the end"),
    ],
)
def test_accesses_of_global_memory(offset, error, words):
    aligned = zeros(128 + 4)
    begin = -aligned.ctypes.data % 16 // 4
    source = text(ACCESS.replace("OFFSET", str(offset)))
    with pytest.raises(
        error, match=r"read of 16 bytes .*kernel\.cu:2 \[ld\.global\.v4\.u32"
    ) as caught:
        run(source, aligned[begin : begin + 128])
    assert words in str(caught.value)


def test_one_array_is_not_reached_from_another():
    """They may be neighbours in the host's memory."""
    both = zeros(64)
    body = """ld.param.u64 %rd1, [a]; ld.global.u32 %r1, [%rd1+128];"""
    with pytest.raises(OutOfBoundsError, match="0 bytes after the end of argument 1"):
        run(text(body, 2), both[:32], both[32:])
    run(text(body, 2), both, both[32:])  # views of one array


def test_shared_memory_that_is_not_written():
    body = """mov.u32 %r1, %tid.x; shl.b32 %r2, %r1, 2; mov.u32 %r3, tile; add.s32 %r4, %r3, %r2;
setp.ne.u32 %p1, %r1, 5;
@%p1 st.shared.u32 [%r4], %r1;
ld.shared.u32 %r5, [%r4];"""
    with pytest.raises(
        UninitialisedError, match=r"20 bytes from .* tile .*kernel\.cu:3 .*\(5,0,0\)"
    ):
        run(text(body, 0, SHARED))


@pytest.mark.parametrize(
    ("offset", "words"),
    [(1024, "1024 bytes from the beginning of tile"), (-1, "from the beginning of before")],
)
def test_shared_memory_ends(offset, words):
    """Between two variables there is a gap that belongs to neither."""
    body = f"mov.u32 %r2, before; mov.u32 %r1, tile; st.shared.u8 [%r1+{offset}], %h1;"
    two = ".shared .align 4 .b8 before[64];\n" + SHARED
    with pytest.raises(OutOfBoundsError, match=words):
        run(text(body, 0, two), block=1)


def test_dynamic_shared_memory_ends_where_the_launch_says():
    declaration = ".extern .shared .align 16 .b8 memory[];"
    body = "mov.u32 %r1, memory; st.shared.u32 [%r1+60], %r1;"
    run(text(body, 0, declaration), block=1, shared_bytes=64)
    with pytest.raises(OutOfBoundsError, match="60 bytes from the beginning of memory"):
        run(text(body, 0, declaration), block=1, shared_bytes=60)


COPY = """ld.param.u64 %rd1, [a]; ld.param.u64 %rd2, [b]; mov.u32 %r1, %tid.x;
mul.wide.u32 %rd3, %r1, 16; add.s64 %rd1, %rd1, %rd3; add.s64 %rd2, %rd2, %rd3;
shl.b32 %r9, %r1, 4; mov.u32 %r3, tile; add.s32 %r2, %r9, %r3;
cp.async.cg.shared.global [%r2], [%rd1], 16, SIZE;
cp.async.commit_group;
WAIT
SYNC
xor.b32 %r4, %r9, TURN; add.s32 %r4, %r4, %r3;
ld.shared.v4.u32 {%r5, %r6, %r7, %r8}, [%r4];
st.global.v4.u32 [%rd2], {%r5, %r6, %r7, %r8};"""


def copied(wait="cp.async.wait_group 0;", sync="bar.sync 0;", turn=512, size=16, seed=0):
    x = np.arange(256, dtype=np.uint32)
    y = zeros(256)
    body = COPY.replace("WAIT", wait).replace("SYNC", sync).replace("TURN", str(turn))
    run(text(body.replace("SIZE", str(size)), 2, SHARED), x, y, block=64, seed=seed)
    return y


@pytest.mark.parametrize("seed", range(4))
def test_asynchronous_copies(seed):
    """Waited for, and ordered by a barrier for other threads; what is not given is zero."""
    x = np.arange(256, dtype=np.uint32)
    assert np.array_equal(copied(seed=seed), x.reshape(2, 128)[::-1].ravel())
    part = copied(size=8, seed=seed).reshape(-1, 4)
    assert np.array_equal(part[:, :2], x.reshape(2, 32, 4)[::-1].reshape(-1, 4)[:, :2])
    assert not part[:, 2:].any()
    with pytest.raises(RaceError, match=r"read .*kernel\.cu:8 .*asynchronous copy .*kernel\.cu:3"):
        copied(wait="cp.async.wait_group 1;", turn=0, seed=seed)
    # Or the other thread has not even begun.
    with pytest.raises((RaceError, UninitialisedError), match=r"kernel\.cu:8"):
        copied(sync="", seed=seed)


def test_a_copy_into_what_is_still_read():
    body = COPY.replace("WAIT", "cp.async.wait_all;").replace("SYNC", "bar.sync 0;")
    body = body.replace("TURN", "512").replace("SIZE", "16")
    again = "\ncp.async.cg.shared.global [%r2], [%rd1], 16;"
    x, y = np.arange(256, dtype=np.uint32), zeros(256)
    with pytest.raises(RaceError, match=r"kernel\.cu:(10|8) .*races with .*kernel\.cu:(8|10) "):
        run(text(body + again, 2, SHARED), x, y, block=64)
    run(text(body + "\nbar.sync 0;" + again, 2, SHARED), x, y, block=64)


def test_a_loop_without_end():
    with pytest.raises(TimeLimitError, match=r"longer than 0\.2 seconds.*kernel\.cu"):
        run(text("LOOP:\nbra LOOP;", 0), time_limit=0.2)


def test_a_trap():
    with pytest.raises(AssertionFailedError, match=r"stopped itself at kernel\.cu:0 \[trap\]"):
        run(text("trap;", 0))


def test_an_unknown_instruction_is_named():
    with pytest.raises(UnsupportedError, match=r"wgmma\.fence\.sync\.aligned .*kernel\.cu:0"):
        run(text("wgmma.fence.sync.aligned;", 0))
    with pytest.raises(UnsupportedError, match=r"add\.mystery\.u32"):
        run(text("add.mystery.u32 %r1, %r2, %r3;", 0))
    with pytest.raises(UnsupportedError, match=r"mbarrier\.init\.shared\.b64 "):
        run(text("mbarrier.init.shared.b64 [%r1], 1;", 0))
    with pytest.raises(UnsupportedError, match=r"tex\.1d\.v4\.s32\.s32 "):
        run(text("tex.1d.v4.s32.s32 {%r1, %r2, %r3, %r4}, [%rd1, {%r5}];", 0))
    with pytest.raises(UnsupportedError, match=r"register %cluster_ctarank "):
        run(text("mov.u32 %r1, %cluster_ctarank;", 0))
    with pytest.raises(UnsupportedError, match=r"function malloc .*kernel\.cu:0"):
        run(text("call malloc;", 0))


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        (np.float64(1), "integer of 4 bytes"),
        (np.float32(1), "float32"),
        (np.zeros(3, np.float32), "an array"),
        (None, "None"),
        (1, "int64"),
    ],
)
def test_arguments_that_do_not_fit(argument, words):
    source = text("", 0).replace("kernel()", "kernel(.param .u32 n)")
    run(source, np.int32(1))
    with pytest.raises(LaunchError, match=f"argument 1 .*{words}"):
        run(source, argument)


def test_the_number_of_arguments():
    with pytest.raises(LaunchError, match="1 arguments for 2 parameters"):
        run(text("", 2), zeros(1))


CALL = """{ .param .b64 first; .param .b64 second; .param .b32 third; .param .b32 result;
mov.u64 %rd1, WORDS; cvta.global.u64 %rd2, %rd1; st.param.b64 [first], %rd2;
FUNCTION
}"""
WORDS = "\n.global .align 1 .b8 words[6] = {105, 32, 60, 32, 110, 0};"


def test_a_failed_assertion_has_its_words():
    call = "st.param.b64 [second], %rd2; call.uni __assertfail, (first, second, third);"
    declaration = (
        WORDS + "\n.extern .func __assertfail (.param .b64 a, .param .b64 b, .param .b32 c);"
    )
    body = CALL.replace("WORDS", "words").replace("FUNCTION", call)
    with pytest.raises(AssertionFailedError, match=r"assertion i < n has failed at kernel\.cu:2"):
        run(text(body, 0, declaration))


def test_printf_writes_to_stderr(capfd):
    """Values lie where C puts them: each at a multiple of its size."""
    letters = ", ".join(str(byte) for byte in b"%d|%5.2f|%*u|%%\n\0")
    declaration = f"""
.global .align 1 .b8 words[20] = {{{letters}}};
.extern .func (.param .b32 r) vprintf (.param .b64 a, .param .b64 b);"""
    values = """.local .align 8 .b8 values[24];
st.local.u32 [values], -7; mov.f64 %value, 0d4004000000000000; st.local.f64 [values+8], %value;
st.local.u32 [values+16], 4; st.local.u32 [values+20], 42;
mov.u64 %rd3, values; cvta.local.u64 %rd3, %rd3; st.param.b64 [second], %rd3;
call.uni (result), vprintf, (first, second);"""
    body = ".reg .f64 %value; " + CALL.replace("WORDS", "words").replace("FUNCTION", values)
    run(text(body, 0, declaration), block=1)
    assert capfd.readouterr().err == "-7| 2.50|  42|%\n"


def test_a_variable_of_a_function_has_the_name_that_its_author_gave_it():
    declaration = ".shared .align 4 .b8 _ZZ9transposePKfPfE4tile[64];"
    body = "mov.u32 %r1, _ZZ9transposePKfPfE4tile; ld.shared.u32 %r2, [%r1+4];"
    with pytest.raises(UninitialisedError, match=r"4 bytes .* of tile \(64 bytes\)"):
        run(text(body, 0, declaration))


def test_printf_prints_what_is_no_conversion(capfd):
    letters = ", ".join(str(byte) for byte in b"100%, %n %s\n\0")
    declaration = f"""
.global .align 1 .b8 words[13] = {{{letters}}};
.extern .func (.param .b32 r) vprintf (.param .b64 a, .param .b64 b);"""
    call = "st.param.b64 [second], 0; call.uni (result), vprintf, (first, second);"
    body = CALL.replace("WORDS", "words").replace("FUNCTION", call)
    run(text(body, 0, declaration), block=1)
    assert capfd.readouterr().err == "100%, %n %s\n"
