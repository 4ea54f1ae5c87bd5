"""Launches that are ended: by a time limit, by the user, or for want of memory."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest

from gpucnn.backends.devices.emulator_device import EmulatorDevice, why_unavailable
from gpucnn.backends.devices.source import KernelSource
from gpucnn.emulator.compiler import compiler
from gpucnn.errors import BackendError

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())

ENDLESS = """
__device__ void wait_for(volatile float* y) {
    while (y[0] < 1.0f) {
    }
}
__global__ void spins(volatile float* y) {
    if (blockIdx.x == 1 && threadIdx.x == 3) {
        wait_for(y);  // spins
    }
}
__global__ void meets(volatile float* y) {
    while (y[0] < 1.0f) {
        __syncthreads();  // meets
    }
}
__global__ void meets_once(volatile float* y) {
    __syncthreads();
}
__global__ void returns(volatile float* y) {}
"""


def line(name):
    return next(i for i, row in enumerate(ENDLESS.split("\n"), 1) if row.endswith(f"// {name}"))


@pytest.mark.parametrize("mode", ["fast", "race", "sanitize"])
@pytest.mark.parametrize("name", ["spins", "meets"])
def test_a_time_limit_tells_where_the_kernel_is(tmp_path, mode, name):
    (tmp_path / "test.cu").write_text(ENDLESS)
    device = EmulatorDevice(mode, workers=2, time_limit=0.5)
    module = device.compile(KernelSource("test.cu", folder=tmp_path))
    y = device.asarray(np.zeros(64, np.float32))
    where = r"block \(1, 0, 0\), thread \(3, 0, 0\)" if name == "spins" else "block "
    with pytest.raises(
        BackendError, match=f"kernel {name}, {where}.*longer than its time limit"
    ) as e:
        device.launch(module[name], (20, 1, 1), (64, 1, 1), 0, (y,))
    # In the loop of the function, or where it is called.
    expected = {line("spins"), 3, 4} if name == "spins" else {line("meets"), line("meets") - 1}
    assert int(str(e.value).rpartition("test.cu:")[2].split()[0]) in expected
    device.launch(module["returns"], (20, 1, 1), (64, 1, 1), 0, (y,))


def test_a_time_limit_holds_for_all_blocks_together(tmp_path):
    (tmp_path / "test.cu").write_text(ENDLESS)
    device = EmulatorDevice(time_limit=0.3)
    module = device.compile(KernelSource("test.cu", folder=tmp_path))
    y = device.asarray(np.zeros(64, np.float32))
    begin = time.monotonic()
    with pytest.raises(BackendError, match=r"kernel returns.* longer than its time limit"):
        device.launch(module["returns"], (2**31 - 1, 1, 1), (1024, 1, 1), 0, (y,))
    assert time.monotonic() - begin < 10


PROGRAM = """
import os, signal, sys, threading
from pathlib import Path
import numpy as np
from gpucnn.backends.devices.emulator_device import EmulatorDevice
from gpucnn.backends.devices.source import KernelSource
from gpucnn.errors import BackendError

device = EmulatorDevice(workers=2)
module = device.compile(KernelSource("test.cu", folder=Path(sys.argv[1])))
y = device.asarray(np.zeros(64, np.float32))
device.launch(module["returns"], (20, 1, 1), (64, 1, 1), 0, (y,))

def later(seconds, function, *arguments):
    threading.Timer(seconds, function, arguments).start()

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)

def launch(name="spins"):
    try:
        device.launch(module[name], (20, 1, 1), (64, 1, 1), 0, (y,))
        print("ended")
    except KeyboardInterrupt:
        print("interrupted")
    except BackendError as error:
        print(error)
"""


def _written(folder):
    (folder / "test.cu").write_text(ENDLESS)
    return KernelSource("test.cu", folder=folder)


def run(folder, program, **environment):
    """What a process of its own prints."""
    _written(folder)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + program, str(folder)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


def test_the_user_ends_a_launch(tmp_path):
    assert run(tmp_path, "later(0.3, interrupt); launch(); launch('returns')") == [
        "interrupted",
        "ended",
    ]


def test_a_handler_of_signals_has_the_first_one(tmp_path):
    """As in training, which stops after its step; another signal ends the launch."""
    handler = "signal.signal(signal.SIGINT, lambda *_: print('handled'))\n"
    once = "later(0.3, interrupt); later(0.8, y.fill, 1.0); launch()"
    assert run(tmp_path, handler + once) == ["handled", "ended"]
    twice = "later(0.3, interrupt); later(0.6, interrupt); launch()"
    assert run(tmp_path, handler + twice) == ["handled", "interrupted"]


def test_threads_other_than_the_first_are_not_interrupted(tmp_path):
    program = """
ended = threading.Event()
threading.Thread(target=lambda: (launch(), ended.set())).start()
later(0.3, interrupt)
try:
    ended.wait()
except KeyboardInterrupt:
    print("in the first")
y.fill(1.0)
ended.wait()
"""
    assert run(tmp_path, program) == ["in the first", "ended"]


def test_a_lack_of_memory_is_an_error(tmp_path):
    """Of a launch whose threads all wait: each needs a stack."""
    program = """
import resource
held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + (200 << 20), held + (200 << 20)))
def wide(name):
    try:
        device.launch(module[name], (20, 1, 1), (1024, 1, 1), 0, (y,))
        print("ended")
    except BackendError as error:
        print(error)
y.fill(0.0)
wide("meets")
wide("returns")
"""
    message, last = run(tmp_path, program)
    assert "kernel meets" in message
    assert "no memory for the stacks of its threads" in message
    assert last == "ended"


def test_without_another_thread_a_launch_runs_all_the_same(tmp_path):
    """Neither a watch nor helpers: the one thread that there is does all the work."""
    text = 'extern "C" int pthread_create() { return 11; }  // EAGAIN'
    command = [*compiler().command, "-shared", "-fPIC", "-x", "c++", "-"]
    library = tmp_path / "no_threads.so"
    subprocess.run([*command, "-o", str(library)], input=text, text=True, check=True)
    EmulatorDevice().compile(_written(tmp_path))  # now, as that takes threads
    launch = "device.time_limit = 10.0; launch('returns')"
    preloaded = {"LD_PRELOAD": str(library), "OPENBLAS_NUM_THREADS": "1"}
    assert run(tmp_path, launch, **preloaded) == ["ended"]


def test_stacks_take_few_mappings_and_little_memory(tmp_path):
    """The system limits both: 1024 threads on each of many cores must not run out of mappings."""
    program = """
def mappings():
    return len(open("/proc/self/maps").readlines())
before = mappings()
wide = EmulatorDevice(workers=40)
wide.launch(module["meets_once"], (2000, 1, 1), (1024, 1, 1), 0, (y,))
status = open("/proc/self/status").read()
print(mappings() - before, status.split("VmHWM:")[1].split()[0])
"""
    ((count, kilobytes),) = (map(int, row.split()) for row in run(tmp_path, program))
    assert count < 65530 * 3 // 4
    assert kilobytes < 1 << 20


def test_race_mode_takes_memory_as_it_is_touched(tmp_path):
    program = """
import resource
racing = EmulatorDevice("race")
module = racing.compile(KernelSource("test.cu", folder=Path(sys.argv[1])))
large = racing.asarray(np.zeros(50 << 18, np.float32))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
racing.launch(module["returns"], (20, 1, 1), (64, 1, 1), 0, (large,))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    (kilobytes,) = run(tmp_path, program)
    assert int(kilobytes) < 50 << 10
