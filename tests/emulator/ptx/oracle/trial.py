"""Executes instructions and compares what they give with what they must."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from emulator.ptx.oracle.expectations import Expectation
from emulator.ptx.oracle.instruction import Operands
from emulator.ptx.oracle.kernel import BLOCK, SCRATCH, Tried, has_left, kernel_text
from numpy.typing import NDArray

from gpucnn.emulator.ptx.program import IEEE, Accumulation, Program, Settings

PER_KERNEL = 250  # instructions
NOTHING = (1 << 64) - 1


def table(rows: Sequence[Sequence[int]]) -> NDArray[np.uint64]:
    """A row for each thread; at least one element, since a kernel may need no operands."""
    return np.array(rows, dtype=np.uint64).reshape(len(rows), -1)


@dataclass(frozen=True)
class Conditions:
    """How instructions are executed.

    Attributes:
        accumulation: how tensor cores add.
        jitter: whether approximate functions are as wrong as they may be.
        in_full_warps: whether all threads execute them; else some leave before.
        in_place: whether registers of operands get the results.
    """

    accumulation: Accumulation = IEEE
    jitter: bool = False
    in_full_warps: bool = True
    in_place: bool = False


USUAL = Conditions()


def executed(
    instructions: Sequence[Tried],
    cases: Sequence[Sequence[Operands]],
    conditions: Conditions = USUAL,
) -> NDArray[np.uint64]:
    """A row of results for each lane, as they lie in memory; all bits are set where none are."""
    count = len(cases[0])
    operands = table([[x for case in lane for x in case] for lane in zip(*cases, strict=True)])
    results = np.full((count, sum(len(one.results) for one in instructions)), -1, np.int64)
    results = results.view(np.uint64)
    scratch = np.zeros(count * SCRATCH, np.uint8)
    text = kernel_text(instructions, conditions.in_full_warps, conditions.in_place)
    settings = Settings(
        grid=(count // BLOCK, 1, 1),
        block=(BLOCK, 1, 1),
        time_limit=60,
        accumulation=conditions.accumulation,
        jitter=conditions.jitter,
    )
    Program(text).kernels["oracle"].run(settings, (operands, results, scratch))
    return results


def disagreements(
    instructions: Sequence[Tried], count: int, conditions: Conditions = USUAL
) -> list[str]:
    """A line for each instruction of which a result is wrong, with the first such case.

    Args:
        instructions: are executed by one thread after the other in the text of few kernels.
        count: cases for each of them, a multiple of BLOCK.
        conditions: under which they are executed.
    """
    stay = [lane for lane in range(count) if conditions.in_full_warps or not has_left(lane)]
    lines = []
    for start in range(0, len(instructions), PER_KERNEL):
        part = instructions[start : start + PER_KERNEL]
        cases = [one.cases(count) for one in part]
        results = executed(part, cases, conditions)
        if (np.delete(results, stay, axis=0) != NOTHING).any():
            lines.append(f"threads that had left wrote results, from {part[0].text} on")
        rows, column = results[stay].tolist(), 0
        for tried, drawn in zip(part, cases, strict=True):
            widths = list(tried.results.values())
            given = [
                [row[column + i] & ((1 << width) - 1) for i, width in enumerate(widths)]
                for row in rows
            ]
            column += len(widths)
            expected = tried.expectations(drawn)
            lines += wrong(
                tried, [drawn[lane] for lane in stay], [expected[lane] for lane in stay], given
            )
    return lines


def wrong(
    tried: Tried,
    cases: Sequence[Operands],
    expectations: Sequence[Sequence[Expectation]],
    given: Sequence[Sequence[int]],
) -> list[str]:
    """A line if a case is wrong."""
    failures = [
        (case, expected, results)
        for case, expected, results in zip(cases, expectations, given, strict=True)
        if not all(one.accepts(bits) for one, bits in zip(expected, results, strict=True))
    ]
    if not failures:
        return []
    case, expected, results = failures[0]
    operands = ", ".join(f"{x:#x}" for x in case)
    got = ", ".join(f"{x:#x}" for x in results)
    return [
        f"{tried.text} of ({operands}) gave {got}; expected {expected}"
        f" ({len(failures)} of {len(cases)} cases)"
    ]
