"""No instruction of the executor goes untried."""

import pytest
from emulator.ptx.oracle.coverage import offered, offers, tried
from emulator.ptx.oracle.families import FAMILIES, members

from gpucnn.backends.devices.emulator_device import why_unavailable

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())

# What decides which instruction is next, waits, or ends a launch: test_control_flow.py has it.
CONTROL = {"bra", "brx.idx", "call", "ret", "exit", "trap", "brkpt", "pragma"}
CONTROL |= {"bar.sync", "barrier.sync", "bar.arrive", "clock.32", "clock.64"}
# Functions that compiled kernels call, which are tested as such.
FUNCTIONS = {"__assertfail", "vprintf"}


def test_every_instruction_is_tried():
    instructions = [one for family in FAMILIES for one in offered(members(family))]
    assert offers() - tried(instructions) == CONTROL | FUNCTIONS
