"""Arrays as a kernel sees them: views of every kind, and arrays of addresses."""

import numpy as np
import pytest
from ptx_text import run, text, zeros

from gpucnn.emulator.engine import why_unavailable
from gpucnn.emulator.errors import EmulatorWarning, OutOfBoundsError

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())

# Each of four threads copies the word of its number.
COPY = text(
    """
ld.param.u64 %rd1, [a]; ld.param.u64 %rd2, [b]; mov.u32 %r1, %tid.x;
mul.wide.u32 %rd3, %r1, 4; add.u64 %rd1, %rd1, %rd3; add.u64 %rd2, %rd2, %rd3;
ld.global.u32 %r2, [%rd1]; st.global.u32 [%rd2], %r2;""",
    2,
)
WORDS = np.arange(32, dtype=np.uint32)


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (WORDS[4:20:2], [4, 5, 6, 7]),
        (WORDS.reshape(4, 8)[1:, 3:5], [11, 12, 13, 14]),
        (WORDS.reshape(4, 8).T, [0, 1, 2, 3]),
        (WORDS[2::-1], None),
        (np.broadcast_to(WORDS[5:6], (8,)), None),
    ],
    ids=["steps", "part", "transposed", "backwards", "repeated"],
)
@pytest.mark.filterwarnings("ignore::gpucnn.emulator.errors.EmulatorWarning")
def test_a_view_is_the_memory_from_its_first_element_on(view, expected):
    y = zeros(4)
    if expected is None:
        with pytest.raises(OutOfBoundsError, match=r"0 bytes after the end of .*argument 1"):
            run(COPY, view, y, block=4)
    else:
        run(COPY, view, y, block=4)
        assert y.tolist() == expected


def test_a_view_with_steps_is_a_warning():
    with pytest.warns(EmulatorWarning, match=r"argument 1 is a view with strides of \(8,\) bytes"):
        run(COPY, WORDS[::2], zeros(4), block=4)


def test_views_that_overlap():
    x = WORDS.copy()
    run(COPY, x[4:], x[:8], block=4)
    assert x[:8].tolist() == [4, 5, 6, 7, 4, 5, 6, 7]


def test_an_empty_array_beside_another():
    y = zeros(4)
    with pytest.raises(OutOfBoundsError, match=r"0 bytes after the end of .*argument 1"):
        run(COPY, WORDS[32:], y, block=4)
    run(COPY, WORDS, y, block=4)


INDIRECT = text(
    """
ld.param.u64 %rd1, [a]; ld.global.u64 %rd2, [%rd1]; ld.global.u32 %r1, [%rd2];
add.u32 %r1, %r1, 1; st.global.u32 [%rd2], %r1;"""
)


def test_an_array_of_addresses():
    y = np.array([41], np.uint32)
    run(INDIRECT, np.array([y.ctypes.data, 0], np.uint64), block=1)
    assert y.tolist() == [42]


@pytest.mark.parametrize("words", [[0], [4096], [1 << 40, 5], [1 << 61]])
def test_an_array_of_numbers_that_are_no_addresses(words):
    with pytest.raises(OutOfBoundsError, match="in no array"):
        run(INDIRECT, np.array(words, np.uint64), block=1)
