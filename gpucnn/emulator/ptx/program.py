"""A text of PTX, ready to be run."""

from __future__ import annotations

import ctypes
import math
import weakref
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gpucnn.emulator.errors import CompilationError, EmulatorError
from gpucnn.emulator.ptx.arguments import Argument, Memory, as_buffer, passed
from gpucnn.emulator.ptx.assembler import Assembled, assemble
from gpucnn.emulator.ptx.encoding import pointer_to_function
from gpucnn.emulator.ptx.executor import LaunchArguments, Report, executor
from gpucnn.emulator.ptx.layout import slot_address
from gpucnn.emulator.ptx.messages import Context, Failure, error
from gpucnn.emulator.ptx.parser import parse
from gpucnn.emulator.ptx.syntax import Function, Variable

Grid = tuple[int, int, int]


@dataclass(frozen=True)
class Accumulation:
    """How a tensor core adds products.

    Attributes:
        terms_16_bit: products of types of 16 bits that it adds at once; 0 if each addition is
            rounded to nearest.
        terms_tf32: likewise of TF32.
        extra_bits: that it keeps below the last bit of FP32's mantissa while it does.
    """

    terms_16_bit: int
    terms_tf32: int
    extra_bits: int


IEEE = Accumulation(0, 0, 0)


@dataclass(frozen=True)
class Settings:
    """A launch.

    Attributes:
        grid: blocks along x, y and z.
        block: threads along x, y and z.
        shared_bytes: dynamic shared memory.
        seed: decides the order of warps and blocks, and when asynchronous copies are made.
        time_limit: seconds; 0 for no limit.
        workers: threads of the host.
        jitter: whether approximate functions are wrong by as much as NVIDIA states they may be.
        accumulation: of tensor cores.
        allow_same_value_writes: whether threads may write the same value to a place unordered.
    """

    grid: Grid
    block: Grid
    shared_bytes: int = 0
    seed: int = 0
    time_limit: float = 0.0
    workers: int = 1
    jitter: bool = False
    accumulation: Accumulation = IEEE
    allow_same_value_writes: bool = False


class Program:
    """A text of PTX.

    Args:
        text: PTX.

    Raises:
        CompilationError: it is not understood.
        UnsupportedError: a variable has the address of a function.

    Attributes:
        kernels: by their names in PTX.
        variables: the memory of the module's variables, by their names in PTX.
    """

    def __init__(self, text: str) -> None:
        self._module = parse(text)
        in_memory = [
            variable
            for variable in self._module.variables.values()
            if variable.space in ("global", "const") and not variable.is_external
        ]
        self._globals = {
            variable.name: slot_address(number) for number, variable in enumerate(in_memory)
        }
        self.variables = {variable.name: self._initialised(variable) for variable in in_memory}
        self.memories = [
            Memory(self._globals[name], array.nbytes, array.ctypes.data, name)
            for name, array in self.variables.items()
        ]
        self.kernels: Mapping[str, ProgramKernel] = {
            name: ProgramKernel(self, function)
            for name, function in self._module.functions.items()
            if function.is_kernel
        }

    def assembled(self, kernel: Function) -> Assembled:
        """A kernel as the executor takes it.

        Raises:
            UnsupportedError: an instruction that the executor does not have.
            CompilationError: operands that do not fit an instruction.
        """
        own = executor()
        return assemble(self._module, kernel, self._globals, own.table, own.special_registers)

    def error(
        self,
        report: Report,
        kernel: str,
        assembled: Assembled,
        settings: Settings,
        memories: Sequence[Memory],
    ) -> EmulatorError:
        """The error that a failure is."""
        context = Context(
            kernel,
            self._module,
            assembled.statements,
            settings.block,
            memories,
            [*assembled.layout.shared, *assembled.layout.dynamic],
            settings.time_limit,
        )
        x, y, z = report.block
        failure = Failure(
            report.kind,
            report.text.decode(errors="replace").split("|"),
            report.pc,
            report.thread,
            (x, y, z),
            report.other_pc,
            report.other_thread,
        )
        return error(failure, context)

    def _initialised(self, variable: Variable) -> NDArray[np.uint8]:
        try:
            memory = np.zeros(variable.bytes + 16, np.uint8)
        except (MemoryError, ValueError) as error:
            raise CompilationError(
                f"PTX: this machine has no memory for {variable.name} of {variable.bytes} bytes"
            ) from error
        begin = -memory.ctypes.data % 16
        memory = memory[begin : begin + variable.bytes]
        memory[: len(variable.initial)] = np.frombuffer(variable.initial, np.uint8)
        for place, name, offset in variable.symbols:
            if name in self._module.functions:
                raise pointer_to_function(name)
            if name not in self._globals:
                raise CompilationError(
                    f"PTX: {variable.name} has the address of {name}, which is not in the module"
                )
            address = (self._globals[name] + offset) % 2**64
            memory[place : place + 8] = np.frombuffer(address.to_bytes(8, "little"), np.uint8)
        return memory


class ProgramKernel:
    """A kernel of a program.

    Attributes:
        name: in PTX.
        parameters: in order; a pointer is an integer of 64 bits here.
        most_threads: that a block may have (``.maxntid``); 0 if that is not said.
        required_block: the block that it must have (``.reqntid``); None if that is not said.
        described: what messages call it.
    """

    def __init__(self, program: Program, function: Function) -> None:
        self.name = function.name
        self.parameters: tuple[Variable, ...] = function.parameters
        self.most_threads = math.prod(function.directives.get("maxntid", (0,)))
        required = function.directives.get("reqntid")
        self.required_block: Grid | None = None
        if required is not None:
            x, y, z = (*required, 1, 1)[:3]
            self.required_block = x, y, z
        self.described = function.name
        self._program = program
        self._function = function

    @cached_property
    def _assembled(self) -> Assembled:
        return self._program.assembled(self._function)

    @cached_property
    def _made(self) -> int:
        made = executor().make_program(
            self._assembled.code, self._assembled.constants, self._assembled.targets
        )
        weakref.finalize(self, executor().free_program, made)
        return made

    @property
    def static_shared_bytes(self) -> int:
        """Static shared memory a block."""
        return self._assembled.layout.static_shared_bytes

    def prepare(self) -> None:
        """Assembles the kernel, if that has not been done.

        Raises:
            UnsupportedError: an instruction that the executor does not have.
            CompilationError: operands that do not fit an instruction.
        """
        _ = self._made

    def run(self, settings: Settings, arguments: Sequence[Argument]) -> Counter[str]:
        """Runs the kernel to its end. The launch's limits are the caller's to check.

        Args:
            settings: of the launch.
            arguments: as for ``RawKernel``.

        Returns:
            How often each opcode was executed, for a warp each time.

        Raises:
            LaunchError: arguments that do not fit the parameters.
            EmulatorError: what the kernel does wrong.
            KeyboardInterrupt: the user has ended it.
        """
        assembled = self._assembled
        own = self._program.memories
        given = passed(self.described, self.parameters, arguments, len(own))
        memories = [*own, *given.memories]
        arrays = as_buffer(memories)
        shared = self._shared(settings.shared_bytes)
        counts = (ctypes.c_uint64 * len(assembled.statements))()
        launch = LaunchArguments(
            program=self._made,
            entry=assembled.entry,
            grid=settings.grid,
            block=settings.block,
            function_count=assembled.function_count,
            register_bytes=assembled.register_bytes,
            local_bytes=assembled.layout.local_bytes,
            shared_bytes=assembled.layout.dynamic_shared + settings.shared_bytes,
            dynamic_shared_bytes=settings.shared_bytes,
            arrays=ctypes.addressof(arrays),
            array_count=len(memories),
            shared=ctypes.addressof(shared),
            shared_count=len(shared) // 2,
            parameters=given.parameters,
            parameter_bytes=len(given.parameters),
            may_use_host_addresses=given.has_addresses,
            seed=settings.seed % 2**64,
            time_limit=settings.time_limit,
            workers=settings.workers,
            jitter=settings.jitter,
            allow_same_value_writes=settings.allow_same_value_writes,
            terms_16_bit=settings.accumulation.terms_16_bit,
            terms_tf32=settings.accumulation.terms_tf32,
            extra_bits=settings.accumulation.extra_bits,
        )
        report = executor().launch(launch, counts)
        if report.kind:
            raise self._program.error(report, self.described, assembled, settings, memories)
        found: Counter[str] = Counter()
        for statement, count in zip(assembled.statements, counts, strict=True):
            if count:
                found[statement.opcode] += count
        return found

    def _shared(self, dynamic_bytes: int) -> ctypes.Array[ctypes.c_uint32]:
        """Begin and size of each variable of shared memory."""
        layout = self._assembled.layout
        words = [word for p in layout.shared for word in (p.address, p.variable.bytes)]
        words += [layout.dynamic_shared, dynamic_bytes]
        return (ctypes.c_uint32 * len(words))(*words)
