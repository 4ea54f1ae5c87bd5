"""Variables of a module, and what they are initialised with."""

import pytest
from ptx_text import run, text, zeros

from gpucnn.emulator.engine import why_unavailable

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())


@pytest.mark.parametrize(
    ("written", "expected"), [("table", 5), ("generic(table)+8", 7), ("table+4", 6)]
)
def test_the_address_of_another_variable(written, expected):
    declarations = f"""
.global .align 4 .u32 table[3] = {{5, 6, 7}};
.global .align 8 .u64 where[2] = {{0, {written}}};"""
    body = """
ld.param.u64 %rd1, [a]; ld.global.u64 %rd2, [where+8]; ld.u32 %r1, [%rd2];
st.global.u32 [%rd1], %r1;"""
    y = zeros(1)
    run(text(body, 1, declarations), y)
    assert y.tolist() == [expected]
