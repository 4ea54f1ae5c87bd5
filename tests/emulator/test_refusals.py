"""What the emulator refuses: each mistake with kernel, block, thread and line, by the modes that
can see it."""

import re
from pathlib import Path

import numpy as np
import pytest

from gpucnn.backends.devices.emulator_device import why_unavailable
from gpucnn.errors import BackendError

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())

MISTAKES = Path(__file__).with_name("mistakes.cu").read_text(encoding="utf-8")
LINES = MISTAKES.split("\n")
EVERY, RACE, SANITIZE = ("fast", "race", "sanitize"), ("race",), ("sanitize",)
CHECKED = ("race", "sanitize")
PLACE = r", block \(1, 0, 0\), thread \(3, 0, 0\): "
ANYWHERE = r", block \(\d+, 0, 0\), thread \(\d+, 0, 0\): "
IN_BLOCK = r", block \(\d+, 0, 0\): "
BETWEEN_BLOCKS = ": "
WRAPPERS = ("async_copy.cuh", "ldmatrix.cuh", "mma.cuh", "store.cuh")
UNWRITTEN = (
    r"read at test.cu:\d+ of byte \d+ of (tile|sum) \(shared memory, \d+ bytes\), "
    "which this block has not written$"
)
UNWAITED = (
    r"read at test.cu:\d+ of byte \d+ of tile \(shared memory, \d+ bytes\), whose asynchronous "
    r"copy, begun by {} at test.cu:\d+( \(in .*\))?, has not been waited for$"
)
OWN_UNWAITED = UNWAITED.format("this thread")
THREAD = r"thread \(\d+, 0, 0\)"


def nearest(argument, element):
    """What is said of an access that lies closest to an argument."""
    name = "xy"[argument - 1]
    array = rf"argument {argument} \({name}, float32, 256 elements\)"
    return rf": element {element} of {array}(, by .*)?$"


def race(memory, block=""):
    """What is said of a race, of threads of one block or of two."""
    access = "(read|write|atomic operation)"
    place = rf"at test.cu:\d+( \(in .*\))? by {THREAD}{block}"
    return f"{access} {place} races with {access} {place}, both of {memory}"


SHARED_RACE = race(r"byte \d+ of (tile|rows) \(shared memory, \d+ bytes\)$")
BLOCK = r" of block \(\d, 0, 0\)"
GLOBAL_RACE = race(r"element \d+ of argument 2 \(y, float32, 256 elements\)$", BLOCK)
UNFINISHED = (
    r"write at test.cu:\d+ of element \d+ of argument 2 .*, which an asynchronous copy that was "
    r"begun at test.cu:\d+( \(in .*\))? may still read$"
)


# Kernel, modes, place, what the message says. A sanitizer has words of its own.
CASES = [
    ("writes_out_of_bounds", CHECKED, PLACE, f"write of 4 bytes .*{nearest(2, 256)}"),
    ("reads_out_of_bounds", CHECKED, PLACE, f"out-of-bounds read of 4 bytes .*{nearest(1, -1)}"),
    ("reads_a_row_out_of_bounds", CHECKED, PLACE, f"read of 4 bytes .*{nearest(1, 306)}"),
    ("reads_where_another_array_might_be", CHECKED, PLACE, f"of 4 bytes at .*{nearest(1, 406)}"),
    ("reads_far_out_of_bounds", CHECKED, PLACE, f"access|of 4 bytes at .*{nearest(1, 2000000)}"),
    ("leaves_shared_memory", CHECKED, PLACE, "global-buffer-overflow|out of bounds"),
    (
        "overruns_shared_memory",
        SANITIZE,
        PLACE,
        "out-of-bounds write of 4 bytes at .*: 4 bytes beyond the end of tile, a variable of 256",
    ),
    (
        "underruns_a_local_array",
        SANITIZE,
        PLACE,
        "out-of-bounds read of 4 bytes at .*: 8 bytes before own, a variable of 16 bytes",
    ),
    ("follows_a_null_pointer", EVERY, PLACE, "out of bounds|out-of-bounds|null pointer"),
    ("follows_a_wild_pointer", EVERY, PLACE, "0x40 is in no (array of|memory of the process)"),
    ("divides_by_zero", EVERY, PLACE, "division by zero"),
    ("misaligned_vector", CHECKED, PLACE, "misaligned"),
    ("reads_what_is_unwritten", RACE, PLACE.replace("3", "5", 1), UNWRITTEN),
    ("adds_to_what_is_unwritten", RACE, PLACE, UNWRITTEN),
    ("lacks_a_barrier", RACE, IN_BLOCK, SHARED_RACE),
    ("lacks_a_warp_barrier", RACE, IN_BLOCK, SHARED_RACE),
    ("synchronises_the_wrong_lanes", RACE, IN_BLOCK, SHARED_RACE),
    ("blocks_share_an_element", RACE, BETWEEN_BLOCKS, "write the same value to element 0 of "),
    ("reads_another_blocks_element", RACE, BETWEEN_BLOCKS, GLOBAL_RACE),
    ("counts_without_atomics", RACE, "", "races with .* both of a __device__ variable$"),
    ("barrier_in_a_branch", EVERY, ANYWHERE, "__sync.* at __sync.*: neither can go on"),
    ("two_barriers", EVERY, ANYWHERE, "divergent barrier"),
    ("mask_without_the_lane", EVERY, PLACE, "0x00000007, which does not name the calling lane 3"),
    ("masks_that_differ", EVERY, ANYWHERE, "0x0000000[37], but lane [01] waits|2, which has left"),
    ("lane_that_has_left", EVERY, ANYWHERE, "lane 3, which has left|thread .3, 0, 0. has left"),
    ("votes_and_shuffles", EVERY, ANYWHERE, "__shfl_sync|__ballot_sync"),
    ("copy_that_is_not_waited_for", RACE, ANYWHERE, OWN_UNWAITED),
    ("copy_that_is_waited_for_by_half", RACE, ANYWHERE, OWN_UNWAITED),
    (
        "reads_what_another_copies",
        RACE,
        PLACE,
        UNWAITED.format(r"thread \(5, 0, 0\)"),
    ),
    (
        "copy_without_a_barrier",
        RACE,
        "",
        f"{SHARED_RACE}|{UNWAITED.format('thread .*')}",
    ),
    ("copies_of_others_after_a_shuffle", RACE, IN_BLOCK, SHARED_RACE),
    ("reads_what_another_block_updates", RACE, BETWEEN_BLOCKS, GLOBAL_RACE),
    ("copy_to_global_memory", ("fast", "race"), PLACE, "where the block has no shared memory"),
    ("misaligned_copy", EVERY, PLACE, "misaligned read of 16 bytes"),
    ("misaligned_row", EVERY, ANYWHERE, "misaligned read of 16 bytes"),
    ("copies_what_is_out_of_bounds", CHECKED, PLACE, f"out-of-bounds read .*{nearest(1, 256)}"),
    ("copies_to_out_of_bounds", EVERY, PLACE, "no shared memory|out-of-bounds write of 16 bytes"),
    ("row_out_of_bounds", EVERY, PLACE, "no shared memory|out-of-bounds read of 16 bytes"),
    ("counts_out_of_bounds", CHECKED, PLACE, f"out-of-bounds write .*{nearest(2, 256)}"),
    ("copies_bytes_out_of_bounds", CHECKED, PLACE, f"out-of-bounds write .*{nearest(2, 256)}"),
    ("bytes_without_a_barrier", RACE, IN_BLOCK, SHARED_RACE),
    ("counts_and_reads", RACE, BETWEEN_BLOCKS, GLOBAL_RACE),
    ("overwrites_what_is_copied", RACE, ANYWHERE, UNFINISHED),
    ("overwrites_what_others_copy", RACE, ANYWHERE, UNFINISHED),
    ("on_one_line", EVERY, ANYWHERE, "divergent barrier"),
    ("asserts", EVERY, PLACE, 'assertion failed: x.0. > 1.0f && "of x"'),
    ("allocates", RACE, PLACE, r"new\[\]: race mode cannot follow what a kernel allocates"),
    ("recurses", ("fast", "race"), PLACE, "the thread's stack of 1024 KiB is full"),
    ("recurses", SANITIZE, PLACE, "stack-overflow"),
    ("large_array", ("fast", "race"), ANYWHERE, "the thread's stack of 1024 KiB is full"),
    ("large_array", SANITIZE, ANYWHERE, "stack-overflow"),
    ("stores_out_of_bounds", CHECKED, PLACE, "out-of-bounds write of .* bytes|buffer-overflow"),
    ("misaligned_store", CHECKED, PLACE, "misaligned"),
    ("stores_overlap", RACE, "", "write the same value to element .* of argument 2 "),
    (
        "writes_what_was_not_given",
        EVERY,
        PLACE,
        "byte 12 of dynamic shared memory, of which the launch gave 0 bytes( at|$)",
    ),
    (
        "copies_to_what_was_not_given",
        EVERY,
        PLACE,
        "byte 4 of dynamic shared memory, of which the launch gave 0 bytes",
    ),
    ("casts_what_does_not_fit", CHECKED, PLACE, "1e.10 is outside the range .* type 'int'"),
    ("casts_a_negative_number", CHECKED, PLACE, "-5 is outside the range .* type 'unsigned int'"),
    ("casts_no_number", CHECKED, PLACE, "nan is outside the range .* type 'int'"),
    ("shifts_too_far", CHECKED, PLACE, "shift exponent 4[0-9] is too large for .*type 'int'"),
    ("adds_too_much", CHECKED, PLACE, r"signed integer overflow: .* \+ .* in type 'int'"),
    ("subtracts_too_much", CHECKED, PLACE, "signed integer overflow: .* - .* in type 'int'"),
    ("multiplies_too_much", CHECKED, PLACE, r"overflow: .* \* .* in type 'long long int'"),
    ("divides_too_much", CHECKED, PLACE, "division of -2147483648 by -1 cannot .* type 'int'"),
    ("negates_too_much", CHECKED, PLACE, "negation of -2147483648 cannot .* type 'int'"),
    ("wrong_width", EVERY, ANYWHERE, "width of 12; it must be a power of two up to 32"),
]


def check_lines(message, kernel):
    """Whatever lines of the kernel the message tells are the marked ones, and it tells one."""
    marked = {i for i, line in enumerate(LINES, 1) if line.endswith(f"// {kernel}")}
    told = {int(line) for line in re.findall(r"test\.cu:(\d+)", message)}
    assert told and told <= marked, message
    # Where a wrapper of ours was called, that is told too; of the emulator nothing is.
    assert set(re.findall(r"(\w+\.\w+):\d", message)) <= {"test.cu", *WRAPPERS}, message


@pytest.mark.parametrize(
    ("kernel", "mode", "place", "words"),
    [(name, mode, *rest) for name, modes, *rest in CASES for mode in modes],
    ids=[f"{name}-{mode}" for name, modes, *_ in CASES for mode in modes],
)
def test_a_mistake_is_reported(kernels, kernel, mode, place, words):
    device, module = kernels(MISTAKES, mode)
    arguments = tuple(device.asarray(np.zeros(256, np.float32)) for _ in range(2))
    for _ in range(1 if mode == "sanitize" else 6):  # In another order each time.
        with pytest.raises(BackendError) as caught:
            device.launch(module[kernel], (2, 1, 1), (64, 1, 1), 0, arguments)
    message = str(caught.value)
    assert re.search(f"kernel {kernel}{place}", message), message
    assert re.search(words, message), message
    check_lines(message, kernel)
    # The device can be used afterwards.
    y = arguments[1]
    with pytest.raises(BackendError, match="mask_without_the_lane"):
        device.launch(module["mask_without_the_lane"], (2, 1, 1), (64, 1, 1), 0, (y, y))


def test_a_line_is_found_though_the_library_has_been_replaced(kernels, tmp_path):
    """By another process, which has compiled the same into the same cache."""
    device, module = kernels(MISTAKES.replace("divides_by_zero", "divides"))
    library, copy = module["divides"].library, tmp_path / "copy"
    copy.write_bytes(library.read_bytes())
    copy.replace(library)
    x, y = (device.asarray(np.zeros(256, np.float32)) for _ in range(2))
    with pytest.raises(BackendError, match=r"division by zero at test\.cu:\d+$"):
        device.launch(module["divides"], (2, 1, 1), (64, 1, 1), 0, (x, y))


LIMITS = """
__global__ void __launch_bounds__(32 * (1 + 1), 2) bounded(float* y) { y[threadIdx.x] = 1.0f; }
__global__ void unbounded(float* y) { y[0] = 1.0f; }
__global__ void large(float* y) {
    extern __shared__ float dynamic[];
    __shared__ float tile[8 * 1024];
    tile[threadIdx.x] = dynamic[threadIdx.x] = y[0];
    __syncthreads();
    y[0] = tile[blockDim.x - 1 - threadIdx.x] + dynamic[blockDim.x - 1 - threadIdx.x];
}
"""


@pytest.mark.parametrize("mode", EVERY)
@pytest.mark.parametrize(
    ("kernel", "grid", "block", "shared_bytes", "words"),
    [
        ("bounded", (1, 1, 1), (65, 1, 1), 0, "65 threads, its __launch_bounds__ allow 64"),
        ("unbounded", (1, 1, 1), (1025, 1, 1), 0, r"a block of \(1025, 1, 1\); a GPU allows 1 to"),
        ("unbounded", (1, 1, 1), (32, 33, 1), 0, "has 1056 threads, a GPU allows 1024"),
        ("unbounded", (1, 1, 1), (1, 1, 65), 0, r"1 to \(1024, 1024, 64\)"),
        ("unbounded", (1, 1, 1), (0, 1, 1), 0, r"a block of \(0, 1, 1\)"),
        ("unbounded", (1, 65536, 1), (1, 1, 1), 0, r"a grid of \(1, 65536, 1\); a GPU allows"),
        ("unbounded", (1, 1), (1, 1, 1), 0, r"a grid of \(1, 1\); it takes three numbers"),
        ("unbounded", (1, 1, 1), (32,), 0, r"a block of \(32,\); it takes three numbers"),
        ("unbounded", (2**31, 1, 1), (1, 1, 1), 0, "a grid of"),
        ("unbounded", (1, 1, 1), (1, 1, 1), 232449, "0 bytes of static and 232449 of dynamic"),
        ("large", (1, 1, 1), (1, 1, 1), 199681, "32768 bytes of static and 199681 of dynamic"),
    ],
)
def test_launches_that_no_gpu_carries_out(kernels, kernel, grid, block, shared_bytes, words, mode):
    device, module = kernels(LIMITS, mode)
    y = device.asarray(np.zeros(64, np.float32))
    with pytest.raises(BackendError, match=words) as caught:
        device.launch(module[kernel], grid, block, shared_bytes, (y,))
    assert kernel in str(caught.value)


def test_launches_at_the_limits(kernels):
    device, module = kernels(LIMITS)
    y = device.asarray(np.zeros(64, np.float32))
    device.launch(module["bounded"], (1, 1, 1), (64, 1, 1), 0, (y,))
    device.launch(module["unbounded"], (1, 1, 1), (32, 32, 1), 0, (y,))
    device.launch(module["large"], (1, 1, 1), (1, 1, 1), 199680, (y,))


DYNAMIC = """
__global__ void fills(float* y, int count) {
    extern __shared__ float given[];
    for (int i = 0; i < count; ++i) {
        given[i] = y[0];
    }
}
__global__ void reads(float* y, int place) {
    extern __shared__ float given[];
    y[0] = given[place];
}
"""


@pytest.mark.parametrize("mode", EVERY)
def test_dynamic_shared_memory_ends_where_the_launch_says(kernels, mode):
    device, module = kernels(DYNAMIC, mode)
    y = device.asarray(np.zeros(1, np.float32))

    def fill(given, count):
        device.launch(module["fills"], (1, 1, 1), (1, 1, 1), given, (y, np.int32(count)))

    for given, count in ((0, 0), (128, 32), (4096, 1024), (232448, 58112)):
        fill(given, count)
        wrong = f"byte {given} of dynamic shared memory, of which the launch gave {given} bytes"
        if given < 232448 and (mode != "fast" or given == 0):
            line = r"at test\.cu:5"
            with pytest.raises(BackendError, match=f"{line}: {wrong}|: {wrong} {line}$"):
                fill(given, count + 1)
    # What another launch has written there is not to be read.
    if mode == "fast":
        device.launch(module["reads"], (1, 1, 1), (1, 1, 1), 128, (y, np.int32(32)))
        assert np.isnan(y[0])


@pytest.mark.parametrize("mode", EVERY)
def test_more_static_shared_memory_than_a_kernel_may_have(kernels, mode):
    text = """__global__ void hungry(float* y) {
        __shared__ float tile[12289];
        tile[threadIdx.x] = y[0];
        __syncthreads();
        y[0] = tile[blockDim.x - 1 - threadIdx.x];
    }"""
    with pytest.raises(BackendError, match=r"hungry of test\.cu has 49156 bytes .* allows 49152"):
        kernels(text, mode)
    kernels(text.replace("12289", "12288"), mode)


@pytest.mark.parametrize("mode", EVERY)
def test_arguments_are_held_against_parameters(kernels, mode):
    device, module = kernels("__global__ void k(float* y, int n, double d) {}", mode)
    y = device.asarray(np.zeros(4, np.float32))
    good = (y, np.int32(1), np.float64(1))
    device.launch(module["k"], (1, 1, 1), (1, 1, 1), 0, good)
    for place, wrong, words in (
        (
            0,
            y.astype(np.float64),
            "1 .y. is an array of float64, its parameter a pointer to",
        ),
        (1, np.int64(1), "2 .n. is a NumPy int64 of 8 bytes, its parameter a signed integer of 4"),
        (1, np.float32(1), "2 .n. is a NumPy float32 of 4 bytes, its parameter a signed integer"),
        (2, np.float32(1), "3 .d. is a NumPy float32 of 4 bytes, its parameter a float of 8"),
        (2, None, "3 .d. is None, its parameter a float of 8 bytes"),
    ):
        arguments = (*good[:place], wrong, *good[place + 1 :])
        with pytest.raises(BackendError, match=words):
            device.launch(module["k"], (1, 1, 1), (1, 1, 1), 0, arguments)
    with pytest.raises(BackendError, match="2 arguments for 3 parameters"):
        device.launch(module["k"], (1, 1, 1), (1, 1, 1), 0, good[:2])
