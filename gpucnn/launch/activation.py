"""Launches of the elementwise activations: one kernel each, of the operation's name."""

from __future__ import annotations

from gpucnn.launch.choice import Choice
from gpucnn.launch.elementwise import elementwise
from gpucnn.launch.launch import Argument, Launch, number
from gpucnn.launch.machine import Machine
from gpucnn.launch.planning import plans
from gpucnn.operations.activation import Elementwise


@plans(*Elementwise.__subclasses__())
def _map(problem: Elementwise, _machine: Machine, _choice: Choice) -> tuple[Launch, ...]:
    numbers = [number(name) for name in problem.numbers]
    arguments: list[Argument | str] = [*problem.takes, *numbers, *problem.gives]
    count = problem.by_name[problem.gives[0]].size
    return (elementwise("activation.cu", problem.operation, count, arguments),)
