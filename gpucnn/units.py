"""Numbers as people read them."""

from __future__ import annotations


def byte_text(count: int) -> str:
    """Bytes, such as "512 B" or "1.5 GiB"."""
    if count < 1024:
        return f"{count} B"
    power = min((count.bit_length() - 1) // 10, 4)
    return f"{count / 1024**power:.1f} {'KMGT'[power - 1]}iB"
