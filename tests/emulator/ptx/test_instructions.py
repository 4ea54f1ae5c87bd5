"""Every instruction of the executor, with random operands, against the oracle.

The quick suite tries few cases of each; the slow one many.
"""

import pytest
from emulator.ptx.oracle.coverage import offered
from emulator.ptx.oracle.families import FAMILIES, members
from emulator.ptx.oracle.instruction import Collective, Instruction
from emulator.ptx.oracle.kernel import BLOCK
from emulator.ptx.oracle.trial import Conditions, disagreements, executed

from gpucnn.backends.devices.emulator_device import why_unavailable

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())

CASES = pytest.mark.parametrize(
    "cases", [BLOCK, pytest.param(4 * BLOCK, marks=pytest.mark.slow)], ids=["few", "many"]
)


@CASES
@pytest.mark.parametrize("family", FAMILIES)
def test_instructions(family, cases):
    instructions = offered(members(family))
    if any(isinstance(one, Collective) for one in instructions):
        cases *= 4  # since all lanes of a warp are but one case
    assert disagreements(instructions, cases) == []


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_instructions_of_a_part_of_a_warp(family):
    """Those of single lanes, where other lanes have left."""
    instructions = [one for one in offered(members(family)) if isinstance(one, Instruction)]
    assert disagreements(instructions, BLOCK, Conditions(in_full_warps=False)) == []


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_instructions_whose_results_replace_operands(family):
    assert disagreements(offered(members(family)), BLOCK, Conditions(in_place=True)) == []


@CASES
def test_approximate_functions_are_within_their_errors_with_jitter(cases):
    instructions = members("approximations")
    assert disagreements(instructions, cases, Conditions(jitter=True)) == []
    operands = [one.cases(cases) for one in instructions]
    exact = executed(instructions, operands)
    differs = (executed(instructions, operands, Conditions(jitter=True)) != exact).any(axis=0)
    assert differs.all()
