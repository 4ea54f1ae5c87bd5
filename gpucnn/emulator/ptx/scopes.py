"""Which register a name means: blocks of statements lie in one another, each with its own."""

from __future__ import annotations

from gpucnn.emulator.ptx.syntax import Register


class Scope:
    """The registers that a block of statements declares.

    Args:
        number: of the block in its text.
        outer: what it lies in; None for a function's whole body.

    Attributes:
        number: of the block.
        registers: those that are declared one by one, or have been found, by name.
        families: type and number of those that are declared by ``%r<9>``, by their common name.
    """

    def __init__(self, number: int, outer: Scope | None) -> None:
        self.number = number
        self.outer = outer
        self.registers: dict[str, Register] = {}
        self.families: dict[str, tuple[str, int]] = {}

    def find(self, name: str) -> Register | None:
        """The register of a name, declared here or further out."""
        found = self.registers.get(name)
        if found is None:
            prefix = name.rstrip("0123456789")
            number = name[len(prefix) :]
            family = self.families.get(prefix)
            if family is not None and 0 < len(number) < 10 and int(number) < family[1]:
                found = self.registers[name] = Register(name, family[0], self.number)
        if found is None and self.outer is not None:
            return self.outer.find(name)
        return found
