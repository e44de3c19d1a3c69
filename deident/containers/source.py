"""Bytes at positions, the one view that parsers have of a file."""

from __future__ import annotations

from typing import Protocol


class Source(Protocol):
    """Bytes that can be read at any position: a file's, or those of a packet that lies in pieces in a file."""

    @property
    def size(self) -> int: ...

    def at(self, offset: int, count: int, /) -> bytes:
        """Read up to `count` bytes from `offset`; fewer at the end, none beyond it."""


class Memory:
    """Bytes in memory as a `Source`."""

    def __init__(self, data: bytes) -> None:
        self.data, self.size = data, len(data)

    def at(self, offset: int, count: int, /) -> bytes:
        return self.data[offset : offset + count] if offset >= 0 and count > 0 else b""


def number(data: bytes, start: int, size: int, order: str = "big") -> int:
    """Read an unsigned number; bytes past the end count as none."""
    return int.from_bytes(data[start : start + size], "big" if order in ("big", ">") else "little")
