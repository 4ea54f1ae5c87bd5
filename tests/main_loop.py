"""The main loop of a matrix product, in nvdisasm's listing."""

import re

_LINE = re.compile(
    r"^(?P<label>\.L_x_\d+):"
    r"|^\s+(?:\{\s*)?/\*[0-9a-f]{4,}\*/\s+(?:\{\s*)?(?:@!?U?P\w+\s+)?"
    r"(?P<name>[A-Z][A-Z0-9_.a-z]*)(?P<operands>[^;]*)",
    re.MULTILINE,
)
_LEAST = 32
"""Multiply-adds in a loop that belongs to a product; loops that compute offsets have fewer."""


def share_of_multiply_adds(listing, multiply_adds):
    """The share of FFMA among the instructions of one step.

    Args:
        listing: of one kernel.
        multiply_adds: of a thread, in a step.
    """
    names, loops = _read(listing)

    def count(loop):
        of_loop = names[loop]
        return sum(name.startswith("FFMA") for name in of_loop), len(of_loop)

    counts = sorted(
        (each for each in map(count, loops) if each[0] >= _LEAST), key=lambda each: each[1]
    )
    (inner_adds, inner), (outer_adds, outer) = counts[0], counts[-1]
    if len(counts) == 1:
        return inner_adds / inner
    # A step is the outer loop once, and the inner one within it as often as its depth asks.
    turns = (multiply_adds - (outer_adds - inner_adds)) / inner_adds
    return multiply_adds / (outer - inner + turns * inner)


def _read(listing):
    """The instructions, and the slices of them that a jump backwards repeats."""
    names, labels, loops = [], {}, []
    for line in _LINE.finditer(listing):
        if line["label"]:
            labels[line["label"]] = len(names)
            continue
        names.append(line["name"])
        target = re.search(r"\.L_x_\d+", line["operands"])
        if line["name"].startswith("BRA") and target and target[0] in labels:
            loops.append(slice(labels[target[0]], len(names)))
    return names, loops
