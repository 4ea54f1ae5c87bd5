"""The launch that guards a step: one block over all losses."""

from __future__ import annotations

from gpucnn.launch.choice import Choice
from gpucnn.launch.elementwise import THREADS
from gpucnn.launch.launch import Launch, as_int, launch, number
from gpucnn.launch.machine import Machine
from gpucnn.launch.planning import plans
from gpucnn.operations.guard import GuardStep


@plans(GuardStep)
def _guard_step(problem: GuardStep, _machine: Machine, _choice: Choice) -> tuple[Launch, ...]:
    (N,) = problem.shape
    arguments = ("guard", "norm", "losses", number("step", "int32"), as_int(N, "losses"))
    return (launch("guard.cu", "guard_step", (1,), arguments, (THREADS,), {"THREADS": THREADS}),)
