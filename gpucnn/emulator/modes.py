"""The emulator's modes: how kernels and the runtime are compiled."""

from __future__ import annotations

from dataclasses import dataclass

from gpucnn.emulator.compiler import native_option

# binutils before 2.41 mix up the names of files in DWARF 5.
COMMON = ("-std=c++20", "-fPIC", "-pthread", "-g1", "-gdwarf-4")
# A product and a sum are never joined into one operation, so that results are the same on every
# machine; errno and traps are nobody's business here.
_ARITHMETIC = ("-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math")
RUNTIME_OPTIONS = ("-fno-semantic-interposition",)
MODULE = (
    *_ARITHMETIC, "-w", "-fvisibility=hidden",
    # Every page of a large frame is touched, so no guard is stepped over; and who has called stays
    # on the stack, to be told in messages.
    "-fstack-clash-protection", "-fno-optimize-sibling-calls",
)  # fmt: skip
GNU = (
    "-fno-gnu-unique",
    # Shared memory is written only by the runtime; without this the compiler takes it for zero.
    "-fno-ipa-reference-addressable",
)
# Fills uninitialised local variables. Compilers that do not know the option go without, and so does
# fast mode, where some convolutions would take 1.4 times as long.
POISONED_LOCALS = ("-ftrivial-auto-var-init=pattern",)
# Otherwise g++ leaves out what is written through an uninitialised pointer, because it points to
# nothing, and takes a variable that is initialised only sometimes for one that always is. (Without
# -fno-tree-fre it does; -fno-tree-pta would do, too, but makes convolutions 2.4 times as slow.)
POISON_KEPT = ("-fno-tree-ccp", "-fno-tree-fre")
CHECKS = (
    "-fsanitize=thread",
    "-fsanitize=alignment,bounds,shift,signed-integer-overflow,float-cast-overflow",
)
# Calls of these by a kernel go to runtime/stand_ins.cpp; of the first, to shared_arena.cpp.
STAND_INS = tuple(
    f"-Wl,--wrap={function}"
    for function in (
        "__tls_get_addr", "malloc", "_Znwm", "_Znam", "abort", "exit", "_exit", "__stack_chk_fail",
    )
)  # fmt: skip
_SANITIZERS = (
    "-fsanitize=address,undefined,float-cast-overflow",
    "-fno-sanitize-recover=all",
    "-fno-omit-frame-pointer",
)


@dataclass(frozen=True)
class Mode:
    """How kernels and the runtime are compiled.

    Attributes:
        name: as the user writes it.
        options: for modules of kernels, on whatever processor.
        runtime_options: for the emulator's runtime.
    """

    name: str
    options: tuple[str, ...]
    runtime_options: tuple[str, ...] = ("-O2",)

    @property
    def kernel_options(self) -> tuple[str, ...]:
        """For modules of kernels, which in fast mode use all that this processor has."""
        return (*self.options, native_option()) if self.name == "fast" else self.options

    @property
    def definitions(self) -> tuple[str, ...]:
        """What g++ defines under sanitizers, for a compiler that does not."""
        names = ["__SANITIZE_THREAD__"] * self.checked + ["__SANITIZE_ADDRESS__"] * self.sanitized
        return tuple(f"-D{name}" for name in names)

    @property
    def checked(self) -> bool:
        """Whether each access of memory is checked by the runtime."""
        return self.name == "race"

    @property
    def sanitized(self) -> bool:
        """Whether kernels run under the compiler's sanitizers, in a process of their own."""
        return self.name == "sanitize"

    @property
    def poisoned(self) -> bool:
        """Whether local variables that a kernel leaves uninitialised are poison."""
        return self.checked or self.sanitized


MODES = {
    mode.name: mode
    for mode in (
        Mode("fast", ("-O3", "-fstack-protector-strong")),
        Mode("race", ("-O1", *CHECKS)),
        Mode("sanitize", ("-O1", *_SANITIZERS), ("-O1", *_SANITIZERS)),
    )
}
