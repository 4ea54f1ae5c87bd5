"""What the emulator refuses: each mistake with kernel, block, thread and line, by the modes that
can see it."""

import re

import numpy as np
import pytest

from gpucnn.backends.devices.emulator.device import why_unavailable
from gpucnn.errors import BackendError

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())

# A kernel a mistake. The line that is to be reported has the kernel's name in a comment; x and y
# have 256 floats each.
MISTAKES = """
#include "ptx/async_copy.cuh"
#include "ptx/ldmatrix.cuh"

#include <cassert>
#include <cstring>

__device__ int counter;

__global__ void writes_out_of_bounds(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        y[256] = x[0];  // writes_out_of_bounds
    }
}

__global__ void reads_out_of_bounds(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        y[0] = x[-1];  // reads_out_of_bounds
    }
}

__global__ void leaves_shared_memory(const float* x, float* y) {
    __shared__ float tile[64];
    tile[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        tile[64 + blockDim.y] = x[0];  // leaves_shared_memory
    }
    y[blockIdx.x * blockDim.x + threadIdx.x] = tile[threadIdx.x];
}

__global__ void follows_a_null_pointer(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        const float* missing = x == y ? x : nullptr;
        y[0] = missing[1000];  // follows_a_null_pointer
    }
}

__global__ void divides_by_zero(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        y[0] = 7 / static_cast<int>(x[0] - x[0]);  // divides_by_zero
    }
}

__global__ void misaligned_vector(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        const float4 v = *reinterpret_cast<const float4*>(x + 2);  // misaligned_vector
        y[0] = v.x + v.y + v.z + v.w;
    }
}

__global__ void reads_what_is_unwritten(const float* x, float* y) {
    __shared__ float tile[64];
    if (threadIdx.x != 3) {
        tile[threadIdx.x] = x[0];
    }
    __syncthreads();
    if (blockIdx.x == 1 && threadIdx.x == 5) {
        y[0] = tile[3];  // reads_what_is_unwritten
    }
}

__global__ void adds_to_what_is_unwritten(const float* x, float* y) {
    __shared__ int sum;
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        atomicAdd(&sum, 1);  // adds_to_what_is_unwritten
    }
}

__global__ void lacks_a_barrier(const float* x, float* y) {
    __shared__ float tile[64];
    tile[threadIdx.x] = 0.0f;
    __syncthreads();
    tile[threadIdx.x] = x[threadIdx.x];  // lacks_a_barrier
    y[blockIdx.x * 64 + threadIdx.x] = tile[63 - threadIdx.x];  // lacks_a_barrier
}

__global__ void lacks_a_warp_barrier(const float* x, float* y) {
    __shared__ float tile[64];
    tile[threadIdx.x] = x[threadIdx.x];
    __syncwarp();
    tile[threadIdx.x] += 1.0f;  // lacks_a_warp_barrier
    __shfl_sync(~0u, 1.0f, 0);  // Orders nothing.
    y[blockIdx.x * 64 + threadIdx.x] = tile[threadIdx.x ^ 1];  // lacks_a_warp_barrier
}

__global__ void synchronises_the_wrong_lanes(const float* x, float* y) {
    __shared__ float tile[64];
    tile[threadIdx.x] = x[0];
    __syncthreads();
    tile[threadIdx.x] = x[0];  // synchronises_the_wrong_lanes
    const int lane = threadIdx.x % 32;
    __syncwarp(lane < 16 ? 0x0000ffffu : 0xffff0000u);
    y[threadIdx.x] = tile[threadIdx.x ^ 16];  // synchronises_the_wrong_lanes
}

__global__ void blocks_share_an_element(const float* x, float* y) {
    if (threadIdx.x == 3) {
        y[0] = x[0];  // blocks_share_an_element
    }
}

__global__ void reads_another_blocks_element(const float* x, float* y) {
    if (threadIdx.x == 3) {
        y[blockIdx.x] = x[0];  // reads_another_blocks_element
        y[blockIdx.x + 8] = y[1 - blockIdx.x];  // reads_another_blocks_element
    }
}

__global__ void counts_without_atomics(const float* x, float* y) {
    counter += 1;  // counts_without_atomics
}

__global__ void barrier_in_a_branch(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        return;
    }
    __syncthreads();  // barrier_in_a_branch
}

__global__ void two_barriers(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        __syncthreads();  // two_barriers
    } else {
        __syncthreads();  // two_barriers
    }
}

__global__ void mask_without_the_lane(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        y[0] = __shfl_sync(0x7u, x[0], 0);  // mask_without_the_lane
    }
}

__global__ void masks_that_differ(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x < 2) {
        __syncwarp(threadIdx.x == 0 ? 0x3u : 0x7u);  // masks_that_differ
    }
}

__global__ void lane_that_has_left(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        return;
    }
    y[threadIdx.x] = __shfl_down_sync(0xffffffffu, x[threadIdx.x], 1);  // lane_that_has_left
}

__global__ void votes_and_shuffles(const float* x, float* y) {
    if (threadIdx.x == 3) {
        y[0] = __shfl_sync(0xffffffffu, x[0], 0);  // votes_and_shuffles
    } else {
        y[1] = __ballot_sync(0xffffffffu, true);  // votes_and_shuffles
    }
}

__global__ void copy_that_is_not_waited_for(const float* x, float* y) {
    __shared__ __align__(16) float tile[64];
    copy_async<4>(&tile[threadIdx.x], x + threadIdx.x);  // copy_that_is_not_waited_for
    commit_copies();
    y[blockIdx.x * 64 + threadIdx.x] = tile[threadIdx.x];  // copy_that_is_not_waited_for
}

__global__ void copy_that_is_waited_for_by_half(const float* x, float* y) {
    __shared__ __align__(16) float tile[2][64];
    for (int i = 0; i < 2; ++i) {
        copy_async<4>(&tile[i][threadIdx.x], x + threadIdx.x);  // copy_that_is_waited_for_by_half
        commit_copies();
    }
    wait_for_copies<1>();
    y[blockIdx.x * 64 + threadIdx.x] = tile[0][threadIdx.x];
    y[blockIdx.x * 64 + threadIdx.x] = tile[1][threadIdx.x];  // copy_that_is_waited_for_by_half
}

__global__ void copy_without_a_barrier(const float* x, float* y) {
    __shared__ __align__(16) float tile[64];
    copy_async<4>(&tile[threadIdx.x], x + threadIdx.x);
    wait_for_all_copies();
    y[blockIdx.x * 64 + threadIdx.x] = tile[63 - threadIdx.x];  // copy_without_a_barrier
}

__global__ void copies_of_others_after_a_shuffle(const float* x, float* y) {
    __shared__ __align__(16) float tile[64];
    copy_async<4>(&tile[threadIdx.x], x + threadIdx.x);
    __syncthreads();  // Too early.
    wait_for_all_copies();  // copies_of_others_after_a_shuffle
    __shfl_sync(~0u, 1.0f, 0);  // All have waited, but nothing orders what they see.
    y[blockIdx.x * 64 + threadIdx.x] = tile[threadIdx.x ^ 1];  // copies_of_others_after_a_shuffle
}

__global__ void reads_what_another_block_updates(const float* x, float* y) {
    if (threadIdx.x == 3) {
        const float old = y[7];  // reads_what_another_block_updates
        y[8 + blockIdx.x] = old;
        if (blockIdx.x == 1) {
            y[7] = old + x[0];  // reads_what_another_block_updates
        }
    }
}

__global__ void copy_to_global_memory(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        copy_async<4>(y, x);  // copy_to_global_memory
    }
}

__global__ void misaligned_copy(const float* x, float* y) {
    __shared__ __align__(16) float tile[64];
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        copy_async<16>(&tile[4], x + 1);  // misaligned_copy
    }
}

__global__ void misaligned_row(const float* x, float* y) {
    __shared__ __align__(16) unsigned short tile[8 * 8 + 1];
    for (int i = threadIdx.x; i < 65; i += blockDim.x) {
        tile[i] = 0;
    }
    __syncthreads();
    unsigned d[1];
    load_matrix(d, &tile[threadIdx.x % 8 * 8 + (threadIdx.x == 3)]);  // misaligned_row
    y[threadIdx.x] = d[0];
}

__global__ void copies_what_is_out_of_bounds(const float* x, float* y) {
    __shared__ __align__(16) float tile[64];
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        copy_async<16>(tile, x + 256);  // copies_what_is_out_of_bounds
    }
}

__global__ void copies_to_out_of_bounds(const float* x, float* y) {
    __shared__ __align__(16) float tile[64];
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        copy_async<16>(&tile[64 * blockDim.y], x);  // copies_to_out_of_bounds
    }
}

__global__ void row_out_of_bounds(const float* x, float* y) {
    __shared__ __align__(16) unsigned short tile[7 * 8];
    for (int i = threadIdx.x; i < 56; i += blockDim.x) {
        tile[i] = 0;
    }
    __syncthreads();
    unsigned d[1];
    const int row = blockIdx.x == 1 && threadIdx.x == 3 ? 7 : 0;
    load_matrix(d, &tile[row * 8]);  // row_out_of_bounds
    y[blockIdx.x * 64 + threadIdx.x] = d[0];
}

__global__ void counts_out_of_bounds(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        atomicAdd(reinterpret_cast<unsigned*>(y) + 256, 1u);  // counts_out_of_bounds
    }
}

__global__ void copies_bytes_out_of_bounds(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        memcpy(y + 250, x, 28);  // copies_bytes_out_of_bounds
    }
}

__global__ void bytes_without_a_barrier(const float* x, float* y) {
    __shared__ float rows[64][16];
    memset(rows[threadIdx.x], 0, 64);  // bytes_without_a_barrier
    float row[16];
    memcpy(row, rows[63 - threadIdx.x], 64);  // bytes_without_a_barrier
    y[blockIdx.x * 64 + threadIdx.x] = row[0] + row[15];
}

__global__ void counts_and_reads(const float* x, float* y) {
    if (threadIdx.x == 0) {
        unsigned* count = reinterpret_cast<unsigned*>(y);
        atomicAdd(count, 1u);  // counts_and_reads
        if (blockIdx.x == 0) {
            y[1] = *count;  // counts_and_reads
        }
    }
}

__global__ void overwrites_what_is_copied(const float* x, float* y) {
    __shared__ float tile[64];
    float* own = y + blockIdx.x * 64 + threadIdx.x;
    copy_async<4>(&tile[threadIdx.x], own);  // overwrites_what_is_copied
    *own = 1.0f;  // overwrites_what_is_copied
    wait_for_all_copies();
    *own = tile[threadIdx.x];
}

__global__ void overwrites_what_others_copy(const float* x, float* y) {
    __shared__ float tile[64];
    float* own = y + blockIdx.x * 64;
    copy_async<4>(&tile[threadIdx.x], own + threadIdx.x);  // overwrites_what_others_copy
    __syncthreads();
    own[63 - threadIdx.x] = 1.0f;  // overwrites_what_others_copy
    wait_for_all_copies();
}

__global__ void on_one_line(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) __syncthreads(); else __syncthreads();  // on_one_line
}

__global__ void asserts(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        assert(x[0] > 1.0f && "of x");  // asserts
    }
}

__device__ float deep(const float* x, int n) {  // recurses
    volatile float own[16] = {x[n % 256]};  // recurses
    const float below = n == 0 ? 0.0f : deep(x, n - 1);  // recurses
    return below + own[n % 16];
}

__global__ void recurses(const float* x, float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        y[0] = deep(x, 1 << 24);  // recurses
    }
}

__device__ __attribute__((noinline)) void fill(float* values, int count) {
    for (int i = 0; i < count; ++i) {
        values[i] = i;
    }
}

__global__ void large_array(const float* x, float* y) {  // large_array
    float values[2 << 20];
    fill(values, 8);
    y[0] = values[7];
}

__global__ void wrong_width(const float* x, float* y) {
    y[threadIdx.x] = __shfl_xor_sync(~0u, x[threadIdx.x], 1, 12);  // wrong_width
}
"""
LINES = MISTAKES.split("\n")
EVERY, RACE, SANITIZE = ("fast", "race", "sanitize"), ("race",), ("sanitize",)
CHECKED = ("race", "sanitize")
PLACE = r"block \(1, 0, 0\), thread \(3, 0, 0\)"
ANYWHERE = r"block \(\d+, 0, 0\), thread \(\d+, 0, 0\)"
WRAPPERS = ("async_copy.cuh", "ldmatrix.cuh", "mma.cuh")
UNWRITTEN = "read of shared memory that this block has not written"
UNWAITED = "read of shared memory whose asynchronous copy has not been waited for"
# Kernel, modes, place, what the message says. A sanitizer has words of its own.
CASES = [
    ("writes_out_of_bounds", CHECKED, PLACE, "out-of-bounds write of 4 bytes|heap-buffer-overflow"),
    ("reads_out_of_bounds", CHECKED, PLACE, "out-of-bounds read of 4 bytes|heap-buffer-overflow"),
    ("leaves_shared_memory", SANITIZE, PLACE, "global-buffer-overflow|out of bounds"),
    ("follows_a_null_pointer", EVERY, PLACE, "out of bounds|out-of-bounds|null pointer|SEGV"),
    ("divides_by_zero", EVERY, PLACE, "division by zero"),
    ("misaligned_vector", CHECKED, PLACE, "misaligned"),
    ("reads_what_is_unwritten", RACE, PLACE.replace("3", "5", 1), UNWRITTEN),
    ("adds_to_what_is_unwritten", RACE, PLACE, UNWRITTEN),
    ("lacks_a_barrier", RACE, ANYWHERE, "data race in shared memory"),
    ("lacks_a_warp_barrier", RACE, ANYWHERE, "data race in shared memory"),
    ("synchronises_the_wrong_lanes", RACE, ANYWHERE, "data race in shared memory"),
    ("blocks_share_an_element", RACE, ANYWHERE, "data race in global memory.*by another block"),
    ("reads_another_blocks_element", RACE, ANYWHERE, "data race in global memory.*another block"),
    ("counts_without_atomics", RACE, ANYWHERE, "data race in global memory"),
    ("barrier_in_a_branch", EVERY, ANYWHERE, r"63 of 64 .*thread \(3, 0, 0\) has left the kernel"),
    ("two_barriers", EVERY, ANYWHERE, "divergent barrier"),
    ("mask_without_the_lane", EVERY, PLACE, "0x00000007, which does not name the calling lane 3"),
    ("masks_that_differ", EVERY, ANYWHERE, "0x0000000[37], but lane [01] waits|2, which has left"),
    ("lane_that_has_left", EVERY, ANYWHERE, "lane 3, which has left|thread .3, 0, 0. has left"),
    ("votes_and_shuffles", EVERY, ANYWHERE, "__shfl_sync|__ballot_sync"),
    ("copy_that_is_not_waited_for", RACE, ANYWHERE, UNWAITED),
    ("copy_that_is_waited_for_by_half", RACE, ANYWHERE, UNWAITED),
    (
        "copy_without_a_barrier",
        RACE,
        ANYWHERE,
        f"data race in shared memory|{UNWAITED}|{UNWRITTEN}",
    ),
    ("copies_of_others_after_a_shuffle", RACE, ANYWHERE, "data race in shared memory"),
    ("reads_what_another_block_updates", RACE, ANYWHERE, "data race in global memory.*other block"),
    ("copy_to_global_memory", ("fast", "race"), PLACE, "where the block has no shared memory"),
    ("misaligned_copy", EVERY, PLACE, "misaligned read of 16 bytes"),
    ("misaligned_row", EVERY, ANYWHERE, "misaligned access of 16 bytes"),
    ("copies_what_is_out_of_bounds", CHECKED, PLACE, "out-of-bounds read of 16 bytes"),
    ("copies_to_out_of_bounds", EVERY, PLACE, "no shared memory|out-of-bounds write of 16 bytes"),
    ("row_out_of_bounds", EVERY, PLACE, "no shared memory|out-of-bounds read of 16 bytes"),
    ("counts_out_of_bounds", CHECKED, PLACE, "out-of-bounds write of 4 bytes"),
    ("copies_bytes_out_of_bounds", CHECKED, PLACE, "out-of-bounds write|heap-buffer-overflow"),
    ("bytes_without_a_barrier", RACE, ANYWHERE, f"data race in shared memory|{UNWRITTEN}"),
    ("counts_and_reads", RACE, ANYWHERE, "data race in global memory.*another block"),
    ("overwrites_what_is_copied", RACE, ANYWHERE, "that an asynchronous copy under way reads"),
    ("overwrites_what_others_copy", RACE, ANYWHERE, "that an asynchronous copy under way reads"),
    ("on_one_line", EVERY, ANYWHERE, "divergent barrier"),
    ("asserts", EVERY, PLACE, 'assertion failed: x.0. > 1.0f && "of x"'),
    ("recurses", ("fast", "race"), PLACE, "the thread's stack of 1024 KiB is full"),
    ("recurses", SANITIZE, PLACE, "stack-overflow"),
    ("large_array", ("fast", "race"), ANYWHERE, "the thread's stack of 1024 KiB is full"),
    ("large_array", SANITIZE, ANYWHERE, "stack-overflow"),
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
    assert re.search(f"kernel {kernel}, {place}", message), message
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
        (0, y.astype(np.float64), "argument 1 is a pointer to 8 bytes, its parameter a pointer to"),
        (1, np.int64(1), "argument 2 is a signed integer of 8 bytes, its parameter a signed"),
        (1, 1, "argument 2 is int, its parameter a signed integer of 4 bytes"),
        (2, np.float32(1), "argument 3 is a float of 4 bytes, its parameter a float of 8 bytes"),
        (2, None, "argument 3 is NoneType"),
    ):
        arguments = (*good[:place], wrong, *good[place + 1 :])
        with pytest.raises(BackendError, match=words):
            device.launch(module["k"], (1, 1, 1), (1, 1, 1), 0, arguments)
    with pytest.raises(BackendError, match="2 arguments for 3 parameters"):
        device.launch(module["k"], (1, 1, 1), (1, 1, 1), 0, good[:2])
