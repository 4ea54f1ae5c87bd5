"""Parameters of every type, and of a structure, as a kernel finds them."""

import numpy as np
import pytest
from emulator.ptx.oracle.kernel import HEADER

from gpucnn.backends.devices.emulator_device import why_unavailable
from gpucnn.emulator.ptx.program import Program, Settings

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())

VALUES = {
    "u8": np.uint8(250),
    "s8": np.int8(-3),
    "u16": np.uint16(65000),
    "s16": np.int16(-300),
    "u32": np.uint32(4_000_000_000),
    "s32": np.int32(-70_000),
    "u64": np.uint64(1 << 63),
    "s64": np.int64(-5_000_000_000),
    "f32": np.float32(1.5),
    "f64": np.float64(-2.5),
}
STRUCTURE = np.array([(1, 7)], np.dtype([("first", np.uint64), ("second", np.uint32)]))[0]


def copy(place, kind):
    """A parameter, extended to 64 bits, to a place of the results; that of a float by its bits."""
    loaded = kind if kind[0] != "f" else f"u{kind[1:]}"
    return f"ld.param.{loaded} %q2, [of_{kind}];\nst.global.b64 [%q1+{8 * place}], %q2;"


def test_parameters():
    declared = ", ".join(f".param .{kind} of_{kind}" for kind in VALUES)
    copies = "\n".join(copy(place, kind) for place, kind in enumerate(VALUES))
    text = f"""{HEADER}
.visible .entry test(.param .u64 results, {declared}, .param .align 8 .b8 structure[12])
{{
.reg .b64 %q<3>;
ld.param.u64 %q1, [results];
{copies}
ld.param.u32 %q2, [structure+8];
st.global.b64 [%q1+80], %q2;
ret;
}}
"""
    words = np.zeros(11, np.uint64)
    kernel = Program(text).kernels["test"]
    kernel.run(Settings((1, 1, 1), (1, 1, 1)), (words, *VALUES.values(), STRUCTURE))
    integers = [int(value) % (1 << 64) for kind, value in VALUES.items() if kind[0] != "f"]
    assert words.tolist() == [*integers, 0x3FC00000, 0xC004000000000000, 7]
