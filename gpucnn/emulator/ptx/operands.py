"""The operands of a statement: how many there are, in which order, and which can be written to."""

from __future__ import annotations

from collections.abc import Sequence

from gpucnn.emulator.errors import CompilationError
from gpucnn.emulator.ptx.encoding import misfit
from gpucnn.emulator.ptx.syntax import Group, Operand, Pair, Register, Sink, Statement, Symbol

_PAIRED = ("setp.", "shfl.", "match.all.", "elect.")
"""Instructions whose first operand may be two."""
_WITHOUT_RESULT = frozenset((
    "bar", "barrier", "bra", "brx", "call", "cp", "nanosleep", "prefetch", "prefetchu", "red", "st",
))  # fmt: skip
"""Instructions whose first operand is not written to; bar.red's is (``in_order_of_barriers``)."""


def check_first(statement: Statement) -> None:
    """Raises CompilationError if the first operand cannot be written to, and has to be."""
    operands = statement.operands
    if operands and statement.opcode.partition(".")[0] not in _WITHOUT_RESULT:
        _check_result(statement, operands[0])


def so_many(statement: Statement, count: int) -> tuple[Operand, ...]:
    """The operands of a statement, of which there must be so many.

    Raises:
        CompilationError: there are more, or fewer.
    """
    check_count(statement, statement.operands, count)
    return statement.operands


def check_count(statement: Statement, operands: Sequence[Operand], count: int) -> None:
    """Raises CompilationError unless there are so many."""
    if len(operands) != count:
        raise CompilationError(f"PTX: {statement} has {len(operands)} operands instead of {count}")


def _check_result(statement: Statement, operand: Operand) -> None:
    """Raises CompilationError for an operand that cannot be written to."""
    match operand:
        case Register() | Sink():
            return
        case Pair(first=first, second=second):
            items: Sequence[Operand] = (first, second)
        case Group():
            items = operand.items
        case _:
            raise misfit(statement, operand)
    for item in items:
        _check_result(statement, item)


def name_of(statement: Statement, operand: Operand) -> str:
    """The function or the label that an operand names.

    Raises:
        CompilationError: it names none.
    """
    if not isinstance(operand, Symbol):
        raise CompilationError(f"PTX: {statement} names neither a function nor a label")
    return operand.name


def flat(operands: Sequence[Operand | None]) -> list[Operand | None]:
    """The operands one by one, without braces."""
    found: list[Operand | None] = []
    for operand in operands:
        found += operand.items if isinstance(operand, Group) else (operand,)
    return found


def with_second(statement: Statement) -> list[Operand | None]:
    """The operands with the second destination that some instructions may have."""
    first, *rest = statement.operands or (None,)
    if isinstance(first, Pair):
        return [first.first, first.second, *rest]
    if statement.opcode.startswith(_PAIRED):
        return [first, None, *rest]
    return list(statement.operands)


def in_order_of_barriers(statement: Statement) -> Sequence[Operand | None]:
    """The operands of a barrier: its number, threads, a predicate, and where the result goes."""
    if ".red." not in statement.opcode:
        return statement.operands
    if len(statement.operands) < 3:
        raise CompilationError(f"PTX: {statement} has too few operands")
    result, number, *threads, predicate = statement.operands
    _check_result(statement, result)
    return (number, threads[0] if threads else None, predicate, result)
