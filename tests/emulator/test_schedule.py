"""Kernels that are right: the same bits in every mode, in whatever order threads and blocks run;
and a missing barrier, which the order shows."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest

from gpucnn.backends.devices.emulator_device import EmulatorDevice, why_unavailable
from gpucnn.backends.devices.source import KernelSource
from gpucnn.emulator import builder
from gpucnn.emulator.cache import Cache
from gpucnn.emulator.compiler import Compiler
from gpucnn.emulator.modes import MODES as BUILDS
from gpucnn.emulator.source import Source
from gpucnn.errors import BackendError

needs_compiler = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())
MODES = ("fast", "race", "sanitize")

# Each kernel uses what races are judged by: barriers of the block and of warps, votes, shuffles,
# atomics, static and dynamic shared memory, asynchronous copies, constants, several dimensions.
RIGHT = """
#include "ptx/async_copy.cuh"

__constant__ float weights[4] = {1.0f, 2.0f, 3.0f, 4.0f};

__global__ void block_sum(const float* x, float* y) {
    extern __shared__ float sums[];
    const int t = threadIdx.x + blockDim.x * threadIdx.y;
    sums[t] = x[blockIdx.x * 96 + t] * weights[t % 4];
    __syncthreads();
    for (int distance = 1; distance < 96; distance *= 2) {
        const float other = t + distance < 96 ? sums[t + distance] : 0.0f;
        __syncthreads();
        sums[t] += other;
        __syncthreads();
    }
    if (t == 0) {
        y[blockIdx.x] = sums[0];
    }
}

__global__ void warp_sum(const float* x, float* y) {
    __shared__ float sums[3][32];
    const int t = threadIdx.x + blockDim.x * threadIdx.y, warp = t / 32, lane = t % 32;
    sums[warp][lane] = x[blockIdx.x * 96 + t];
    __syncwarp();
    for (int distance = 16; distance > 0; distance /= 2) {
        // Two lanes read what one of them writes next.
        const float sum = sums[warp][lane] + sums[warp][(lane + distance) % 32];
        __syncwarp();
        sums[warp][lane] = sum;
        __syncwarp();
    }
    float sum = sums[warp][lane];
    sum += __shfl_xor_sync(~0u, sum, 1);
    const unsigned votes = __ballot_sync(~0u, sum > 0.0f);
    if (__syncthreads_count(votes != 0) == 96 && lane == 0 && warp == 0) {
        y[blockIdx.x] = sum + sums[1][0] + sums[2][5];
    }
}

__global__ void histogram(const float* x, float* y) {
    __shared__ unsigned counts[8];
    const int t = threadIdx.x + blockDim.x * threadIdx.y;
    if (t < 8) {
        counts[t] = 0;
    }
    __syncthreads();
    atomicAdd(&counts[static_cast<int>(x[blockIdx.x * 96 + t] + 8.0f) % 8], 1u);
    __syncthreads();
    if (t == 0) {
        y[blockIdx.x] = counts[0] + 100.0f * counts[3];
    }
}

__global__ void early_exits(const float* x, float* y) {
    __shared__ float sums[96];
    const int t = threadIdx.x + blockDim.x * threadIdx.y, n = 40 + blockIdx.x;
    if (t >= n) {
        return;
    }
    sums[t] = x[blockIdx.x * 96 + t];
    const int present = __syncthreads_count(true);
    if (t >= 10) {
        return;
    }
    float sum = 0.0f;
    for (int i = t; i < n; i += 10) {
        sum += sums[i];
    }
    __syncthreads();
    sums[t] = sum;
    __syncthreads();
    if (t == 0) {
        y[blockIdx.x] = present;
        for (int i = 0; i < 10; ++i) {
            y[blockIdx.x] += sums[i];
        }
    }
}

__global__ void pipeline(const float* x, float* y) {
    __shared__ __align__(16) float stages[2][96];
    const int t = threadIdx.x + blockDim.x * threadIdx.y;
    const auto begin = [&](int stage) {
        // The last of a row is filled up with zeros.
        copy_async<4>(&stages[stage % 2][t], x + (blockIdx.x + stage) * 96 + t, t == 95 ? 0 : 4);
        commit_copies();
    };
    float sum = 0.0f;
    begin(0);
    for (int stage = 0; stage < 4; ++stage) {
        begin(stage + 1);
        wait_for_copies<1>();
        __syncthreads();
        sum += stages[stage % 2][95 - t];
        __syncthreads();
    }
    wait_for_all_copies();
    sum += stages[0][t];
    stages[1][t] = sum;
    __syncthreads();
    if (t == 0) {
        y[blockIdx.x] = stages[1][0] + 2.0f * stages[1][95] + stages[1][50];
    }
}
"""
BLOCKS = 40


def expected_of(name, x):
    rows = x[: BLOCKS * 96].reshape(BLOCKS, 96)
    if name == "block_sum":
        return (rows * np.tile([1, 2, 3, 4], 24)).sum(axis=1)
    if name == "warp_sum":
        warps = rows.reshape(BLOCKS, 3, 32).sum(axis=2)
        return warps.sum(axis=1) + warps[:, 0]
    if name == "early_exits":
        return np.array([n + row[:n].sum() for n, row in enumerate(rows, 40)])
    if name == "histogram":
        digits = (rows + 8).astype(int) % 8
        return (digits == 0).sum(axis=1) + 100 * (digits == 3).sum(axis=1)
    rows = np.stack([x[i * 96 :][:480].reshape(5, 96) for i in range(BLOCKS)]).copy()
    rows[:, :, 95] = 0
    sums = rows[:, :4, ::-1].sum(axis=1) + rows[:, 4]
    return sums[:, 0] + 2 * sums[:, 95] + sums[:, 50]


@pytest.mark.parametrize("mode", [*MODES, pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("name", ["block_sum", "warp_sum", "histogram", "early_exits", "pipeline"])
def test_right_kernels_pass_in_every_mode(kernels, rng, name, mode):
    """Small integers, so that sums are exact in any order."""
    device, module = kernels(RIGHT, mode)
    x = rng.integers(0, 8, (BLOCKS + 4) * 96).astype(np.float32)
    for _ in range(1 if mode == "sanitize" else 5):
        y = device.asarray(np.zeros(BLOCKS, np.float32))
        arguments = (device.asarray(x), y)
        device.launch(module[name], (BLOCKS, 1, 1), (32, 3, 1), 96 * 4, arguments)
        np.testing.assert_array_equal(device.to_numpy(y), expected_of(name, x))


# What is no race, nor anything else that is wrong, though it comes near.
HARMLESS = """
#include <cuda_fp16.h>
#include "ptx/async_copy.cuh"

__device__ unsigned count;
struct Nine { float values[9]; };

__global__ void bytes_of_a_word(const float* x, float* y) {
    reinterpret_cast<unsigned char*>(y)[blockIdx.x * blockDim.x + threadIdx.x] = 1;
}
__global__ void halves_of_a_word(const float* x, float* y) {
    reinterpret_cast<half*>(y)[blockIdx.x * blockDim.x + threadIdx.x] = half(1.0f);
}
__global__ void bytes_of_a_shared_word(const float* x, float* y) {
    __shared__ unsigned words[24];
    reinterpret_cast<unsigned char*>(words)[threadIdx.x] = 1;
    __syncthreads();
    if (threadIdx.x < 24) {
        y[blockIdx.x * 24 + threadIdx.x] = words[23 - threadIdx.x];
    }
}
__global__ void memory_functions(const float* x, float* y) {
    __shared__ float rows[96][4];
    memset(rows[threadIdx.x], 0, sizeof rows[0]);
    __syncthreads();
    float row[4];
    memcpy(row, rows[95 - threadIdx.x], sizeof row);
    memmove(y + blockIdx.x * 96 + threadIdx.x, row, sizeof row[0]);
}
__global__ void structures(const float* x, float* y) {
    __shared__ Nine nines[96];
    Nine nine;
    memcpy(&nine, x, sizeof nine);
    nines[threadIdx.x] = nine;
    __syncthreads();
    nine = nines[95 - threadIdx.x];
    y[blockIdx.x * 96 + threadIdx.x] = nine.values[8];
}
__global__ void counts_of_all_blocks(const float* x, float* y) {
    const unsigned ticket = atomicAdd(&count, 1u);
    y[blockIdx.x * 96 + threadIdx.x] = ticket;
}
__global__ void writes_after_the_wait(const float* x, float* y) {
    __shared__ float tile[96];
    float* own = y + blockIdx.x * 96 + threadIdx.x;
    copy_async<4>(&tile[threadIdx.x], own);
    wait_for_all_copies();
    *own = tile[threadIdx.x];
}
"""


@needs_compiler
@pytest.mark.parametrize("mode", ["race", "sanitize"])
@pytest.mark.parametrize("name", re.findall(r"__global__ void (\w+)", HARMLESS))
def test_what_is_no_race(kernels, name, mode):
    device, module = kernels(HARMLESS, mode)
    x, y = (device.asarray(np.zeros(3 * 96, np.float32)) for _ in range(2))
    for _ in range(1 if mode == "sanitize" else 5):
        device.launch(module[name], (3, 1, 1), (96, 1, 1), 0, (x, y))


@needs_compiler
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["int", "unsigned", "unsigned long long"])
def test_atomics_of_integers(kernels, mode, kind):
    """What each leaves behind and what it returns, of 5 and 3."""
    expected = {
        "Add": 8, "Sub": 2, "Max": 5, "Min": 3, "And": 1, "Or": 7, "Xor": 6, "Exch": 3,
        "Inc": 0, "Dec": 3,
    }  # fmt: skip
    if kind != "unsigned":
        expected = {name: value for name, value in expected.items() if name not in ("Inc", "Dec")}
    if kind == "unsigned long long":
        del expected["Sub"]
    body = "".join(
        f"{{ {kind} n = 5; y[{2 * i}] = atomic{name}(&n, ({kind})3); y[{2 * i + 1}] = n; }}"
        for i, name in enumerate(expected)
    )
    swaps = "".join(
        f"{{ {kind} n = 5; y[{20 + 2 * i}] = atomicCAS(&n, ({kind}){old}, ({kind})9);"
        f"y[{21 + 2 * i}] = n; }}"
        for i, old in enumerate((5, 4))
    )
    device, module = kernels(f"__global__ void k(float* y) {{ {body} {swaps} }}", mode)
    y = device.asarray(np.zeros(24, np.float32))
    device.launch(module["k"], (1, 1, 1), (1, 1, 1), 0, (y,))
    results = device.to_numpy(y).tolist()
    assert results[: 2 * len(expected) : 2] == [5] * len(expected)
    assert results[1 : 2 * len(expected) : 2] == list(expected.values())
    assert results[20:] == [5, 9, 5, 5]


@needs_compiler
@pytest.mark.parametrize("mode", MODES)
def test_counters_that_turn_around(kernels, mode):
    text = """__global__ void k(unsigned* y, int* z) {
        y[0] = 2; y[1] = 0; z[0] = 2147483647;
        for (int i = 0; i < 2; ++i) {
            atomicInc(y, 3u); atomicDec(y + 1, 3u); atomicAdd(z, 1);
        }
    }"""
    device, module = kernels(text, mode)
    y, z = device.asarray(np.zeros(2, np.uint32)), device.asarray(np.zeros(1, np.int32))
    device.launch(module["k"], (1, 1, 1), (1, 1, 1), 0, (y, z))
    assert (y.tolist(), z.tolist()) == ([0, 2], [-(2**31) + 1])


@needs_compiler
def test_bits_do_not_depend_on_seed_or_workers(tmp_path, rng):
    """Of sums that are not exact."""
    (tmp_path / "right.cu").write_text(RIGHT)
    x = rng.standard_normal((BLOCKS + 4) * 96).astype(np.float32)
    results = set()
    for seed, workers in ((0, 1), (1, 1), (2, 2), (3, 5)):
        device = EmulatorDevice(seed=seed, workers=workers)
        module = device.compile(KernelSource("right.cu", folder=tmp_path))
        y = device.asarray(np.zeros(BLOCKS, np.float32))
        arguments = (device.asarray(x), y)
        device.launch(module["block_sum"], (BLOCKS, 1, 1), (32, 3, 1), 96 * 4, arguments)
        results.add(device.to_numpy(y).tobytes())
    assert len(results) == 1


@needs_compiler
def test_a_missing_barrier_shows_in_the_result(kernels):
    """Each thread reads its neighbour's slot; in order, one of the two is right."""
    text = """__global__ void shift(const float* x, float* y) {
        __shared__ float slots[64];
        slots[threadIdx.x] = x[threadIdx.x];
        y[threadIdx.x] = slots[(threadIdx.x + STEP + 64) % 64];
    }"""
    x = np.arange(64, dtype=np.float32)
    for step in (-1, 1):
        device, module = kernels(text, constants=[("STEP", step)])
        y = device.asarray(np.zeros(64, np.float32))
        arguments = (device.asarray(x), y)
        for _ in range(10):
            device.launch(module["shift"], (1, 1, 1), (64, 1, 1), 0, arguments)
            result = device.to_numpy(y)
            assert (result != np.roll(x, -step)).any()
            # A slot that is not yet written is poison, not what another block left there.
            assert np.isnan(result).any()


@needs_compiler
@pytest.mark.parametrize("mode", ["fast", "sanitize"])
@pytest.mark.parametrize("kernel", ["never_written", "written_later", "of_a_function", "dynamic"])
def test_unwritten_shared_memory_is_poison(kernels, mode, kernel):
    """For each block anew, and though no kernel writes to it."""
    text = """
    template <int N> __device__ float last() {
        __shared__ float s[N];
        const float x = s[threadIdx.x];
        s[threadIdx.x] = 7.0f;
        return x;
    }
    __global__ void never_written(float* y) {
        __shared__ float s[64];
        y[blockIdx.x * 64 + threadIdx.x] = s[threadIdx.x];
    }
    __global__ void written_later(float* y) {
        __shared__ float s[64];
        y[blockIdx.x * 64 + threadIdx.x] = s[threadIdx.x];
        s[threadIdx.x] = 7.0f;
    }
    __global__ void of_a_function(float* y) {
        y[blockIdx.x * 64 + threadIdx.x] = last<64>();
    }
    __global__ void dynamic(float* y) {
        extern __shared__ float d[];
        y[blockIdx.x * 64 + threadIdx.x] = d[threadIdx.x];
        d[threadIdx.x] = 7.0f;
    }"""
    device, module = kernels(text, mode)
    y = device.asarray(np.zeros(3 * 64, np.float32))
    device.launch(module[kernel], (3, 1, 1), (64, 1, 1), 256, (y,))
    assert np.isnan(device.to_numpy(y)).all()


@needs_compiler
def test_a_copy_is_late_or_early_as_the_seed_decides(kernels):
    text = """#include "ptx/async_copy.cuh"
    __global__ void unwaited(const float* x, float* y) {
        __shared__ float slot[32];
        copy_async<4>(&slot[threadIdx.x], x + threadIdx.x);
        y[threadIdx.x] = slot[threadIdx.x];
    }"""
    device, module = kernels(text)
    y = device.asarray(np.zeros(32, np.float32))
    device.launch(
        module["unwaited"], (1, 1, 1), (32, 1, 1), 0, (device.asarray(np.ones(32, np.float32)), y)
    )
    late = np.isnan(device.to_numpy(y))
    assert 0 < np.count_nonzero(late) < 32
    assert (device.to_numpy(y)[~late] == 1).all()


@needs_compiler
@pytest.mark.parametrize("mode", MODES)
def test_bytes_beyond_the_source_become_zero(kernels, mode):
    """Row n is copied from n bytes; with none, the address does not count."""
    text = """#include "ptx/async_copy.cuh"
    __global__ void copies(const unsigned char* x, unsigned char* y) {
        __shared__ __align__(16) unsigned char rows[17][16];
        const int n = threadIdx.x;
        copy_async<16>(rows[n], n == 0 ? nullptr : x, n);
        wait_for_all_copies();
        for (int i = 0; i < 16; ++i) {
            y[n * 16 + i] = rows[n][i];
        }
    }"""
    device, module = kernels(text, mode)
    y = device.asarray(np.full((17, 16), 99, np.uint8))
    x = device.asarray(np.arange(1, 17, dtype=np.uint8))
    device.launch(module["copies"], (1, 1, 1), (17, 1, 1), 0, (x, y))
    expected = np.tril(np.tile(np.arange(1, 17), (17, 1)), -1)
    np.testing.assert_array_equal(device.to_numpy(y), expected)


@needs_compiler
def test_a_line_of_a_kernel_that_does_not_compile(kernels):
    with pytest.raises(BackendError, match=r"test\.cu \(N=3\) does not compile:(.|\n)*test\.cu:2:"):
        kernels("__global__ void k(float* y) {\n  y[0] = missing;\n}", constants=[("N", 3)])


@needs_compiler
def test_a_kernel_that_does_not_link_is_named(kernels):
    text = """
    extern __attribute__((visibility("hidden"))) float missing;
    __global__ void k(float* y) { y[0] = missing; }
    """
    with pytest.raises(BackendError, match=r"test\.cu \(N=4\) does not compile:(.|\n)*missing"):
        kernels(text, constants=[("N", 4)])


@needs_compiler
def test_processes_share_a_cache(tmp_path):
    """Both compile at once into one new folder, and both compute."""
    program = """
import numpy as np
from gpucnn.backends import get_backend
backend = get_backend("emulator")
print(backend.to_numpy(backend.relu_forward(backend.asarray(np.array([-1.0, 2.0])))))
"""
    environment = os.environ | {"GPUCNN_CACHE_DIR": str(tmp_path / "cache")}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    assert [process.communicate()[0] for process in running] == ["[0. 2.]\n"] * 2
    assert not list((tmp_path / "cache").glob("*.unfinished"))


@needs_compiler
def test_a_compiler_that_was_interrupted_is_not_started_again(tmp_path, monkeypatch):
    started = tmp_path / "started"
    script = tmp_path / "compiler"
    script.write_text(f'#!/bin/sh\necho >> "{started}"\nkill -INT $$\n')
    script.chmod(0o755)
    monkeypatch.setattr(builder, "compiler", lambda: Compiler((str(script),), "of no version"))
    monkeypatch.setattr(builder, "processor", lambda _: "any")
    monkeypatch.setattr(builder, "_cores", lambda: 1)
    sources = [Source("own.cu", f"// {number}") for number in range(8)]
    new = builder.Builder(BUILDS["fast"], Cache(tmp_path / "cache"))
    with pytest.raises(KeyboardInterrupt):
        new.libraries(sources)
    assert started.read_text().count("\n") == 1


def test_an_unknown_mode_names_those_there_are():
    with pytest.raises(BackendError, match='no mode "slow"; it has fast, race, sanitize'):
        EmulatorDevice("slow")
