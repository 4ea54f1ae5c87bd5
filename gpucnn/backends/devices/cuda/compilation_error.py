"""A file that does not compile, and what the compiler has to say of it."""

from __future__ import annotations

from gpucnn.errors import BackendError

_LONGEST = 60
"""Lines of a message."""


class CompilationError(BackendError):
    """A file that does not compile.

    Args:
        heading: which, and for what.
        diagnostics: what the compiler has to say, complaint by complaint.
    """

    def __init__(self, heading: str, diagnostics: tuple[str, ...]) -> None:
        lines = "\n".join(diagnostics).splitlines()
        if len(lines) > _LONGEST:
            lines = [*lines[:_LONGEST], f"... and {len(lines) - _LONGEST} lines more"]
        super().__init__("\n  ".join([heading, *lines]))
        self.diagnostics = diagnostics
