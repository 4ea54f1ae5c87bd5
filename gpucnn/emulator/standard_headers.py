"""Headers of the standard library, of which NVRTC has none."""

from __future__ import annotations

import re

_INCLUDED = re.compile(r"^[ \t]*#[ \t]*include[ \t]*<(?P<name>c?[a-z_]+(?:\.h)?)>", re.MULTILINE)
_NAMES = {
    "algorithm", "array", "bit", "cassert", "cfloat", "climits", "cmath", "complex", "cstddef",
    "cstdint", "cstdio", "cstdlib", "cstring", "functional", "initializer_list", "iostream",
    "iterator", "limits", "memory", "numeric", "optional", "string", "tuple", "type_traits",
    "utility", "vector", "float.h", "limits.h", "math.h", "stdint.h", "stdio.h", "stdlib.h",
    "string.h",
}  # fmt: skip


def remarks_on_headers(code: str) -> list[str]:
    """A remark for each header of the standard library that a text includes."""
    names = dict.fromkeys(match["name"] for match in _INCLUDED.finditer(code))
    return [
        f"<{name}> is a header of the standard library, which NVRTC does not have; leave it out, "
        'or pass backend="nvcc"'
        for name in names
        if name in _NAMES
    ]
