"""From a text of PTX to its functions, variables and instructions.

Covers what compilers write and what inline assembly adds: blocks in braces with registers of their
own among it. Debugging sections are passed over, but for the lines of ``.loc``.
"""

from __future__ import annotations

import re
import struct

from gpucnn.emulator.errors import CompilationError
from gpucnn.emulator.ptx.scopes import Scope
from gpucnn.emulator.ptx.syntax import (
    TYPE_BYTES,
    Address,
    Function,
    Group,
    Location,
    Module,
    Negated,
    Number,
    Operand,
    Pair,
    Register,
    Sink,
    Special,
    Statement,
    Symbol,
    Variable,
)
from gpucnn.emulator.ptx.tokens import Token, Tokens

_SPACES = ("global", "const", "shared", "local", "param")
_ALIGNMENTS = tuple(1 << k for k in range(13))
"""Powers of two, in bytes."""
_POINTER_BYTES = 8
_LINKAGE = (".visible", ".extern", ".weak", ".common")
_LOCATION = re.compile(
    r"\.loc\s+(\d{1,9})\s+(\d{1,9})\s+\d+(?:.*?inlined_at\s+(\d{1,9})\s+(\d{1,9})\s+\d+)?",
    re.DOTALL,
)
_FILE = re.compile(r'\.file\s+(\d{1,9})\s+"([^"]*)"')


def parse(text: str) -> Module:
    """A text of PTX.

    Raises:
        CompilationError: it is not PTX, or uses what this parser does not know.
    """
    try:
        return _Parser(text.rstrip("\0")).module()
    except RecursionError as error:
        raise CompilationError("PTX: braces lie in one another too deeply") from error


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = Tokens(text)
        self._module = Module()
        self._location: Location | None = None
        self._scopes = 0

    # Modules

    def module(self) -> Module:
        while self._tokens.peek().kind != "end":
            token = self._tokens.peek()
            if token.kind in ("line", "location", "section"):
                self._line(self._tokens.next())
            elif token.text == ".pragma":
                self._tokens.pass_to(";")
            else:
                self._declaration()
        return self._module

    def _line(self, token: Token) -> None:
        if token.kind == "location":
            self._location = self._location_of(token.text)
        elif match := _FILE.match(token.text):
            self._module.files[int(match[1])] = match[2]

    def _location_of(self, text: str) -> Location | None:
        match = _LOCATION.match(text)
        if match is None:
            return None
        caller = (int(match[3]), int(match[4])) if match[3] else None
        return Location(int(match[1]), int(match[2]), caller)

    def _declaration(self) -> None:
        is_external = False
        while self._tokens.peek().text in _LINKAGE:
            is_external = self._tokens.next().text == ".extern"
        directive = self._tokens.next().text
        if directive in (".entry", ".func"):
            self._function(is_kernel=directive == ".entry")
        elif directive.removeprefix(".") in _SPACES:
            for variable in self._variables(directive[1:], is_external):
                self._module.variables[variable.name] = variable
        else:
            raise self._tokens.unexpected(f"{directive} is not understood")

    def _variables(self, space: str, is_external: bool) -> list[Variable]:
        """What follows the space: alignment, type, names, sizes and initial values."""
        alignment, kind = 0, ""
        while self._tokens.peek().kind == "directive":
            directive = self._tokens.next().text[1:]
            if directive == "align":
                alignment = self._alignment()
            elif directive in TYPE_BYTES:
                kind = directive
            elif directive in ("v2", "v4"):
                kind = directive + kind
            elif directive == "attribute":
                self._tokens.pass_to(")")
        found = [self._variable(space, kind, alignment, is_external)]
        while self._tokens.accept(","):
            found.append(self._variable(space, kind, alignment, is_external))
        self._tokens.expect(";")
        return found

    def _alignment(self) -> int:
        alignment = self._tokens.integer()
        if alignment not in _ALIGNMENTS:
            raise self._tokens.unexpected("an alignment is expected")
        return alignment

    def _variable(self, space: str, kind: str, alignment: int, is_external: bool) -> Variable:
        count = 1
        if kind[:2] in ("v2", "v4"):
            count, kind = int(kind[1]), kind[2:]
        if kind not in TYPE_BYTES:
            raise self._tokens.unexpected("a type is expected")
        size = TYPE_BYTES[kind] * count
        name = self._tokens.next().text
        elements = 1
        while self._tokens.accept("["):
            elements *= 0 if self._tokens.peek().text == "]" else self._tokens.integer()
            self._tokens.expect("]")
        initial, symbols = (
            self._initial(TYPE_BYTES[kind]) if self._tokens.accept("=") else (b"", ())
        )
        if len(initial) > size * elements:
            raise self._tokens.unexpected(f"no more values than {name} has are expected")
        return Variable(
            name,
            space,
            kind,
            size * elements,
            alignment or size,
            initial,
            symbols,
            is_external,
        )

    def _initial(self, size: int) -> tuple[bytes, tuple[tuple[int, str, int], ...]]:
        content = bytearray()
        symbols = []

        def value() -> None:
            if self._tokens.accept("{"):
                while not self._tokens.accept("}"):
                    value()
                    self._tokens.accept(",")
                return
            operand = self._operand(None)
            match operand:
                case Number():
                    content.extend(operand.in_bytes(size))
                case Symbol(name=name, offset=offset) if size == _POINTER_BYTES:
                    if name == "generic" and self._tokens.accept("("):
                        inner = self._operand(None)
                        self._tokens.expect(")")
                        if not isinstance(inner, Symbol):
                            raise self._tokens.unexpected("the name of a variable is expected")
                        name, offset = inner.name, inner.offset + self._offset()
                    symbols.append((len(content), name, offset))
                    content.extend(bytes(size))
                case _:
                    raise self._tokens.unexpected("an initial value is expected")

        value()
        return bytes(content), tuple(symbols)

    # Functions

    def _function(self, is_kernel: bool) -> None:
        results = self._parameters() if self._tokens.peek().text == "(" else ()
        name = self._tokens.next().text
        function = Function(name, is_kernel, results=results)
        if self._tokens.peek().text == "(":
            function.parameters = self._parameters()
        self._directives(function)
        if not self._tokens.accept(";"):
            self._body(function)
        known = self._module.functions.get(name)
        if known is None or not known.has_body:
            self._module.functions[name] = function

    def _parameters(self) -> tuple[Variable, ...]:
        found = []
        self._tokens.expect("(")
        while not self._tokens.accept(")"):
            self._tokens.accept(",")
            space = self._tokens.next().text[1:]  # .param, or .reg in a function
            kind, alignment = "", 0
            while self._tokens.peek().kind == "directive":
                directive = self._tokens.next().text[1:]
                if directive == "align":
                    alignment = self._alignment()
                elif directive in TYPE_BYTES:
                    kind = directive
            found.append(self._variable(space, kind, alignment, False))
        return tuple(found)

    def _directives(self, function: Function) -> None:
        while self._tokens.peek().kind == "directive":
            name = self._tokens.next().text[1:]
            numbers = []
            while self._tokens.peek().kind == "integer":
                numbers.append(self._tokens.integer())
                self._tokens.accept(",")
            function.directives[name] = tuple(numbers)

    def _body(self, function: Function) -> None:
        function.has_body = True
        self._location = None
        self._block(function, None)

    def _block(self, function: Function, outer: Scope | None) -> None:
        """Statements in braces, and those of blocks within."""
        self._scopes += 1
        scope = Scope(self._scopes, outer)
        self._tokens.expect("{")
        while not self._tokens.accept("}"):
            token = self._tokens.peek()
            if token.kind in ("line", "location", "section"):
                self._line(self._tokens.next())
            elif token.text == "{":
                self._block(function, scope)
            elif token.kind == "directive":
                self._declared(function, scope)
            elif token.kind == "end":
                raise self._tokens.unexpected('"}" is expected')
            elif self._tokens.peek(1).text == ":":
                self._label(function)
            else:
                self._statement(function, scope)

    def _declared(self, function: Function, scope: Scope) -> None:
        directive = self._tokens.next().text[1:]
        if directive == "reg":
            self._registers(scope)
        elif directive in _SPACES:
            function.variables += self._variables(directive, False)
        elif directive in ("pragma", "callprototype"):
            self._tokens.pass_to(";")
        else:
            raise self._tokens.unexpected(f".{directive} is not understood")

    def _registers(self, scope: Scope) -> None:
        kind = self._tokens.next().text[1:]
        if kind not in TYPE_BYTES:
            raise self._tokens.unexpected("a type of registers is expected")
        while True:
            name = self._tokens.next().text
            if self._tokens.accept("<"):
                scope.families[name] = kind, self._tokens.integer()
                self._tokens.expect(">")
            else:
                scope.registers[name] = Register(name, kind, scope.number)
            if self._tokens.accept(";"):
                return
            self._tokens.expect(",")

    def _label(self, function: Function) -> None:
        name = self._tokens.next().text
        self._tokens.expect(":")
        if self._tokens.peek().text == ".branchtargets":
            self._tokens.next()
            function.targets[name] = self._labels()
        elif self._tokens.peek().text == ".callprototype":
            self._tokens.pass_to(";")
        else:
            function.labels[name] = len(function.statements)

    def _labels(self) -> tuple[str, ...]:
        labels = []
        while not self._tokens.accept(";"):
            token = self._tokens.next()
            if token.kind != "word":
                raise self._tokens.unexpected("a label is expected")
            labels.append(token.text)
            self._tokens.accept(",")
        return tuple(labels)

    def _statement(self, function: Function, scope: Scope) -> None:
        guard = self._guard(scope) if self._tokens.accept("@") else None
        opcode = self._tokens.next().text
        operands = []
        while not self._tokens.accept(";"):
            operands.append(self._operand(scope))
            if not self._tokens.accept(","):
                self._tokens.expect(";")
                break
        function.statements.append(Statement(opcode, tuple(operands), guard, self._location))

    def _guard(self, scope: Scope) -> Register | Negated:
        is_negated = self._tokens.accept("!")
        register = self._named(self._tokens.next().text, scope)
        if not isinstance(register, Register) or register.type != "pred":
            raise self._tokens.unexpected("a predicate is expected")
        return Negated(register) if is_negated else register

    # Operands

    def _operand(self, scope: Scope | None) -> Operand:
        operand = self._single(scope)
        return Pair(operand, self._single(scope)) if self._tokens.accept("|") else operand

    def _single(self, scope: Scope | None) -> Operand:
        token = self._tokens.next()
        if token.text in ("{", "("):
            return self._group(scope, "}" if token.text == "{" else ")")
        if token.text == "[":
            return self._address(scope)
        if token.text == "!":
            register = self._single(scope)
            if isinstance(register, Register):
                return Negated(register)
        if token.text == "-":
            number = self._single(scope)
            if isinstance(number, Number) and number.bits == 0:
                return Number(-number.value)
        if token.kind == "bits":
            return _float_of_bits(token.text)
        if token.kind == "float":
            return Number(float(token.text))
        if token.kind == "integer":
            self._tokens.back()
            return Number(self._tokens.integer())
        if token.kind == "word":
            return self._with_offset(self._named(token.text, scope))
        raise self._tokens.unexpected("an operand is expected")

    def _group(self, scope: Scope | None, end: str) -> Group:
        items = []
        while not self._tokens.accept(end):
            items.append(self._operand(scope))
            self._tokens.accept(",")
        return Group(tuple(items))

    def _named(self, name: str, scope: Scope | None) -> Operand:
        if name == "_":
            return Sink()
        if name == "WARP_SZ":
            return Number(32)
        register = scope.find(name) if scope is not None else None
        if register is not None:
            return register
        return Special(name) if name.startswith("%") else Symbol(name)

    def _with_offset(self, operand: Operand) -> Operand:
        return Symbol(operand.name, self._offset()) if isinstance(operand, Symbol) else operand

    def _offset(self) -> int:
        """What is added to a name, with its sign; 0 if nothing is."""
        if self._tokens.accept("+") or self._tokens.peek().text == "-":
            return self._tokens.integer()
        return 0

    def _address(self, scope: Scope | None) -> Address | Group:
        """What is in brackets; of a texture, a list that begins with its address."""
        base: Operand | None = None
        if self._tokens.peek().kind == "word":
            base = self._named(self._tokens.next().text, scope)
        offset = self._tokens.integer() if base is None else self._offset()
        if base is not None and not isinstance(base, (Register, Symbol)):
            raise self._tokens.unexpected("an address is expected")
        address = Address(base, offset)
        if self._tokens.accept(","):
            return Group((address, *self._group(scope, "]").items))
        self._tokens.expect("]")
        return address


def _float_of_bits(text: str) -> Number:
    pattern = int(text[2:], 16)
    if text[1] in "fF":
        return Number(struct.unpack("<f", struct.pack("<I", pattern))[0], 32, pattern)
    return Number(struct.unpack("<d", struct.pack("<Q", pattern))[0], 64, pattern)
