"""From an opcode as PTX writes it to the executor's instruction and its modifiers.

The executor has an instruction for each operation and type, such as "add.f32" or "mul.wide.u16".
Rounding, saturation, cache hints, comparisons and state spaces are fields of an encoded instruction
instead. An opcode with a modifier that is not known here keeps it, and so names no instruction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

ROUNDING = {"rn": 0, "rz": 1, "rm": 2, "rp": 3, "rna": 4}
_INTEGRAL_ROUNDING = {"rni": 0, "rzi": 1, "rmi": 2, "rpi": 3}
FTZ, SATURATE, INTEGRAL, RELU, NAN_RESULT = 1 << 3, 1 << 4, 1 << 5, 1 << 6, 1 << 7
ADDRESS_64, SECOND_64, CARRY_OUT = 1 << 8, 1 << 9, 1 << 10
_FLAGS = {"ftz": FTZ, "sat": SATURATE, "relu": RELU, "NaN": NAN_RESULT, "cc": CARRY_OUT}

COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge", "lo", "ls", "hi", "hs", "equ", "neu", "ltu",
               "leu", "gtu", "geu", "num", "nan")  # fmt: skip
_LOGIC = {"and": 1, "or": 2, "xor": 3}

GENERIC, GLOBAL, SHARED, LOCAL, PARAMETER = range(5)
SPACES = {
    "global": GLOBAL, "const": GLOBAL, "shared": SHARED, "shared::cta": SHARED, "local": LOCAL,
    "param": PARAMETER, "param::entry": PARAMETER, "param::func": LOCAL,
}  # fmt: skip
_BY_SIZE = {
    "b8": "u8", "b16": "u16", "f16": "u16", "bf16": "u16", "b32": "u32", "f32": "u32",
    "f16x2": "u32", "bf16x2": "u32", "b64": "u64", "f64": "u64",
}  # fmt: skip
_MEMORY_HINTS = frozenset((
    "volatile", "relaxed", "acquire", "release", "acq_rel", "weak", "mmio", "cta", "cluster", "gpu",
    "sys", "nc", "ca", "cg", "cs", "cv", "lu", "wb", "wt", "noftz",
))  # fmt: skip


@dataclass(frozen=True)
class Opcode:
    """An opcode, taken apart.

    Attributes:
        instruction: the executor's name for it.
        flags: modifiers, added up.
        space: of its memory operand.
        count: elements of its vector.
        comparison: the number of a comparison.
        logic: the number of what combines it with a predicate.
        type_name: the last type that it names, if a memory operand has one.
    """

    instruction: str
    flags: int = 0
    space: int = GENERIC
    count: int = 1
    comparison: int = 0
    logic: int = 0
    type_name: str = ""


def take_apart(opcode: str) -> Opcode:
    """The instruction of an opcode, and what its modifiers say."""
    words = opcode.split(".")
    special = _SPECIAL.get(words[0])
    return special(words) if special is not None else _usual(words)


def _usual(words: list[str]) -> Opcode:
    kept, flags = [], 0
    for word in words:
        if word in ROUNDING:
            flags |= ROUNDING[word]
        elif word in _FLAGS:
            flags |= _FLAGS[word]
        else:
            kept.append(word)
    return Opcode(".".join(kept), flags)


def _integer_or_float_minimum(words: list[str]) -> Opcode:
    """min and max: with .relu, those of integers are instructions of their own."""
    if words[-1] in ("s32", "s16x2") and "relu" in words:
        return Opcode(".".join(words))
    return _usual(words)


def _conversion(words: list[str]) -> Opcode:
    kept, flags = ["cvt"], 0
    for word in words[1:]:
        if word in _INTEGRAL_ROUNDING:
            flags |= INTEGRAL | _INTEGRAL_ROUNDING[word]
        elif word in ROUNDING:
            flags |= ROUNDING[word]
        elif word in _FLAGS:
            flags |= _FLAGS[word]
        else:
            kept.append(word)
    return Opcode(".".join(kept), flags)


def _comparing(words: list[str]) -> Opcode:
    """setp and set: what is compared how, and combined with a predicate how."""
    if len(words) < 3 or words[1] not in COMPARISONS:
        return Opcode(".".join(words))
    comparison = COMPARISONS.index(words[1])
    rest = words[2:]
    logic = _LOGIC.get(rest[0], 0)
    usual = _usual([words[0], *rest[bool(logic) :]])
    return replace(usual, comparison=comparison, logic=logic)


def _is_hint(word: str) -> bool:
    return word in _MEMORY_HINTS or word.startswith(("L1::", "L2::"))


def _memory(words: list[str]) -> Opcode:
    """ld, st, ldu, atom and red."""
    name, kept = words[0], []
    space, count = GENERIC, 1
    for word in words[1:]:
        if word in SPACES:
            space = SPACES[word]
        elif word in ("v2", "v4", "v8") and name in ("ld", "ldu", "st"):
            count = int(word[1])
        elif not _is_hint(word):
            kept.append(word)
    if name in ("ld", "ldu", "st"):
        name = "st" if name == "st" else "ld"
        kept = [_BY_SIZE.get(word, word) for word in kept]
        if name == "st":
            kept = [word.replace("s", "u") if word[1:].isdecimal() else word for word in kept]
    type_name = kept[-1] if kept else ""
    return Opcode(".".join([name, *kept]), space=space, count=count, type_name=type_name)


def _address_conversion(words: list[str]) -> Opcode:
    to = ["to"] if "to" in words else []
    space = next((SPACES[word] for word in words if word in SPACES), GENERIC)
    return Opcode(".".join(["cvta", *to, words[-1]]), space=space)


def _space_test(words: list[str]) -> Opcode:
    return Opcode(".".join([words[0], *(word.partition("::")[0] for word in words[1:])]))


def _copy(words: list[str]) -> Opcode:
    """cp.async, and what waits for it."""
    if words[:2] != ["cp", "async"] or "bulk" in words or "mbarrier" in words:
        return Opcode(".".join(words))
    if words[-1] in ("commit_group", "wait_group", "wait_all"):
        return Opcode(f"cp.async.{words[-1]}")
    known = {"ca", "cg", "global", *(word for word, s in SPACES.items() if s == SHARED)}
    unknown = [word for word in words[2:] if word not in known and not _is_hint(word)]
    return Opcode(".".join(["cp.async", *unknown]), space=SHARED)


def _matrix_load(words: list[str]) -> Opcode:
    spaces = [SPACES[word] for word in words if word in SPACES]
    kept = [word for word in words if word not in SPACES]
    return Opcode(
        ".".join([*kept[:-1], "shared", kept[-1]]), space=spaces[0] if spaces else GENERIC
    )


def _barrier(words: list[str]) -> Opcode:
    """bar and barrier: ``barrier.sync.aligned`` is ``bar.sync``."""
    kept = [word for word in words if word not in ("cta", "aligned")]
    if kept[0] == "barrier" and ("aligned" in words or kept[1:2] != ["sync"]):
        kept[0] = "bar"
    return Opcode(".".join(kept))


def _first_word(words: list[str]) -> Opcode:
    return Opcode(words[0])


def _branch(words: list[str]) -> Opcode:
    return Opcode(".".join(word for word in words if word != "uni"))


_SPECIAL: Mapping[str, Callable[[list[str]], Opcode]] = {
    "cvt": _conversion,
    "min": _integer_or_float_minimum,
    "max": _integer_or_float_minimum,
    "setp": _comparing,
    "set": _comparing,
    "ld": _memory,
    "ldu": _memory,
    "st": _memory,
    "atom": _memory,
    "red": _memory,
    "cvta": _address_conversion,
    "isspacep": _space_test,
    "cp": _copy,
    "ldmatrix": _matrix_load,
    "bar": _barrier,
    "barrier": _barrier,
    "fence": _first_word,
    "membar": _first_word,
    "prefetch": _first_word,
    "prefetchu": _first_word,
    "bra": _branch,
    "brx": _branch,
    "ret": _branch,
    "call": _branch,
}
