"""What a kernel leaves uninitialised of a thread's own: a value that is noticed."""

import numpy as np
import pytest

from gpucnn.backends.devices.emulator_device import why_unavailable
from gpucnn.emulator import builder, compiler

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())

UNINITIALISED = {
    "a sum": """
        float sum;
        for (int j = 0; j < threadIdx.x; ++j) sum += x[j];
        y[threadIdx.x] = sum;""",
    "sums": """
        float sums[4];
        for (int j = 0; j < threadIdx.x; ++j) sums[j % 4] += x[j];
        y[threadIdx.x] = sums[0] + sums[1] + sums[2] + sums[3];""",
    "an index": """
        int index;
        if (x[0] != 0.0f) index = threadIdx.x;
        y[threadIdx.x] = index;""",
    "a vector": """
        float4 v;
        v.x = x[0];
        y[threadIdx.x] = v.x + v.y;""",
}


@pytest.mark.parametrize("mode", ["race", "sanitize"])
@pytest.mark.parametrize("body", UNINITIALISED.values(), ids=UNINITIALISED)
def test_uninitialised_variables_are_noticed(kernels, mode, body):
    if not compiler.knows(compiler.compiler(), builder.POISONED_LOCALS):
        pytest.skip("the compiler cannot fill local variables")
    text = f"__global__ void k(const float* x, float* y) {{ {body} }}"
    device, module = kernels(text, mode)
    x, y = (device.asarray(np.zeros(32, np.float32)) for _ in range(2))
    device.launch(module["k"], (1, 1, 1), (32, 1, 1), 0, (x, y))
    # g++ repeats the byte 0xfe, which is -1.7e38 as a float and -16843010 as an int; clang++ takes
    # NaN and 0xaa.
    assert not (np.abs(device.to_numpy(y)) < 1e7).any(), y


def test_a_compiler_knows_its_options():
    assert compiler.knows(compiler.compiler(), ("-O1",))
    assert not compiler.knows(compiler.compiler(), ("-fno-such-option-of-any-compiler=pattern",))
