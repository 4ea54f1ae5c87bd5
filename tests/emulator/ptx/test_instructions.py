"""Every instruction of the executor, with random operands, against the oracle.

The quick suite tries few cases of each; the slow one many.
"""

import pytest
from emulator.ptx.oracle.coverage import offered
from emulator.ptx.oracle.families import FAMILIES, members
from emulator.ptx.oracle.kernel import BLOCK
from emulator.ptx.oracle.trial import disagreements, executed

from gpucnn.backends.devices.emulator_device import why_unavailable

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())

CASES = pytest.mark.parametrize(
    "cases", [BLOCK, pytest.param(4 * BLOCK, marks=pytest.mark.slow)], ids=["few", "many"]
)


@CASES
@pytest.mark.parametrize("family", FAMILIES)
def test_instructions(family, cases):
    assert disagreements(offered(members(family)), cases) == []


@CASES
def test_approximate_functions_are_within_their_errors_with_jitter(cases):
    instructions = members("approximations")
    assert disagreements(instructions, cases, jitter=True) == []
    operands = [one.cases(cases) for one in instructions]
    exact = executed(instructions, operands)
    differs = (executed(instructions, operands, jitter=True) != exact).any(axis=0)
    assert differs.all()
